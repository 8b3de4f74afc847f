"""The best stills of a take: of every pick the sharpest picture near its peak, at full resolution."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import pipeline, records, results
from .config import Config, FramesConfig, PickConfig
from .decode import ScorePicture, StillPicture, frames_between, progressive
from .errors import ConfigError, DecodeError, InputError, shown
from .export.stills import SUFFIXES, prove_format, write_still
from .files import check_regular, write_text
from .frames import VideoInfo, score_size
from .moments import Moment, MomentsDocument, clip_name, read_json
from .progress import Progress, silent
from .provenance import PROGRAM, Program, Source
from .track import Track, open_track

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

SCHEMA = "bestshot-trt/stills"
VERSION = 1
FRAMES = "frames"
STILLS_JSON = "stills.json"
_OWN = re.compile(r"\d{2,}_\d{2,}h\d{2}m\d{2}\.\d{3}s\.(jpg|png|avif)", re.ASCII)
_LEFTOVER = re.compile(r"\.\d{2,}_[^.]*(\.\d*s?)?\.[0-9a-f]{8}\.part\.(jpg|png|avif)", re.ASCII)
_PARQUET = b"PAR1"


@dataclass(frozen=True, kw_only=True)
class Still:
    """One still. Times are seconds of media time."""

    rank: int
    peak_s: float
    sample_s: float | None
    """The sharpest sample near the peak, around which the frames were compared; None without a track."""
    time_s: float
    """When the picture is first on screen."""
    pts: int
    sharpness: float
    """As every sample's, on the score picture; of an interlaced take on the deinterlaced one."""
    width: int
    height: int
    file: str
    """Its name in the folder."""


@dataclass(frozen=True, kw_only=True)
class StillsDocument:
    """All of ``stills.json``; the stills are by rank."""

    created_by: Program
    source: Source
    format: str
    stills: tuple[Still, ...]


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    """What to take stills of: the picks, and the take's track where it is at hand."""

    document: MomentsDocument
    track: Track | None
    beside: Path


def export_stills(
    origin: str | Path,
    folder: str | Path | None = None,
    config: Config | None = None,
    *,
    top: int | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> StillsDocument:
    """Write the best still of each pick to ``folder``, by default ``frames`` beside ``origin``, and ``stills.json``.

    ``origin`` is a ``moments.json``, a track, which is picked from as ``config.pick`` says, or a folder that holds
    one or the other. ``top`` keeps the first ranks only.

    Within `PickConfig.window` of a peak and inside its clip, the sharpest sample of the track leads: of the frames
    from the sample before to the one after it, the sharpest is the still. Without a track, all frames there are
    compared.

    Raises:
        ConfigError: there are stills in ``folder`` and ``overwrite`` is False; or the format cannot be written here.
        InputError: no such file, neither moments nor track, or the take is gone.
        DecodeError, ExportError: a still cannot be decoded or written; finished ones stay.
    """
    config = config or Config()
    prove_format(config.frames.format)
    chosen = _chosen(Path(origin), config, top, progress)
    info = results.open_source(chosen.document, chosen.beside)
    target = Path(folder) if folder is not None else chosen.beside / FRAMES
    if not overwrite and target.is_dir() and any(_OWN.fullmatch(path.name) for path in target.iterdir()):
        raise ConfigError(f"{shown(target)}: already holds stills; add --overwrite, or name another folder with -o")
    with results.opened(target, STILLS_JSON, source=info.path, overwrite=overwrite):
        return _export(chosen, info, target, config.frames, progress)


def _chosen(origin: Path, config: Config, top: int | None, progress: Progress) -> _Chosen:
    file = _moments_or_track(origin)
    if _is_track(file):
        track = open_track(file)
        pick = config.pick if top is None else dataclasses.replace(config.pick, top=top)
        document = pipeline.pick(track, dataclasses.replace(config, pick=pick), progress)
        return _Chosen(document=document, track=track, beside=file.parent)
    document = read_json(file)
    results.check_spans(document, shown(file))
    document = dataclasses.replace(document, moments=document.moments[:top])
    return _Chosen(document=document, track=_track_beside(file, document), beside=file.parent)


def _moments_or_track(origin: Path) -> Path:
    if not origin.is_dir():
        check_regular(origin)
        return origin
    for name in (results.MOMENTS_JSON, results.TRACK):
        if (origin / name).exists():
            check_regular(origin / name)
            return origin / name
    raise InputError(f"{shown(origin)}: holds no {results.MOMENTS_JSON} and no {results.TRACK}; run or pick first")


def _is_track(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_PARQUET)) == _PARQUET
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be read: {error.strerror or error}") from error


def _track_beside(moments: Path, document: MomentsDocument) -> Track | None:
    """The track of the same take in the folder of ``moments``, or None."""
    with contextlib.suppress(InputError):
        track = open_track(moments.parent / results.TRACK)
        if track.meta.source.fingerprint == document.source.fingerprint:
            return track
    return None


def _export(chosen: _Chosen, info: VideoInfo, folder: Path, config: FramesConfig, progress: Progress) -> StillsDocument:
    _remove_leftovers(folder)
    moments = chosen.document.moments
    stale = _listed(folder)
    digits = max(2, len(str(len(moments))))
    stills = []
    for done, moment in enumerate(moments):
        progress(FRAMES, done, len(moments), "stills")
        stills.append(_write(chosen, moment, info, folder, config, digits))
    progress(FRAMES, len(moments), len(moments), "stills")
    document = StillsDocument(
        created_by=PROGRAM, source=chosen.document.source, format=config.format, stills=tuple(stills)
    )
    write_text(folder / STILLS_JSON, records.dumps(document, SCHEMA, VERSION))
    for name in stale - {still.file for still in stills}:
        with contextlib.suppress(OSError):
            (folder / name).unlink()
    return document


def _remove_leftovers(folder: Path) -> None:
    """Remove what a run that was killed had half written; nobody else writes there now."""
    for path in folder.glob(".*.part.*"):
        if _LEFTOVER.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _listed(folder: Path) -> set[str]:
    """The stills that ``folder``'s own document lists, by names that only this program gives."""
    with contextlib.suppress(InputError, OSError):
        check_regular(folder / STILLS_JSON)
        text = (folder / STILLS_JSON).read_bytes()
        old = records.loads(StillsDocument, text, SCHEMA, VERSION, STILLS_JSON)
        return {still.file for still in old.stills if _OWN.fullmatch(still.file)}
    return set()


def _write(chosen: _Chosen, moment: Moment, info: VideoInfo, folder: Path, config: FramesConfig, digits: int) -> Still:
    sample, start, end = _where(chosen, moment)
    frame, sharpness = _sharpest(info, start, end, chosen.document)
    picture = StillPicture(info).convert(frame)
    assert frame.pts is not None
    shown_at = max(Fraction(0), info.media_time(frame.pts))
    name = clip_name(moment.rank, shown_at, SUFFIXES[config.format], digits)
    write_still(picture, folder / name, form=config.format, quality=config.quality)
    return Still(
        rank=moment.rank,
        peak_s=moment.peak_s,
        sample_s=sample,
        time_s=float(shown_at),
        pts=frame.pts,
        sharpness=sharpness,
        width=picture.shape[1],
        height=picture.shape[0],
        file=name,
    )


def _where(chosen: _Chosen, moment: Moment) -> tuple[float | None, float, float]:
    """(sharpest sample, start, end) of the stretch whose frames are compared."""
    window = chosen.document.settings.pick.get("window", PickConfig.window)
    reach = float(window) if isinstance(window, (int, float)) else PickConfig.window
    start, end = max(moment.start_s, moment.peak_s - reach), min(moment.end_s, moment.peak_s + reach)
    track = chosen.track
    if track is None:
        return None, start, end
    # A clip shows the picture at its start but not the one at its end; the peak belongs to both.
    near = np.flatnonzero((track.times >= start) & (track.times < end) | (track.times == moment.peak_s))
    if not len(near):
        return None, start, end
    best = int(near[np.argmax(track.sharpness[near])])
    sample = float(track.times[best])
    step = float(np.diff(track.times).min()) if len(track) > 1 else moment.end_s - moment.start_s
    return sample, max(moment.start_s, sample - step), min(moment.end_s, sample + step)


def _sharpest(info: VideoInfo, start: float, end: float, document: MomentsDocument) -> tuple[VideoFrame, float]:
    """The frame on screen in [start, end) of the highest sharpness, the earliest of equals, and its sharpness."""
    height = document.settings.analyze.get("score_height")
    size = score_size(info.display_size, height if isinstance(height, int) else 720)
    best: tuple[VideoFrame, float] | None = None
    for frame, sharpness in _measured(info, start, max(end, start + float(info.time_base)), size):
        if best is None or sharpness > best[1]:
            best = frame, sharpness
    if best is None:
        raise DecodeError(f"{shown(info.path)}: no picture from {start:.3f} s to {end:.3f} s can be decoded")
    return best


def _measured(info: VideoInfo, start: float, end: float, size: tuple[int, int]) -> Iterator[tuple[VideoFrame, float]]:
    from bestshot_kernels.frame_stats import frame_stats

    scaled = ScorePicture(info, size)
    for frame in progressive(info, frames_between(info, start, end)):
        if frame.pts is not None:
            yield frame, float(frame_stats(scaled.convert(frame)[None]).laplacian_variance[0])
