"""How alike any two samples look, in less room than their embeddings: distances with known bounds on their error.

The page must decide which peaks are near duplicates as `timeline.select` does, for settings that nobody knows yet.
Some samples' distances to one another are kept as they are (all samples' of a short take; of a long one, those of
the peaks of many settings). Any other pair is told by a projection: unit vectors ``u = v + r``, where ``v`` is kept in
few coordinates and ``r`` is what that leaves out, its part within the plane at most ``q`` long and the part across it
at most ``s``. Then ``|u_i.u_j - v_i.v_j| <= |v_i| q + |v_j| q + q q + s_i s_j`` by Cauchy and Schwarz.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ... import scoring, timeline
from ...config import PickConfig, Weights
from ...track import Track
from ._pack import Packer

Matrix = npt.NDArray[np.float64]

_FULL = 65535
_SPARE = 1e-9
"""What float64 arithmetic in another order may add to a cosine, with much to spare."""
_SAMPLED = 4096
"""Vectors that the plane is fitted to; the bounds hold however well it fits."""
_SHARE = 0.45
"""Part of the room that kept distances get in a long take; the projection has the rest."""
_FEWEST_COORDINATES, _MOST_COORDINATES = 2, 256
_BLOCK = 4096
_DEEP = 40
"""Peaks that one setting can be expected to compare."""


@dataclass(frozen=True)
class _Plane:
    """A projection: codes (n, k) with offsets and steps (k,), |in-plane error| <= q, |across| <= s (n,) * s_step."""

    codes: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    offset: Matrix
    step: Matrix
    q: float
    s: npt.NDArray[np.uint8]
    s_step: float

    @property
    def width(self) -> float:
        """What two samples' distance may be off by, typically."""
        return 2 * self.q + float(np.median(self.s) * self.s_step) ** 2


def add_distances(packer: Packer, track: Track, config: PickConfig, room: int) -> dict[str, Any]:
    """Add to ``packer`` what tells distances, in about ``room`` bytes; returns what the page must know of it."""
    count = len(track)
    kept = _kept(track, config, int((room if count * count <= room else _SHARE * room) ** 0.5))
    units = _units(track, kept)
    upper = np.triu_indices(len(kept), 1)
    distances = np.clip(1 - units @ units.T, 0, 2)[upper]
    packer.add("kept", np.array(kept, np.uint32))
    packer.add("distances", np.rint(distances / 2 * _FULL).astype(np.uint16))
    about = {"kept_error": 1 / _FULL + _SPARE, "zero": [], "spare": _SPARE}
    if len(kept) == count:
        zero = [int(i) for i, unit in zip(kept, units, strict=True) if not unit.any()]
        return about | {"zero": zero, "coordinates": 0}
    plane, zero = _projected(track, room - len(kept) ** 2)
    packer.add("codes", plane.codes.T)
    packer.add("across", plane.s)
    return about | {
        "zero": zero,
        "coordinates": plane.codes.shape[1],
        "offset": plane.offset.tolist(),
        "step": plane.step.tolist(),
        "within": plane.q,
        "across_step": plane.s_step,
    }


def _units(track: Track, indices: list[int]) -> Matrix:
    rows = [timeline.unit(track.embedding[index]) for index in indices]
    return np.array(rows).reshape(len(indices), track.embedding.shape[1])


def _kept(track: Track, config: PickConfig, most: int) -> list[int]:
    """Up to ``most`` samples that are likely to be compared, in ascending order."""
    if most >= len(track):
        return list(range(len(track)))
    peaks = [_peaks(track, setting) for setting in _settings(config)]
    # What the given settings compare comes first, then what many settings compare early.
    wanted = dict.fromkeys(peaks[0][: config.top + _DEEP])
    for row in itertools.zip_longest(*peaks):
        wanted |= dict.fromkeys(index for index in row if index is not None)
    return sorted(list(wanted)[:most])


def _peaks(track: Track, config: PickConfig) -> list[int]:
    score = scoring.score(
        track.sharpness,
        track.exposure_penalty,
        track.aesthetic,
        track.prompt_similarity,
        weights=config.weights,
        mode=config.normalize,
    )
    smoothed = timeline.smooth(track.times, score, config.window)
    return timeline.peaks_apart(track.times, smoothed, config, score)


def _settings(config: PickConfig) -> Iterator[PickConfig]:
    """``config``, and settings around it that a person may well try."""
    yield config
    yield from (replace(config, window=window) for window in (0.5, 1.0, 2.0, 3.0, 5.0, 8.0))
    yield from (replace(config, min_gap=gap) for gap in (1.0, 3.0, 10.0))
    weights = config.weights
    names = [field.name for field in fields(Weights)]
    nothing = Weights(**dict.fromkeys(names, 0.0))
    for name in names:
        value = getattr(weights, name)
        value = scoring.PROMPT_WEIGHT if value is None else value
        yield replace(config, weights=replace(nothing, **{name: 1.0}))
        for factor in (0.0, 0.5, 2.0):
            yield replace(config, weights=replace(weights, **{name: min(max(factor * value, -100.0), 100.0)}))


def _unit_rows(rows: npt.NDArray[np.float32]) -> Matrix:
    """As `timeline.unit`, row by row."""
    wide = rows.astype(np.float64)
    with np.errstate(invalid="ignore"):
        norm = np.linalg.norm(wide, axis=1, keepdims=True)
        known = (norm > 0) & (norm < np.inf)
        return np.where(known, wide / np.where(known, norm, 1), 0)


def _blocks(track: Track) -> Iterator[tuple[slice, Matrix]]:
    whole = np.asarray(track.embedding)
    for first in range(0, len(track), _BLOCK):
        place = slice(first, min(first + _BLOCK, len(track)))
        yield place, _unit_rows(whole[place])


def _projected(track: Track, room: int) -> tuple[_Plane, list[int]]:
    """The projection in about ``room`` bytes whose bounds are tighter, of one and of two bytes a coordinate."""
    dimensions = track.embedding.shape[1]
    axes = _axes(track, dimensions)
    each = room / len(track) - 1
    most = min(_MOST_COORDINATES, dimensions)
    planes = []
    for kind in (np.uint8, np.uint16):
        width = int(min(max(each / np.dtype(kind).itemsize, _FEWEST_COORDINATES), most))
        planes.append(_plane(track, axes[:, :width], np.dtype(kind)))
    zero = [place.start + int(i) for place, units in _blocks(track) for i in np.flatnonzero(~units.any(axis=1))]
    return min(planes, key=lambda plane: plane.width), zero


def _axes(track: Track, dimensions: int) -> Matrix:
    """Orthonormal axes (d, d), those along which the samples' unit vectors have most of their length first."""
    step = max(1, len(track) // _SAMPLED)
    moments = np.zeros((dimensions, dimensions))
    for _, units in _blocks(track):
        moments += units[::step].T @ units[::step]
    return np.linalg.eigh(moments)[1][:, ::-1]


def _plane(track: Track, axes: Matrix, kind: np.dtype[Any]) -> _Plane:
    placed = np.concatenate([units @ axes for _, units in _blocks(track)])
    low, high = placed.min(axis=0), placed.max(axis=0)
    step = np.maximum(high - low, 1e-12) / np.iinfo(kind).max
    codes = np.rint((placed - low) / step).astype(kind)
    within = np.linalg.norm(placed - (low + codes * step), axis=1).max()
    across = np.concatenate([np.linalg.norm(units - placed[place] @ axes.T, axis=1) for place, units in _blocks(track)])
    across_step = float(across.max()) / 255 + _SPARE
    return _Plane(
        codes=codes,
        offset=low,
        step=step,
        q=float(within) + _SPARE,
        s=np.ceil((across + _SPARE) / across_step).astype(np.uint8),
        s_step=across_step,
    )
