"""How timed pairs become the figures of a row."""

from __future__ import annotations

import dataclasses
from typing import Any

from bestshot_trt.speed.timing import Pairs, summarise


def compared(pairs: Pairs, footage_s: float | None = None) -> dict[str, Any]:
    """Seconds of both sides and how many times faster ours is; with ``footage_s`` also times real time."""
    figures: dict[str, Any] = {
        "unit": "s",
        "ours": dataclasses.asdict(summarise(pairs.ours)),
        "baseline": dataclasses.asdict(summarise(pairs.baseline)),
        "speedup": dataclasses.asdict(pairs.speedup),
    }
    if footage_s:
        figures["footage_s"] = round(footage_s, 3)
        figures["times_real_time"] = round(footage_s / figures["ours"]["median"], 2)
    return figures
