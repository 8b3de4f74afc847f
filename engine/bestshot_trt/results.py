"""The output folder of one take: what goes in it, in which order, and never over somebody's files unasked."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from . import moments
from .config import ExportConfig
from .decode import ScorePicture, frames_between, probe
from .errors import ConfigError, ExportError, InputError, shown
from .files import whole_file
from .frames import VideoInfo, score_size
from .moments import Moment, MomentsDocument
from .progress import Progress
from .source import fingerprint
from .track import Track

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from .export.contact_sheet import SheetEntry

MOMENTS_JSON = "moments.json"
MOMENTS_CSV = "moments.csv"
TRACK = "track.parquet"
CLIPS = "clips"
CONTACT_SHEET = "contact_sheet.jpg"
TIMELINE = "timeline.svg"

NEIGHBOUR_S = 0.5
"""Seconds from a peak to the pictures shown beside it on the contact sheet."""
SHEET_HEIGHT = 480


def default_folder(source: Path) -> Path:
    """Where results go when nothing is said: ``bestshot/<stem>``."""
    return Path("bestshot") / (source.stem or "take")


def prepare(folder: Path, result: str, *, overwrite: bool) -> None:
    """Create ``folder`` and make sure it takes files, before any long work.

    Raises:
        ConfigError: it already holds ``result`` (a file or folder name) and ``overwrite`` is False.
        ExportError: it cannot be created or written to.
    """
    if not overwrite and (folder / result).exists():
        raise ConfigError(f"{shown(folder)}: already holds {result}; add --overwrite, or name another folder")
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"{shown(folder)}: is a file, not a folder; name another folder with -o")
    with contextlib.suppress(_Probed), whole_file(folder / "probe") as temporary:
        temporary.touch()
        raise _Probed


class _Probed(Exception):
    """Leaves `whole_file` before it renames: the folder takes files, which is all that was asked."""


def write_selection(document: MomentsDocument, track: Track | None, folder: Path) -> None:
    """Write the moments as CSV and JSON, and with ``track`` the plot of its scores; the JSON last.

    Raises:
        ExportError: a file cannot be written.
    """
    if track is not None:
        _write_timeline(document, track, folder / TIMELINE)
    moments.write_csv(document, folder / MOMENTS_CSV)
    moments.write_json(document, folder / MOMENTS_JSON)


def _write_timeline(document: MomentsDocument, track: Track, path: Path) -> None:
    from .export.timeline_plot import write_timeline

    write_timeline(
        path,
        times=track.times,
        score=track.score,
        score_smooth=track.score_smooth,
        measures={
            "sharpness": track.sharpness,
            "exposure_penalty": track.exposure_penalty,
            "aesthetic": track.aesthetic,
        },
        picks=[(m.rank, m.peak_s, m.start_s, m.end_s) for m in document.moments],
        rejections=[(r.peak_s, f"{r.reason}: {r.detail}") for r in document.rejected],
        duration=float(track.meta.duration),
        title=Path(document.source.path).name,
    )


def open_source(document: MomentsDocument, beside: Path) -> VideoInfo:
    """The take that ``document`` was made from, at its path or, moved together, ``beside`` the document.

    Raises:
        InputError: it is gone, or another file than the one that was analysed.
    """
    path = Path(document.source.path)
    if not path.exists() and (beside / path.name).exists():
        path = beside / path.name
    if not path.exists():
        raise InputError(f"{shown(path)}: no such file; put the take back there, or beside {MOMENTS_JSON}")
    if fingerprint(path) != document.source.fingerprint:
        raise InputError(f"{shown(path)}: is not the file that was analysed; analyze it again")
    return probe(path)


def export_moments(
    document: MomentsDocument,
    info: VideoInfo,
    folder: Path,
    config: ExportConfig,
    progress: Progress,
) -> MomentsDocument:
    """Cut every moment's clip and draw the contact sheet; returns ``document`` with the clips' names.

    Clips that ``folder``'s own older document lists and this one does not are removed at the end.

    Raises:
        DecodeError, ExportError: a clip cannot be cut or written; finished ones stay.
    """
    from .export import write_clip, write_contact_sheet

    stale = _clips_of(folder)
    named: list[Moment] = []
    entries: list[SheetEntry] = []
    notes: list[str] = []
    total = len(document.moments)
    digits = max(2, len(str(total)))
    for moment in document.moments:
        progress("export", moment.rank - 1, total)
        name = f"{CLIPS}/{moments.clip_name(moment.rank, moment.start_s, digits=digits)}"
        result = write_clip(info, moment.start_s, moment.end_s, folder / name, config)
        notes += [note for note in result.notes if note not in notes]
        named.append(dataclasses.replace(moment, clip=name))
        entries.append(_sheet_entry(info, moment))
        progress("export", moment.rank, total)
    write_contact_sheet(entries, folder / CONTACT_SHEET, info.path.name)
    for name in stale - {moment.clip for moment in named}:
        (folder / name).unlink(missing_ok=True)
    return dataclasses.replace(
        document,
        moments=tuple(named),
        settings=dataclasses.replace(document.settings, export=moments.plain(config)),
        decode=_with_notes(document.decode, notes),
    )


def _with_notes(decode: moments.Decode, notes: list[str]) -> moments.Decode:
    added = tuple(f"clips: {note}" for note in notes)
    kept = tuple(note for note in decode.notes if not note.startswith("clips: "))
    return dataclasses.replace(decode, notes=kept + added)


def _clips_of(folder: Path) -> set[str]:
    try:
        old = moments.read_json(folder / MOMENTS_JSON)
    except InputError:
        return set()
    return {moment.clip for moment in old.moments if moment.clip is not None}


def _sheet_entry(info: VideoInfo, moment: Moment) -> SheetEntry:
    from .export.contact_sheet import SheetEntry

    tick = float(info.time_base)
    beside = (moment.peak_s - NEIGHBOUR_S, moment.peak_s, moment.peak_s + NEIGHBOUR_S)
    times = sorted({min(max(time, moment.start_s), moment.end_s - tick) for time in beside})
    return SheetEntry(
        rank=moment.rank,
        peak_s=moment.peak_s,
        start_s=moment.start_s,
        end_s=moment.end_s,
        score=moment.score_smooth,
        pictures=_pictures_at(info, times),
        times=times,
        measures={
            "sharpness": moment.measures.sharpness,
            "exposure penalty": moment.measures.exposure_penalty,
            "aesthetic": moment.measures.aesthetic,
        },
    )


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
