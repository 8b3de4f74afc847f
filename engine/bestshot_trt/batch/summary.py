"""The batch at a glance: ``summary.json``, ``summary.csv`` and ``index.html`` in its folder."""

from __future__ import annotations

import csv
import html
import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..clock import clock
from ..errors import shown
from ..files import write_text
from . import plan
from .best import Best, as_plain, best_moments
from .shelf import Shelf
from .worklist import Tally, without_path

JSON, CSV, PAGE = "summary.json", "summary.csv", "index.html"
BEST = 24
"""Moments of the whole batch that the page shows."""
_COLUMNS = ("take", "source", "state", "duration_s", "moments", "best_peak_s", "best_score", "reason")


def write_summary(root: Path, tally: Tally, shelf: Shelf | None = None) -> None:
    """Write all three from the results in place on ``shelf``, by default ``root``'s, and from ``tally``.

    Raises:
        ExportError: one cannot be written. InputError: what is in place cannot be read.
    """
    shelf = shelf or Shelf(root)
    takes = [_take(shelf, name, document) for name, document in shelf.takes()] if shelf else []
    failures = [_failure(path, reason) for path, reason in tally.failures]
    best = best_moments(shelf, BEST) if takes else []
    counts = {name: getattr(tally, name) for name in ("files", "done", "before", "duplicates", "skipped", "stopped")}
    document = {
        "schema": "bestshot-trt/batch",
        "version": 1,
        "counts": {**counts, "failed": len(failures)},
        "takes": takes,
        "failures": failures,
        "best": [as_plain(moment) for moment in best],
    }
    write_text(root / JSON, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    write_text(root / CSV, _csv([*takes, *failures]))
    write_text(root / PAGE, _page(takes, failures, best))


def _take(shelf: Shelf, take: str, document: Any) -> dict[str, Any]:
    first = document.moments[0] if document.moments else None
    reports = [name for name in ("report.html", "contact_sheet.jpg") if shelf.holds(take, name)]
    return {
        "take": f"{plan.TAKES}/{take}",
        "source": shown(document.source.path),
        "state": "done",
        "duration_s": document.source.duration_s,
        "moments": len(document.moments),
        "best_peak_s": None if first is None else first.peak_s,
        "best_score": None if first is None else first.score_smooth,
        "reason": "",
        "report": reports[0] if reports else None,
    }


def _failure(path: str, reason: str) -> dict[str, Any]:
    empty = dict.fromkeys(_COLUMNS, "")
    return {**empty, "source": shown(path), "state": "failed", "reason": without_path(path, reason)}


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color: #222; background: #fafafa }
h1, h2 { font-weight: 600 } h2 { margin-top: 2.5rem }
.best { display: grid; grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); gap: 1rem }
figure { margin: 0; background: #fff; border: 1px solid #ddd; border-radius: 6px; overflow: hidden }
video { width: 100%; aspect-ratio: 16 / 9; background: #000; display: block }
figcaption { padding: .5rem .7rem; overflow-wrap: anywhere }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .3rem .7rem }
tr:nth-child(even) { background: #f0f0f0 } td.n, th.n { text-align: right } td { overflow-wrap: anywhere }
small { color: #555 }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818 } figure { background: #222;
border-color: #444 } tr:nth-child(even) { background: #222 } small { color: #aaa } a { color: #8bf } }
"""


def _page(takes: list[dict[str, Any]], failures: list[dict[str, Any]], best: list[Best]) -> str:
    hours = clock(sum(take["duration_s"] for take in takes), 0)
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>bestshot-trt batch</title>',
        '<meta name="viewport" content="width=device-width"><style>',
        _STYLE,
        f"</style><h1>{len(takes)} takes, {hours} of footage</h1>",
    ]
    reports = {take["take"]: take["report"] for take in takes}
    if best:
        parts += [
            "<h2>Best moments of all takes</h2><p><small>Ranked by raw scores, which compare across takes; "
            "near duplicates left out.</small></p><div class=best>",
            *(_figure(moment, reports.get(moment.take)) for moment in best),
            "</div>",
        ]
    parts += ["<h2>Takes</h2><table><tr><th>take<th class=n>length<th class=n>moments<th class=n>best at<th>source"]
    parts += map(_row, takes)
    parts.append("</table>")
    if failures:
        parts.append("<h2>Failed</h2><table><tr><th>file<th>reason")
        parts += [f"<tr><td>{_text(row['source'])}<td>{_text(row['reason'])}" for row in failures]
        parts.append("</table>")
    return "\n".join([*parts, "</html>", ""])


def _text(value: object) -> str:
    return html.escape(str(value))


def _figure(moment: Best, report: str | None) -> str:
    clip = f'<video src="{quote(moment.clip)}" controls preload=metadata muted></video>' if moment.clip else ""
    name = _text(shown(Path(moment.source).name))
    return (
        f"<figure>{clip}<figcaption>{moment.rank}. <b>{name}</b> at {clock(moment.peak_s)}<br>"
        f'<small>score {moment.raw_score:.3f}, <a href="{quote(moment.take)}/{report or ""}">report</a></small>'
        "</figcaption></figure>"
    )


def _row(take: dict[str, Any]) -> str:
    link = quote(f"{take['take']}/{take['report'] or ''}")
    name = _text(take["take"].partition("/")[2])
    peak = "" if take["best_peak_s"] is None else clock(take["best_peak_s"])
    return (
        f'<tr><td><a href="{link}">{name}</a><td class=n>{clock(take["duration_s"], 0)}'
        f"<td class=n>{take['moments']}<td class=n>{peak}<td>{_text(take['source'])}"
    )
