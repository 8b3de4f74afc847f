"""Workers on a Ray cluster: to the supervisor each is a `process.Line`; its tasks run wherever Ray has room.

Paths must mean the same on every node: results, and footage that is not fetched, lie on a disk that all of them share.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from ...cards import Card
from ...config import BatchConfig, Config
from ...errors import BackendUnavailable, shown
from .messages import Answer, Failed, Moved, TakeTask
from .process import Line

PIP = 'pip install "bestshot-trt[ray]"'
AUTO, LOCAL = "auto", "local"
_CARD = "accelerator_type:"
UNKNOWN_SHARE = 0.33
_LOOK_EVERY_S = 0.3
_ANSWERS_S = 10.0
_OBJECTS = 100 << 20
"""Bytes of shared memory for a Ray begun here: what is passed is small."""


def share_of(resources: Mapping[str, float]) -> float:
    """The share of a GPU that one NVDEC is, on those cards of a cluster that have the fewest.

    ``resources`` are as Ray counts them; `UNKNOWN_SHARE` where they name no card, or one that is not in NVIDIA's table.
    """
    names = [name.removeprefix(_CARD) for name in resources if name.startswith(_CARD)]
    decoders = [Card(name=name, uuid="").decoders for name in names]
    known = [count for count in decoders if count]
    if not known or len(known) < len(decoders):
        return UNKNOWN_SHARE
    # Ray counts in ten-thousandths; rounded up, the last of them would not fit.
    return 10_000 // min(known) / 10_000


class Board:
    """An actor on which tasks put how far they are."""

    def __init__(self) -> None:
        self._moved: dict[int, Moved] = {}

    def put(self, task: int, moved: Moved) -> None:
        """Note how far ``task`` is."""
        self._moved[task] = moved

    def take(self) -> dict[int, Moved]:
        """What was put since the last time."""
        moved, self._moved = self._moved, {}
        return moved


def work(task: Any, number: int, board: Any) -> Answer:
    """One task, in a process of Ray's."""
    import ray

    from .worker import answer

    if isinstance(task, TakeTask):
        # An attempt whose node is only cut off may still write.
        attempt = ray.get_runtime_context().get_task_id()
        task = dataclasses.replace(task, staging=task.staging / f"{attempt}-{time.time_ns():x}")
    told = [0.0]
    board.put.remote(number, Moved(stage="opening", done=0, total=None, unit="s"))

    def progress(stage: str, done: float, total: float | None, unit: str = "s") -> None:
        if time.monotonic() - told[0] >= _LOOK_EVERY_S:
            told[0] = time.monotonic()
            board.put.remote(number, Moved(stage=stage, done=done, total=total, unit=unit))

    return answer(task, progress)


class Cluster:
    """A connection to Ray, and its workers' common part; ``address`` as ``ray.init`` takes it.

    Raises:
        BackendUnavailable: Ray is not installed, or does not answer at ``address``.
    """

    def __init__(self, address: str, batch: BatchConfig, config: Config) -> None:
        try:
            import ray
        except ImportError:
            raise BackendUnavailable(f"--ray needs Ray, which is not installed: {PIP}") from None
        self._ray = ray
        self._begin(address)
        resources = ray.cluster_resources()
        largest = max((node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]), default=0.0)
        on_gpu = config.analyze.backend != "cpu" and resources.get("GPU", 0) > 0
        self._gpus = (batch.ray_gpus or share_of(resources)) if on_gpu else 0.0
        # A task that needs more than any node has would wait forever.
        self._cpus = min(batch.ray_cpus, largest)
        self.device = "of Ray" if on_gpu else None
        """The `device` of its workers; None where the cluster has no GPU to use."""
        most = resources.get("CPU", 0) / self._cpus if self._cpus else 0
        self.slots = int(min(most, resources["GPU"] / self._gpus) if on_gpu else most)
        """How many tasks the cluster can run at a time."""
        if self.slots < 1:
            ray.shutdown()
            raise BackendUnavailable(f"--ray {address}: the cluster has no CPU to work on")
        self.board = ray.remote(num_cpus=0)(Board).remote()
        # A worker of Ray's is replaced after so many tasks, as those of a batch without it.
        self._work = ray.remote(max_calls=batch.recycle, max_retries=1)(work)
        self._count = 0
        self._lines: dict[int, RayWorker] = {}
        self._ended = threading.Event()
        self._quiet = contextlib.ExitStack()
        threading.Thread(target=self._watch, name="board", daemon=True).start()

    def _begin(self, address: str) -> None:
        _check_answers(address)
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
        try:
            if address != LOCAL:
                with contextlib.nullcontext() if address != AUTO else contextlib.suppress(ConnectionError):
                    self._ray.init(address=address, **quiet)
            if not self._ray.is_initialized():
                os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
                self._ray.init(LOCAL, include_dashboard=False, object_store_memory=_OBJECTS, **quiet)
        except Exception as error:  # Ray has many ways to say so
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            token = "; where it asks for a token, set RAY_AUTH_MODE=token"
            raise BackendUnavailable(f"--ray {address}: no Ray cluster answers: {shown(reason)}{token}") from error

    def worker(
        self, number: int, log: Path, *, device: str | None, cores: Sequence[int], command: Sequence[str]
    ) -> RayWorker:
        """As `process.Worker` is made."""
        return RayWorker(number, self)

    def begin(self, line: RayWorker, task: Any) -> tuple[int, Any]:
        """Start a task; its number and what stands for its result."""
        self._count += 1
        self._lines[self._count] = line
        # A node's working folder is another.
        paths = {name: value.absolute() for name, value in vars(task).items() if isinstance(value, Path)}
        task = dataclasses.replace(task, **paths)
        on_cpu = getattr(getattr(task, "config", None), "analyze", None)
        gpus = 0.0 if on_cpu is not None and on_cpu.backend == "cpu" else self._gpus
        options = self._work.options(num_cpus=self._cpus, num_gpus=gpus)
        return self._count, options.remote(task, self._count, self.board)

    def result(self, reference: Any) -> Answer:
        """Wait for a task's answer."""
        try:
            answer: Answer = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            reason = (str(error.cause).splitlines() or [""])[0]
            return Failed(kind=type(error.cause).__name__, reason=f"internal error: {reason}")
        return answer

    def cancel(self, reference: Any) -> None:
        """End a task wherever it runs."""
        with contextlib.suppress(Exception):
            self._ray.cancel(reference, force=True)

    def forget(self, number: int) -> None:
        """Hear no more of a task."""
        self._lines.pop(number, None)

    def _watch(self) -> None:
        while not self._ended.wait(_LOOK_EVERY_S):
            try:
                moved = self._ray.get(self.board.take.remote(), timeout=30)
            except Exception:  # a cluster that is gone is told of by its tasks
                continue
            for number, each in moved.items():
                line = self._lines.get(number)
                if line is not None:
                    line.tell(number, each)

    def __enter__(self) -> Cluster:
        # Ray remarks on lost workers there, whatever it is told; standard output is the batch's own.
        self._quiet.enter_context(contextlib.redirect_stdout(self._quiet.enter_context(Path(os.devnull).open("w"))))
        return self

    def __exit__(self, *error: object) -> None:
        """Let go of the cluster; one that was begun for this batch ends."""
        self._ended.set()
        self._ray.shutdown()
        self._quiet.close()


def _check_answers(address: str) -> None:
    """Ray itself tries for minutes.

    Raises:
        BackendUnavailable: nothing answers at ``address``, a host and a port.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), _ANSWERS_S).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BackendUnavailable(
            f"--ray {shown(address)}: nothing answers there: {reason}; check the address"
        ) from None


class RayWorker(Line):
    """A line to the supervisor whose tasks run on the cluster."""

    def __init__(self, number: int, cluster: Cluster) -> None:
        super().__init__(number, cluster.device)
        self.connection, self._theirs = Pipe()
        self._cluster = cluster
        self._task = 0
        self._reference: Any = None
        self._reason = ""
        self._lock = threading.Lock()

    def use(self, cores: Sequence[int]) -> None:
        """Cores are Ray's matter."""

    def _send(self, task: Any) -> None:
        self._task, self._reference = self._cluster.begin(self, task)
        path = getattr(task, "path", None)
        threading.Thread(target=self._await, args=(self._task, self._reference, path), daemon=True).start()

    def _await(self, number: int, reference: Any, path: Path | None) -> None:
        try:
            answer = self._cluster.result(reference)
        except Exception as error:  # its worker or node is gone, and so was that of Ray's own retry
            self._cluster.forget(number)
            self._reason = f"its Ray worker was lost twice ({type(error).__name__})"
            with self._lock, contextlib.suppress(OSError):
                self._theirs.close()
            return
        self._cluster.forget(number)
        if isinstance(answer, Failed) and path is not None:
            answer = dataclasses.replace(answer, reason=answer.reason.replace(shown(path.absolute()), shown(path)))
        self._say(answer)

    def tell(self, number: int, moved: Moved) -> None:
        """Pass on how far the task is."""
        if number == self._task:
            self._say(moved)

    def _say(self, answer: Answer) -> None:
        with self._lock, contextlib.suppress(OSError):
            self._theirs.send(answer)

    def still_s(self) -> float:
        """Seconds since its work moved on; 0 as long as the task waits for room in the cluster."""
        return 0.0 if self.moved is None else super().still_s()

    def memory(self) -> int:
        """Memory is Ray's matter."""
        return 0

    def end(self) -> str:
        """End its task; how it ended, in words, if it had done so by itself."""
        if self.connection.closed:
            return ""
        if self.doing is not None and not self._reason:
            self._cluster.cancel(self._reference)
        self._cluster.forget(self._task)
        self.connection.close()
        return self._reason
