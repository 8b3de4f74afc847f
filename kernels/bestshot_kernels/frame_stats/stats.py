"""What is measured on a picture, and the numbers that follow from its luma histogram."""

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
    """Measures of ``n`` pictures, one row each.

    ``laplacian_variance`` float32 (n,) is in squared 8-bit code values, ``histogram`` int64 (n, 256)
    counts pixels by luma, ``colourfulness`` float32 (n,) is in 8-bit code values (0 grey, above 80 vivid).
    """

    laplacian_variance: npt.NDArray[np.float32]
    histogram: npt.NDArray[np.int64]
    colourfulness: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.laplacian_variance)


def laplacian_variance(pixels: int, total: int, squares: int) -> float:
    """Variance of the Laplacian of one picture from the sum over its pixels and the sum of squares, exact integers."""
    return (pixels * squares - total**2) / pixels**2


def colourfulness(pixels: int, rg: int, rg_squares: int, q: int, q_squares: int) -> float:
    """Colourfulness of one picture from sums of rg = R - G and q = R + G - 2B (2 yb) and of their squares."""
    rg_spread, q_spread = pixels * rg_squares - rg**2, pixels * q_squares - q**2
    return (math.sqrt(4 * rg_spread + q_spread) + 0.3 * math.sqrt(4 * rg**2 + q**2)) / (2 * pixels)


def _checked_totals(histogram: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    arrived = f"histogram is {histogram.dtype} of shape {histogram.shape}"
    if histogram.ndim != 2 or histogram.shape[1] != 256 or histogram.dtype.kind not in "iu":
        raise ValueError(f"{arrived}; need integer counts of shape (n, 256): pass FrameStats.histogram")
    totals: npt.NDArray[np.int64] = histogram.sum(axis=1, dtype=np.int64)
    if np.any(totals <= 0):
        raise ValueError(f"{arrived} with an empty row; every row must count at least one pixel")
    return totals


def exposure_penalty(histogram: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Share of pixels with luma >= 253 plus the share with luma <= 2.

    Args:
        histogram: integer counts of shape (n, 256), as in `FrameStats`.

    Returns:
        float32 (n,) in [0, 1]; 0 is perfect, 1 a black or white picture.

    Raises:
        ValueError: the histogram has another shape or type, or an empty row.
    """
    totals = _checked_totals(histogram)
    clipped = histogram[:, WHITE_LUMA:].sum(axis=1) + histogram[:, : BLACK_LUMA + 1].sum(axis=1)
    return np.asarray(clipped / totals, np.float32)


def contrast(histogram: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Standard deviation of luma, in 8-bit code values.

    Args:
        histogram: integer counts of shape (n, 256), as in `FrameStats`.

    Returns:
        float32 (n,) in [0, 127.5].

    Raises:
        ValueError: the histogram has another shape or type, or an empty row.
    """
    totals = _checked_totals(histogram)
    levels = np.arange(256)
    means = histogram @ levels / totals
    squares = (levels - means[:, None]) ** 2
    return np.asarray(np.sqrt((histogram * squares).sum(axis=1) / totals), np.float32)
