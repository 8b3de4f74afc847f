"""One worker process as its supervisor sees it: what it does, how far it came, how much memory it has."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from .messages import Answer, Moved

COMMAND = (sys.executable, "-m", "bestshot_trt.batch.workers.worker")
_LOG_BYTES = 1 << 20
_LAST_MOMENT_S = 10.0


class Line(ABC):
    """What does the tasks that it is given, one after the other, wherever that is."""

    connection: Connection
    """Where its answers come; to be waited for."""

    def __init__(self, number: int, device: str | None) -> None:
        self.number = number
        self.device = device
        self.finished = 0
        """Takes it has done."""
        self.doing: Any = None
        self.moved: Moved | None = None
        self.since = self.started = time.monotonic()
        self.closed = False
        """Whether it has closed the line, as it does when it ends."""

    @property
    def idle(self) -> bool:
        """Whether it waits for a task."""
        return self.doing is None

    @abstractmethod
    def use(self, cores: Sequence[int]) -> None:
        """Run on these cores from the next task on, with as many threads; none: as it is."""

    def give(self, task: Any, doing: Any) -> None:
        """Send a task; ``doing`` is what it is about. A worker that is gone shows that at `receive`."""
        self.doing, self.moved = doing, None
        self.since = self.started = time.monotonic()
        self._send(task)

    @abstractmethod
    def _send(self, task: Any) -> None: ...

    def receive(self) -> Answer:
        """The next answer; the watch starts anew only where it says that work moved on.

        Raises:
            EOFError: the worker is gone.
        """
        try:
            answer: Answer = self.connection.recv()
        except (EOFError, OSError) as error:
            self.closed = True
            raise EOFError from error
        if not isinstance(answer, Moved) or answer != self.moved:
            self.since = time.monotonic()
        if isinstance(answer, Moved):
            self.moved = answer
        return answer

    def still_s(self) -> float:
        """Seconds since its work moved on."""
        return time.monotonic() - self.since

    @abstractmethod
    def memory(self) -> int:
        """Bytes of memory it holds, 0 where that is not known."""

    @abstractmethod
    def end(self) -> str:
        """End it and all it started; how it ended, in words, if it had done so by itself."""


class Worker(Line):
    """A child process and the pipe to it. What it prints goes to ``log``."""

    def __init__(
        self, number: int, log: Path, *, device: str | None, cores: Sequence[int], command: Sequence[str] = COMMAND
    ) -> None:
        super().__init__(number, device)
        ours, theirs = Pipe()
        environment = dict(os.environ, PYTHONUNBUFFERED="1")
        if device is not None:
            environment["CUDA_VISIBLE_DEVICES"] = device
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.unlink()
        with log.open("ab") as output:
            # A session of its own: Ctrl-C at the terminal is the supervisor's, and its encoders end with it.
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[theirs.fileno()],
                env=environment,
                start_new_session=True,
            )
        theirs.close()
        self.connection = ours
        self.use(cores)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def use(self, cores: Sequence[int]) -> None:
        """Run on these cores from the next task on, with as many threads; none: as it is."""
        if cores:
            with contextlib.suppress(OSError, AttributeError):
                os.sched_setaffinity(self._process.pid, cores)

    def _send(self, task: Any) -> None:
        with contextlib.suppress(OSError):
            self.connection.send(task)

    def memory(self) -> int:
        """Bytes of memory it holds, 0 where that is not known."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        except (OSError, IndexError, ValueError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE")

    def end(self) -> str:
        """Kill it and all it started; how it ended, in words, if it had done so by itself."""
        if self.connection.closed:
            return ""
        code = self._process.poll()
        if code is None and self.closed:
            # The pipe closes a moment before the process is gone; a long one where the machine is busy.
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._process.wait(_LAST_MOMENT_S)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.connection.close()
        return "" if code is None else _ending(code)


def _ending(code: int) -> str:
    if code >= 0:
        return f"its worker ended with exit code {code}"
    name = signal.Signals(-code).name if -code in {int(s) for s in signal.Signals} else f"signal {-code}"
    words = {"SIGSEGV": "crashed", "SIGABRT": "crashed", "SIGBUS": "crashed", "SIGFPE": "crashed", "SIGILL": "crashed"}
    hint = ", perhaps for want of memory" if name == "SIGKILL" else ""
    return f"its worker {words.get(name, 'was killed')} ({name}){hint}"
