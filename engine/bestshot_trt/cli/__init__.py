"""The command line: options -> settings -> one call -> print. Nothing is decided here."""

from __future__ import annotations

import gc
import sys

__all__ = ["main"]


def main() -> None:
    """Entry point of ``bestshot-trt``."""
    try:
        from .exits import run_app

        code = run_app()
        # Python looks for garbage once more at its end, though all goes with the process.
        gc.freeze()
        sys.exit(code)
    except KeyboardInterrupt:
        sys.exit(130)
