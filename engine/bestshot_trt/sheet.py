"""What the contact sheet shows of a moment: its pictures, decoded anew, and its measures."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .decode import ScorePicture, frames_between
from .frames import VideoInfo, score_size
from .moments import Measures, Moment

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from .export.contact_sheet import SheetEntry

NEIGHBOUR_S = 0.5
"""Seconds from a peak to the pictures shown beside it."""
SHEET_HEIGHT = 480


def sheet_entry(info: VideoInfo, moment: Moment) -> SheetEntry:
    """One row of the contact sheet: the pictures of ``moment`` and what was measured there."""
    from .export.contact_sheet import SheetEntry

    tick = float(info.time_base)
    beside = (moment.peak_s - NEIGHBOUR_S, moment.peak_s, moment.peak_s + NEIGHBOUR_S)
    times = sorted({max(min(time, moment.end_s - tick), moment.start_s) for time in beside})
    return SheetEntry(
        rank=moment.rank,
        peak_s=moment.peak_s,
        start_s=moment.start_s,
        end_s=moment.end_s,
        score=moment.score_smooth,
        pictures=_pictures_at(info, times),
        times=times,
        measures=_told(moment.measures),
    )


def _told(measures: Measures) -> dict[str, float | None]:
    told: dict[str, float | None] = {
        "sharpness": measures.sharpness,
        "exposure penalty": measures.exposure_penalty,
        "aesthetic": measures.aesthetic,
    }
    if measures.prompt_similarity is not None:
        told["prompt similarity"] = measures.prompt_similarity
    return told


def _pictures_at(info: VideoInfo, times: list[float]) -> list[npt.NDArray[np.uint8]]:
    """The pictures on screen at ``times`` (increasing seconds of media time), decoded in one go."""
    convert = ScorePicture(info, score_size(info.display_size, SHEET_HEIGHT)).convert
    return [convert(frame) for frame in _changes(info, times)]


def _changes(info: VideoInfo, times: list[float]) -> Iterator[VideoFrame]:
    half = info.time_base / 2
    pending = list(times)
    held: VideoFrame | None = None
    for frame in frames_between(info, times[0], Fraction(times[-1]) + info.time_base):
        starts = info.media_time(frame.pts if frame.pts is not None else info.start_pts) - half
        while held is not None and pending and starts > pending[0]:
            pending.pop(0)
            yield held
        held = frame
    if held is not None:
        yield from (held for _ in pending)
