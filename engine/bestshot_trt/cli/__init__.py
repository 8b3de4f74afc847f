"""The command line: options -> settings -> one call -> print. Nothing is decided here."""

from __future__ import annotations

import sys

from .app import app

__all__ = ["app", "main"]


def main() -> None:
    """Entry point of ``bestshot-trt``."""
    from .exits import INTERRUPTED, say

    try:
        app()
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(INTERRUPTED)
