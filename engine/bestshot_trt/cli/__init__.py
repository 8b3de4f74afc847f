"""The command line: options -> settings -> one call -> print. Nothing is decided here."""

from __future__ import annotations

import gc
import os
import sys

__all__ = ["main"]

_SOON = "4"
"""OpenBLAS's threads wait for work in a loop for 2 to this power of clock cycles, 26 by default, before they sleep."""


def main() -> None:
    """Entry point of ``bestshot-trt``."""
    # NumPy and OpenCV each start such threads, which would take turns with those that decode, for almost no work.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", _SOON)
    try:
        from .exits import run_app

        code = run_app()
        # Python looks for garbage once more at its end, though all goes with the process.
        gc.freeze()
        sys.exit(code)
    except KeyboardInterrupt:
        sys.exit(130)
