"""What was measured, as Markdown and as one page: the newest row of every case, input and setting."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

from .registry import Row
from .rows import RESULTS, kept

_STYLE = """
:root { color-scheme: light dark; --bar: #3273dc; --line: #8886; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td.figure { white-space: nowrap; font-variant-numeric: tabular-nums; }
meter, .bar { display: block; height: .6rem; background: var(--bar); min-width: 1px; }
.red { color: #c22; }
"""


def write() -> list[Path]:
    """Write ``report.md`` and ``report.html`` beside the results."""
    newest = _newest()
    paths = [RESULTS / "report.md", RESULTS / "report.html"]
    paths[0].write_text(_markdown(newest), encoding="utf-8")
    paths[1].write_text(_page(newest), encoding="utf-8")
    return paths


def _newest() -> dict[str, list[tuple[Row, dict[str, Any], str]]]:
    """(row, environment, file) by case."""
    found: dict[str, dict[str, tuple[Row, dict[str, Any], str]]] = {}
    for path, environment, rows in kept():
        for row in rows:
            if "settings" not in row and "red" not in row:
                continue  # of an older form, kept for the record
            key = json.dumps([row.get("input"), row.get("settings"), environment["cpu"]])
            found.setdefault(row["case"], {})[key] = (row, environment, str(path.relative_to(RESULTS)))
    return {case: list(rows.values()) for case, rows in sorted(found.items())}


def _settings(row: Row) -> str:
    return ", ".join(f"{key} {value}" for key, value in row.get("settings", {}).items())


def _figure(row: Row) -> str:
    if "red" in row:
        return f"red: {row['red']}"
    if "speedup" in row:
        speedup = row["speedup"]
        text = f"{speedup['median']:.2f}x ({speedup['p20']:.2f} to {speedup['p80']:.2f})"
        return text + (f", {row['times_real_time']:.0f} times real time" if "times_real_time" in row else "")
    if "ratio" in row:
        return f"{row['long']} against {row['short']} {row['unit']}: {row['ratio']:.3f}"
    ours = row["ours"]
    return f"{ours['median']:.3g} {row['unit']} ({ours['p20']:.3g} to {ours['p80']:.3g})"


def _machine(environment: dict[str, Any]) -> str:
    return f"{environment['cpu']}, {environment['cores']} cores, commit {environment['commit']}"


def _markdown(newest: dict[str, list[tuple[Row, dict[str, Any], str]]]) -> str:
    lines = [
        "# What was measured",
        "",
        "Made by `python -m bench report`; medians, with the 20th and 80th percentile.",
        "",
    ]
    for case, rows in newest.items():
        lines += [f"## {case}", "", "| input | settings | figure | machine | row |", "| --- | --- | --- | --- | --- |"]
        for row, environment, file in rows:
            cells = (row.get("input", ""), _settings(row), _figure(row), _machine(environment), f"`{file}`")
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _page(newest: dict[str, list[tuple[Row, dict[str, Any], str]]]) -> str:
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>bestshot-trt: measurements</title><style>{_STYLE}"
    ]
    parts.append("</style><h1>What was measured</h1><p>Medians, with the 20th and 80th percentile.</p>")
    for case, rows in newest.items():
        largest = max((_size(row) for row, _, _ in rows), default=0) or 1
        parts.append(f"<h2>{html.escape(case)}</h2><table><tr><th>input<th>settings<th>figure<th><th>machine</tr>")
        for row, environment, file in rows:
            width = 10 * _size(row) / largest
            kind = "figure red" if "red" in row else "figure"
            cells = (row.get("input", ""), _settings(row))
            parts.append(
                f"<tr title='{html.escape(file, quote=True)}'>{''.join(f'<td>{html.escape(c)}' for c in cells)}"
            )
            parts.append(
                f"<td class='{kind}'>{html.escape(_figure(row))}<td><span class=bar style='width:{width:.1f}rem'>"
            )
            parts.append(f"</span><td>{html.escape(_machine(environment))}</tr>")
        parts.append("</table>")
    return "".join(parts) + "\n"


def _size(row: Row) -> float:
    """What the bar of a row shows: times faster, or its median."""
    figures = row.get("speedup") or row.get("ours") or {}
    return float(figures.get("median", row.get("ratio", 0)))
