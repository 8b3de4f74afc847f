"""How many cores this process may use."""

from __future__ import annotations

import os


def usable_cores() -> int | None:
    """Cores the system lets this process run on, or has, where it knows no such limit; None where neither is known."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
