"""How timed runs become the figures of a row."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bestshot_trt.decode import probe
from bestshot_trt.speed.timing import Pairs, summarise


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, 20th and 80th percentile, and how many."""
    return dataclasses.asdict(summarise(values))


def alone(seconds: Sequence[float]) -> dict[str, Any]:
    """Seconds of one side."""
    return {"unit": "s", "ours": spread(seconds)}


def rate(unit: str, amount: float, seconds: Sequence[float]) -> dict[str, Any]:
    """``amount`` a second, run by run."""
    return {"unit": unit, "ours": spread([amount / each for each in seconds])}


def compared(pairs: Pairs, footage_s: float | None = None) -> dict[str, Any]:
    """Seconds of both sides and how many times faster ours is; with ``footage_s`` also times real time.

    Times real time is also how many hours of footage this machine takes in an hour.
    """
    figures: dict[str, Any] = {
        "unit": "s",
        "ours": spread(pairs.ours),
        "baseline": spread(pairs.baseline),
        "speedup": dataclasses.asdict(pairs.speedup),
    }
    if footage_s:
        figures["footage_s"] = round(footage_s, 3)
        figures["times_real_time"] = round(footage_s / figures["ours"]["median"], 2)
    return figures


def take_of(path: Path) -> dict[str, Any]:
    """What kind of footage a row is about."""
    info = probe(path)
    frame_rate = round(float(info.frame_rate), 2) if info.frame_rate else None
    return {"codec": info.codec, "picture": f"{info.width}x{info.height}", "frame_rate": frame_rate}


def footage_s(path: Path) -> float:
    """Seconds of footage, as the file says."""
    return float(probe(path).duration_claim or 0)
