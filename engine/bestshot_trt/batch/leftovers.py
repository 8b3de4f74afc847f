"""What batches that were killed left half done in the output folder."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path

from .journal import Journal
from .plan import Layout
from .worklist import FETCHED

_WRITTEN_S = 600.0
"""Nothing takes so long to be written, page and summaries."""


def clear(layout: Layout, journal: Journal) -> None:
    """Remove it, but for what one of them had begun to fetch: that is kept for the batch of ``journal``."""
    for left in (layout.state / "work").glob("*"):
        if not journal.is_alive(left.name):
            _keep_begun(left / FETCHED, layout.begun(journal.owner))
            shutil.rmtree(left, ignore_errors=True)
    for part in layout.state.glob(".*.part.*"):
        with contextlib.suppress(OSError):
            # Another batch may be writing it right now.
            if time.time() - part.stat().st_mtime > _WRITTEN_S:
                part.unlink()


def _keep_begun(fetched: Path, begun: Path) -> None:
    """Of one such batch, since all together may be more than the bound of disk."""
    if fetched.exists() and not begun.exists():
        with contextlib.suppress(OSError):
            begun.parent.mkdir(parents=True, exist_ok=True)
            fetched.rename(begun)
