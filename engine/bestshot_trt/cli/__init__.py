"""The command line: options -> settings -> one call -> print. Nothing is decided here."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Entry point of ``bestshot-trt``."""
    try:
        from .exits import run_app

        sys.exit(run_app())
    except KeyboardInterrupt:
        sys.exit(130)
