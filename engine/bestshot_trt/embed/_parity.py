"""How close a model made another way comes to the fp32 graph, on real frames of real takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .. import peaks, scoring, timeline
from ..config import PickConfig, Weights
from ._base import Embedded

COSINE = 0.999
"""Least cosine of an embedding to that of the fp32 graph."""
AESTHETIC = 0.05
"""How far an aesthetic may be from that of the fp32 graph, on a scale of about 1 to 10."""
FRAMES = 64
"""Frames of a take that are compared, from all over it."""


@dataclass(frozen=True)
class Footage:
    """Frames from all over one take, as a model wants them."""

    pictures: npt.NDArray[np.uint8]
    """RGB (n, size, size, 3), n at least 1."""
    times: npt.NDArray[np.float64]
    """(n,), seconds of media time, rising."""
    duration: float
    """Of the take, in seconds."""


Frames = Callable[[int, str], Sequence[Footage]]
"""Gives the frames of the takes at hand for a model's ``size`` and ``framing``, when they are needed."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """What was compared, and how it came out."""

    frames: int
    least_cosine: float
    """Of all frames' embeddings to those of the fp32 graph; 0 where one is not finite."""
    aesthetic_off: float
    """The largest difference of two aesthetics; infinite ones are 1e9."""
    same_picks: bool
    """Whether the moments picked of each take, by aesthetic and diversity, are the same frames."""

    @property
    def passed(self) -> bool:
        """Whether it is close enough to be used instead of the fp32 graph."""
        return self.least_cosine >= COSINE and self.aesthetic_off <= AESTHETIC and self.same_picks

    def __str__(self) -> str:
        picks = "the same picks" if self.same_picks else "other picks"
        return (
            f"least cosine {self.least_cosine:.5f} (at least {COSINE}), aesthetic off by {self.aesthetic_off:.4f} "
            f"(at most {AESTHETIC}), {picks}, on {self.frames} frames"
        )


def compare(exact: Sequence[Embedded], made: Sequence[Embedded], takes: Sequence[Footage]) -> Parity:
    """``made`` against ``exact``, each of the frames of ``takes``, with aesthetics."""
    return Parity(
        frames=sum(len(take.times) for take in takes),
        least_cosine=min(_least_cosine(a.embedding, b.embedding) for a, b in zip(exact, made, strict=True)),
        aesthetic_off=max(_off(_aesthetic(a), _aesthetic(b)) for a, b in zip(exact, made, strict=True)),
        same_picks=all(_picks(take, a) == _picks(take, b) for take, a, b in zip(takes, exact, made, strict=True)),
    )


def _aesthetic(embedded: Embedded) -> npt.NDArray[np.float64]:
    assert embedded.aesthetic is not None
    return embedded.aesthetic.astype(np.float64)


def _least_cosine(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    x, y = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(all="ignore"):
        cosine = (x * y).sum(1) / (np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1))
    return float(np.where(np.isfinite(cosine), cosine, 0.0).min())


def _off(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    with np.errstate(invalid="ignore"):
        return float(np.nan_to_num(np.abs(a - b), nan=1e9, posinf=1e9).max())


def _picks(take: Footage, embedded: Embedded) -> set[int]:
    """Frames that would be picked with the default settings, were all else the same throughout the take."""
    aesthetic = np.nan_to_num(_aesthetic(embedded), nan=0.0, posinf=0.0, neginf=0.0)
    config, same = PickConfig(), np.zeros(len(aesthetic))
    score = scoring.score(same, same, aesthetic, np.full(len(same), np.nan), weights=Weights(), mode=config.normalize)
    smoothed = peaks.smooth(take.times, score, config.window)
    embedding = np.nan_to_num(embedded.embedding, nan=0.0, posinf=0.0, neginf=0.0)
    chosen = timeline.select(take.times, smoothed, embedding, take.duration, config, score=score)
    return {pick.index for pick in chosen.picks}
