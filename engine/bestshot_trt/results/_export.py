"""What is made of a take for what was picked: clips, contact sheet, cut lists, and pictures for the page."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .. import provenance, sheet
from ..config import ExportConfig
from ..cutting import cut_all
from ..frames import VideoInfo
from ..moments import MomentsDocument
from ..prefetch import prefetch
from ..progress import Progress
from ..sheet import sheet_entry
from ..track import Track
from ._folder import CONTACT_SHEET, CUTS

if TYPE_CHECKING:
    from ..export import Thumbnail


def check_look(config: ExportConfig) -> None:
    """Refuse settings of how clips look that cannot be followed, before any long work.

    Raises:
        ConfigError: the table of colours is missing or malformed.
    """
    from ..export import check_look as check

    check(config)


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
    from ..export import channels_of, write_contact_sheet, write_cut_lists

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
    from ..export import load_writers

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
