"""The weights of libswscale's default bicubic filter, in its own fixed point.

The filter is the cubic one with B = 0 and C = 0.6 (Mitchell and Netravali, "Reconstruction filters in computer
graphics", 1988), stretched where a side shrinks. Positions are 16.16 fixed point, as libswscale's are, so that they
drift as its do; weights at either end whose magnitudes add up to 0.002 or less are cut, those that lie beyond the
border fall to the outermost pixel, and each is rounded with the rounding error of those before it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

ACROSS_BITS = 14
"""Bits of the weights along rows."""
DOWN_BITS = 12
"""Bits of the weights along columns."""

_C = 0.6
_CUTOFF = 0.002
_UNIT = 1 << 16
_SAME = 10
"""A step this near to one pixel is one."""

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


class Taps(NamedTuple):
    """A filter along one side: for each output, the first input and the weights from there on."""

    first: npt.NDArray[np.int32]
    """(outputs,)"""
    weights: npt.NDArray[np.int32]
    """(most taps, outputs); zero where an output has fewer. No input beyond the side has one."""


@lru_cache(maxsize=64)
def taps(source: int, target: int, bits: int) -> Taps:
    """Weights that take a side of ``source`` pixels to ``target``; those of an output add up to ``2**bits``."""
    step = ((source << 16) + target // 2) // target
    if abs(step - _UNIT) < _SAME:
        first = np.minimum(np.arange(target), source - 1)
        return Taps(first.astype(np.int32), np.full((1, target), 1 << bits, np.int32))
    size = 5 if step <= _UNIT else 1 + (4 * source + target - 1) // target
    size = max(min(size, source - 2), 1)
    # Twice the place of an output's middle, from the middle of the first pixel.
    middle = step - _UNIT + 2 * step * np.arange(target, dtype=np.int64)
    # Rounded towards 0, as C does.
    start = np.trunc((middle - (size - 2) * _UNIT) / (2 * _UNIT)).astype(np.int64)
    inputs = start[:, None] + np.arange(size)
    distance = np.abs(2 * _UNIT * inputs - middle[:, None]) / (2 * _UNIT)
    return _fixed(inputs, _cubic(distance * min(1.0, target / source)), source, bits)


def _cubic(x: Floats) -> Floats:
    near = (2 - _C) * x**3 - (3 - _C) * x**2 + 1
    far = -_C * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _fixed(inputs: Indices, weights: Floats, source: int, bits: int) -> Taps:
    """Cut, fold and round ``weights`` (outputs, taps) of ``inputs``, some of which lie beyond the side."""
    kept = _kept(inputs[:, 0], weights)
    inside = np.clip(inputs, 0, source - 1)
    first = np.where(kept, inside, source).min(axis=1)
    most = int((np.where(kept, inside, 0).max(axis=1) - first).max()) + 1
    folded = np.zeros((most, len(first)))
    outputs, columns = np.nonzero(kept)
    np.add.at(folded, (inside[kept] - first[outputs], outputs), weights[outputs, columns])
    return Taps(first.astype(np.int32), _rounded(folded, bits))


def _kept(start: Indices, weights: Floats) -> npt.NDArray[np.bool_]:
    """Which weights are not cut."""
    begin = (np.cumsum(np.abs(weights), axis=1) <= _CUTOFF).sum(axis=1)
    for i in range(len(start) - 2, -1, -1):
        # No output begins after the next.
        begin[i] = min(begin[i], max(0, start[i + 1] + begin[i + 1] - start[i]))
    end = weights.shape[1] - (np.cumsum(np.abs(weights[:, ::-1]), axis=1) <= _CUTOFF).sum(axis=1)
    columns = np.arange(weights.shape[1])
    return np.asarray((columns >= begin[:, None]) & (columns < np.maximum(end, begin + 1)[:, None]))


def _rounded(weights: Floats, bits: int) -> npt.NDArray[np.int32]:
    """``weights`` (taps, outputs) scaled to add up to ``2**bits``."""
    scaled = weights / weights.sum(axis=0) * (1 << bits)
    rounded = np.empty(weights.shape, np.int32)
    error = np.zeros(weights.shape[1])
    for row, exact in zip(rounded, scaled, strict=True):
        due = exact + error
        row[...] = np.copysign(np.floor(np.abs(due) + 0.5), due)
        error = due - row
    return rounded
