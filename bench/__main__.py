"""``python -m bench analyze FILE...``, ``memory FILE...`` or ``embed MODEL_FOLDER...``; ``--save`` keeps the rows."""

from __future__ import annotations

import argparse
import datetime
import json
import re
from pathlib import Path
from typing import Any

from . import analyze, embed, env, memory

RESULTS = Path(__file__).parent / "results"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    cases = parser.add_subparsers(dest="case", required=True)
    for name, text in (
        ("analyze", "analyze against a full decode by ffmpeg, in turn"),
        ("memory", "peak memory of a long take against a short one"),
        ("embed", "pictures a second through a CLIP model, by precision and batch"),
    ):
        case = cases.add_parser(name, help=text)
        case.add_argument("files", nargs="+", type=Path)
        case.add_argument("--save", action="store_true", help="write the rows to bench/results")
    for name in ("analyze", "embed"):
        cases.choices[name].add_argument("--runs", type=int, default=5)
    cases.choices["memory"].add_argument("--short", type=float, default=600, help="seconds (default 600)")
    cases.choices["memory"].add_argument("--long", type=float, default=3600, help="seconds (default 3600)")
    return parser.parse_args()


def _measure(options: argparse.Namespace, path: Path) -> list[dict[str, Any]]:
    if options.case == "analyze":
        return [analyze.measure(path, options.runs)]
    if options.case == "embed":
        return embed.measure(path, options.runs)
    return [memory.measure(path, options.short, options.long)]


def _save(rows: list[dict[str, Any]], environment: dict[str, Any], case: str) -> Path:
    machine = re.sub(r"[^a-z0-9]+", "-", str(environment["cpu"]).lower()).strip("-") or "unknown"
    today = datetime.datetime.now(tz=datetime.UTC).date()
    path = RESULTS / machine / f"{today}-{environment['commit']}-{case}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"environment": environment, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    return path


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Measure, print a row a file, and keep them on request."""
    options = _arguments()
    environment = env.describe()
    rows: list[dict[str, Any]] = []
    for path in options.files:
        for row in _measure(options, path):
            rows.append(row)
            print("  ".join(f"{key}={_short(value)}" for key, value in row.items()))
    if options.save:
        print(_save(rows, environment, options.case))


if __name__ == "__main__":
    main()
