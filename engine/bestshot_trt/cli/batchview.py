"""What a batch says while it runs: a live table on a terminal, plain lines elsewhere, or JSON."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..batch.worklist import without_path
from ..clock import clock
from ..errors import shown
from .exits import say

if TYPE_CHECKING:
    from rich.live import Live

    from ..batch.metrics import Metrics
    from ..batch.outputs.summary import Digest
    from ..batch.supervisor import Supervisor
    from ..cards.load import Load, Loads

PLAIN_EVERY_S = 30.0
_SENTENCES = {
    "done": "{path}: done, {footage} of footage in {seconds:.0f} s",
    "before": "{path}: done before",
    "duplicate": "{path}: the same as {of}",
    "skipped": "{path}: left out: {reason}",
    "retry": "{path}: {reason}; trying again",
    "failed": "{path}: failed: {reason}",
    "fetching": "{path}: fetching",
    "paused": "{folder}: the disk is full; free some space, and the batch goes on by itself",
    "resumed": "{folder}: there is room again; going on",
    "fewer": "out of memory; going on with {workers} workers",
    "stopped": "stopping: {reason}",
}


class View(AbstractContextManager["View"]):
    """Plain lines on stderr: what happened to each file, and now and then how far the batch is."""

    def __init__(self, files: int) -> None:
        self._files = files
        self._boss: Supervisor | None = None
        self.metrics: Metrics | None = None
        self.digest: Digest | None = None
        self.loads: Loads | None = None
        self._next = time.monotonic() + PLAIN_EVERY_S

    def watch(self, boss: Supervisor) -> None:
        """Say from now on how far ``boss`` is."""
        self._boss = boss

    def hear(self, event: str, **fields: Any) -> None:
        """Report ``event``, and publish the figures."""
        self.tell(event, **fields)
        if self.digest is not None:
            self.digest.turn()
        if self.metrics is not None and self._boss is not None:
            self.metrics.update(self._boss, self.cards())

    def cards(self) -> tuple[Load, ...]:
        """How busy each card is, where somebody samples that."""
        return self.loads.latest if self.loads is not None else ()

    def publish(self) -> None:
        """Publish the last figures."""
        if self.metrics is not None and self._boss is not None:
            self.metrics.update(self._boss, self.cards(), now=True)

    def tell(self, event: str, **fields: Any) -> None:
        """Report ``event``."""
        if event == "tick":
            self._tick()
        elif event == "started":
            self.line(f"{self._files} files, backend {fields['backend']}, model {fields['model']}")
            if fields["note"]:
                self.line(fields["note"])
        elif event in _SENTENCES:
            if "path" in fields and "reason" in fields:
                fields["reason"] = without_path(fields["path"], fields["reason"])
            named = {key: shown(value) if isinstance(value, Path) else value for key, value in fields.items()}
            self.line(_SENTENCES[event].format(**named, footage=clock(fields.get("footage_s", 0))))

    def line(self, text: str) -> None:
        """Print one line."""
        say(text)

    def _tick(self) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + PLAIN_EVERY_S
            say(self.state())
            for number, load in enumerate(self.cards()):
                say(f"card {number}, {load.name}: {load}")

    def state(self) -> str:
        """How far the batch is, in one line."""
        assert self._boss is not None
        tally = self._boss.tally
        elapsed = max(time.monotonic() - tally.started, 1e-3)
        left = self._boss.seconds_left()
        parts = [
            f"{tally.settled} of {tally.files} files",
            f"{len(tally.failures)} failed" if tally.failures else "",
            f"{tally.footage_s / elapsed:.1f} hours of footage per hour",
            f"{clock(elapsed, 0)} elapsed",
            f"about {clock(left, 0)} left" if left else "",
        ]
        return ", ".join(filter(None, parts))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class Silent(View):
    """Says only what needs somebody to act."""

    def tell(self, event: str, **fields: Any) -> None:
        """Report that the disk is full, and nothing else."""
        if event in ("paused", "resumed"):
            super().tell(event, **fields)


class JsonLines(View):
    """One JSON object a line on stderr: ``at``, ``event`` and the event's own fields."""

    def tell(self, event: str, **fields: Any) -> None:
        """Report ``event``; now and then how far each worker is."""
        if event != "tick":
            self._put(event, fields)
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + PLAIN_EVERY_S
            assert self._boss is not None
            tally = self._boss.tally
            cards = [dataclasses.asdict(load) for load in self.cards()]
            figures = {"settled": tally.settled, "files": tally.files, "failed": len(tally.failures), "cards": cards}
            self._put("progress", figures)

    def _put(self, event: str, fields: dict[str, Any]) -> None:
        say(json.dumps({"at": round(time.time(), 3), "event": event, **fields}, default=_plain))


def _plain(value: Any) -> Any:
    return shown(value) if isinstance(value, Path) else list(value)


class LiveView(View):
    """A table of the workers under the lines of what happened."""

    _live: Live

    def __enter__(self) -> LiveView:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
        self._live.start()
        return self

    def line(self, text: str) -> None:
        """Print one line above the table."""
        from rich.text import Text

        self._live.console.print(Text(shown(text)))

    def _tick(self) -> None:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        assert self._boss is not None
        table = Table.grid(padding=(0, 2))
        for number, worker in sorted(self._boss.workers.items()):
            job, moved = worker.doing, worker.moved
            name = "" if job is None or isinstance(job, str) else shown(job.footage.path.name)
            share = f"{min(1, moved.done / moved.total):4.0%}" if job and moved and moved.total else ""
            stage = "waiting" if job is None else moved.stage if moved else "opening"
            place = _place(worker.device)
            memory = f"{worker.memory() / 2**20:.0f} MiB"
            table.add_row(f"worker {number}", place, stage, share, memory, Text(name))
        cards = [Text(shown(f"card {number}, {load.name}: {load}")) for number, load in enumerate(self.cards())]
        self._live.update(Group(table, *cards, Text(self.state())), refresh=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()


def _place(device: str | None) -> str:
    """What a worker works on, briefly: of the name of a MIG instance its beginning."""
    if device is None:
        return "CPU"
    return device[:12] if device.startswith(("MIG-", "GPU-")) else f"GPU {device}"


def open_view(files: int, *, quiet: bool, as_json: bool, metrics: str | None = None) -> View:
    """The view that fits where stderr goes; it also publishes to ``metrics``, as `Metrics` takes it.

    Raises:
        BackendUnavailable, ConfigError: as `Metrics`.
    """
    view = _view(files, quiet=quiet, as_json=as_json)
    if metrics is not None:
        from ..batch.metrics import Metrics

        view.metrics = Metrics(metrics)
    return view


def _view(files: int, *, quiet: bool, as_json: bool) -> View:
    if as_json:
        return JsonLines(files)
    if quiet:
        return Silent(files)
    return LiveView(files) if sys.stderr is not None and sys.stderr.isatty() else View(files)
