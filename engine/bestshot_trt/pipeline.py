"""The whole job in three steps: analyze (decode and measure), pick (rank), export (cut)."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import moments, prompts, provenance, results, streams, timeline
from .backends import Backend, open_backend
from .config import AnalyzeConfig, Config, PickConfig
from .cutting import check_encoder, proving
from .decode import probe
from .errors import BestshotError, DecodeError, InputError, shown
from .files import check_regular
from .frames import DecodeReport, VideoInfo
from .moments import Moment, MomentsDocument
from .prefetch import prefetch
from .progress import Progress, silent
from .provenance import PROGRAM, Decode, Machine, Source, Video
from .samples import Measured, Samples, measured
from .source import fingerprint
from .track import Track, TrackMeta, load_arrow, open_track, scores, write_track

if TYPE_CHECKING:
    from .embed.prove import Footage


def analyze(path: str | Path, config: Config | None = None, progress: Progress = silent) -> Track:
    """Sample a take and measure every sample: the expensive half. Only ``config.analyze`` matters to it.

    The track's ``score`` and ``score_smooth`` are those of ``config.pick``; `pick` computes them anew.

    Raises:
        InputError: not a video file. DecodeError: no sample of it can be decoded.
        BackendUnavailable, ModelUnavailable: what ``config`` names is not to be had here.
    """
    return _analyze(probe(Path(path)), config or Config(), progress)


def _analyze(info: VideoInfo, config: Config, progress: Progress) -> Track:
    backend = backend_for(info, config.analyze, progress)
    prompts.check(config.pick, backend.embedder.clip_model, backend.model_note)
    report = DecodeReport(notes=list(backend.notes))
    samples = Samples(backend)
    with contextlib.closing(measurements(info, config.analyze, backend, report)) as batches:
        backend.load()
        load_arrow()
        for batch in batches:
            samples.add(batch)
            progress("analyze", float(batch.times[-1]), info.duration_claim)
    if not len(samples):
        raise no_pictures(info)
    track = samples.track(meta_of(info, config.analyze, backend, report))
    return rescore(prompts.apply(track, config.pick, progress), config)


def backend_for(info: VideoInfo, config: AnalyzeConfig, progress: Progress) -> Backend:
    """The backend that analyses this take.

    Raises:
        BackendUnavailable, ModelUnavailable: what ``config`` names is not to be had here.
    """

    def frames(size: int, framing: str) -> list[Footage]:
        from .footage import footage

        return [footage(info, size, framing, progress)]

    return open_backend(config, progress, frames)


def measurements(info: VideoInfo, config: AnalyzeConfig, backend: Backend, report: DecodeReport) -> Generator[Measured]:
    """What the backend's decoder gives of the take, measured ahead on a thread; close it to stop that.

    The decoder is at work when this returns: libraries loaded after that cost little time of their own.
    """
    pictures = backend.decoder.batches(info, config, report, backend.embedder.view)
    return prefetch(measured(backend, pictures), backend.measured_ahead)


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


def pick(track: Track | str | Path, config: Config | None = None, progress: Progress = silent) -> MomentsDocument:
    """Rank an analysed take: the cheap half, without decoding. ``track`` may be the path of one.

    New prompts are measured from the track's embeddings; without any, those it was analysed with stay.
    The document's moments have no clips yet.

    Raises:
        InputError: the file is not a score track.
        ModelUnavailable: there are prompts, and the model that made the track is not to be had.
    """
    config = config or Config()
    if not isinstance(track, Track):
        track = _read_track(Path(track))
    track = prompts.apply(track, config.pick, progress)
    score, smoothed = scores(track, config.pick)
    chosen = timeline.select(
        track.times, smoothed, track.embedding, float(track.meta.duration), config.pick, score=score
    )
    meta = track.meta
    return MomentsDocument(
        created_by=PROGRAM,
        source=meta.source,
        settings=provenance.Settings(
            analyze=meta.analyze, pick=_pick_settings(track, config.pick), export=provenance.plain(config.export)
        ),
        model=meta.model,
        model_note=meta.model_note,
        clip_model=meta.clip_model,
        backend=meta.backend,
        machine=meta.machine,
        decode=meta.decode,
        moments=tuple(_moment(track, chosen_one, score, smoothed) for chosen_one in chosen.picks),
        rejected=chosen.rejections,
    )


def _pick_settings(track: Track, config: PickConfig) -> dict[str, Any]:
    """The settings as they took effect: without prompts of their own, those of the track."""
    return provenance.plain(dataclasses.replace(config, prompt=track.meta.prompt, avoid=track.meta.avoid))


def _read_track(path: Path) -> Track:
    check_regular(path)
    return open_track(path)


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
    """Cut the clips of picked moments, and write contact sheet, cut lists, ``moments.csv`` and ``moments.json``.

    ``document`` may be the path of a ``moments.json``; ``folder`` is then by default its folder, and else
    ``bestshot/<stem of the take>``. ``folder`` may hold this document's own JSON, but not its clips unless
    ``overwrite``.

    Raises:
        ConfigError: there are results in ``folder`` and ``overwrite`` is False.
        InputError: the take is gone, or another file than the one that was analysed; or a moment reaches
            beyond it.
        DecodeError, ExportError: a clip cannot be cut or written; finished ones stay.
    """
    config = config or Config()
    origin = None if isinstance(document, MomentsDocument) else Path(document)
    if not isinstance(document, MomentsDocument):
        document = _read_moments(Path(document))
    beside = origin.parent if origin else Path()
    target = Path(folder or (beside if origin else results.default_folder(Path(document.source.path))))
    results.check_look(config.export)
    results.check_spans(document, shown(origin or "moments"))
    info = results.open_source(document, beside)
    names = results.export_names(target, origin)
    with results.opened(target, *names, source=info.path, overwrite=overwrite):
        track, document = _with_track(document, beside, target, progress)
        document, pictures = results.export_moments(document, track, info, target, config.export, progress)
        results.write_selection(document, track, target, cut_lists=config.export.cut_lists, thumbnails=pictures)
    return document


def _with_track(
    document: MomentsDocument, beside: Path, target: Path, progress: Progress
) -> tuple[Track | None, MomentsDocument]:
    """The track that ``document`` was picked from, scored as it was, and the document for ``target``.

    None, and a note in the document, where it is gone or cannot be scored so any more: clips need no track.
    """
    name = document.track or results.TRACK
    path = (beside / name).absolute()
    try:
        track = _read_track(path)
        if track.meta.source.fingerprint != document.source.fingerprint:
            raise InputError(f"{shown(path)}: is the track of another take")
        chosen = document.settings.pick_config()
        track = prompts.apply(track, chosen, progress)
    except BestshotError as error:
        note = f"{results.REPORT} and {results.TIMELINE} cannot be written without the track: {error}"
        return None, dataclasses.replace(document, decode=results.with_notes(document.decode, "report", [note]))
    decode = results.with_notes(document.decode, "report", [])
    track = rescore(track, Config(pick=chosen))
    return track, dataclasses.replace(document, decode=decode, track=name if beside == target else str(path))


def _read_moments(path: Path) -> MomentsDocument:
    check_regular(path)
    return moments.read_json(path)


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
    config, path = config or Config(), Path(path)
    target = Path(folder or results.default_folder(path))
    results.check_look(config.export)
    with proving(config.export):
        info = probe(path)
    check_encoder(info, config.export)
    with results.opened(target, *results.run_names(target, path), source=path, overwrite=overwrite):
        track = _analyze(info, config, progress)
        write_track(track, target / results.TRACK)
        return deliver(track, info, target, config, progress)


def deliver(
    track: Track, info: VideoInfo, folder: Path, config: Config, progress: Progress, *, home: Path | str | None = None
) -> MomentsDocument:
    """Pick from ``track``, which has the scores and prompts of ``config``, and write all but itself to ``folder``.

    The track is to lie there as `results.TRACK`. ``home`` is where ``folder`` will be moved when all is written: a
    path, or a URI.

    Raises:
        DecodeError, ExportError: a clip cannot be cut or written; finished ones stay.
    """
    picked = dataclasses.replace(pick(track, config), track=results.TRACK)
    document, pictures = results.export_moments(picked, track, info, folder, config.export, progress)
    lists = config.export.cut_lists
    results.write_selection(document, track, folder, cut_lists=lists, thumbnails=pictures, home=home)
    return document


def analyze_to(
    path: str | Path,
    output: str | Path,
    config: Config | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Track:
    """`analyze` a take and write its track to ``output``, which may hold an older track if ``overwrite``.

    Raises:
        ConfigError: ``output`` exists and ``overwrite`` is False, or it is no track; the take never is.
        InputError, DecodeError, BackendUnavailable, ModelUnavailable, ExportError: as in the steps.
    """
    path, output = Path(path), Path(output)
    info = probe(path)
    results.check_track_output(output, path, overwrite=overwrite)
    track = _analyze(info, config or Config(), progress)
    write_track(track, output)
    return track


def pick_to(
    track: str | Path,
    folder: str | Path,
    config: Config | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> MomentsDocument:
    """`pick` from the track file ``track`` and write ``moments.json``, ``moments.csv`` and the plot to ``folder``.

    With ``overwrite`` an older selection there is replaced, and its clips are removed.

    Raises:
        ConfigError: ``folder`` holds a selection and ``overwrite`` is False.
        InputError, ExportError: as in the steps.
    """
    config, folder = config or Config(), Path(folder)
    analysed = prompts.apply(_read_track(Path(track)), config.pick, progress)
    document = dataclasses.replace(pick(analysed, config), track=str(Path(track).absolute()))
    with results.opened(folder, *results.SELECTION, source=Path(document.source.path), overwrite=overwrite):
        results.write_selection(document, rescore(analysed, config), folder)
    return document
