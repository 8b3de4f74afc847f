"""From scores to peaks: smoothing, and the local maxima. NumPy only.

Times are seconds of media time, scores float64; symbols in brackets are those of the pipeline document.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

TIME_TOLERANCE = 1e-6
"""Seconds by which two times may differ and still be equal: k / fps is not exact in binary."""

Series = npt.NDArray[np.float64]


def checked_series(times: npt.ArrayLike, values: npt.ArrayLike) -> tuple[Series, Series]:
    """``times`` and ``values`` as float64 (n,).

    Raises:
        ValueError: shapes differ, times do not increase strictly, or a number is not finite.
    """
    grid, series = np.asarray(times, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if grid.ndim != 1 or grid.shape != series.shape:
        raise ValueError(f"times are {grid.shape}, values {series.shape}; need (n,) both")
    if not (np.isfinite(grid).all() and np.isfinite(series).all()):
        raise ValueError("times or values hold one that is not finite")
    if (grid[1:] <= grid[:-1]).any():
        raise ValueError("times do not increase strictly")
    return grid, series


def smooth(times: npt.ArrayLike, values: npt.ArrayLike, window: float) -> Series:
    """Mean of ``values`` over the samples within ``window`` seconds [W] of each sample.

    By time, not by index; both ends of the window belong to it, to `TIME_TOLERANCE`. The window is
    truncated at the ends of the take, and samples that are absent are absent, not zero.

    Running sums are kept in fixed point, which adds exactly: windows that hold the same values, in
    any order, have the same mean to the last bit, so a plateau stays one and no rounding makes a
    peak on it. The price is a resolution of n * 2**-53 of the range of ``values``.

    Args:
        times: seconds, strictly increasing, shape (n,); n may be 0.
        values: finite, shape (n,).
        window: half width in seconds, 0 or more.

    Returns:
        float64 (n,), within [min, max] of ``values``.

    Raises:
        ValueError: shapes differ, times do not increase, or a number is not finite.
    """
    grid, series = checked_series(times, values)
    if not (math.isfinite(window) and window >= 0):
        raise ValueError(f"window is {window!r}; it must be 0 s or more")
    if not len(series):
        return series.copy()
    low, high = float(series.min()), float(series.max())
    if low == high:
        return series.copy()
    if not math.isfinite(high - low):
        raise ValueError("the range of values is not finite")
    # n sums of at most `levels` each stay below 2**53, where float64 division is still exact.
    levels = 2.0 ** (53 - len(series).bit_length())
    units = np.rint((series - low) / (high - low) * levels).astype(np.int64)
    sums = np.zeros(len(units) + 1, dtype=np.int64)
    np.cumsum(units, out=sums[1:])
    first, last = _windows(grid, window)
    mean = (sums[last] - sums[first]) / (last - first)
    return np.clip(low + mean / levels * (high - low), low, high)


def _windows(grid: Series, window: float) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The samples [first, last) within ``window`` seconds of each sample."""
    reach = window + TIME_TOLERANCE
    return np.searchsorted(grid, grid - reach, side="left"), np.searchsorted(grid, grid + reach, side="right")


def find_peaks(smoothed: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Indices of the local maxima, increasing.

    A plateau counts once, by its middle sample (the earlier of two). The first and the last sample
    are peaks when they are maxima, so a single sample is one, and a constant series is one plateau.

    Args:
        smoothed: shape (n,); n may be 0.

    Returns:
        int64 (p,).
    """
    series = np.asarray(smoothed, dtype=np.float64)
    if not len(series):
        return np.empty(0, dtype=np.int64)
    steps = np.flatnonzero(series[1:] != series[:-1])
    starts, ends = np.concatenate(([0], steps + 1)), np.concatenate((steps, [len(series) - 1]))
    level = series[starts]
    rises = np.concatenate(([True], level[1:] > level[:-1]))
    falls = np.concatenate((level[1:] < level[:-1], [True]))
    top = rises & falls
    return ((starts[top] + ends[top]) // 2).astype(np.int64)


def best_of_equal_windows(
    peaks: npt.NDArray[np.int64], grid: Series, score: Series, window: float
) -> npt.NDArray[np.int64]:
    """``peaks``, each moved to the best raw score among neighbours whose windows hold the same samples.

    In a take shorter than the window, or between two long gaps, the mean is the same at many samples
    and does not tell which is best: the middle of that plateau may well be the worst. Equal scores go
    to their middle, the earlier of two.
    """
    first, last = _windows(grid, window)
    changes = 1 + np.flatnonzero((first[1:] != first[:-1]) | (last[1:] != last[:-1]))
    starts, ends = np.concatenate(([0], changes)), np.concatenate((changes, [len(grid)]))
    runs = np.searchsorted(starts, peaks, side="right") - 1
    moved = peaks.copy()
    for place in np.flatnonzero(ends[runs] - starts[runs] > 1):
        left, right = starts[runs[place]], ends[runs[place]]
        best = left + np.flatnonzero(score[left:right] == score[left:right].max())
        moved[place] = best[(len(best) - 1) // 2]
    return moved
