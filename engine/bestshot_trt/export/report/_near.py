"""How alike any two samples look, in less room than their embeddings: distances with known bounds on their error.

The page must decide which peaks are near duplicates as `timeline.select` does, for settings that nobody knows yet.
Some samples' distances to one another are kept as they are (all samples' of a short take; of a long one, those of
the peaks that most settings compare). Any other pair is told by a projection: unit vectors ``u = v + r``, where ``v``
is kept in few coordinates and ``r`` is what that leaves out, its part within the plane at most ``q`` long and the part
across it at most ``s``. Then ``|u_i.u_j - v_i.v_j| <= |v_i| q + |v_j| q + q q + s_i s_j`` by Cauchy and Schwarz.
Samples that may well be compared have more coordinates than the rest.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ... import scoring, timeline
from ...config import PickConfig, Weights
from ...track import Track, scores
from ._pack import Packer

Matrix = npt.NDArray[np.float64]

_FULL = 65535
_SPARE = 1e-9
"""What float64 arithmetic in another order may add to a cosine, with much to spare."""
_SAMPLED = 4096
"""Vectors that the axes are fitted to; the bounds hold however well they fit."""
_KEPT_SHARE, _FINE_SHARE = 0.15, 0.65
"""Parts of the room that kept distances and the fine projection get in a long take; the coarse one has the rest."""
_FINE_BYTES = 36
"""About what a sample has in the fine projection."""
_FEWEST_COORDINATES, _MOST_COORDINATES = 2, 256
_FINENESSES = (255, 1023, 4095)
"""Steps that the longest axis may be divided into; all axes have the same step."""
_BLOCK = 1024
_DEEP = 600
"""Peaks that one setting may well compare."""
_GUESSED = 60


@dataclass(frozen=True)
class _Plane:
    """A projection: codes (n, k) from ``low`` (k,) in steps, |in-plane error| <= q, |across| <= s (n,) * s_step."""

    codes: npt.NDArray[np.uint16]
    low: Matrix
    step: float
    q: float
    s: npt.NDArray[np.uint8]
    s_step: float

    @property
    def width(self) -> float:
        """What two samples' distance may be off by, typically."""
        return 2 * self.q + float(np.median(self.s) * self.s_step) ** 2


class Nearness:
    """What is known of a track's embeddings, to be told in any room."""

    def __init__(self, track: Track, config: PickConfig) -> None:
        self._track = track
        self._count = len(track)
        self._config = config
        self._order: list[int] | None = None
        self._known_axes: Matrix | None = None
        self._known_zeros: list[int] | None = None

    def add(self, packer: Packer, room: int) -> dict[str, Any]:
        """Add to ``packer`` what tells distances, in about ``room`` bytes; returns what the page must know of it."""
        count = self._count
        everything = count * count <= room
        kept = list(range(count)) if everything else sorted(self._likely[: int((_KEPT_SHARE * room) ** 0.5)])
        self._add_kept(packer, kept)
        zero = self._zeros()
        planes = []
        if not everything:
            fine = sorted(self._likely[: int(_FINE_SHARE * room / _FINE_BYTES)])
            members = np.array(fine, np.int64)
            planes = [
                self._add_plane(packer, "fine", members, _FINE_SHARE * room / max(len(fine), 1)),
                self._add_plane(packer, "coarse", np.arange(count), (1 - _KEPT_SHARE - _FINE_SHARE) * room / count),
            ]
        return {"kept_error": 1 / _FULL + _SPARE, "spare": _SPARE, "zero": zero, "planes": planes}

    def _zeros(self) -> list[int]:
        """Samples without a direction, which are at distance 1 from all."""
        if self._known_zeros is None:
            everything = self._blocks(np.arange(self._count))
            found = [place.start + np.flatnonzero(~units.any(axis=1)) for place, units in everything]
            self._known_zeros = [int(i) for i in np.concatenate(found)] if found else []
        return self._known_zeros

    def _add_kept(self, packer: Packer, kept: list[int]) -> None:
        units = self._units(np.array(kept, np.int64))
        distances = np.clip(1 - units @ units.T, 0, 2)[np.triu_indices(len(kept), 1)]
        packer.add("kept", np.array(kept, np.uint32))
        packer.add("distances", np.rint(distances / 2 * _FULL).astype(np.uint16))

    def _add_plane(self, packer: Packer, name: str, members: npt.NDArray[np.int64], each: float) -> dict[str, Any]:
        """Add the projection of ``members`` in about ``each`` bytes a sample whose bounds are the tightest."""
        some = members[:: max(1, len(members) // _SAMPLED)]
        fineness = min(_FINENESSES, key=lambda fineness: self._plane(some, each, fineness).width)
        plane = self._plane(members, each, fineness)
        packer.add(f"{name} members", members.astype(np.uint32))
        packer.add(f"{name} codes", plane.codes.T)
        packer.add(f"{name} across", plane.s)
        return {"name": name, "low": plane.low.tolist()} | {key: getattr(plane, key) for key in ("step", "q", "s_step")}

    def _plane(self, members: npt.NDArray[np.int64], each: float, fineness: int) -> _Plane:
        """The projection of ``members``, block by block: at full width they are 1.6 kB to 6 kB each."""
        low, high = self._extents(members)
        step = max(float((high - low).max()), 1e-9) / fineness
        # A coordinate's high byte deflates to nothing where all its codes are small.
        bytes_needed = np.cumsum(np.minimum(np.log2((high - low) / step + 2) / 8, 2)) + 1
        width = int(np.clip(np.searchsorted(bytes_needed, each), _FEWEST_COORDINATES, len(low)))
        axes, low = self._axes[:, :width], low[:width]
        codes = np.empty((len(members), width), np.uint16)
        within, across = np.empty(len(members)), np.empty(len(members))
        for place, units in self._blocks(members):
            placed = units @ axes
            codes[place] = np.rint((placed - low) / step)
            within[place] = np.linalg.norm(placed - (low + codes[place] * step), axis=1)
            across[place] = np.linalg.norm(units - placed @ axes.T, axis=1)
        s_step = float(across.max(initial=0)) / 255 + _SPARE
        return _Plane(
            codes=codes,
            low=low,
            step=step,
            q=float(within.max(initial=0)) + _SPARE,
            s=np.ceil((across + _SPARE) / s_step).astype(np.uint8),
            s_step=s_step,
        )

    def _extents(self, members: npt.NDArray[np.int64]) -> tuple[Matrix, Matrix]:
        """The least and the greatest coordinate of ``members`` along each axis."""
        low, high = np.full(self._axes.shape[1], np.inf), np.full(self._axes.shape[1], -np.inf)
        for _, units in self._blocks(members):
            placed = units @ self._axes
            low, high = np.minimum(low, placed.min(axis=0)), np.maximum(high, placed.max(axis=0))
        # Room for what other block sizes round another way.
        return low - _SPARE, high + _SPARE

    def _blocks(self, members: npt.NDArray[np.int64]) -> Iterator[tuple[slice, Matrix]]:
        """Unit vectors of ``members`` and where they belong among them."""
        for first in range(0, len(members), _BLOCK):
            place = slice(first, first + _BLOCK)
            yield place, self._units(members[place])

    def _units(self, members: npt.NDArray[np.int64]) -> Matrix:
        rows = self._track.embedding
        # Embeddings that are still in their file give one row at a time.
        some = rows[members] if isinstance(rows, np.ndarray) else np.array([rows[int(i)] for i in members], np.float32)
        return _unit_rows(some.reshape(len(members), rows.shape[1]))

    @property
    def _axes(self) -> Matrix:
        """Orthonormal axes (d, k), those along which the samples' unit vectors have most of their length first."""
        if self._known_axes is None:
            some = self._units(np.arange(0, self._count, max(1, self._count // _SAMPLED)))
            self._known_axes = np.linalg.eigh(some.T @ some)[1][:, ::-1][:, :_MOST_COORDINATES]
        return self._known_axes

    @property
    def _likely(self) -> list[int]:
        """Samples that are compared for some settings, those first that the given ones and then most compare."""
        if self._order is None:
            peaks = [self._peaks(setting)[:_DEEP] for setting in _settings(self._config)]
            wanted = dict.fromkeys(peaks[0])
            for row in itertools.zip_longest(*peaks):
                wanted |= dict.fromkeys(index for index in row if index is not None)
            self._order = list(wanted)
        return self._order

    def _peaks(self, config: PickConfig) -> list[int]:
        track = self._track
        score, smoothed = scores(track, config)
        return timeline.peaks_apart(track.times, smoothed, config, score)


def _settings(config: PickConfig) -> Iterator[PickConfig]:
    """``config``, and settings around it that a person may well try."""
    replace = dataclasses.replace
    yield config
    yield from (replace(config, window=window) for window in (0.5, 1.0, 2.0, 3.0, 5.0, 8.0))
    yield from (replace(config, min_gap=gap) for gap in (1.0, 3.0, 10.0))
    weights = config.weights
    names = [field.name for field in dataclasses.fields(Weights)]
    nothing = Weights(**dict.fromkeys(names, 0.0))
    for name in names:
        yield replace(config, weights=replace(nothing, **{name: 1.0}))
        value = getattr(weights, name)
        double = 2 * (scoring.PROMPT_WEIGHT if value is None else value)
        for other in (0.0, min(max(double, -100.0), 100.0)):
            yield replace(config, weights=replace(weights, **{name: other}))
    guess = np.random.default_rng(0)
    for _ in range(_GUESSED):
        guessed = Weights(**{name: float(guess.uniform(0, 3)) for name in names})
        yield replace(config, weights=guessed, window=float(guess.uniform(0.3, 10)))


def _unit_rows(rows: npt.NDArray[np.float32]) -> Matrix:
    """As `timeline.unit`, row by row."""
    wide = rows.astype(np.float64)
    with np.errstate(invalid="ignore"):
        norm = np.linalg.norm(wide, axis=1, keepdims=True)
        known = (norm > 0) & (norm < np.inf)
        return np.where(known, wide / np.where(known, norm, 1), 0)
