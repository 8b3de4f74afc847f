"""The workers of one batch: how many there are, what each may use, and when one has to go."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import wait
from pathlib import Path

from ... import errors
from ...config import BatchConfig, Config
from ...errors import BestshotError, ExportError
from .messages import Answer, Failed, Prepare, Ready
from .process import COMMAND, Line, Worker

TICK_S = 0.25
_MEMORY_SHARE = 0.8


class Crew:
    """Starts workers as they are needed, on ``devices`` in turn, and ends them.

    ``logs`` is the folder for what they print; each makes results in a folder of its own in ``staging``.
    """

    def __init__(
        self,
        batch: BatchConfig,
        logs: Path,
        staging: Path,
        *,
        devices: Sequence[str | None] = (None,),
        place: str = "cpu",
        command: Sequence[str] = COMMAND,
        start: Callable[..., Line] = Worker,
    ) -> None:
        self._batch, self._logs, self._staging = batch, logs, staging
        self._devices, self._command, self._start = devices, command, start
        self.place = place
        """What they run on, as `rates.Measured` calls it."""
        self.count = batch.workers or 1
        """How many there may be."""
        self.workers: dict[int, Line] = {}

    @property
    def on_gpu(self) -> bool:
        """Whether they work on GPUs."""
        return self._devices[0] is not None

    @property
    def busy(self) -> list[Line]:
        """Those with a task."""
        return [worker for worker in self.workers.values() if not worker.idle]

    def free(self) -> Iterator[int]:
        """Numbers of workers that have no task, started or not."""
        for number in range(self.count):
            if number not in self.workers or self.workers[number].idle:
                yield number

    def worker(self, number: int) -> Line:
        """The worker of this number, started if need be."""
        if number not in self.workers:
            device = self._devices[number % len(self._devices)]
            cores = self.cores(number)
            self.workers[number] = self._start(
                number, self._log(number), device=device, cores=cores, command=self._command
            )
        return self.workers[number]

    def prepare(self, config: Config, beat: Callable[[], None]) -> Ready:
        """What the settings come to, asked of the first worker before any file is worked on.

        ``beat`` is called while that takes its time.

        Raises:
            ExportError: it says nothing. Whatever else it says is wrong with the settings.
        """
        worker = self.worker(0)
        worker.give(Prepare(config=config), "prepare")
        while True:
            beat()
            if not wait([worker.connection], TICK_S):
                if worker.still_s() > self._batch.stall:
                    raise ExportError(f"the first worker does nothing; see {self._log(0)}")
                continue
            try:
                answer = worker.receive()
            except EOFError:
                raise ExportError(f"no worker can be started: {worker.end()}; see {self._log(0)}") from None
            if isinstance(answer, Failed):
                raise getattr(errors, answer.kind, BestshotError)(answer.reason)
            if isinstance(answer, Ready):
                worker.doing = None
                return answer

    def hear(self, worker: Line, lost: Callable[[Line, str], None]) -> Answer | None:
        """What a worker says; None where it is gone, which ``lost`` is told with the reason."""
        try:
            return worker.receive()
        except EOFError:
            lost(worker, worker.end() or "its worker closed the line")
            return None

    def _log(self, number: int) -> Path:
        return self._logs / f"worker-{number}.txt"

    def cores(self, number: int, *, alone: bool = False) -> list[int]:
        """A worker's share of the cores; all of them where it works ``alone``."""
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        return cores if alone or not cores else cores[number % len(cores) :: self.count]

    def staging(self, worker: Line) -> Path:
        """Where a worker makes results."""
        return self._staging / str(worker.number)

    def clear(self, worker: Line) -> None:
        """Remove what a worker left half done."""
        shutil.rmtree(self.staging(worker), ignore_errors=True)

    def drop(self, worker: Line) -> None:
        """End a worker; the next task of its number goes to a fresh one."""
        del self.workers[worker.number]
        worker.end()
        self.clear(worker)

    def drop_if_used_up(self, worker: Line) -> None:
        """End a worker that has done its share of takes, or has grown."""
        if worker.finished >= self._batch.recycle or worker.memory() > self._memory_limit() / 2:
            self.drop(worker)

    def shrink(self) -> bool:
        """One worker fewer from now on; False where each has a device of its own already."""
        if self.count <= len(self._devices):
            return False
        self.count -= 1
        return True

    def fault(self, worker: Line) -> str | None:
        """Why a worker has to go: its work does not move on, or it takes too much memory."""
        limit = self._memory_limit()
        if worker.still_s() > self._batch.stall:
            return f"nothing moved for {self._batch.stall:g} s, and its worker was ended"
        if worker.memory() > limit:
            return f"its worker took more than {limit / 2**30:.1f} GiB of memory, and was ended"
        return None

    def _memory_limit(self) -> float:
        if self._batch.memory is not None:
            return self._batch.memory * 2**30
        return _MEMORY_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / self.count

    def end(self) -> None:
        """End all of them."""
        for worker in self.workers.values():
            worker.end()
        self.workers.clear()
        shutil.rmtree(self._staging, ignore_errors=True)
