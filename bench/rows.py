"""Rows as they are printed, kept and read back."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .registry import Row

OURS = Path(__file__).parent / "results"
RESULTS = OURS
"""Where rows are kept; the command's ``--results`` changes it."""


def line(row: Row) -> str:
    """One row as one line."""
    return "  ".join(f"{key}={_short(value)}" for key, value in row.items())


def _short(value: Any) -> str:
    if isinstance(value, dict) and "median" in value:
        return f"{value['median']:.3g} ({value['p20']:.3g} to {value['p80']:.3g})"
    if isinstance(value, dict):
        return ",".join(f"{key}:{_short(each)}" for key, each in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def save(found: list[Row], environment: dict[str, Any], case: str) -> Path:
    """Keep rows with the machine that gave them; names sort by time, and no two files have the same."""
    machine = re.sub(r"[^a-z0-9]+", "-", str(environment["cpu"]).lower()).strip("-") or "unknown"
    now = datetime.datetime.now(tz=datetime.UTC)
    while (path := RESULTS / machine / f"{now:%Y-%m-%d-%H%M%S}-{environment['commit']}-{case}.json").exists():
        now += datetime.timedelta(seconds=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"environment": {**environment, "time": f"{now:%Y-%m-%dT%H:%MZ}"}, "rows": found}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def kept() -> Iterator[tuple[Path, dict[str, Any], list[Row]]]:
    """Every file of rows, oldest first: its path, environment and rows.

    Raises:
        ValueError: a file is damaged.
    """
    for path in sorted(RESULTS.rglob("*.json"), key=lambda path: path.name):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: is damaged ({error}); remove it, and measure again") from error
        if "rows" not in found:
            continue
        if not {"cpu", "cores", "commit"} <= found.get("environment", {}).keys():
            raise ValueError(f"{path}: does not say what it was measured on; remove it, and measure again")
        yield path, found["environment"], found["rows"]
