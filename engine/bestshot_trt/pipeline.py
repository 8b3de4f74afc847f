"""The whole job in three steps: analyze (decode and measure), pick (rank), export (cut)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import moments, results, scoring, timeline
from ._version import __version__
from .backends import Backend, open_backend
from .config import AnalyzeConfig, Config, PickConfig
from .decode import probe
from .errors import DecodeError, shown
from .frames import DecodeReport, FrameBatch, VideoInfo
from .moments import Decode, Machine, Moment, MomentsDocument, Program, Source, Video
from .progress import Progress, silent
from .source import fingerprint
from .track import Track, TrackMeta, read_track, write_track

PROGRAM = Program(name="bestshot-trt", version=__version__)
_SHORTFALL_S = 1.0
_SHORTFALL_SHARE = 0.02


def analyze(path: str | Path, config: Config | None = None, progress: Progress = silent) -> Track:
    """Sample a take and measure every sample: the expensive half. Only ``config.analyze`` matters to it.

    The track's ``score`` and ``score_smooth`` are those of ``config.pick``; `pick` computes them anew.

    Raises:
        InputError: not a video file. DecodeError: no sample of it can be decoded.
        BackendUnavailable, ModelUnavailable: what ``config`` names is not to be had here.
    """
    config = config or Config()
    backend = open_backend(config.analyze)
    info = probe(Path(path))
    report = DecodeReport()
    samples = _Samples(backend)
    for batch in backend.decoder.batches(info, config.analyze, report):
        samples.add(batch)
        progress("analyze", float(batch.times[-1]), info.duration_claim)
    if not samples.times:
        raise DecodeError(f"{shown(path)}: none of its pictures can be decoded; the file is damaged")
    _note_shortfall(info, report)
    return rescore(samples.track(_meta(info, config.analyze, backend, report)), config)


class _Samples:
    """Collects what is measured, batch by batch: all that is kept of a picture."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.times: list[npt.NDArray[np.float64]] = []
        self._pts: list[npt.NDArray[np.int64]] = []
        self._measures: list[npt.NDArray[np.float32]] = []
        self._embeddings: list[npt.NDArray[np.float32]] = []

    def add(self, batch: FrameBatch) -> None:
        from bestshot_kernels.frame_stats import contrast, exposure_penalty

        stats = self._backend.measure(batch.pixels)
        columns = (
            stats.laplacian_variance,
            exposure_penalty(stats.histogram),
            contrast(stats.histogram),
            stats.colourfulness,
        )
        self._measures.append(np.stack(columns, axis=1).astype(np.float32))
        self._embeddings.append(self._backend.embedder.embed(batch.pixels))
        self.times.append(batch.times)
        self._pts.append(batch.pts)

    def track(self, meta: TrackMeta) -> Track:
        sharpness, exposure, contrasts, colours = np.ascontiguousarray(np.concatenate(self._measures).T)
        count = len(sharpness)
        return Track(
            times=np.concatenate(self.times),
            pts=np.concatenate(self._pts),
            sharpness=sharpness,
            exposure_penalty=exposure,
            contrast=contrasts,
            colourfulness=colours,
            aesthetic=scoring.stand_in_aesthetic(contrasts, colours).astype(np.float32),
            prompt_similarity=np.full(count, np.nan, np.float32),
            score=np.zeros(count, np.float32),
            score_smooth=np.zeros(count, np.float32),
            embedding=np.concatenate(self._embeddings),
            meta=meta,
        )


def _note_shortfall(info: VideoInfo, report: DecodeReport) -> None:
    """A file cut short still says its old length; what is missing is reported, not hidden."""
    actual, claim = float(report.duration), info.duration_claim or 0.0
    if claim - actual > max(_SHORTFALL_S, _SHORTFALL_SHARE * claim):
        report.notes.append(f"the file says it lasts {claim:.1f} s, but its pictures end at {actual:.1f} s: cut short?")


def _meta(info: VideoInfo, config: AnalyzeConfig, backend: Backend, report: DecodeReport) -> TrackMeta:
    path = info.path.absolute()
    return TrackMeta(
        created_by=PROGRAM,
        source=Source(
            path=str(path),
            fingerprint=fingerprint(path),
            size_bytes=path.stat().st_size,
            duration_s=float(report.duration),
            video=Video.from_info(info),
        ),
        duration=report.duration,
        analyze=moments.plain(config),
        model=backend.embedder.model,
        backend=moments.Backend(name=backend.name, fallback_reason=backend.fallback_reason),
        machine=Machine.here(),
        decode=Decode.from_report(report),
    )


def rescore(track: Track, config: Config) -> Track:
    """``track`` with ``score`` and ``score_smooth`` by the settings in ``config.pick``."""
    score, smoothed = _scores(track, config.pick)
    return dataclasses.replace(track, score=score.astype(np.float32), score_smooth=smoothed.astype(np.float32))


def _scores(track: Track, config: PickConfig) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    score = scoring.score(
        track.sharpness,
        track.exposure_penalty,
        track.aesthetic,
        track.prompt_similarity,
        weights=config.weights,
        mode=config.normalize,
    )
    return score, timeline.smooth(track.times, score, config.window)


def pick(track: Track | str | Path, config: Config | None = None) -> MomentsDocument:
    """Rank an analysed take: the cheap half, without decoding. ``track`` may be the path of one.

    The document's moments have no clips yet.

    Raises:
        InputError: the file is not a score track.
    """
    config = config or Config()
    if not isinstance(track, Track):
        track = read_track(Path(track))
    score, smoothed = _scores(track, config.pick)
    chosen = timeline.select(track.times, smoothed, track.embedding, float(track.meta.duration), config.pick)
    meta = track.meta
    return MomentsDocument(
        created_by=PROGRAM,
        source=meta.source,
        settings=moments.Settings(
            analyze=meta.analyze, pick=moments.plain(config.pick), export=moments.plain(config.export)
        ),
        model=meta.model,
        backend=meta.backend,
        machine=meta.machine,
        decode=meta.decode,
        moments=tuple(_moment(track, chosen_one, score, smoothed) for chosen_one in chosen.picks),
        rejected=chosen.rejections,
    )


def _moment(
    track: Track,
    chosen: timeline.Pick,
    score: npt.NDArray[np.float64],
    smoothed: npt.NDArray[np.float64],
) -> Moment:
    index = chosen.index

    def measure(name: str) -> Any:
        return float(getattr(track, name)[index])

    fields = (field.name for field in dataclasses.fields(moments.Measures))
    return Moment(
        rank=chosen.rank,
        peak_s=float(track.times[index]),
        peak_pts=int(track.pts[index]),
        start_s=chosen.start,
        end_s=chosen.end,
        score=float(score[index]),
        score_smooth=float(smoothed[index]),
        measures=moments.Measures(**{name: measure(name) for name in fields}),
        clip=None,
    )


def export(
    document: MomentsDocument | str | Path,
    folder: str | Path | None = None,
    config: Config | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> MomentsDocument:
    """Cut the clips of picked moments, and write the contact sheet, ``moments.csv`` and ``moments.json``.

    ``document`` may be the path of a ``moments.json``; ``folder`` is then by default its folder, and else
    ``bestshot/<stem of the take>``. ``folder`` may hold this document's own JSON, but not its clips unless
    ``overwrite``.

    Raises:
        ConfigError: there are clips in ``folder`` and ``overwrite`` is False.
        InputError: the take is gone, or another file than the one that was analysed.
        DecodeError, ExportError: a clip cannot be cut or written; finished ones stay.
    """
    config = config or Config()
    beside = Path()
    if not isinstance(document, MomentsDocument):
        beside = Path(document).parent
        document = moments.read_json(Path(document))
        folder = folder or beside
    target = Path(folder or results.default_folder(Path(document.source.path)))
    info = results.open_source(document, beside)
    results.prepare(target, results.CLIPS, overwrite=overwrite)
    document = results.export_moments(document, info, target, config.export, progress)
    results.write_selection(document, None, target)
    return document


def run(
    path: str | Path,
    config: Config | None = None,
    folder: str | Path | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> MomentsDocument:
    """Analyze, pick and export one take into ``folder``, by default ``bestshot/<stem of the take>``.

    Raises:
        ConfigError: ``folder`` already holds results and ``overwrite`` is False.
        InputError, DecodeError, BackendUnavailable, ModelUnavailable, ExportError: as in the steps.
    """
    config = config or Config()
    target = Path(folder or results.default_folder(Path(path)))
    probe(Path(path))
    results.prepare(target, results.MOMENTS_JSON, overwrite=overwrite)
    track = rescore(analyze(path, config, progress), config)
    write_track(track, target / results.TRACK)
    document = pick(track, config)
    document = results.export_moments(document, probe(Path(path)), target, config.export, progress)
    results.write_selection(document, track, target)
    return document
