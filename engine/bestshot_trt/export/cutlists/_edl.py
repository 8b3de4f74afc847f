"""CMX3600 EDL, the plain list of cuts that nearly everything reads: ASCII, one file, timecode only."""

from __future__ import annotations

from pathlib import Path

from ...errors import shown
from ...files import write_text
from ._cuts import Cut, Cuts

_LONGEST_TITLE = 70
_REEL = "AX"
"""The reel of material without a tape: editors then go by the clip's name."""


def write_edl(cuts: Cuts, path: Path) -> None:
    """Write ``cuts`` as events of one edit list, whole or not at all.

    Raises:
        ExportError: the file cannot be written.
    """
    lines = [
        f"TITLE: {_ascii(cuts.title)[:_LONGEST_TITLE]}",
        f"FCM: {'DROP FRAME' if cuts.rate.drop else 'NON-DROP FRAME'}",
        "",
    ]
    for number, (at, cut) in enumerate(cuts.placed(), 1):
        lines += [*_event(cuts, number, at, cut), ""]
    # Behind the events: some readers take a remark ahead of the first one for an error.
    lines += [f"* {_ascii(note)}" for note in (*cuts.notes, f"FRAME RATE: {cuts.rate.fps}")]
    write_text(path, "".join(f"{line}\r\n" for line in lines))


def _event(cuts: Cuts, number: int, at: int, cut: Cut) -> list[str]:
    times = " ".join(map(cuts.rate.timecode, (cut.start, cut.end, at, at + cut.length)))
    peak = cuts.rate.timecode(at + cut.peak - cut.start)
    return [
        f"{number:03d}  {_REEL:<8} {_channels(cuts.channels):<5} C        {times}",
        f"* FROM CLIP NAME: {_ascii(cuts.file_name)}",
        f"* FROM CLIP: {cuts.uri}",
        f"* COMMENT: {_ascii(cut.name)}",
        f"* LOC: {peak} GREEN   {_ascii(cut.comment)}",
    ]


def _channels(sound: int) -> str:
    """What an event edits: picture alone, with one channel of sound, or with two."""
    return ("V", "B", "AA/V")[min(sound, 2)]


def _ascii(text: str) -> str:
    return shown(text).encode("ascii", "backslashreplace").decode("ascii")
