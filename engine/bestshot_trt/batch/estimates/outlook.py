"""How much longer a batch will take, told from what it has done so far and from batches before it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from ...config import Config
from ..sources.inputs import Footage
from ..workers.process import Line
from ..workers.splitting import PART
from . import rates
from .rates import Circumstances, Measured, Rates, Work

_AFTERWARDS = ("pictures", "export")
"""Stages of a take's work when it has been analysed."""
_SETTLED = ("done", "before", "duplicate", "skipped", "failed")


class Outlook:
    """Hears what happens to the files of one batch.

    Files that nobody has looked at count by their bytes, and are taken for as much work as those given out so far.
    """

    def __init__(
        self, footage: Sequence[Footage], config: Config, here: Circumstances, folder: Iterable[Measured]
    ) -> None:
        self._config, self.here, self._folder = config, here, list(folder)
        self._machine = rates.of_this_machine()
        self.measured: list[Measured] = []
        """What takes of this batch have cost."""
        self._sizes = {str(item.source): _size(item) for item in footage}
        self._given: dict[str, bool] = {}
        """Whether each take that was given out had to be analysed."""
        self._parted: set[str] = set()
        """Takes that were analysed in stretches, which are only to be joined."""
        self._know()

    def _know(self) -> None:
        self._rates = Rates(self.here, self._config, [*self._folder, *self.measured], self._machine)

    def hear(self, event: str, fields: dict[str, Any]) -> None:
        """Take note of an event, as views are told of it."""
        if event in _SETTLED:
            self._sizes.pop(str(fields["path"]), None)
        elif event == "given":
            source, stages = str(fields["path"]), fields["stages"]
            self._given[source] = stages.startswith("analyze")
            if stages == PART:
                self._parted.add(source)

    def learn(self, measured: Measured) -> None:
        """Take note of what a take has cost."""
        self.measured.append(measured)
        self._know()

    def seconds_left(self, workers: Sequence[Line], count: int) -> float:
        """Until all files are settled, by ``count`` workers, of which these are there; 0 while nobody can tell."""
        work = self._work_left()
        if work.analyzed and not work.footage_s:
            return 0.0
        for worker in workers:
            source = getattr(getattr(worker.doing, "footage", None), "source", None)
            if source is not None and str(source) in self._sizes:
                work += self._done_of(worker, str(source))
        return max(0.0, self._rates.seconds(work, count))

    def _work_left(self) -> Work:
        sizes = self._sizes.values()
        known = [size for size in sizes if size is not None]
        # How large remote files are shows when their turn comes.
        usual = sum(known) / len(known) if known else self._rates.usual_size
        bytes_left = sum(known) + (len(sizes) - len(known)) * usual
        analysed = sum(self._given.values()) / len(self._given) if self._given else 1.0
        whole = self._rates.guess(bytes_left, len(sizes))
        return dataclasses.replace(
            whole,
            analyzed=round(whole.analyzed * analysed),
            footage_s=whole.footage_s * analysed,
            pixels=whole.pixels * analysed,
        )

    def _done_of(self, worker: Line, source: str) -> Work:
        """What is done already of a take in work, as a negative."""
        size = self._sizes[source]
        whole = self._rates.guess(self._rates.usual_size if size is None else size)
        share = self._share_of(worker, source) if self._given.get(source) else 0.0
        return Work(footage_s=-share * whole.footage_s, pixels=-share * whole.pixels)

    def _share_of(self, worker: Line, source: str) -> float:
        """How much of the take's analysis this worker has done."""
        moved, within = worker.moved, getattr(worker.doing, "within", None)
        if (source in self._parted and within is None) or (moved is not None and moved.stage in _AFTERWARDS):
            return 1.0
        if moved is None or moved.stage != "analyze" or not moved.total:
            return 0.0
        start = within.start / self._config.analyze.fps if within is not None else 0.0
        return min(1.0, max(0.0, moved.done - start) / moved.total)


def _size(item: Footage) -> int | None:
    try:
        return item.path.stat().st_size if item.uri is None else None
    except OSError:
        return None
