"""The output folder of one take: what goes in it, in which order, and never over somebody's files unasked."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from . import moments, provenance, sheet
from .config import ExportConfig
from .cutting import CLIPS, REEL, cut_all
from .decode import probe
from .errors import ConfigError, ExportError, InputError, shown
from .export.cutlists import CUT_LISTS
from .files import check_folder, check_regular, claimed
from .frames import VideoInfo
from .moments import MomentsDocument
from .prefetch import prefetch
from .progress import Progress
from .sheet import sheet_entry
from .source import fingerprint
from .track import Track, has_track, open_track

if TYPE_CHECKING:
    from .export import Thumbnail

MOMENTS_JSON = "moments.json"
MOMENTS_CSV = "moments.csv"
TRACK = "track.parquet"
CONTACT_SHEET = "contact_sheet.jpg"
TIMELINE = "timeline.svg"
REPORT = "report.html"
CUTS = "cuts"
SELECTION = (MOMENTS_JSON, MOMENTS_CSV, TIMELINE, REPORT)
_CUT_LISTS = tuple(f"{CUTS}/{name}" for name in CUT_LISTS)
_REELS = tuple(f"{REEL}.{suffix}" for suffix in ("mp4", "mov", "mkv", "webm"))
_NAMES = (*SELECTION, CONTACT_SHEET, TRACK, *_CUT_LISTS, *_REELS)
_OWN_CLIP = re.compile(CLIPS + r"/\d{2,}_\d{2,}h\d{2}m\d{2}\.\d{3}s\.(?:mp4|mov|mkv|webm)", re.ASCII)
_LEFTOVER = re.compile(r"\.(?:reel|\d{2,}_[^.]*(\.\d*s?)?)\.[0-9a-f]{8}\.part\.(?:mp4|mov|mkv|webm)", re.ASCII)
_SPARE_S = 0.001
"""How far a moment may end after the take: a second written with fewer digits."""


def default_folder(source: Path) -> Path:
    """Where results go when nothing is said: ``bestshot/<stem>``."""
    return Path("bestshot") / (source.stem or "take")


def prepare(folder: Path, *names: str, overwrite: bool) -> None:
    """Create ``folder`` and make sure it takes results of these ``names``, before any long work.

    Raises:
        ConfigError: one is there already and ``overwrite`` is False.
        ExportError: ``folder`` cannot be created or written to, or a folder is in the place of a result.
    """
    for name in names:
        if not overwrite and (folder / name).exists():
            raise ConfigError(f"{shown(folder)}: already holds {name}; add --overwrite, or name another folder with -o")
        if (folder / name).is_dir():
            raise ExportError(f"{shown(folder / name)}: a folder is in the place of this result; move it away")
    for name, held in ((CLIPS, "clips"), (CUTS, "cut lists")):
        if (folder / name).exists() and not (folder / name).is_dir():
            raise ExportError(f"{shown(folder / name)}: a file is in the place of the {held}' folder; move it away")
    check_folder(folder)


@contextlib.contextmanager
def opened(folder: Path, *names: str, source: Path, overwrite: bool) -> Iterator[None]:
    """`prepare` ``folder`` for results of the take ``source``, and hold it against other runs.

    New folders in which nothing was finished are removed again.

    Raises:
        ConfigError, ExportError: as `prepare`; or results would replace the take, or another run writes there.
    """
    new = [made for made in (folder / CLIPS, folder / CUTS, folder, *folder.parents) if not made.exists()]
    _check_apart(folder, source)
    prepare(folder, *names, overwrite=overwrite)
    try:
        with claimed(folder):
            for home in (folder, folder / CLIPS):
                _remove_leftovers(home)
            yield
    finally:
        _remove_empty(*new)


def _remove_leftovers(folder: Path) -> None:
    """Remove what a run that was killed had half written; nobody else writes there now."""
    for path in folder.glob(".*.part.*"):
        if _LEFTOVER.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _remove_empty(*folders: Path) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _check_apart(folder: Path, source: Path) -> None:
    """Refuse to write results over the take itself, whatever links lead to it."""
    homes = {source.absolute().parent, source.resolve().parent}
    clips = folder / CLIPS
    among_clips = clips.exists() and any(home.exists() and home.samefile(clips) for home in homes)
    named = any((folder / name).exists() and source.exists() and source.samefile(folder / name) for name in _NAMES)
    if among_clips or named:
        raise ConfigError(f"{shown(source)}: the take lies among the results in {shown(folder)}; name another with -o")


def run_names(folder: Path, source: Path) -> list[str]:
    """What a run may not find in ``folder``: all it writes, but for a track of the same take.

    An interrupted run leaves such a track; the next one may replace it.
    """
    return [name for name in _NAMES if name != TRACK or not _is_track_of(folder / TRACK, source)]


def export_names(folder: Path, document: Path | None) -> list[str]:
    """What an export may not find in ``folder``: older clips and, but for its own ``document``, a selection."""
    if document is None or not (folder / MOMENTS_JSON).exists() or not document.samefile(folder / MOMENTS_JSON):
        return [*SELECTION, CONTACT_SHEET, *_CUT_LISTS, *_REELS]
    # Clips of an export that broke off are not listed yet, and the next one may replace them.
    return [CONTACT_SHEET, *sorted({*_CUT_LISTS, *_exported(folder)})]


def _is_track_of(path: Path, source: Path) -> bool:
    try:
        check_regular(path)
        return open_track(path).meta.source.fingerprint == fingerprint(source)
    except InputError:
        return False


def check_track_output(path: Path, source: Path, *, overwrite: bool) -> None:
    """Make sure that a track can be written to ``path``, and that only an older track is replaced there.

    Raises:
        ConfigError: ``path`` is the take, or exists and ``overwrite`` is False, or is no track.
        ExportError: it is a folder, or its folder takes no files.
    """
    if path.exists() and source.exists() and path.samefile(source):
        raise ConfigError(f"{shown(path)}: is the take itself; name another file with -o, as track.parquet")
    if path.is_dir():
        raise ExportError(f"{shown(path)}: is a folder; name a file in it with -o, as {shown(path / TRACK)}")
    if path.exists():
        if not overwrite:
            raise ConfigError(f"{shown(path)}: already exists; add --overwrite, or name another file with -o")
        if not has_track(path):
            raise ConfigError(f"{shown(path)}: is not a score track, so it is not replaced; name another file with -o")
    check_folder(path.parent)


def write_selection(
    document: MomentsDocument,
    track: Track | None,
    folder: Path,
    *,
    cut_lists: bool = False,
    thumbnails: Sequence[Thumbnail] = (),
    home: Path | str | None = None,
) -> None:
    """Write the moments as CSV and JSON, and with ``track`` the plot of its scores and the page; the JSON last.

    ``home`` is where ``folder`` will lie in the end, if it is to be moved: a path, or a URI.

    Clips that ``folder``'s own older document lists and this one does not are then removed, and so are the
    cut lists of that older document unless ``cut_lists``: unless those in ``folder`` are this document's.

    Raises:
        ExportError: a file cannot be written.
    """
    kept = {*(moment.clip for moment in document.moments), document.reel, *(_CUT_LISTS if cut_lists else ())}
    stale = _exported(folder) - kept
    if track is not None:
        _write_timeline(document, track, folder / TIMELINE)
        _write_report(document, track, folder, thumbnails, home or folder)
    moments.write_csv(document, folder / MOMENTS_CSV)
    moments.write_json(document, folder / MOMENTS_JSON)
    for name in stale:
        with contextlib.suppress(OSError):
            (folder / name).unlink()
    if stale:
        _remove_empty(folder / CLIPS, folder / CUTS)


def _write_timeline(document: MomentsDocument, track: Track, path: Path) -> None:
    from .export.timeline_plot import write_timeline

    write_timeline(
        path,
        times=track.times,
        score=track.score,
        score_smooth=track.score_smooth,
        measures=_drawn(track),
        picks=[(m.rank, m.peak_s, m.start_s, m.end_s) for m in document.moments],
        rejections=[(r.peak_s, f"{r.reason}: {r.detail}") for r in document.rejected],
        duration=float(track.meta.duration),
        title=Path(document.source.path).name,
    )


def _write_report(
    document: MomentsDocument, track: Track, folder: Path, thumbnails: Sequence[Thumbnail], home: Path | str
) -> None:
    from .export import write_report

    # The page's command names a track on a disk.
    path = None if document.track is None or isinstance(home, str) else home / document.track
    write_report(folder / REPORT, document, track, track_path=path, thumbnails=thumbnails)


def _drawn(track: Track) -> dict[str, npt.NDArray[np.float32]]:
    """The measures that bear on the score, by name."""
    names = ["sharpness", "exposure_penalty", "aesthetic"]
    if not np.isnan(track.prompt_similarity).all():
        names.append("prompt_similarity")
    return {name: getattr(track, name) for name in names}


def open_source(document: MomentsDocument, beside: Path) -> VideoInfo:
    """The take that ``document`` was made from, at its path or, moved together, ``beside`` the document.

    Raises:
        InputError: it is gone, or another file than the one that was analysed.
    """
    path = Path(document.source.path)
    found = [candidate for candidate in (path, beside / path.name) if candidate.is_file()]
    for candidate in found:
        if fingerprint(candidate) == document.source.fingerprint:
            return probe(candidate)
    if found:
        raise InputError(f"{shown(found[0])}: is not the file that was analysed; analyze it again")
    raise InputError(f"{shown(path)}: no such file; put the take back there, or beside {MOMENTS_JSON}")


def check_look(config: ExportConfig) -> None:
    """Refuse settings of how clips look that cannot be followed, before any long work.

    Raises:
        ConfigError: the table of colours is missing or malformed.
    """
    from .export import check_look as check

    check(config)


def check_spans(document: MomentsDocument, name: str) -> None:
    """Refuse moments, perhaps edited by hand, that cannot all be cut; ``name`` begins the message.

    Raises:
        InputError: one reaches beyond the take, or two would have one file.
    """
    duration = document.source.duration_s
    for moment in document.moments:
        if moment.end_s > duration + _SPARE_S:
            raise InputError(
                f"{name}: moment {moment.rank} ends at {moment.end_s:g} s, but the take at {duration:g} s; correct it"
            )
    for one, other in itertools.pairwise(sorted(document.moments, key=lambda moment: moment.rank)):
        if one.rank == other.rank:
            raise InputError(f"{name}: two moments are of rank {one.rank}; number them apart")


def export_moments(
    document: MomentsDocument,
    track: Track | None,
    info: VideoInfo,
    folder: Path,
    config: ExportConfig,
    progress: Progress,
) -> tuple[MomentsDocument, list[Thumbnail]]:
    """Cut every moment's clip, draw the contact sheet, write the cut lists.

    ``track`` is what the moments were picked from, if it is to be had: it tells how good their measures are.

    Returns:
        ``document`` with the clips' names, and pictures for the page.

    Raises:
        DecodeError, ExportError: a clip cannot be cut or written; finished ones stay.
    """
    from .export import channels_of, write_contact_sheet, write_cut_lists

    beside = sheet.Beside(info, document)
    glimpses = {moment.rank: sheet.Glimpse(info, sheet.times_of(info, moment)) for moment in document.moments}
    # Encoders and decoders leave cores idle now and then, which is enough for these.
    with contextlib.closing(prefetch(_meanwhile(beside, config), depth=0)) as steps:
        cut = cut_all(document, info, folder, config, lambda done, total: progress("export", done, total), glimpses)
        for _ in steps:
            progress("pictures", beside.done, beside.total, "steps")
    standing = _standing(document, track)
    entries = [
        sheet_entry(moment, glimpses[moment.rank], standing.get(moment.rank, {}), beside.alike.get(moment.rank, ()))
        for moment in document.moments
    ]
    write_contact_sheet(entries, folder / CONTACT_SHEET, info.path.name)
    if config.cut_lists:
        write_cut_lists(
            document,
            folder / CUTS,
            source=info.path,
            audio_channels=channels_of(info),
            drop_frame=config.timecode == "df",
        )
    exported = dataclasses.replace(
        document,
        moments=cut.moments,
        reel=cut.reel,
        encoder=cut.encoder,
        settings=dataclasses.replace(document.settings, export=provenance.plain(config)),
        decode=with_notes(document.decode, "clips", cut.notes),
    )
    return exported, sheet.thumbnails(entries, beside)


def _meanwhile(beside: sheet.Beside, config: ExportConfig) -> Iterator[None]:
    """What needs no clips, done while they are cut."""
    from .export import load_writers

    yield from beside.made()
    if config.cut_lists:
        load_writers()


def _standing(document: MomentsDocument, track: Track | None) -> dict[int, dict[str, float]]:
    """Where each moment's measures stand in the take, by rank."""
    if track is None or not document.moments:
        return {}
    peaks = [moment.peak_s for moment in document.moments]
    found = sheet.standings(track, peaks)
    return {moment.rank: told for moment, told in zip(document.moments, found, strict=True)}


def with_notes(decode: provenance.Decode, about: str, notes: Sequence[str]) -> provenance.Decode:
    """``decode`` with ``notes`` for all that it said ``about`` the same."""
    added = tuple(f"{about}: {note}" for note in notes)
    kept = tuple(note for note in decode.notes if not note.startswith(f"{about}: "))
    return dataclasses.replace(decode, notes=kept + added)


def _exported(folder: Path) -> set[str]:
    """The clips that ``folder``'s own document lists, by names that only this program gives, its reel and cut lists."""
    try:
        check_regular(folder / MOMENTS_JSON)
        old = moments.read_json(folder / MOMENTS_JSON)
    except InputError:
        return set()
    clips = {moment.clip for moment in old.moments if moment.clip is not None}
    cut_lists = _CUT_LISTS if clips and old.settings.export.get("cut_lists") else ()
    reel = (old.reel,) if old.reel in _REELS else ()
    return {*filter(_OWN_CLIP.fullmatch, clips), *reel, *cut_lists}
