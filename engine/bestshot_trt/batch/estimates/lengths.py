"""How long takes claim to be, asked of worker processes: a file that crashes or hangs one takes only that along."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import wait
from pathlib import Path

from ...config import BatchConfig
from ..sources.inputs import Footage
from ..workers.crew import TICK_S, Crew
from ..workers.messages import Failed, Length, LengthTask
from ..workers.process import COMMAND, Line

_STALL_S = 60.0
_MOST = 8
_EACH = 16
"""One more worker for so many files."""


def lengths_of(footage: Sequence[Footage], stall: float, command: Sequence[str] = COMMAND) -> list[Length | Failed]:
    """What each file claims, or why it says nothing, in order; none may take more than ``stall`` seconds."""
    if not footage:
        return []
    workers = min(_MOST, 1 + len(footage) // _EACH)
    batch = BatchConfig(workers=workers, stall=min(stall, _STALL_S))
    with tempfile.TemporaryDirectory(prefix="bestshot-") as folder:
        crew = Crew(batch, Path(folder), Path(folder) / "work", command=command)
        try:
            return _Round(footage, crew).answers()
        finally:
            crew.end()


class _Round:
    """Each file is given out once; a worker that is lost is the fault of the file it had."""

    def __init__(self, footage: Sequence[Footage], crew: Crew) -> None:
        self._crew = crew
        self._left = deque(enumerate(footage))
        self._found: dict[int, Length | Failed] = {}

    def answers(self) -> list[Length | Failed]:
        while self._left or self._crew.busy:
            for number in self._crew.free():
                if self._left:
                    index, item = self._left.popleft()
                    self._crew.worker(number).give(LengthTask(path=item.path, uri=item.uri), index)
            busy = self._crew.busy
            ready = wait([worker.connection for worker in busy], TICK_S)
            for worker in busy:
                if worker.connection in ready:
                    self._hear(worker)
                elif fault := self._crew.fault(worker):
                    self._lost(worker, fault)
        return [self._found[index] for index in sorted(self._found)]

    def _hear(self, worker: Line) -> None:
        answer = self._crew.hear(worker, self._lost)
        if isinstance(answer, Length | Failed):
            self._found[worker.doing], worker.doing = answer, None

    def _lost(self, worker: Line, reason: str) -> None:
        self._found[worker.doing] = Failed(kind="WorkerLost", reason=reason)
        self._crew.drop(worker)
