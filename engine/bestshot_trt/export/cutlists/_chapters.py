"""Chapters in ffmpeg's metadata format: ``ffmpeg -i take.mp4 -i chapters.ffmeta -map_chapters 1 -c copy out.mp4``."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from pathlib import Path

from ...files import write_text
from ._cuts import Cuts

_TICKS = 1000
"""Chapter times are whole milliseconds, which every container of chapters takes."""
_SPECIAL = re.compile(r"[=;#\\\n]")


def write_chapters(cuts: Cuts, path: Path) -> None:
    """Write ``cuts`` as chapters of the take itself, whole or not at all.

    Raises:
        ExportError: the file cannot be written.
    """
    lines = [";FFMETADATA1", *(f"; {note}" for note in cuts.notes[:1])]
    for cut in cuts.cuts:
        start = _ticks(cut.start_s)
        end = max(_ticks(cut.end_s), start + 1)
        lines += ["[CHAPTER]", f"TIMEBASE=1/{_TICKS}", f"START={start}", f"END={end}"]
        lines.append(f"title={_escaped(f'{cut.name} ({cut.comment})')}")
    write_text(path, "\n".join(lines) + "\n")


def _ticks(seconds: Fraction) -> int:
    return math.floor(seconds * _TICKS + Fraction(1, 2))


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda found: "\\" + found[0], text)
