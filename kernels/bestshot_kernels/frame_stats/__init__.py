"""Sharpness, exposure, contrast and colourfulness of pictures in one pass."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .._checks import check_pictures
from .stats import FrameStats

__all__ = ["FrameStats", "frame_stats"]


def frame_stats(rgb: npt.NDArray[np.uint8]) -> FrameStats:
    """Measure every picture.

    Luma is ``(9798 R + 19235 G + 3735 B + 16384) >> 15``, bit for bit OpenCV's 8-bit ``COLOR_RGB2GRAY``.
    ``laplacian_variance`` is the variance of the 3x3 Laplacian [0 1 0; 1 -4 1; 0 1 0] of luma, borders
    mirrored without repeating the edge; across a side of one pixel, that pixel is its own neighbour.
    ``colourfulness`` is that of Hasler and Suesstrunk, "Measuring colourfulness in natural images", 2003:
    with rg = R - G and yb = (R + G) / 2 - B, sqrt(var rg + var yb) + 0.3 sqrt(mean rg^2 + mean yb^2).

    Args:
        rgb: uint8 RGB of shape (n, h, w, 3), any strides; h and w at least 1, n may be 0.

    Returns:
        The measures, one row per picture.

    Raises:
        ValueError: ``rgb`` has another type, rank or no pixels.
    """
    check_pictures(rgb, np.uint8, "rgb")
    from . import cpu

    return cpu.frame_stats(rgb)
