"""One take's work, in a worker: its track, its selection, its clips, and all of them put in place at once."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np

from ... import gather, pipeline, prompts, results, streams
from ...decode import probe
from ...errors import ExportError, InputError, shown
from ...files import write_text
from ...frames import VideoInfo
from ...moments import MomentsDocument
from ...progress import Progress
from ...track import Track, read_track, write_track
from ..sources import remote
from ..sources.streaming import reading
from . import segments
from .messages import RECEIPT, Cost, Done, Elsewhere, Length, LengthTask, TakeTask

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_FRAME_RATE = 25
"""Taken for pictures a second where a take does not say."""


def deliver(task: TakeTask, progress: Progress) -> Done:
    """Make every result of a take that is not there yet, and put them in place.

    Raises:
        InputError: the take is not the file it was. As `pipeline.run` otherwise.
    """
    began, in_one_go = time.monotonic(), not any(map(_is_there, (task.track, task.known, task.parts)))
    track = _analysed(task, progress)
    analysed = time.monotonic()
    if track.meta.source.fingerprint != task.content:
        raise InputError(f"{shown(task.path)}: changed while it was worked on; run the batch again")
    if task.origin is not None:
        track = _from(track, task.origin)
    shutil.rmtree(task.staging, ignore_errors=True)
    _folder(task.staging)
    scored = gather.rescore(prompts.apply(_unprompted(track), task.config.pick, progress), task.config)
    write_track(scored, task.staging / results.TRACK)
    info = probe(task.path)
    document = pipeline.deliver(scored, info, task.staging, task.config, progress, home=task.home)
    if task.origin is not None and task.config.export.cut_lists:
        _point_home(document, task)
    streams.check(task.path)
    write_text(task.staging / RECEIPT, task.receipt)
    track_bytes, other_bytes = _sizes(task.staging)
    _put_in_place(task.staging, task.target)
    with contextlib.suppress(OSError):
        task.track.unlink()
    notes = (*document.decode.notes, *(f"{lost.start:.1f} to {lost.end:.1f} s lost" for lost in document.decode.lost))
    footage = document.source.duration_s
    cost = Cost(
        footage_s=footage,
        pixels=footage * _pixels_s(info),
        analyze_s=analysed - began if in_one_go else None,
        finish_s=time.monotonic() - analysed,
        track_bytes=track_bytes,
        other_bytes=other_bytes,
    )
    return Done(footage_s=footage, notes=notes, cost=cost)


def length(task: LengthTask) -> Length:
    """How long a take claims to be, and how large its pictures are.

    Raises:
        InputError, DecodeError: as `decode.probe`.
    """
    place = None if task.uri is None else Elsewhere(uri=task.uri, look=remote.look_at(task.uri))
    if place is not None and not (place.look.size and remote.sends_parts(place.uri)):
        return Length(seconds=0.0)
    with reading(task.path, place):
        info = probe(task.path)
    return Length(seconds=info.duration_claim or 0.0, pixels_s=_pixels_s(info))


def _pixels_s(info: VideoInfo) -> float:
    return info.width * info.height * float(info.frame_rate or _FRAME_RATE)


def _is_there(path: Path | None) -> bool:
    return path is not None and path.exists()


def _sizes(folder: Path) -> tuple[int, int]:
    """Bytes of the track and of all else in ``folder``."""
    every = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    track = (folder / results.TRACK).stat().st_size
    return track, every - track


def _folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(f"{shown(path)}: cannot be created: {error.strerror or error}") from error


def _analysed(task: TakeTask, progress: Progress) -> Track:
    for path in filter(None, (task.track, task.known)):
        with contextlib.suppress(InputError):
            track = read_track(path)
            if track.meta.source.fingerprint == task.content:
                # The take may have moved since.
                return _from(track, str(task.path.absolute()))
    track = segments.whole(task.path, task.config.analyze, task.parts, progress)
    write_track(track, task.track)
    shutil.rmtree(task.parts, ignore_errors=True)
    return track


def _point_home(document: MomentsDocument, task: TakeTask) -> None:
    """Cut lists of a fetched take name it as it would be beside its results: what was fetched is removed."""
    from ...export import channels_of, write_cut_lists

    write_cut_lists(
        document,
        task.staging / results.CUTS,
        # In a store there is no path: a name that is the same wherever the work was done.
        source=(Path("/", task.target.name) if isinstance(task.home, str) else task.home) / task.path.name,
        audio_channels=channels_of(probe(task.path)),
        drop_frame=task.config.export.timecode == "df",
    )


def _from(track: Track, path: str) -> Track:
    """``track`` with another name for its source."""
    source = dataclasses.replace(track.meta.source, path=path)
    return dataclasses.replace(track, meta=dataclasses.replace(track.meta, source=source))


def _unprompted(track: Track) -> Track:
    """``track`` as it was analysed, whatever prompts an earlier selection had."""
    meta = dataclasses.replace(track.meta, prompt=(), avoid=())
    return dataclasses.replace(track, prompt_similarity=np.full(len(track), np.nan, np.float32), meta=meta)


def _put_in_place(made: Path, target: Path) -> None:
    """``made`` becomes ``target`` in one step; an older ``target`` goes.

    Raises:
        ExportError: the disk does not take it.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            made.rename(target)
        elif not _exchanged(made, target):
            aside = made.with_name(f"{made.name}.old")
            target.rename(aside)
            made.rename(target)
            shutil.rmtree(aside, ignore_errors=True)
        descriptor = os.open(target.parent, os.O_RDONLY)
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
        os.close(descriptor)
    except OSError as error:
        raise ExportError(f"{shown(target)}: cannot be put in place: {error.strerror or error}") from error
    shutil.rmtree(made, ignore_errors=True)


def _exchanged(one: Path, other: Path) -> bool:
    """Swap two folders so that neither name is ever missing (renameat2(2)); False where that is not to be had."""
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return (
        rename is not None and rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0
    )
