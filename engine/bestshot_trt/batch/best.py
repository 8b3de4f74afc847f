"""The best moments of a whole batch, ranked across takes by raw scores and kept diverse by their embeddings."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .. import moments, scoring
from ..config import Config, PickConfig
from ..errors import InputError, shown
from ..moments import Moment, MomentsDocument
from ..settings import apply
from ..track import open_track
from . import plan


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
    folder: Path
    document: MomentsDocument
    moment: Moment


def takes_in(root: Path) -> Iterator[tuple[Path, MomentsDocument]]:
    """Every take of the batch in ``root`` whose results are in place, by name.

    Raises:
        InputError: there is no batch in ``root``.
    """
    folder = root / plan.TAKES
    if not folder.is_dir():
        raise InputError(f"{shown(root)}: holds no results of a batch; name the folder given to batch -o")
    for take in sorted(folder.iterdir()):
        if plan.receipt_of(take):
            yield take, moments.read_json(take / plan.MOMENTS)


def best_moments(root: Path, top: int, diversity: float | None = PickConfig.diversity) -> list[Best]:
    """The ``top`` picks of all takes in ``root`` by raw score; None for ``diversity`` keeps near duplicates.

    The score is `scoring.score` with mode ``none`` and the weights of the first take. Without a CLIP model the
    aesthetic is the stand-in over all picks of the batch, not over one take.

    Raises:
        InputError: there is no batch in ``root``, or a track in it cannot be read.
    """
    candidates = [_Candidate(take, doc, moment) for take, doc in takes_in(root) for moment in doc.moments]
    if not candidates:
        return []
    scores = raw_scores(candidates)
    kept: list[int] = []
    vectors: list[npt.NDArray[np.float32]] = []
    models: list[str] = []
    for index in np.argsort(-scores, kind="stable"):
        candidate = candidates[index]
        if diversity:
            vector, model = _vector(candidate), _model(candidate)
            alike = (1 - vector @ other for other, theirs in zip(vectors, models, strict=True) if theirs == model)
            if any(distance <= diversity for distance in alike):
                continue
            vectors.append(vector)
            models.append(model)
        kept.append(int(index))
        if len(kept) == top:
            break
    return [_best(rank, candidates[index], float(scores[index]), root) for rank, index in enumerate(kept, 1)]


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


def _vector(candidate: _Candidate) -> npt.NDArray[np.float32]:
    """The unit embedding (d,) of the moment's peak."""
    track = open_track(candidate.folder / plan.TRACK)
    index = int(np.argmin(np.abs(track.times - candidate.moment.peak_s)))
    vector = np.asarray(track.embedding[index], np.float32)
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


def _best(rank: int, candidate: _Candidate, score: float, root: Path) -> Best:
    folder = candidate.folder.relative_to(root)
    moment = candidate.moment
    return Best(
        rank=rank,
        take=folder.as_posix(),
        source=candidate.document.source.path,
        peak_s=moment.peak_s,
        start_s=moment.start_s,
        end_s=moment.end_s,
        raw_score=score,
        clip=None if moment.clip is None else (folder / moment.clip).as_posix(),
    )


def as_plain(best: Best) -> dict[str, object]:
    """``best`` as JSON has it; bytes of a path that are not UTF-8 are shown as such."""
    values = dataclasses.asdict(best)
    return {**values, "source": shown(best.source)}
