"""Progress on stderr: a live bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING

from .exits import heed_stop, say

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

SILENT_S = 2.0
"""Work shorter than this says nothing."""
PLAIN_EVERY_S = 5.0
_TICK_S = 0.5


class Meter(AbstractContextManager["Meter"]):
    """Draws what long work reports: how far, how fast (x real time), elapsed and left.

    A thread draws, so that the time goes on also while one step takes long.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live = sys.stderr is not None and sys.stderr.isatty()
        self._stage = ""
        self._done = 0.0
        self._total: float | None = None
        self._unit = "s"
        self._started = 0.0
        self._next_line = 0.0
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="progress", daemon=True)

    def __enter__(self) -> Meter:
        if not self._quiet:
            self._thread.start()
        return self

    def __call__(self, stage: str, done: float, total: float | None, unit: str = "s") -> None:
        """Report that ``stage`` has come ``done`` far of ``total`` in ``unit``, as in `progress.Progress`.

        Raises:
            Stopped: a signal to end came, and a library swallowed what it raised.
        """
        heed_stop()
        with self._lock:
            if stage != self._stage:
                self._finish_bar()
                self._stage, self._started = stage, time.monotonic()
                self._next_line = SILENT_S
            self._done, self._total, self._unit = done, total, unit

    def _watch(self) -> None:
        while not self._ended.wait(_TICK_S):
            with self._lock:
                elapsed = time.monotonic() - self._started
                if self._stage and elapsed >= SILENT_S:
                    self._show(elapsed)

    def _show(self, elapsed: float) -> None:
        if self._live:
            self._draw(elapsed)
        elif elapsed >= self._next_line:
            self._next_line = elapsed + PLAIN_EVERY_S
            say(line(self._stage, self._done, self._total, elapsed, self._unit))

    def _draw(self, elapsed: float) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %  {task.fields[rate]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._stage, total=self._total, rate="")
        assert self._task is not None
        rate = _rate(self._done, elapsed, self._unit)
        self._bar.update(self._task, completed=self._done, total=self._total, rate=rate)

    def _finish_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar = self._task = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self._finish_bar()
        if kind is None:
            heed_stop()


def _rate(done: float, elapsed: float, unit: str) -> str:
    if unit == "steps":
        return ""
    speed = done / elapsed
    return f"{speed:.1f}x real time" if unit == "s" else f"{speed:.1f} {unit}/s"


def line(stage: str, done: float, total: float | None, elapsed: float, unit: str = "s") -> str:
    """One plain line: ``analyze: 44 %, 21 of 47 s, 10.1x real time, 2 s elapsed, 3 s left``."""
    if not done and not total:
        return f"{stage}: {elapsed:.0f} s elapsed"
    share = f"{min(100, 100 * done / total):.0f} %, {done:.0f} of {total:.0f} {unit}" if total else f"{done:.0f} {unit}"
    rate = f", {_rate(done, elapsed, unit)}" if done and unit != "steps" else ""
    left = f", {max(0.0, (total - done) * elapsed / done):.0f} s left" if total and done else ""
    return f"{stage}: {share}{rate}, {elapsed:.0f} s elapsed{left}"
