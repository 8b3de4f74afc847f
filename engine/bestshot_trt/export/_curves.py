"""What of a long series is worth drawing, and which round numbers belong on its axis."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Series = npt.NDArray[np.float64]

_GAP_FACTOR = 2.5
"""A pause this many sample distances long is a hole in the track, where the line breaks."""


def drawable_runs(times: Series, values: Series, duration: float, width: int) -> list[tuple[Series, Series]]:
    """Stretches without NaN and without holes in time, thinned to ``width`` pixel columns in all."""
    known = np.isfinite(values)
    times, values = times[known], values[known]
    if len(times) == 0:
        return []
    steps = np.diff(times)
    holes = steps > _GAP_FACTOR * np.median(steps) if len(steps) else np.zeros(0, np.bool_)
    run = np.concatenate(([0], np.cumsum(holes)))
    kept = _extremes(times, values, duration, width)
    cuts = np.flatnonzero(np.diff(run[kept])) + 1
    return list(zip(np.split(times[kept], cuts), np.split(values[kept], cuts), strict=True))


def _extremes(times: Series, values: Series, duration: float, width: int) -> npt.NDArray[np.int64]:
    """Indices of the lowest and highest sample of each pixel column, ascending; all when they are few."""
    if len(times) <= 2 * width:
        return np.arange(len(times))
    columns = np.minimum((times / duration * width).astype(np.int64), width - 1)
    starts = np.flatnonzero(np.diff(columns, prepend=-1))
    kept: set[int] = {0, len(times) - 1}
    for start, stop in zip(starts, np.append(starts[1:], len(times)), strict=True):
        kept |= {int(start + values[start:stop].argmin()), int(start + values[start:stop].argmax())}
    return np.array(sorted(kept), np.int64)


def nice_values(low: float, high: float, most: int) -> list[float]:
    """At most ``most`` + 1 round numbers between ``low`` and ``high``."""
    exponent = math.floor(math.log10((high - low) / most))
    step = next(m * 10.0**exponent for m in (1, 2, 5, 10) if (high - low) / (m * 10.0**exponent) <= most)
    first = math.ceil(low / step)
    return [round(n * step, 12) + 0.0 for n in range(first, math.floor(high / step) + 1)]
