"""One take's analysis in stretches that are kept as they finish, and joined to the track that one pass gives.

A part is a track of some samples, in a file named by the indices it covers. A take in which anything is damaged is
analysed in one pass from its start: what a decoder makes of damage may depend on where it began.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import re
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ... import analysis, gather, scoring, streams
from ...backends import Backend
from ...config import AnalyzeConfig, Config
from ...decode import probe
from ...errors import InputError
from ...files import check_folder
from ...frames import DecodeReport, VideoInfo
from ...progress import Progress
from ...samples import Samples
from ...track import COLUMNS, Track, TrackMeta, read_track, write_track
from .messages import END, Done, RangeTask

SEGMENT_S = 300.0
"""Seconds of footage in a part: so much is lost when a worker is killed."""
_DAMAGED = "damaged"
"""Lies among parts that only the pass that made them can go on from."""
_NAME = re.compile(r"(\d{12})-(\d{12}|end)\.parquet", re.ASCII)


class _Damaged(Exception):
    """Something is wrong with the take, so that stretches of it may not join."""


def analyse(task: RangeTask, progress: Progress) -> Done:
    """Analyse what is missing of one stretch, and keep it in parts."""
    info = probe(task.path)
    backend = analysis.backend_for(info, task.config.analyze, progress)
    if not hasattr(backend.decoder, "between"):
        return Done(footage_s=0.0, notes=())
    with contextlib.suppress(_Damaged):
        _fill(info, task.config.analyze, backend, home(task.parts, backend), task.within, progress)
    return Done(footage_s=0.0, notes=())


def whole(path: Path, config: AnalyzeConfig, parts: Path, progress: Progress) -> Track:
    """The take's track, of the ``parts`` that are there and of what is missing of them.

    Raises:
        As `analysis.analyze`.
    """
    info = probe(path)
    backend = analysis.backend_for(info, config, progress)
    if not hasattr(backend.decoder, "between"):
        return analysis.analyze(path, Config(analyze=config), progress)
    parts = home(parts, backend)
    if (parts / _DAMAGED).exists():
        shutil.rmtree(parts, ignore_errors=True)
    try:
        _fill(info, config, backend, parts, range(END), progress)
        return _joined(info, parts)
    except _Damaged:
        shutil.rmtree(parts, ignore_errors=True)
        _fill(info, config, backend, parts, range(END), progress)
        return _joined(info, parts)


def home(parts: Path, backend: Backend) -> Path:
    """Where among a take's ``parts`` those made by this backend lie: with another's, they would not be of one pass."""
    embedder = backend.embedder
    clip = embedder.clip_model
    made_by = [type(embedder).__name__, embedder.model, *((clip.precision, clip.digest) if clip else ())]
    return parts / f"{backend.name}-{hashlib.sha256(' '.join(made_by).encode()).hexdigest()[:8]}"


def covered(parts: Path) -> list[tuple[range, Path]]:
    """The stretches that are there, in order."""
    found = []
    for path in sorted(parts.glob("*.parquet")):
        match = _NAME.fullmatch(path.name)
        if match:
            found.append((range(int(match[1]), END if match[2] == "end" else int(match[2])), path))
    return found


def missing(parts: Path, within: range) -> list[range]:
    """What is not there yet of ``within``."""
    gaps, position = [], within.start
    for stretch, _ in covered(parts):
        if stretch.start > position and position < within.stop:
            gaps.append(range(position, min(stretch.start, within.stop)))
        position = max(position, stretch.stop)
    return [*gaps, range(position, within.stop)] if position < within.stop else gaps


def _fill(
    info: VideoInfo, config: AnalyzeConfig, backend: Backend, parts: Path, within: range, progress: Progress
) -> None:
    for gap in missing(parts, within):
        _pass(info, config, backend, parts, gap, progress)


def _pass(
    info: VideoInfo, config: AnalyzeConfig, backend: Backend, parts: Path, gap: range, progress: Progress
) -> None:
    decoder: Any = backend.decoder
    backend = dataclasses.replace(backend, decoder=decoder.between(gap))
    report = DecodeReport(notes=list(backend.notes))
    start, last, samples = gap.start, gap.start - 1, Samples(backend)
    every = max(1, int(SEGMENT_S * config.fps))

    def keep(stop: int) -> None:
        streams.check(info.path)
        _check(report, parts, gap)
        meta = gather.meta_of(info, config, backend, report)
        # How long the take is, the part that saw its end knows.
        length = max(meta.duration, Fraction(last + 2) / Fraction(config.fps))
        meta = dataclasses.replace(meta, duration=meta.duration if stop == END else length)
        write_track(
            samples.track(meta), parts / f"{start:012d}-{'end' if stop == END else format(stop, '012d')}.parquet"
        )

    with contextlib.closing(analysis.measurements(info, config, backend, report)) as batches:
        backend.load(gather.pictures_of(info, config))
        for batch in batches:
            left = batch
            while len(left):
                piece, left = left.split(samples.room)
                samples.add(piece)
                last = round(float(piece.times[-1]) * config.fps)
                if len(samples) >= every and samples.settled and last + 1 < gap.stop:
                    keep(last + 1)
                    start, samples = last + 1, Samples(backend)
            progress("analyze", float(batch.times[-1]), info.duration_claim)
    streams.check(info.path)
    if len(samples):
        keep(gap.stop)
    elif gap.stop == END and start:
        _check(report, parts, gap)
        _end_before(start, parts, report)
    elif report.damaged and gap != range(END):
        raise _Damaged


def _check(report: DecodeReport, parts: Path, gap: range) -> None:
    """Damage goes together with parts only in one pass over the whole take."""
    if report.damaged and gap != range(END):
        raise _Damaged
    if report.damaged:
        check_folder(parts)
        (parts / _DAMAGED).touch()


def _end_before(start: int, parts: Path, report: DecodeReport) -> None:
    """The take ended where a stretch began: the part before it is the last one, and learns how long the take is."""
    before = [(stretch, path) for stretch, path in covered(parts) if stretch.stop <= start]
    if not before:
        raise _Damaged
    stretch, path = before[-1]
    part = read_track(path)
    meta = dataclasses.replace(part.meta, duration=report.duration, decode=_decode(report))
    write_track(dataclasses.replace(part, meta=meta), parts / f"{stretch.start:012d}-end.parquet")
    path.unlink()


def _decode(report: DecodeReport) -> Any:
    from ...provenance import Decode

    return Decode.from_report(report)


def _joined(info: VideoInfo, parts: Path) -> Track:
    found = [stretch for stretch, _ in covered(parts)]
    if not found or found[0].start or found[-1].stop != END:
        raise gather.no_pictures(info)
    try:
        tracks = [read_track(path) for _, path in covered(parts)]
    except InputError:
        raise _Damaged from None
    arrays = {name: np.concatenate([getattr(track, name) for track in tracks]) for name in COLUMNS.values()}
    meta = _meta(tracks)
    if meta.clip_model is None:
        stand_in = scoring.stand_in_aesthetic(arrays["contrast"], arrays["colourfulness"])
        arrays["aesthetic"] = stand_in.astype(np.float32)
    return gather.rescore(Track(**arrays, meta=meta), Config())


def _meta(tracks: list[Track]) -> TrackMeta:
    """That of the part that saw the end, with what all of them had to say."""
    last = tracks[-1].meta
    notes = dict.fromkeys(note for track in tracks for note in track.meta.decode.notes)
    source = dataclasses.replace(last.source, duration_s=float(last.duration))
    return dataclasses.replace(last, source=source, decode=dataclasses.replace(last.decode, notes=tuple(notes)))
