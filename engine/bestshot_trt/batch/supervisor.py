"""The batch's own loop: gives takes to workers, watches them, and enters what became of each in the journal."""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from pathlib import Path

from .. import errors
from ..config import BatchConfig, Config
from ..cores import usable_cores
from ..errors import BestshotError, ExportError, shown
from ..files import check_folder
from . import plan
from .inputs import Footage
from .journal import BEAT_S, Journal
from .messages import Answer, Done, Failed, Length, LengthTask, Moved, Prepare, RangeTask, Ready, TakeTask
from .process import COMMAND, Line, Worker
from .splitting import Splitter, Stretch
from .worklist import Tally, Tell, Worklist

_TICK_S = 0.25
_LOOK_AGAIN_S = 1.0
_MEMORY_SHARE = 0.8
ROOM = 256 << 20
"""So many bytes must be free before a batch that had filled the disk goes on."""
FULL = 16 << 20
"""With fewer bytes free, a result that cannot be written is the disk's fault and not the take's."""
_BATCH_WIDE = ("ConfigError", "ModelUnavailable", "BackendUnavailable", "EngineMismatch")


class Supervisor:
    """Runs one batch over ``footage`` into ``root``; ``batch.workers`` must be set.

    Raises:
        ExportError: ``root`` takes no files.
    """

    def __init__(
        self,
        footage: Sequence[Footage],
        root: Path,
        config: Config,
        batch: BatchConfig,
        tell: Tell,
        *,
        devices: Sequence[str | None] = (None,),
        command: Sequence[str] = COMMAND,
        start: Callable[..., Line] = Worker,
    ) -> None:
        check_folder(root)
        self.layout = plan.Layout(root)
        self._footage, self._config, self._batch, self._tell = footage, config, batch, tell
        self._count = batch.workers or 1
        self._devices, self._command, self._start = devices, command, start
        self.journal = Journal(self.layout.journal, self._say_full)
        self.tally = Tally(len(footage))
        self.workers: dict[int, Line] = {}
        pieces = self._count // max(1, len(footage))
        self._splitter = Splitter(pieces, config.analyze.fps)
        self._beat_at = self._look_at = 0.0
        self._paused = False

    def run(self) -> Tally:
        """Work until every file is settled; on any way out no worker is left and no take is held.

        Raises:
            ModelUnavailable, BackendUnavailable: the settings name what is not to be had here.
        """
        try:
            self._clear()
            self._model_name = self._model()
            keys = plan.keys_of(self._config, self._model_name)
            self._list = Worklist(self._footage, self.layout, self.journal, keys, self._batch, self.tally, self._tell)
            try:
                while self._step():
                    pass
            finally:
                self._list.end()
        finally:
            for worker in self.workers.values():
                worker.end()
            self.workers.clear()
            shutil.rmtree(self.layout.staging(self.journal.owner), ignore_errors=True)
            self.journal.close()
        return self.tally

    def _clear(self) -> None:
        """Remove what batches that were killed left half done."""
        for left in (self.layout.state / "work").glob("*"):
            if not self.journal.is_alive(left.name):
                shutil.rmtree(left, ignore_errors=True)
        for folder in ("work", "tracks", "log"):
            check_folder(self.layout.state / folder)

    def _model(self) -> str:
        """The model that the settings come to, asked of the first worker before any file is worked on."""
        worker = self._spawn(0)
        worker.give(Prepare(config=self._config), "prepare")
        while True:
            self._beat()
            if not wait([worker.connection], _TICK_S):
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
                self._tell("started", model=answer.model.split()[0], note=answer.note, backend=answer.backend)
                return answer.model

    def _log(self, number: int) -> Path:
        return self.layout.state / "log" / f"worker-{number}.txt"

    def _spawn(self, number: int) -> Line:
        device = self._devices[number % len(self._devices)]
        cores = self._cores(number)
        worker = self._start(number, self._log(number), device=device, cores=cores, command=self._command)
        self.workers[number] = worker
        return worker

    def _cores(self, number: int, *, alone: bool = False) -> list[int]:
        """A worker's share of the cores; all of them where it works ``alone``."""
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        return cores if alone or not cores else cores[number % len(cores) :: self._count]

    def _step(self) -> bool:
        """One turn: give out work, hear what the workers say, look after them. False when all is done."""
        self._beat()
        self._list.turn()
        self._assign()
        busy = [worker for worker in self.workers.values() if not worker.idle]
        if not busy and (self.tally.stopped or not (self._list or self._splitter)):
            return False
        ready = wait([worker.connection for worker in busy], _TICK_S)
        if not busy:
            time.sleep(_TICK_S)
        for worker in busy:
            if worker.connection in ready:
                self._hear(worker)
            else:
                self._watch(worker)
        self._tell("tick")
        return True

    def _beat(self) -> None:
        if time.monotonic() >= self._beat_at:
            self._beat_at = time.monotonic() + BEAT_S
            self.journal.beat()

    def _assign(self) -> None:
        for number in range(self._count):
            worker = self.workers.get(number)
            if self.tally.stopped or (worker is not None and not worker.idle):
                continue
            if self._paused and not self._has_room():
                return
            stretch = self._splitter.next()
            job = stretch.job if stretch else self._list.next()
            if job is None:
                return
            worker = worker or self._spawn(number)
            if stretch is None and self._splitter.wants(job):
                stretch = Stretch(job, None)
            if stretch is not None:
                self._give_stretch(worker, stretch)
            else:
                self._give(worker, job)

    def _give_stretch(self, worker: Line, stretch: Stretch) -> None:
        path, job = stretch.footage.path, stretch.job
        if stretch.within is None:
            worker.give(LengthTask(path=path), stretch)
            return
        parts = self.layout.parts(job.content, job.keys.analyze)
        worker.use(self._cores(worker.number))
        worker.give(RangeTask(path=path, config=self._config, parts=parts, within=stretch.within), stretch)
        self._tell("given", path=job.footage.source, worker=worker.number, stages="analyze a part")

    def _give(self, worker: Line, job: plan.Job) -> None:
        config = self._config
        if len(job.failures) > 1:
            config = dataclasses.replace(config, analyze=dataclasses.replace(config.analyze, backend="cpu"))
        task = TakeTask(
            path=job.footage.path,
            content=job.content,
            config=config,
            target=self.layout.target(job.name),
            staging=self.layout.staging(self.journal.owner) / str(worker.number),
            track=self.layout.track(job.content, job.keys.analyze),
            parts=self.layout.parts(job.content, job.keys.analyze),
            known=job.known,
            origin=job.footage.origin,
            receipt=plan.receipt_text(job.content, job.keys, self._model_name),
        )
        self.journal.note(job.content, str(job.footage.source), "started", job.stages)
        worker.use(self._cores(worker.number, alone=self.tally.files == 1))
        worker.give(task, job)
        self._tell("given", path=job.footage.source, worker=worker.number, stages=job.stages)

    def _hear(self, worker: Line) -> None:
        try:
            answer = worker.receive()
        except EOFError:
            self._lost(worker, worker.end() or "its worker closed the line")
            return
        if isinstance(answer, Moved):
            self._watch(worker)
            return
        job, worker.doing = worker.doing, None
        if isinstance(job, Stretch):
            self._over(job, answer)
        elif isinstance(answer, Done):
            self._finished(worker, job, answer)
        elif isinstance(answer, Failed):
            self._failed(worker, job, answer)

    def _over(self, stretch: Stretch, answer: Answer | None) -> None:
        """A stretch is settled; what it did not do is done with the rest of its take."""
        if isinstance(answer, Failed) and answer.disk_full:
            self._splitter.put_back(stretch)
            self._wait_for_room()
        elif isinstance(answer, Length) and self._splitter.learn(stretch, answer.seconds):
            return
        elif self._splitter.settle(stretch):
            self._list.put_back(stretch.job, first=True)

    def _wait_for_room(self) -> None:
        self._look_at = time.monotonic() + _LOOK_AGAIN_S
        self._say_full()

    def _finished(self, worker: Line, job: plan.Job, answer: Done) -> None:
        seconds = time.monotonic() - worker.started
        self.journal.finish(
            job.content,
            job.keys,
            footage_s=answer.footage_s,
            seconds=seconds,
            stages=job.stages,
            path=str(job.footage.source),
        )
        self._list.settled(job)
        self.tally.done += 1
        self.tally.footage_s += answer.footage_s
        self._tell("done", path=job.footage.source, footage_s=answer.footage_s, seconds=seconds, notes=answer.notes)
        worker.finished += 1
        if worker.finished >= self._batch.recycle or worker.memory() > self._memory_limit() / 2:
            self._drop(worker)

    def _failed(self, worker: Line, job: plan.Job, answer: Failed) -> None:
        path, reason = job.footage.source, answer.reason.replace(shown(job.footage.path), shown(job.footage.source))
        # An encoder says in its own words that it had no room.
        if answer.disk_full or (answer.kind == "ExportError" and self._is_full()):
            shutil.rmtree(self.layout.staging(self.journal.owner) / str(worker.number), ignore_errors=True)
            self._list.put_back(job, first=True)
            self._wait_for_room()
        elif answer.kind == "MemoryError" and self._count > len(self._devices):
            # They share a device, a GPU or this machine's memory: one fewer from now on, and no attempt is lost.
            self._count -= 1
            self._tell("fewer", workers=self._count)
            self._drop(worker)
            self._list.put_back(job)
        elif answer.kind in _BATCH_WIDE:
            self.tally.stopped = answer.reason
            self._list.put_back(job)
        elif answer.kind == "InputError" and not job.footage.asked:
            self.journal.fail(job.content, job.keys, reason, path=str(path), state="skipped")
            self._list.settled(job)
            self.tally.skipped += 1
            self._tell("skipped", path=path, reason=reason)
        else:
            self._drop(worker)
            self._retry(job, reason)

    def _drop(self, worker: Line) -> None:
        del self.workers[worker.number]
        worker.end()
        shutil.rmtree(self.layout.staging(self.journal.owner) / str(worker.number), ignore_errors=True)

    def _lost(self, worker: Line, reason: str) -> None:
        job = worker.doing
        self._drop(worker)
        if isinstance(job, Stretch):
            self._tell("retry", path=job.footage.source, reason=reason)
            self._over(job, None)
        else:
            self._retry(job, reason)

    def _watch(self, worker: Line) -> None:
        """End a worker whose work does not move on, or that takes too much memory."""
        limit = self._memory_limit()
        if worker.still_s() > self._batch.stall:
            self._lost(worker, f"nothing moved for {self._batch.stall:g} s, and its worker was ended")
        elif worker.memory() > limit:
            self._lost(worker, f"its worker took more than {limit / 2**30:.1f} GiB of memory, and was ended")

    def _memory_limit(self) -> float:
        if self._batch.memory is not None:
            return self._batch.memory * 2**30
        return _MEMORY_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / self._count

    def _retry(self, job: plan.Job, reason: str) -> None:
        """Once more in a fresh worker, then once on the CPU where that is another way, then no more."""
        job.failures.append(reason)
        path = str(job.footage.source)
        if len(job.failures) < (3 if self._devices[0] is not None else 2):
            self.journal.note(job.content, path, "retry", reason)
            self._tell("retry", path=job.footage.source, reason=reason)
            self._list.put_back(job)
            return
        self.journal.fail(job.content, job.keys, reason, path=path)
        self._list.settled(job)
        self._list.give_up(job.footage.source, reason)

    def _say_full(self) -> None:
        if not self._paused:
            self._paused = True
            self._tell("paused", folder=self.layout.root)

    def _is_full(self) -> bool:
        return shutil.disk_usage(self.layout.state).free < FULL

    def _has_room(self) -> bool:
        """Whether the disk takes files again; asked now and then while the batch is paused."""
        if time.monotonic() < self._look_at:
            return False
        self._look_at = time.monotonic() + _LOOK_AGAIN_S
        try:
            with tempfile.TemporaryFile(dir=self.layout.state) as file:
                os.posix_fallocate(file.fileno(), 0, ROOM)
        except OSError:
            return False
        self._paused = False
        self._tell("resumed", folder=self.layout.root)
        return True


def default_workers(devices: Sequence[str | None]) -> int:
    """One a device; on the CPU one for every four cores, since decoding one take uses as many."""
    return len(devices) if devices[0] is not None else max(1, (usable_cores() or 1) // 4)


def devices_of(config: Config) -> list[str | None]:
    """The GPUs to work on, as CUDA_VISIBLE_DEVICES names them (MIG too); ``[None]`` for the CPU."""
    if config.analyze.backend == "cpu":
        return [None]
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        return [name.strip() for name in listed.split(",") if name.strip()] or [None]
    try:
        import pynvml

        pynvml.nvmlInit()
        return [str(number) for number in range(pynvml.nvmlDeviceGetCount())] or [None]
    except Exception:  # no driver or no library: either way there is no GPU to give out
        return [None]
