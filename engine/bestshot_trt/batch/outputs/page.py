"""``index.html`` of a batch: its best moments with their clips, every take with its report, every failure."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ...clock import clock
from ...errors import shown
from ...export.report import Thumbnail, read_thumbnails
from .best import Best
from .shelf import Shelf

_NEAR_S = 0.5
"""A picture at most so far from a moment's peak shows it."""
_STYLE = """
:root { color-scheme: light; --page: #f4f5f7; --card: #fff; --edge: #d9dde2; --ink: #1d2125; --quiet: #5b636d;
--link: #1f5f9f; --error: #b3261e }
@media (prefers-color-scheme: dark) { :root { color-scheme: dark; --page: #17191c; --card: #212428; --edge: #3a3f46;
--ink: #eceef0; --quiet: #a3abb5; --link: #8cc4f7; --error: #ff9a91 } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 20px; max-width: 1500px;
background: var(--page); color: var(--ink); overflow-wrap: anywhere }
h1, h2 { font-weight: 600; line-height: 1.25 } h1 { margin: 0 0 .2rem } h2 { margin: 2.5rem 0 .6rem }
p { margin: 0 0 .6rem } .quiet { color: var(--quiet) } a { color: var(--link) } .failed { color: var(--error) }
.best { display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: 16px }
figure, .card { margin: 0; background: var(--card); border: 1px solid var(--edge); border-radius: 10px }
figure { overflow: hidden } video, .none { width: 100%; aspect-ratio: 16 / 9; background: #000; display: block }
.none { display: grid; place-items: center; color: #a3abb5 } figcaption { padding: .5rem .8rem .6rem }
.card { overflow-x: auto; padding: 4px 0 } table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .35rem .8rem } tr + tr td { border-top: 1px solid var(--edge) }
td { overflow-wrap: anywhere; min-width: 8rem } th { white-space: nowrap }
td:first-child { min-width: 14rem }
td.n, th.n { text-align: right; white-space: nowrap; min-width: 0; font-variant-numeric: tabular-nums }
"""


def page(
    shelf: Shelf, counts: Mapping[str, Any], takes: Sequence[Mapping[str, Any]], failures: Any, best: Sequence[Best]
) -> str:
    """The page of the batch on ``shelf``, of the same rows as its ``summary.json``."""
    hours = clock(sum(take["duration_s"] for take in takes), 0)
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>bestshot-trt batch</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">',
        f"<style>{_STYLE}</style>",
        f"<header><h1>{len(takes)} {'take' if len(takes) == 1 else 'takes'}, {hours} of footage</h1>",
        f'<p class="quiet">{_counted(counts)}</p>{_models(takes)}</header><main>',
    ]
    if counts.get("stopped"):
        parts.append(f'<p class="failed">Stopped early: {_text(counts["stopped"])}</p>')
    if best:
        parts.append(
            '<h2>Best moments of all takes</h2><p class="quiet">Ranked by raw scores, which compare across takes; '
            'near duplicates left out.</p><div class="best">'
        )
        parts += _figures(shelf, takes, best)
        parts.append("</div>")
    if takes:
        parts.append(
            '<h2>Takes</h2><div class="card"><table><tr><th>take<th class="n">length<th class="n">moments'
            '<th class="n">best at<th class="n">its raw score<th>source'
        )
        parts += [*map(_row, takes), "</table></div>"]
    if failures:
        parts.append('<h2 id="failed">Failed</h2><div class="card"><table><tr><th>file<th>reason')
        parts += [f"<tr><td>{_text(row['source'])}<td>{_text(row['reason'])}" for row in failures]
        parts.append("</table></div>")
    return "\n".join([*parts, "</main></html>", ""])


def _text(value: object) -> str:
    return html.escape(str(value))


def _counted(counts: Mapping[str, Any]) -> str:
    # The page is the same whether a batch was interrupted or not.
    counted = {
        "done": counts["done"] + counts["before"],
        "duplicate" if counts["duplicates"] == 1 else "duplicates": counts["duplicates"],
        "not videos": counts["skipped"],
    }
    told = [f"{count} {word}" for word, count in counted.items() if count]
    if counts["failed"]:
        told.append(f'<a class="failed" href="#failed">{counts["failed"]} failed</a>')
    files = "1 file" if counts["files"] == 1 else f"{counts['files']} files"
    return f"{files}: {', '.join(told)}" if told else files


def _models(takes: Sequence[Mapping[str, Any]]) -> str:
    names = sorted({take["model"] for take in takes})
    if not names:
        return ""
    stand_in = (
        "; without a CLIP model, contrast and colourfulness stand in for the aesthetic" if "none" in names else ""
    )
    return f'<p class="quiet">model: {_text(", ".join(names))}{stand_in}</p>'


def _figures(shelf: Shelf, takes: Sequence[Mapping[str, Any]], best: Sequence[Best]) -> list[str]:
    reports = {take["take"]: take["report"] for take in takes}
    pictures = {take: _pictures(shelf, take, reports.get(take)) for take in {moment.take for moment in best}}
    return [_figure(moment, reports.get(moment.take), pictures[moment.take]) for moment in best]


def _pictures(shelf: Shelf, take: str, report: str | None) -> list[Thumbnail]:
    content = shelf.read(take.partition("/")[2], report) if report is not None and report.endswith(".html") else None
    return [] if content is None else read_thumbnails(content)


def _figure(moment: Best, report: str | None, pictures: Sequence[Thumbnail]) -> str:
    nearest = min(pictures, key=lambda each: abs(each.time_s - moment.peak_s), default=None)
    is_shown = nearest is not None and abs(nearest.time_s - moment.peak_s) <= _NEAR_S
    # With a picture, no clip is read before it is played.
    still = f'poster="{nearest.uri}" preload="none"' if nearest is not None and is_shown else 'preload="metadata"'
    clip = '<div class="none">no clip was cut</div>'
    if moment.clip:
        clip = f'<video src="{quote(moment.clip)}" {still} controls muted playsinline></video>'
    name = _text(shown(Path(moment.source).name))
    link = f'<a href="{quote(moment.take)}/{report or ""}">{name}</a>'
    return (
        f"<figure>{clip}<figcaption><b>{moment.rank}.</b> {link}<br>"
        f'<span class="quiet">at {clock(moment.peak_s)}, score {moment.raw_score:.2f}</span></figcaption></figure>'
    )


def _row(take: Mapping[str, Any]) -> str:
    link = quote(f"{take['take']}/{take['report'] or ''}")
    name = _text(take["take"].partition("/")[2])
    peak = "" if take["best_peak_s"] is None else clock(take["best_peak_s"])
    score = "" if take["best_raw_score"] is None else f"{take['best_raw_score']:.2f}"
    return (
        f'<tr><td><a href="{link}">{name}</a><td class="n">{clock(take["duration_s"], 0)}'
        f'<td class="n">{take["moments"]}<td class="n">{peak}<td class="n">{score}<td>{_text(take["source"])}'
    )
