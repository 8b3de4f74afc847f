"""The score picture from what a decoder made RGB of with BT.601: upright, scaled, with libswscale's own numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .._checks import check_pictures
from ..convert.ycbcr import LUMA_WEIGHTS

__all__ = ["check_settings", "score_resize"]

ROTATIONS = (0, 90, 180, 270)


def check_settings(size: tuple[int, int], matrix: str, rotation: int) -> None:
    """Raise `ValueError` for settings that `score_resize` does not take."""
    if min(size) < 1:
        raise ValueError(f"size is {size}; both sides must be at least 1")
    if matrix not in LUMA_WEIGHTS:
        raise ValueError(f"matrix is {matrix!r}; it must be one of {', '.join(LUMA_WEIGHTS)}")
    if rotation not in ROTATIONS:
        raise ValueError(f"rotation is {rotation!r}; it must be one of {', '.join(map(str, ROTATIONS))}")


def score_resize(
    rgb: npt.NDArray[np.uint8],
    size: tuple[int, int],
    matrix: str,
    full_range: bool,
    *,
    rotation: int = 0,
    made_full_range: bool | None = None,
) -> npt.NDArray[np.uint8]:
    """Make score pictures of decoded ones, as ``ffmpeg -vf scale=W:H -pix_fmt rgb24`` would of the stream itself.

    DALI hands out 8-bit RGB by BT.601 whatever the stream's matrix. Luma and chroma are won back from it, chroma at
    half the size, which is near exact where no channel was cut off at 0 or 255; they are turned, scaled by libswscale's
    default bicubic filter and made RGB as it makes it, in its integers, bit for bit. So sharpness, which is all in the
    filter and in what rounding adds, is the CPU path's.

    Args:
        rgb: uint8 RGB of shape (n, h, w, 3), made of 8-bit 4:2:0 with BT.601; h and w at least 1, n may be 0.
        size: (width, height) of the upright result, at least 1.
        matrix: the stream's own: ``bt601``, ``bt709`` or ``bt2020``.
        full_range: the stream's own range.
        rotation: by how many degrees to turn clockwise: 0, 90, 180 or 270.
        made_full_range: the range by which ``rgb`` was made, where that is not the stream's; as of full range, far
            less of limited range is cut off.

    Returns:
        uint8 RGB of shape (n, height, width, 3), contiguous.

    Raises:
        ValueError: ``rgb`` has another type, rank or no pixels; a setting out of its bounds.
    """
    check_pictures(rgb, np.uint8, "rgb")
    check_settings(size, matrix, rotation)
    from . import reference

    made = full_range if made_full_range is None else made_full_range
    return reference.score_resize(rgb, size, matrix, full_range, rotation, made)
