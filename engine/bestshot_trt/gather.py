"""From a take's measures to its track: what is loaded while the first pictures are decoded."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from . import prompts, provenance, streams
from .backends import Backend
from .config import AnalyzeConfig, Config
from .errors import DecodeError, shown
from .frames import DecodeReport, VideoInfo
from .measuring import Measured
from .progress import Progress
from .provenance import PROGRAM, Decode, Machine, Source, Video
from .samples import Samples
from .source import fingerprint
from .track import Track, TrackMeta, load_arrow, scores


def gather(
    info: VideoInfo,
    batches: Iterable[Measured],
    backend: Backend,
    report: DecodeReport,
    config: Config,
    progress: Progress,
) -> Track:
    """The scored track of all ``batches`` of the take, whose ``report`` is filled in meanwhile.

    Raises:
        DecodeError: there are none. ModelUnavailable: there are prompts, and no model to understand them.
    """
    prompts.check(config.pick, backend.embedder.clip_model, backend.model_note)
    backend.load(pictures_of(info, config.analyze))
    load_arrow()
    samples = Samples(backend)
    for batch in batches:
        samples.add(batch)
        progress("analyze", float(batch.times[-1]), info.duration_claim)
    if not len(samples):
        raise no_pictures(info)
    track = samples.track(meta_of(info, config.analyze, backend, report))
    return rescore(prompts.apply(track, config.pick, progress), config)


def pictures_of(info: VideoInfo, config: AnalyzeConfig) -> float | None:
    """About how many samples the take has, by what the file says; None where it does not."""
    return None if info.duration_claim is None else info.duration_claim * config.fps


def no_pictures(info: VideoInfo) -> DecodeError:
    """The error of a take of which nothing was sampled."""
    return DecodeError(f"{shown(info.path)}: none of its pictures can be decoded; the file is damaged")


def meta_of(info: VideoInfo, config: AnalyzeConfig, backend: Backend, report: DecodeReport) -> TrackMeta:
    """Where the take's track comes from, not yet prompted."""
    path = info.path.absolute()
    return TrackMeta(
        created_by=PROGRAM,
        source=Source(
            path=str(path),
            fingerprint=fingerprint(path),
            size_bytes=streams.size_of(path),
            duration_s=float(report.duration),
            video=Video.from_info(info),
        ),
        duration=report.duration,
        analyze=provenance.plain(config),
        model=backend.embedder.model,
        model_note=backend.model_note,
        clip_model=backend.embedder.clip_model,
        prompt=(),
        avoid=(),
        backend=provenance.Backend(name=backend.name, fallback_reason=backend.fallback_reason),
        machine=Machine.here(),
        decode=Decode.from_report(report),
    )


def rescore(track: Track, config: Config) -> Track:
    """``track`` with ``score`` and ``score_smooth`` by the settings in ``config.pick``."""
    score, smoothed = scores(track, config.pick)
    return dataclasses.replace(track, score=score.astype(np.float32), score_smooth=smoothed.astype(np.float32))
