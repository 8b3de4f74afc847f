"""How far a batch is, as Prometheus reads it: a file for node_exporter's textfile collector, or a port."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BackendUnavailable, ConfigError, ExportError, shown

if TYPE_CHECKING:
    from ..cards.load import Load
    from .supervisor import Supervisor

EVERY_S = 5.0
_STATES = ("done", "before", "duplicates", "skipped", "failed")
_HIGHEST_PORT = 65535


class Metrics:
    """Publishes the figures of one batch to ``where``, a file's name or the number of a port on this machine.

    Raises:
        BackendUnavailable: prometheus-client is not installed.
        ConfigError: the port cannot be had.
    """

    def __init__(self, where: str) -> None:
        try:
            import prometheus_client as prometheus
        except ImportError:
            raise BackendUnavailable('--metrics needs: pip install "bestshot-trt[metrics]"') from None
        self._registry = prometheus.CollectorRegistry()
        self._path = None if where.isdecimal() else Path(where)
        self._next = 0.0

        def gauge(name: str, text: str, *labels: str) -> prometheus.Gauge:
            return prometheus.Gauge(f"bestshot_batch_{name}", text, labels, registry=self._registry)

        self._files = gauge("files", "Files by what became of them", "state")
        self._waiting = gauge("files_waiting", "Files not settled yet")
        self._footage = gauge("footage_seconds", "Footage worked on")
        self._elapsed = gauge("elapsed_seconds", "Time since the batch began")
        self._busy = gauge("workers_busy", "Workers with a task")
        self._memory = gauge("worker_memory_bytes", "Memory that a worker holds", "worker")
        self._load = gauge("card_load_ratio", "Share of time that a card's decoders or SMs were busy", "card", "part")
        self._held = gauge("card_memory_used_bytes", "Memory of a card that is taken", "card")
        if self._path is None:
            if int(where) > _HIGHEST_PORT:
                raise ConfigError(
                    f"--metrics {where}: there is no such port; name one up to {_HIGHEST_PORT}, or a file"
                )
            try:
                prometheus.start_http_server(int(where), addr="127.0.0.1", registry=self._registry)
            except OSError as error:
                raise ConfigError(f"--metrics {where}: the port cannot be had: {error.strerror}") from error

    def update(self, boss: Supervisor, cards: Sequence[Load] = (), *, now: bool = False) -> None:
        """Publish how far ``boss`` is, and how busy ``cards`` are, every few seconds or ``now``.

        Raises:
            ExportError: the file cannot be written.
        """
        if not now and time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY_S
        tally = boss.tally
        counts = (tally.done, tally.before, tally.duplicates, tally.skipped, len(tally.failures))
        for state, count in zip(_STATES, counts, strict=True):
            self._files.labels(state).set(count)
        self._waiting.set(tally.files - tally.settled)
        self._footage.set(tally.footage_s)
        self._elapsed.set(time.monotonic() - tally.started)
        self._busy.set(sum(not worker.idle for worker in boss.workers.values()))
        self._memory.clear()
        for number, worker in boss.workers.items():
            self._memory.labels(str(number)).set(worker.memory())
        self._publish_cards(cards)
        if self._path is not None:
            self._write(self._path)

    def _publish_cards(self, cards: Sequence[Load]) -> None:
        for gauge in (self._load, self._held):
            gauge.clear()
        for number, card in enumerate(cards):
            for part, percent in (("decoder", card.decoder), ("sm", card.sm)):
                if percent is not None:
                    self._load.labels(str(number), part).set(percent / 100)
            if card.used is not None:
                self._held.labels(str(number)).set(card.used)

    def _write(self, path: Path) -> None:
        import prometheus_client

        try:
            prometheus_client.write_to_textfile(str(path), self._registry)
        except OSError as error:
            raise ExportError(f"{shown(path)}: cannot be written: {error.strerror or error}") from error
