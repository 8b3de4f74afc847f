"""The worker: a process that does one task after the other, ``python -m bestshot_trt.batch.workers.worker FD``.

It ends when the supervisor does, even killed: the pipe closes, and Linux sends a signal.
"""

from __future__ import annotations

import ctypes
import errno
import os
import queue
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

from ...progress import Progress
from .messages import Answer, Done, Failed, Length, LengthTask, Moved, Prepare, RangeTask, Ready, TakeTask

_PR_SET_PDEATHSIG = 1
_TELL_EVERY_S = 0.3
_FULL = (errno.ENOSPC, errno.EDQUOT)


class _Line:
    """The pipe to the supervisor. A thread listens, so that its end is noticed amid any work."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._told = 0.0
        self._stage = ""
        threading.Thread(target=self._listen, name="supervisor", daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                self._tasks.put(self._connection.recv())
            except (EOFError, OSError):
                os._exit(0)

    def task(self) -> Any:
        return self._tasks.get()

    def send(self, answer: Answer) -> None:
        self._connection.send(answer)

    def progress(self, stage: str, done: float, total: float | None, unit: str = "s") -> None:
        now = time.monotonic()
        if stage != self._stage or now - self._told >= _TELL_EVERY_S:
            self._stage, self._told = stage, now
            self.send(Moved(stage=stage, done=done, total=total, unit=unit))


def main(descriptor: int) -> None:
    """Do tasks until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    line = _Line(Connection(descriptor))
    while True:
        line.send(answer(line.task(), line.progress))


def answer(task: Any, progress: Progress) -> Ready | Length | Done | Failed:
    """Do one task; what goes wrong with it is an answer as well."""
    try:
        if isinstance(task, Prepare):
            return _prepare(task, progress)
        if isinstance(task, TakeTask | RangeTask):
            from ...embed.resolve import give_up

            give_up(task.without_model)
        if isinstance(task, TakeTask):
            from ..sources.streaming import reading
            from .take import deliver

            with reading(task.path, task.place):
                return deliver(task, progress)
        if isinstance(task, RangeTask):
            from ..sources.streaming import reading
            from .segments import analyse

            with reading(task.path, task.place):
                return analyse(task, progress)
        if isinstance(task, LengthTask):
            from .take import length

            return length(task)
        raise TypeError(f"no such task: {type(task).__name__}")
    except MemoryError:
        return Failed(kind="MemoryError", reason="it ran out of memory")
    except Exception as error:  # whatever it is, it is one file's, and the batch goes on
        return _failed(error)


def _prepare(task: Prepare, progress: Progress) -> Ready:
    from ... import prompts
    from ...backends import open_backend

    backend = open_backend(task.config.analyze, progress)
    model = backend.embedder.clip_model
    prompts.check(task.config.pick, model, backend.model_note)
    name = "none" if model is None else f"{backend.embedder.model} {model.digest}"
    return Ready(model=name, note=backend.model_note, backend=backend.name)


def _failed(error: Exception) -> Failed:
    from ...errors import BestshotError

    text = (str(error).splitlines() or ["no message"])[0]
    reason = text if isinstance(error, BestshotError) else f"internal error: {type(error).__name__}: {text}"
    causes = (error, error.__cause__, error.__context__)
    full = any(isinstance(cause, OSError) and cause.errno in _FULL for cause in causes)
    if not isinstance(error, BestshotError):
        import traceback

        traceback.print_exc()
    return Failed(kind=type(error).__name__, reason=reason, disk_full=full)


if __name__ == "__main__":
    main(int(sys.argv[1]))
