"""The batch at a glance: ``summary.json``, ``summary.csv`` and ``index.html`` in its folder."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import BestshotError, shown
from ...files import write_text
from .. import plan
from ..worklist import Tally, without_path
from .best import as_plain, best_moments
from .page import page
from .place import Place
from .shelf import Shelf

JSON, CSV, PAGE = "summary.json", "summary.csv", "index.html"
EVERY_S = 600.0
"""Seconds between two summaries while a batch goes on."""
BEST = 24
"""Moments of the whole batch that the page shows."""
_ALL = 1 << 62
_COLUMNS = ("take", "source", "state", "duration_s", "moments", "best_peak_s", "best_score", "best_raw_score", "reason")


def write_summary(root: Path, tally: Tally, shelf: Shelf | None = None) -> None:
    """Write all three from the results in place on ``shelf``, by default ``root``'s, and from ``tally``.

    Raises:
        ExportError: one cannot be written. InputError: what is in place cannot be read.
    """
    shelf = shelf or Shelf(root)
    there = list(shelf.takes()) if shelf else []
    raw = {(moment.take, moment.peak_s): moment.raw_score for moment in best_moments(shelf, _ALL, None, there)}
    takes = [_take(shelf, name, document, raw) for name, document in there]
    failures = [_failure(path, reason) for path, reason in list(tally.failures)]
    best = best_moments(shelf, BEST, takes=there)
    names = ("files", "done", "before", "duplicates", "skipped", "stopped")
    counts = {**{name: getattr(tally, name) for name in names}, "failed": len(failures)}
    document = {
        "schema": "bestshot-trt/batch",
        "version": 1,
        "counts": counts,
        "takes": takes,
        "failures": failures,
        "best": [as_plain(moment) for moment in best],
    }
    # Made where a later batch clears up, should this one be killed.
    making = plan.Layout(root).state
    write_text(root / JSON, json.dumps(document, indent=2, ensure_ascii=False) + "\n", making)
    write_text(root / CSV, _csv([*takes, *failures]), making)
    write_text(root / PAGE, page(shelf, counts, takes, failures, best), making)


class Digest:
    """Writes the summary of a batch that goes on, now and then, in a thread, and sends it where results are."""

    def __init__(self, place: Place, tally: Tally, every_s: float = EVERY_S) -> None:
        self._place, self._tally, self._every_s = place, tally, every_s
        self._next = time.monotonic() + every_s
        self._thread: threading.Thread | None = None

    def turn(self) -> None:
        """Begin, if it is time."""
        if time.monotonic() >= self._next and (self._thread is None or not self._thread.is_alive()):
            self._next = time.monotonic() + self._every_s
            self._thread = threading.Thread(target=self._try, name="summary", daemon=True)
            self._thread.start()

    def _try(self) -> None:
        # What is wrong shows when the batch ends.
        with contextlib.suppress(BestshotError, OSError):
            publish_summary(self._place, self._tally)

    def end(self) -> None:
        """Write the last one.

        Raises:
            ExportError: it cannot be written or sent. InputError: what is in place cannot be read.
        """
        if self._thread is not None:
            self._thread.join()
        publish_summary(self._place, self._tally)


def publish_summary(place: Place, tally: Tally) -> None:
    """Write the summary of all takes that are in place, and send it where they are.

    Raises:
        ExportError: it cannot be written or sent. InputError: what is in place cannot be read.
    """
    write_summary(place.root, tally, place.shelf())
    for name in (JSON, CSV, PAGE):
        place.publish(name)


def _take(shelf: Shelf, name: str, document: Any, raw: Mapping[tuple[str, float], float]) -> dict[str, Any]:
    """The take's row. Its best moment is the first of its own picks; the batch may rank another of them higher."""
    first = document.moments[0] if document.moments else None
    take = f"{plan.TAKES}/{name}"
    reports = [report for report in ("report.html", "contact_sheet.jpg") if shelf.holds(name, report)]
    return {
        "take": take,
        "source": shown(document.source.path),
        "state": "done",
        "duration_s": document.source.duration_s,
        "moments": len(document.moments),
        "best_peak_s": None if first is None else first.peak_s,
        "best_score": None if first is None else first.score_smooth,
        "best_raw_score": None if first is None else raw[take, first.peak_s],
        "reason": "",
        "model": document.model,
        "report": reports[0] if reports else None,
    }


def _failure(path: str, reason: str) -> dict[str, Any]:
    empty = dict.fromkeys(_COLUMNS, "")
    return {**empty, "source": shown(path), "state": "failed", "reason": without_path(path, reason)}


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
