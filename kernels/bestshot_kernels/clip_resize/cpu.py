"""The same through Pillow itself, one side at a time.

One call for both sides would scale rows first in Pillow before 13, and columns first for many tall pictures from 13
on. The values between are 8-bit, so the order shows. Rows first is what CLIP was trained and published with.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from . import reference
from .framing import Placement, place

# Beyond this shape Pillow would scale far more than is seen: gigabytes, for a picture one pixel high.
_LONGEST = 32


def _square(picture: npt.NDArray[np.uint8], placed: Placement, size: int) -> npt.NDArray[np.uint8]:
    """The scaled rows and columns that a square of side ``size`` shows."""
    from PIL import Image

    rows, columns = placed.seen(size)
    bicubic = Image.Resampling.BICUBIC
    whole = Image.fromarray(np.ascontiguousarray(picture))
    narrow = whole.resize((placed.width, whole.height), bicubic)
    shown = narrow.crop((columns.start, 0, columns.stop, narrow.height))
    return np.asarray(shown.resize((shown.width, placed.height), bicubic))[rows]


def clip_resize(pixels: npt.NDArray[np.uint8], size: int, framing: str) -> npt.NDArray[np.uint8]:
    """Scale uint8 RGB of shape (n, h, w, 3), as the wrapper of the same name documents."""
    count, height, width, _ = pixels.shape
    if max(height, width) > _LONGEST * min(height, width):
        return reference.clip_resize(pixels, size, framing)
    placed = place(height, width, size, framing)
    squares = np.zeros((count, size, size, 3), np.uint8)
    for square, picture in zip(squares, pixels, strict=True):
        square[placed.covered(size)] = _square(picture, placed, size)
    return squares
