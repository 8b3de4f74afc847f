"""Times as people read them on a player: h:mm:ss."""

from __future__ import annotations


def clock(seconds: float, digits: int = 1) -> str:
    """``seconds`` as ``h:mm:ss`` with ``digits`` decimals, rounded to the nearest."""
    scale = 10**digits
    whole, part = divmod(round(seconds * scale), scale)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" + (f".{part:0{digits}d}" if digits else "")
