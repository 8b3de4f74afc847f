"""What a terminal shows of a track: the take, the curve of its score, its top moments and why they are that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from . import pipeline, prompts, results, scoring
from .config import Config
from .errors import InputError, shown
from .files import check_regular
from .moments import MomentsDocument
from .peaks import smooth
from .progress import Progress, silent
from .track import Track, open_track

Series = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Overview:
    """A track at a glance. Nothing of it was decoded for this.

    ``lifts`` has one dict for each of ``document.moments``: how far each measure's term of the score, smoothed as
    the score is, lies above its mean over the take. They add up to the moment's ``score_smooth`` minus ``mean``.
    """

    document: MomentsDocument
    times: Series
    smoothed: Series
    """The smoothed score at ``times`` (n,)."""
    mean: float
    lifts: tuple[dict[str, float], ...]


def track_in(path: Path) -> Path:
    """The track at ``path``, or in it where it is a folder of results.

    Raises:
        InputError: it is a folder without a track.
    """
    if not path.is_dir():
        return path
    if not (path / results.TRACK).exists():
        raise InputError(f"{shown(path)}: holds no {results.TRACK}; name a folder that run wrote, or a track")
    return path / results.TRACK


def overview(path: str | Path, config: Config | None = None, progress: Progress = silent) -> Overview:
    """Read the track at ``path``, or in that folder, and pick from it as `pipeline.pick` does with ``config``.

    Raises:
        InputError: there is no score track. ModelUnavailable: a new prompt needs a model that is not to be had.
    """
    config = config or Config()
    file = track_in(Path(path))
    check_regular(file)
    track = prompts.apply(open_track(file), config.pick, progress)
    document = pipeline.pick(track, config)
    terms = _smoothed_terms(track, config)
    smoothed = np.sum([*terms.values()], axis=0)
    peaks = np.searchsorted(track.times, [moment.peak_s for moment in document.moments])
    lifts = tuple({name: float(term[peak] - term.mean()) for name, term in terms.items()} for peak in peaks.tolist())
    return Overview(document=document, times=track.times, smoothed=smoothed, mean=float(smoothed.mean()), lifts=lifts)


def _smoothed_terms(track: Track, config: Config) -> dict[str, Series]:
    """The terms of the score, each averaged as the score is: smoothing is linear, so they add up to it."""
    terms = scoring.terms(
        track.sharpness,
        track.exposure_penalty,
        track.aesthetic,
        track.prompt_similarity,
        weights=config.pick.weights,
        mode=config.pick.normalize,
    )
    return {name: smooth(track.times, term, config.pick.window) for name, term in terms.items()}


def columns(times: Series, values: Series, duration: float, width: int) -> Series:
    """The highest of ``values`` in each of ``width`` equal stretches of [0, ``duration``] seconds; NaN for none.

    Where samples are sparser than stretches, each stands for those up to the next, at most two usual steps away:
    a longer pause is a hole in the track.
    """
    highest = np.full(width, np.nan)
    if not len(times):
        return highest
    edges = np.arange(width + 1) * (duration / width)
    first, last = np.searchsorted(times, edges[:-1]), np.searchsorted(times, edges[1:])
    usual = float(np.median(np.diff(times))) if len(times) > 1 else duration
    for column, (start, stop) in enumerate(zip(first, last, strict=True)):
        if stop > start:
            highest[column] = values[start:stop].max()
        elif start and edges[column] - times[start - 1] < 2 * usual:
            highest[column] = values[start - 1]
    return highest


def column_of(seconds: float, duration: float, width: int) -> int:
    """The column of `columns` in which ``seconds`` lies."""
    return min(width - 1, int(seconds / duration * width)) if duration > 0 else 0


def bars(values: Series, blocks: Sequence[str], rows: int) -> list[str]:
    """``values`` as a graph of ``rows`` lines, the top one first.

    Args:
        values: one a column; the lowest is one step high, the highest fills all lines, NaN is left blank.
        blocks: characters for a cell filled more and more, from blank to full.
        rows: how many lines.
    """
    known = np.isfinite(values)
    if not known.any():
        return [blocks[0] * len(values)] * rows
    low, high = float(values[known].min()), float(values[known].max())
    cell = len(blocks) - 1
    share = np.where(known, (values - low) / (high - low) if high > low else 0.5, 0)
    steps = np.where(known, 1 + np.rint(np.nan_to_num(share) * (rows * cell - 1)), 0).astype(int)
    fill = (np.clip(steps - row * cell, 0, cell).tolist() for row in reversed(range(rows)))
    return ["".join(blocks[step] for step in row) for row in fill]
