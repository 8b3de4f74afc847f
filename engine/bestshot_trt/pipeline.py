"""The whole job in three steps: analyze (decode and measure, in `analysis`), pick (rank), export (cut)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import moments, prompts, provenance, results, timeline
from .analysis import analyze_probed
from .config import Config, PickConfig
from .cutting import check_encoder, proving
from .decode import probe
from .errors import BestshotError, InputError, shown
from .files import check_regular
from .frames import VideoInfo
from .gather import rescore
from .moments import Moment, MomentsDocument
from .progress import Progress, silent
from .provenance import PROGRAM
from .track import Track, open_track, scores, write_track


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
        track = analyze_probed(info, config, progress)
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
