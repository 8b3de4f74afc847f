"""The output folder of one take: what lies in it, held against other runs, and never over somebody's files unasked."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from .. import moments
from ..cutting import CLIPS, REEL
from ..errors import ConfigError, ExportError, InputError, shown
from ..export.cutlists import CUT_LISTS
from ..files import check_folder, check_regular, claimed
from ..source import fingerprint
from ..track import open_track

MOMENTS_JSON = "moments.json"
MOMENTS_CSV = "moments.csv"
TRACK = "track.parquet"
CONTACT_SHEET = "contact_sheet.jpg"
TIMELINE = "timeline.svg"
REPORT = "report.html"
CUTS = "cuts"
SELECTION = (MOMENTS_JSON, MOMENTS_CSV, TIMELINE, REPORT)
CUT_LIST_NAMES = tuple(f"{CUTS}/{name}" for name in CUT_LISTS)
_REELS = tuple(f"{REEL}.{suffix}" for suffix in ("mp4", "mov", "mkv", "webm"))
_NAMES = (*SELECTION, CONTACT_SHEET, TRACK, *CUT_LIST_NAMES, *_REELS)
_OWN_CLIP = re.compile(CLIPS + r"/\d{2,}_\d{2,}h\d{2}m\d{2}\.\d{3}s\.(?:mp4|mov|mkv|webm)", re.ASCII)
_LEFTOVER = re.compile(r"\.(?:reel|\d{2,}_[^.]*(\.\d*s?)?)\.[0-9a-f]{8}\.part\.(?:mp4|mov|mkv|webm)", re.ASCII)


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
        remove_empty(*new)


def _remove_leftovers(folder: Path) -> None:
    """Remove what a run that was killed had half written; nobody else writes there now."""
    for path in folder.glob(".*.part.*"):
        if _LEFTOVER.fullmatch(path.name):
            path.unlink(missing_ok=True)


def remove_empty(*folders: Path) -> None:
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
        return [*SELECTION, CONTACT_SHEET, *CUT_LIST_NAMES, *_REELS]
    # Clips of an export that broke off are not listed yet, and the next one may replace them.
    return [CONTACT_SHEET, *sorted({*CUT_LIST_NAMES, *listed(folder)})]


def _is_track_of(path: Path, source: Path) -> bool:
    try:
        check_regular(path)
        return open_track(path).meta.source.fingerprint == fingerprint(source)
    except InputError:
        return False


def listed(folder: Path) -> set[str]:
    """The clips that ``folder``'s own document lists, by names that only this program gives, its reel and cut lists."""
    try:
        check_regular(folder / MOMENTS_JSON)
        old = moments.read_json(folder / MOMENTS_JSON)
    except InputError:
        return set()
    clips = {moment.clip for moment in old.moments if moment.clip is not None}
    cut_lists = CUT_LIST_NAMES if clips and old.settings.export.get("cut_lists") else ()
    reel = (old.reel,) if old.reel in _REELS else ()
    return {*filter(_OWN_CLIP.fullmatch, clips), *reel, *cut_lists}
