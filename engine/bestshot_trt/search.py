"""Which moments of many analysed takes fit what words describe, from the embeddings in their tracks."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from . import prompts
from .config import PickConfig
from .errors import ConfigError, InputError, shown
from .files import check_regular
from .progress import Progress, silent
from .track import Track, open_track


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One moment that fits."""

    track: str
    """Path of the track it was found in."""
    source: str
    """Path of the take."""
    time_s: float
    """Seconds of media time."""
    pts: int
    similarity: float
    """Mean cosine with the texts, minus that with what to avoid."""


def search(
    tracks: Sequence[str | Path],
    texts: Sequence[str],
    *,
    avoid: Sequence[str] = (),
    top: int = 10,
    min_gap: float = PickConfig.min_gap,
    progress: Progress = silent,
) -> list[Hit]:
    """The ``top`` best-fitting moments of all ``tracks``, best first; of one take at least ``min_gap`` s apart.

    Raises:
        InputError: a file is no score track.
        ConfigError: the tracks were made with different models, whose cosines do not compare; or a setting
            is out of its bounds.
        ModelUnavailable: a track was made without a CLIP model, or its model is not to be had.
    """
    config = PickConfig(prompt=tuple(texts), avoid=tuple(avoid), top=top, min_gap=min_gap)
    if not config.prompt:
        raise ConfigError("there is no text to look for")
    finder = _Finder(config)
    best: list[Hit] = []
    for number, path in enumerate(map(Path, tracks)):
        progress("search", number, len(tracks), "steps")
        best = heapq.nlargest(top, [*best, *finder.hits(path, progress)], key=lambda hit: hit.similarity)
    return best


class _Finder:
    """Looks through one track after the other; the texts are encoded once."""

    def __init__(self, config: PickConfig) -> None:
        self._config = config
        self._first: tuple[Path, str] | None = None
        self._vectors: prompts.Vectors | None = None

    def hits(self, path: Path, progress: Progress) -> list[Hit]:
        check_regular(path)
        track = open_track(path)
        self._check_model(path, track, progress)
        assert self._vectors is not None
        similarity = self._vectors.similarity(track.embedding)
        return [
            Hit(
                track=str(path),
                source=track.meta.source.path,
                time_s=float(track.times[index]),
                pts=int(track.pts[index]),
                similarity=float(similarity[index]),
            )
            for index in best_apart(track.times, similarity, self._config.top, self._config.min_gap)
        ]

    def _check_model(self, path: Path, track: Track, progress: Progress) -> None:
        if track.meta.clip_model is None:
            raise InputError(f"{shown(path)}: was analysed without a CLIP model, so words cannot be looked for in it")
        digest = track.meta.clip_model.digest
        if self._first is None:
            self._first = (path, digest)
            self._vectors = prompts.encode(track.meta.clip_model, self._config.prompt, self._config.avoid, progress)
        elif digest != self._first[1]:
            raise ConfigError(
                f"{shown(path)} and {shown(self._first[0])} were made with different models, whose similarities "
                "do not compare; search them apart, or analyze one of them again"
            )


def best_apart(times: npt.NDArray[np.float64], values: npt.NDArray[np.float32], top: int, min_gap: float) -> list[int]:
    """Indices of the ``top`` greatest values, greatest first, each at least ``min_gap`` s from the others."""
    kept: list[int] = []
    for index in np.argsort(-values, kind="stable"):
        if len(kept) == top:
            break
        if all(abs(times[index] - times[other]) >= min_gap for other in kept):
            kept.append(int(index))
    return kept
