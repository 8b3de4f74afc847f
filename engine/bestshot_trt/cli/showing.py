"""``bestshot-trt show``: a track at a glance, in the terminal."""

from __future__ import annotations

import json as jsonlib
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..clock import clock
from ..errors import shown
from . import options as o
from .exits import put, reported
from .given import Given, takes

if TYPE_CHECKING:
    from ..moments import MomentsDocument
    from ..overview import Overview

BLOCKS, ASCII_BLOCKS = " ▁▂▃▄▅▆▇█", " .:|#"
ROWS = 3
NARROWEST = 40
_MARKED = "\x1b[33m"
_PLAIN = "\x1b[0m"

TrackOrFolder = Annotated[
    Path,
    typer.Argument(metavar="TRACK", help="A track.parquet, or the folder of results it is in.", show_default=False),
]


@takes(pick=o.PICK)
def show(
    track: TrackOrFolder,
    *,
    given: Given,
    json: Annotated[bool, typer.Option("--json", help="Print the same as JSON.", rich_help_panel=o.OUTPUT)] = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Show an analysed take in the terminal: the curve of its score, its top moments, and why they are that.

    Under the curve stand the ranks of the picks. "why" says how far each measure lifts a moment above the
    take's mean score; the lifts add up. Nothing is decoded and nothing is written.
    """
    with reported(verbose=verbose):
        from ..overview import overview
        from .progress import Meter
        from .table import remark

        settings = given.settings()
        with Meter(quiet=quiet) as progress:
            seen = overview(track, settings, progress)
        if json:
            put(jsonlib.dumps(_document(seen), indent=2, allow_nan=False) + "\n", encoding="utf-8")
        else:
            _print(seen)
        remark(seen.document, quiet=quiet, verbose=verbose)


def _document(seen: Overview) -> dict[str, Any]:
    document = seen.document
    return {
        "take": shown(document.source.path),
        "duration_s": document.source.duration_s,
        "samples": len(seen.times),
        "model": document.model,
        "mean_score": seen.mean,
        "moments": [
            {
                "rank": moment.rank,
                "peak_s": moment.peak_s,
                "start_s": moment.start_s,
                "end_s": moment.end_s,
                "score": moment.score_smooth,
                "lifts": lifts,
            }
            for moment, lifts in zip(document.moments, seen.lifts, strict=True)
        ],
    }


def _print(seen: Overview) -> None:
    width = max(NARROWEST, shutil.get_terminal_size().columns - 1)
    lines = [*_head(seen), "", *_curve(seen, width), "", *_table(seen)]
    put("".join(f"{line}\n" for line in lines))


def _head(seen: Overview) -> list[str]:
    source, settings = seen.document.source, seen.document.settings.analyze
    rate = settings.get("fps")
    count = f"{len(seen.times)} sample{'' if len(seen.times) == 1 else 's'}"
    video = source.video
    return [
        shown(Path(source.path).name),
        f"{clock(source.duration_s)}, {video.codec} {video.width}x{video.height}, "
        f"{count}{f' at {rate:g} Hz' if isinstance(rate, (int, float)) else ''}, model {shown(seen.document.model)}",
    ]


def _curve(seen: Overview, width: int) -> list[str]:
    from ..overview import bars, columns

    duration = seen.document.source.duration_s
    graph = bars(columns(seen.times, seen.smoothed, duration, width), _blocks(), ROWS)
    ends = f"{clock(0.0)}{clock(duration):>{width - len(clock(0.0))}}"
    if _has_colours():
        inside = _inside_clips(seen.document, width)
        graph = [_painted(line, inside) for line in graph]
    return [*(line.rstrip() for line in graph), *_ranks(seen.document, width), ends]


def _blocks() -> str:
    try:
        BLOCKS.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII_BLOCKS
    return BLOCKS


def _has_colours() -> bool:
    asked_not = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return bool(sys.stdout is not None and sys.stdout.isatty() and not asked_not)


def _inside_clips(document: MomentsDocument, width: int) -> list[bool]:
    from ..overview import column_of

    inside = [False] * width
    for moment in document.moments:
        first, last = (column_of(t, document.source.duration_s, width) for t in (moment.start_s, moment.end_s))
        inside[first : last + 1] = [True] * (last + 1 - first)
    return inside


def _painted(line: str, inside: list[bool]) -> str:
    """``line`` with the columns inside clips in colour."""
    painted, before = "", False
    for character, now in zip(line, inside, strict=True):
        painted += (_MARKED if now else _PLAIN) * (now != before) + character
        before = now
    return painted + _PLAIN * before


def _ranks(document: MomentsDocument, width: int) -> list[str]:
    """The picks' ranks under their peaks, on as many lines as keep them apart."""
    from ..overview import column_of

    lines: list[str] = []
    for moment in document.moments:
        text = str(moment.rank)
        at = min(column_of(moment.peak_s, document.source.duration_s, width), width - len(text))
        reach = slice(max(0, at - 1), at + len(text) + 1)
        free = next((n for n, line in enumerate(lines) if not line[reach].strip()), len(lines))
        lines[free:] = lines[free:] or [" " * width]
        lines[free] = lines[free][:at] + text + lines[free][at + len(text) :]
    return [line.rstrip() for line in lines]


def _table(seen: Overview) -> list[str]:
    from .table import aligned

    rows: list[tuple[str, ...]] = [("rank", "peak", "from", "to", "score", "why")]
    for moment, lifts in zip(seen.document.moments, seen.lifts, strict=True):
        times = (clock(time) for time in (moment.peak_s, moment.start_s, moment.end_s))
        rows.append((str(moment.rank), *times, f"{moment.score_smooth:.3f}", _why(lifts)))
    return [*aligned(rows), f"mean score {seen.mean:.3f}"]


def _why(lifts: dict[str, float]) -> str:
    """What lifts a moment, most first, then what weighs on it; nothing that rounds to zero."""
    told = sorted(lifts.items(), key=lambda lift: -lift[1])
    return ", ".join(f"{name} {lift:+.2f}" for name, lift in told if abs(lift) >= 0.005) or "as the take's mean"
