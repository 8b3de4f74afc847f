"""What was measured, as Markdown, a page with charts and a table in the README: the newest row of each setting."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import rows as kept_rows
from .registry import Row
from .rows import kept
from .shown import TITLES, charts, settings_of
from .targets import TARGETS, Verdict

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- made by python -m bench report -->", "<!-- end of what python -m bench report makes -->"
_MET = {True: "met", False: "not met", None: ""}
_STYLE = """
:root { color-scheme: light dark; --text: #1c2430; --dim: #5a6675; --back: #fff; --line: #dde3ea; --bar: #3b78c3;
  --spread: #10243d; --target: #b3470b; --good: #1a7a3c; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e9f0; --dim: #9aa7b6; --back: #14181e; --line: #303843;
  --bar: #4d8fdc; --spread: #e9f1fb; --target: #ff9d57; --good: #6fd08c; --bad: #ff8a80; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.3rem; margin-top: 3rem; border-top: 1px solid var(--line);
  padding-top: 1rem; }
h3 { font-size: 1.05rem; margin: 2rem 0 .5rem; } .dim { color: var(--dim); }
table { border-collapse: collapse; width: 100%; font-size: .9rem; } .wide { overflow-x: auto; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td.figure { font-variant-numeric: tabular-nums; } td.met, td.missed { white-space: nowrap; }
.met { color: var(--good); } .missed, .red { color: var(--bad); }
details { margin: .5rem 0 1.5rem; } summary { cursor: pointer; color: var(--dim); }
code { font-size: .85em; overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; margin: .3rem 0 1rem; font: 13px system-ui, sans-serif; }
svg text { fill: var(--text); } svg .tick { fill: var(--dim); font-size: 12px; } svg .figure { font-weight: 600; }
svg .grid { stroke: var(--line); } svg .bar { fill: var(--bar); }
svg .spread { stroke: var(--spread); stroke-width: 1.5; fill: none; }
svg .target { stroke: var(--target); stroke-width: 2; stroke-dasharray: 5 3; }
"""


@dataclass
class Machine:
    """What one machine gave: its newest rows by case, and on what they were taken."""

    environment: dict[str, Any]
    """Of the newest file."""
    cases: dict[str, list[Row]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Processor and cores."""
        return f"{self.environment['cpu']}, {self.environment['cores']} cores"

    @property
    def rows(self) -> list[Row]:
        """All of them."""
        return [row for rows in self.cases.values() for row in rows]

    @property
    def commits(self) -> str:
        """Those that its rows were measured on."""
        return ", ".join(sorted({row["commit"] for row in self.rows}))

    @property
    def about(self) -> Iterator[tuple[str, str]]:
        """What to know of the machine, and of what ran on it."""
        here = self.environment
        yield "memory", f"{here['memory_gib']} GiB" if here.get("memory_gib") else "not noted"
        yield "GPU", ", ".join(here.get("gpus") or ()) or "none"
        yield "driver", here.get("driver") or "none"
        yield "system", f"{here.get('platform', '')}, Python {here.get('python', '')}"
        yield "versions", ", ".join(f"{name} {version}" for name, version in here.get("versions", {}).items())
        yield "commits", self.commits

    def verdicts(self) -> Iterator[tuple[Any, Verdict]]:
        """Every target with what these rows say of it."""
        return ((target, target.verdict(self.rows)) for target in TARGETS)


def write() -> list[Path]:
    """Write ``report.md`` and ``report.html`` beside the rows; of the project's own rows also the README's table."""
    machines = _machines()
    folder = kept_rows.RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "report.md", folder / "report.html"]
    paths[0].write_text(_markdown(machines), encoding="utf-8")
    paths[1].write_text(_page(machines), encoding="utf-8")
    if folder == kept_rows.OURS and machines:
        README.write_text(with_table(README.read_text(encoding="utf-8"), machines[0]), encoding="utf-8")
        paths.append(README)
    return paths


def _machines() -> list[Machine]:
    """The machine of the newest rows first."""
    found: dict[tuple[str, int], Machine] = {}
    newest: dict[tuple[str, int], dict[str, Row]] = {}
    for path, environment, rows in kept():
        machine = (environment["cpu"], environment["cores"])
        found[machine] = Machine(environment)
        mine = newest.setdefault(machine, {})
        for row in rows:
            if "skipped" in row or ("settings" not in row and "red" not in row):
                continue  # the latter of an older form, kept for the record
            settled = [key for key, old in mine.items() if "red" in old and _is_of(old, row)]
            for key in settled:
                del mine[key]
            file = str(path.relative_to(kept_rows.RESULTS))
            # Last, so that the machine with the newest file and its newest rows come last too.
            key = json.dumps([row["case"], row.get("input"), row.get("settings"), "red" in row])
            mine.pop(key, None)
            mine[key] = {**row, "file": file, "commit": environment["commit"]}
    for machine, by_key in newest.items():
        for row in by_key.values():
            found[machine].cases.setdefault(row["case"], []).append(row)
    filled = [machine for machine in found.values() if machine.cases]
    return sorted(filled, key=lambda each: str(each.environment["time"]), reverse=True)


def _is_of(red: Row, row: Row) -> bool:
    """Whether ``row`` measures what was ``red`` before."""
    if (red["case"], red.get("input")) != (row["case"], row.get("input")):
        return False
    settings = row.get("settings", {})
    return all(settings.get(key, value) == value for key, value in red.get("settings", {}).items())


def figure_of(row: Row) -> str:
    """The figure of a row in words."""
    if "red" in row:
        return f"red: {row['red']}"
    if "outside_share" in row:
        return f"{row['outside_share']:.1%}"
    if "ratio" in row:
        return f"{row['long']} against {row['short']} {row['unit']}: {row['ratio']:.3f}"
    if "speedup" in row:
        return _spoken(row["speedup"], "x") + "".join(_beside(row))
    if "ours" not in row:
        return str(row.get("said", ""))
    return _spoken(row["ours"], f" {row['unit']}") + "".join(_beside(row))


def _spoken(figures: dict[str, Any], unit: str) -> str:
    return f"{figures['median']:.3g}{unit} ({figures['p20']:.3g} to {figures['p80']:.3g})"


def _beside(row: Row) -> Iterator[str]:
    if "times_real_time" in row:
        rate = row["times_real_time"]
        yield f", {rate['median'] if isinstance(rate, dict) else rate:.3g} hours of footage an hour"
    if "clips_per_s" in row:
        yield f", {row['clips_per_s']['median']:.2g} clips a second"
    if "images_per_s" in row and not isinstance(row["images_per_s"], dict):
        yield f", {row['images_per_s']:.3g} pictures a second"
    if "of_copy" in row:
        share = row["of_copy"]
        yield f", {share['median'] if isinstance(share, dict) else share:.1%} of a copy"
    for name, value in row.get("load", {}).items():
        yield f", {name.replace('_', ' ')} {value['median']:.3g}"


def with_table(readme: str, machine: Machine) -> str:
    """``readme`` with the table of ``machine`` between its two marks.

    Raises:
        ValueError: it has no such marks.
    """
    if readme.count(BEGIN) != 1 or readme.count(END) != 1:
        raise ValueError(f"{README.name}: needs the two lines {BEGIN} and {END}, once each")
    before, rest = readme.split(BEGIN)
    lines = ["| | measured | target |", "| --- | --- | --- |"]
    for target, verdict in machine.verdicts():
        if verdict.met is not None:
            lines.append(f"| {target.name} | {verdict.measured} | {target.wanted}: {_MET[verdict.met]} |")
    after = rest.split(END)[1]
    where = f"On {machine.name}, of commit {machine.commits}:"
    return f"{before}{BEGIN}\n{where}\n\n" + "\n".join(lines) + f"\n{END}{after}"


def _markdown(machines: Sequence[Machine]) -> str:
    lines = ["# What was measured", ""]
    lines += ["Made by `python -m bench report`: medians, with the 20th and 80th percentile. Figures of one row can be"]
    lines += ["compared; seconds of two rows, taken at two moments of a shared machine, hardly."]
    for machine in machines:
        lines += ["", f"## {machine.name}", "", *(f"- {name}: {words}" for name, words in machine.about)]
        lines += ["", "| target | wanted | measured | | rows |", "| --- | --- | --- | --- | --- |"]
        for target, verdict in machine.verdicts():
            files = ", ".join(f"`{file}`" for file in verdict.files)
            lines.append(f"| {target.name} | {target.wanted} | {verdict.measured} | {_MET[verdict.met]} | {files} |")
        for case, rows in sorted(machine.cases.items()):
            lines += ["", f"### {case}: {TITLES.get(case, case)}", ""]
            lines += ["| input | settings | figure | commit | row |", "| --- | --- | --- | --- | --- |"]
            for row in rows:
                cells = (row.get("input", ""), settings_of(row), figure_of(row), row["commit"], f"`{row['file']}`")
                # A name may hold what ends a cell or a line.
                lines.append(f"| {' | '.join(' '.join(cell.split()).replace('|', '&#124;') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _page(machines: Sequence[Machine]) -> str:
    parts = [
        "<!doctype html>\n<html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>bestshot-trt: what was measured</title><style>{_STYLE}</style>\n<h1>What was measured</h1>\n"
        "<p>Medians; whiskers go from the 20th to the 80th percentile, dashed lines are targets. Figures of one row "
        "can be compared; seconds of two rows, taken at two moments of a shared machine, hardly. Made by "
        "<code>python -m bench report</code> from the rows in <code>bench/results/</code>.\n"
    ]
    for machine in machines:
        parts.append(f"<h2>{html.escape(machine.name)}</h2>\n<p class=dim>")
        parts.append("<br>".join(f"{name}: {html.escape(words)}" for name, words in machine.about))
        parts.append(f"\n{_targets(machine)}\n")
        for case, rows in sorted(machine.cases.items()):
            parts += _case(case, rows)
    return "".join(parts) + "\n"


def _targets(machine: Machine) -> str:
    parts = ["<h3>Targets</h3><div class=wide><table><tr><th>target<th>wanted<th>measured<th></tr>\n"]
    for target, verdict in machine.verdicts():
        kind = {True: "met", False: "missed", None: "dim"}[verdict.met]
        cells = "".join(f"<td>{html.escape(text)}" for text in (target.name, target.wanted, verdict.measured))
        files = html.escape(", ".join(verdict.files), quote=True)
        parts.append(f"<tr title='{files}'>{cells}<td class={kind}>{_MET[verdict.met]}</tr>\n")
    return "".join([*parts, "</table></div>"])


def _case(case: str, rows: Sequence[Row]) -> Iterator[str]:
    title = ""
    for chart in charts(case, rows):
        if chart.title != title:
            title = chart.title
            yield f"<h3>{html.escape(title)}</h3>\n"
        yield f"{chart.svg()}\n"
    is_red = any("red" in row for row in rows)
    yield f"<details{' open' if is_red else ''}><summary>{html.escape(case)}: the rows</summary><div class=wide><table>"
    yield "<tr><th>input<th>settings<th>figure<th>commit<th>row</tr>\n"
    for row in rows:
        cells = "".join(f"<td>{html.escape(text)}" for text in (row.get("input", ""), settings_of(row)))
        yield f"<tr>{cells}<td class='figure{' red' if 'red' in row else ''}'>{html.escape(figure_of(row))}"
        yield f"<td>{html.escape(row['commit'])}<td><code>{html.escape(row['file'])}</code></tr>\n"
    yield "</table></div></details>\n"
