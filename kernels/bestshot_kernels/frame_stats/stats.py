"""What is measured on a picture, and the numbers that follow from sums over its pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

WHITE_LUMA = 253
"""Lowest 8-bit luma that counts as blown out: above 99 % white."""

BLACK_LUMA = 2
"""Highest 8-bit luma that counts as crushed: below 1 % black."""


@dataclass(frozen=True, kw_only=True)
class FrameStats:
    """Measures of ``n`` pictures, float32 (n,) each.

    ``laplacian_variance`` is in squared 8-bit code values. ``exposure_penalty`` is the share of pixels with luma of
    253 and more plus the share with 2 and less: 0 is perfect, 1 a black or white picture. ``contrast``, the standard
    deviation of luma, 0 to 127.5, and ``colourfulness``, 0 grey and above 80 vivid, are in 8-bit code values.
    """

    laplacian_variance: npt.NDArray[np.float32]
    exposure_penalty: npt.NDArray[np.float32]
    contrast: npt.NDArray[np.float32]
    colourfulness: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.laplacian_variance)


def laplacian_variance(pixels: int, total: int, squares: int) -> float:
    """Variance of the Laplacian of one picture from the sum over its pixels and the sum of squares, exact integers."""
    return (pixels * squares - total**2) / pixels**2


def contrast(pixels: int, total: int, squares: int) -> float:
    """Standard deviation of the luma of one picture from its sum and its sum of squares, exact integers."""
    return math.sqrt(pixels * squares - total**2) / pixels


def colourfulness(pixels: int, rg: int, rg_squares: int, q: int, q_squares: int) -> float:
    """Colourfulness of one picture from sums of rg = R - G and q = R + G - 2B (2 yb) and of their squares."""
    rg_spread, q_spread = pixels * rg_squares - rg**2, pixels * q_squares - q**2
    return (math.sqrt(4 * rg_spread + q_spread) + 0.3 * math.sqrt(4 * rg**2 + q**2)) / (2 * pixels)
