"""The best moments of a whole batch, ranked across takes by raw scores and kept diverse by their embeddings."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ... import scoring
from ...config import Config, PickConfig
from ...errors import shown
from ...moments import Moment, MomentsDocument
from ...settings import apply
from .. import plan
from .shelf import Shelf


@dataclass(frozen=True, kw_only=True)
class Best:
    """One moment of the batch."""

    rank: int
    take: str
    """Its take's folder, below the batch's own."""
    source: str
    peak_s: float
    start_s: float
    end_s: float
    raw_score: float
    """Comparable across takes: no measure is normalised over its own take."""
    clip: str | None
    """Relative to the batch's folder."""


@dataclass(frozen=True)
class _Candidate:
    take: str
    document: MomentsDocument
    number: int
    """Which of the document's moments it is."""

    @property
    def moment(self) -> Moment:
        return self.document.moments[self.number]


def best_moments(
    shelf: Shelf,
    top: int,
    diversity: float | None = PickConfig.diversity,
    takes: Sequence[tuple[str, MomentsDocument]] | None = None,
) -> list[Best]:
    """The ``top`` picks of all takes on ``shelf`` by raw score; None for ``diversity`` keeps near duplicates.

    ``takes`` are those on it, where they have been read.

    The score is `scoring.score` with mode ``none`` and the weights of the first take. Without a CLIP model the
    aesthetic is the stand-in over all picks of the batch, not over one take.

    Raises:
        InputError: there is no batch, or a track of it cannot be read.
    """
    found = shelf.takes() if takes is None else takes
    candidates = [_Candidate(take, doc, number) for take, doc in found for number in range(len(doc.moments))]
    if not candidates:
        return []
    scores = raw_scores(candidates)
    kept: list[int] = []
    vectors: list[npt.NDArray[np.float32]] = []
    models: list[str] = []
    peaks = functools.cache(shelf.peaks)
    for index in np.argsort(-scores, kind="stable"):
        candidate = candidates[index]
        if diversity:
            vector, model = peaks(candidate.take)[candidate.number], _model(candidate)
            alike = (1 - vector @ other for other, theirs in zip(vectors, models, strict=True) if theirs == model)
            if any(distance <= diversity for distance in alike):
                continue
            vectors.append(vector)
            models.append(model)
        kept.append(int(index))
        if len(kept) == top:
            break
    return [_best(rank, candidates[index], float(scores[index])) for rank, index in enumerate(kept, 1)]


def raw_scores(candidates: list[_Candidate]) -> npt.NDArray[np.float64]:
    """The raw score (n,) of each candidate."""
    measures = [candidate.moment.measures for candidate in candidates]
    aesthetic = np.array([m.aesthetic for m in measures])
    without = np.array([candidate.document.clip_model is None for candidate in candidates])
    if without.any():
        rows = [m for m, alone in zip(measures, without, strict=True) if alone]
        aesthetic[without] = scoring.stand_in_aesthetic([m.contrast for m in rows], [m.colourfulness for m in rows])
    prompt = [m.prompt_similarity for m in measures]
    settings = apply(Config(), {"pick": {"weights": candidates[0].document.settings.pick["weights"]}}, "")
    return scoring.score(
        [m.sharpness for m in measures],
        [m.exposure_penalty for m in measures],
        aesthetic,
        None if None in prompt else np.array(prompt, np.float64),
        weights=settings.pick.weights,
        mode="none",
    )


def _model(candidate: _Candidate) -> str:
    model = candidate.document.clip_model
    return "none" if model is None else model.digest


def _best(rank: int, candidate: _Candidate, score: float) -> Best:
    folder = f"{plan.TAKES}/{candidate.take}"
    moment = candidate.moment
    return Best(
        rank=rank,
        take=folder,
        source=candidate.document.source.path,
        peak_s=moment.peak_s,
        start_s=moment.start_s,
        end_s=moment.end_s,
        raw_score=score,
        clip=None if moment.clip is None else f"{folder}/{moment.clip}",
    )


def as_plain(best: Best) -> dict[str, object]:
    """``best`` as JSON has it; bytes of a path that are not UTF-8 are shown as such."""
    values = dataclasses.asdict(best)
    return {**values, "source": shown(best.source)}
