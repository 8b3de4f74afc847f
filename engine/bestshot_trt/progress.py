"""How long work reports how far it is; the CLI draws it, the Python API may ignore it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called now and then during long work; must return quickly."""

    def __call__(self, stage: str, done: float, total: float | None, unit: str = "s") -> None:
        """``stage`` has come ``done`` far of ``total`` (None: not known), in ``unit``.

        Units are ``s`` of footage (or of clips), ``MB`` of a download, and ``steps``.
        """
        ...


def silent(stage: str, done: float, total: float | None, unit: str = "s") -> None:
    """Report nothing."""
