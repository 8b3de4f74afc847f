"""How long work reports how far it is; the CLI draws it, the Python API may ignore it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called now and then during long work; must return quickly."""

    def __call__(self, stage: str, done: float, total: float | None) -> None:
        """``stage`` has come ``done`` far of ``total`` seconds of footage (or clips); None: not known."""
        ...


def silent(stage: str, done: float, total: float | None) -> None:
    """Report nothing."""
