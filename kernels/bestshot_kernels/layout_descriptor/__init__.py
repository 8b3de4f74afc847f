"""A small colour-and-layout descriptor: tells views apart where no CLIP model is at hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .._checks import check_pictures

__all__ = ["layout_descriptor"]


def layout_descriptor(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Describe every picture by where its light and its colours are. Deterministic; learns nothing.

    Three blocks, joined and L2-normalised once, so that each counts by its own energy:

    - luma of a 12 x 12 grid of equal cells, less the picture's mean luma (144 numbers);
    - opponent colours R - G and (R + G) / 2 - B of a 6 x 6 grid, zero for grey (72 numbers, weight 0.5);
    - cos and sin of a quarter turn times the mean luma (2 numbers, weight 0.04). They keep flat pictures
      valid, black and white at right angles, and sensor noise of flat pictures small.

    Blocks are not normalised each by itself: that would blow up the noise of a grey picture's colours,
    and a head moving before a plain wall would look like a new view.

    Two descriptors' cosine distance is meant for the threshold 0.12: noise, 10 % of exposure and some pixels
    of shake stay below 0.02, different views mostly lie above. The limits are those of a coarse grid: a
    person who walks up and fills much of a static picture makes it another view in a third of all pairs,
    and a slow flight along a hazy coast stays one view for longer than 5 s in a fifth of them.

    Args:
        rgb: uint8 RGB of shape (n, h, w, 3), any strides; h and w at least 1, n may be 0.

    Returns:
        float32 (n, 218), each row of length 1.

    Raises:
        ValueError: ``rgb`` has another type, rank or no pixels.
    """
    check_pictures(rgb, np.uint8, "rgb")
    from . import cpu

    return cpu.layout_descriptor(rgb)
