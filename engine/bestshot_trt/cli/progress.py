"""Progress on stderr: a live bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

SILENT_S = 2.0
"""Work shorter than this says nothing."""
PLAIN_EVERY_S = 5.0
_UNITS = {"analyze": "s of footage", "export": "clips", "render": "s of footage"}


class Meter(AbstractContextManager["Meter"]):
    """Draws what long work reports: how far, how fast (x real time), elapsed and left."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty()
        self._stage = ""
        self._started = 0.0
        self._spoke = 0.0
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __call__(self, stage: str, done: float, total: float | None) -> None:
        """Report that ``stage`` has come ``done`` far of ``total``."""
        if self._quiet:
            return
        now = time.monotonic()
        if stage != self._stage:
            self._finish_bar()
            self._stage, self._started, self._spoke = stage, now, now
        elapsed = now - self._started
        if elapsed < SILENT_S:
            return
        if self._live:
            self._draw(done, total, elapsed)
        elif now - self._spoke >= (SILENT_S if self._spoke == self._started else PLAIN_EVERY_S):
            self._spoke = now
            print(self._line(done, total, elapsed), file=sys.stderr, flush=True)

    def _rate(self, done: float, elapsed: float) -> str:
        if self._stage == "export":
            return f"{done / elapsed:.2f} clips/s"
        return f"{done / elapsed:.1f}x real time"

    def _line(self, done: float, total: float | None, elapsed: float) -> str:
        share = f"{min(100, 100 * done / total):.0f} %, " if total else ""
        left = f", {max(0.0, (total - done) * elapsed / done):.0f} s left" if total and done else ""
        unit = _UNITS.get(self._stage, "")
        return f"{self._stage}: {share}{done:.0f} {unit}, {self._rate(done, elapsed)}, {elapsed:.0f} s elapsed{left}"

    def _draw(self, done: float, total: float | None, elapsed: float) -> None:
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
            self._task = self._bar.add_task(self._stage, total=total, rate="")
        assert self._task is not None
        self._bar.update(self._task, completed=done, total=total, rate=self._rate(done, elapsed))

    def _finish_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar = self._task = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finish_bar()
