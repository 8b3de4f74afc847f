"""The batch's own loop: gives takes to workers, and enters what became of each in the journal."""

from __future__ import annotations

import time
from collections.abc import Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from ..config import BatchConfig, Config
from ..errors import shown
from ..files import check_folder
from . import leftovers, plan
from .estimates import rates
from .estimates.outlook import Outlook
from .journal import BEAT_S, Journal
from .outputs.outbox import Outbox
from .room import Room
from .sources.inputs import Footage
from .tasks import Tasks
from .workers.crew import TICK_S, Crew
from .workers.messages import Answer, Cost, Done, Failed, Length, Moved, Ready
from .workers.process import Line
from .workers.splitting import PART, Splitter, Stretch
from .worklist import Tally, Tell, Worklist

_BATCH_WIDE = ("ConfigError", "ModelUnavailable", "BackendUnavailable", "EngineMismatch")


class Supervisor:
    """Runs one batch over ``footage`` into ``root``; ``batch.workers`` must be set, ``where`` is as `Crew` takes it.

    With ``uri`` results go there, and ``root`` is only for work.

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
        uri: str | None = None,
        **where: Any,
    ) -> None:
        check_folder(root)
        self.layout = plan.Layout(root)
        self._footage, self._config, self._batch, self._hear_of = footage, config, batch, tell
        self._room = Room(root, self.layout.state, tell)
        self.journal = Journal(self.layout.journal, self._room.say_full)
        self.tally = Tally(len(footage))
        self._crew = Crew(batch, self.layout.state / "log", self.layout.staging(self.journal.owner), **where)
        self._splitter = Splitter(self._crew.count // max(1, len(footage)), config.analyze.fps)
        here = rates.circumstances_of(config, self._crew.place)
        self._outlook = Outlook(footage, config, here, rates.loaded(self.journal.costs()))
        self._beat_at = 0.0
        self._uri = uri
        self._outbox: Outbox | None = None

    def _tell(self, event: str, **fields: Any) -> None:
        self._outlook.hear(event, fields)
        self._hear_of(event, **fields)

    def seconds_left(self) -> float:
        """About how long it will take until every file is settled."""
        return self._outlook.seconds_left(list(self._crew.workers.values()), self._crew.count)

    @property
    def workers(self) -> dict[int, Line]:
        """The workers that there are, by number."""
        return self._crew.workers

    def run(self) -> Tally:
        """Work until every file is settled; on any way out no worker is left and no take is held.

        Raises:
            ModelUnavailable, BackendUnavailable: the settings name what is not to be had here.
            ExportError: results cannot be sent.
        """
        try:
            self._begin()
            try:
                while self._step():
                    pass
            finally:
                self._list.end()
        finally:
            self._crew.end()
            if self._outbox is not None:
                self._outbox.end()
            self.journal.close()
            rates.remember(self._outlook.measured)
        return self.tally

    def _begin(self) -> None:
        """All that comes before the first take."""
        leftovers.clear(self.layout, self.journal)
        for folder in ("work", "tracks", "log"):
            check_folder(self.layout.state / folder)
        if self._uri is not None:
            self._outbox = Outbox(self._uri, self.layout, self.journal.owner)
        ready = self._ready()
        self._model_name = ready.model
        self._tasks = Tasks(self.layout, self._config, ready, self._uri)
        keys = plan.keys_of(self._config, self._model_name)
        if self._outbox is not None:
            self._outbox.begin(keys)
        self._list = Worklist(
            self._footage, self.layout, self.journal, keys, self._batch, self.tally, self._tell, self._outbox
        )

    def _ready(self) -> Ready:
        ready = self._crew.prepare(self._config, self._beat)
        self._tell("started", model=ready.model.split()[0], note=ready.note, backend=ready.backend)
        return ready

    def _step(self) -> bool:
        """One turn: give out work, hear what the workers say, look after them. False when all is done."""
        self._beat()
        self._list.turn()
        self._assign()
        busy = self._crew.busy
        if not busy and (self.tally.stopped or not (self._list or self._splitter)) and not self._list.sending():
            return False
        ready = wait([worker.connection for worker in busy], TICK_S)
        if not busy:
            time.sleep(TICK_S)
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
        for number in self._crew.free():
            if self.tally.stopped or self._list.sends_enough or not self._room.is_there:
                return
            stretch = self._splitter.next()
            job = stretch.job if stretch else self._list.next()
            if job is None:
                return
            worker = self._crew.worker(number)
            if stretch is None and self._splitter.wants(job):
                stretch = Stretch(job, None)
            if stretch is not None:
                self._give_stretch(worker, stretch)
            else:
                self._give(worker, job)

    def _give_stretch(self, worker: Line, stretch: Stretch) -> None:
        if stretch.within is None:
            worker.give(self._tasks.length(stretch), stretch)
            return
        worker.use(self._crew.cores(worker.number))
        worker.give(self._tasks.part(stretch, stretch.within), stretch)
        self._tell("given", path=stretch.job.footage.source, worker=worker.number, stages=PART)

    def _give(self, worker: Line, job: plan.Job) -> None:
        task = self._tasks.take(job, self._crew.staging(worker))
        self.journal.note(job.content, str(job.footage.source), "started", job.stages)
        worker.use(self._crew.cores(worker.number, alone=self.tally.files == 1))
        worker.give(task, job)
        self._tell("given", path=job.footage.source, worker=worker.number, stages=job.stages)

    def _hear(self, worker: Line) -> None:
        answer = self._crew.hear(worker, self._lost)
        if answer is None:
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
            self._room.wait()
        elif isinstance(answer, Length) and self._splitter.learn(stretch, answer.seconds):
            return
        elif self._splitter.settle(stretch):
            self._list.put_back(stretch.job, first=True)

    def _finished(self, worker: Line, job: plan.Job, answer: Done) -> None:
        seconds = time.monotonic() - worker.started
        if answer.cost is not None:
            self._remember(job, answer.cost)
        self._list.settled(job)
        if self._outbox is None:
            self._enter(job, answer, seconds)
        else:
            self._outbox.put(job, lambda: self._enter(job, answer, seconds))
        worker.finished += 1
        self._crew.drop_if_used_up(worker)

    def _enter(self, job: plan.Job, answer: Done, seconds: float) -> None:
        """The results are where they are to be."""
        self.journal.finish(
            job.content,
            job.keys,
            footage_s=answer.footage_s,
            seconds=seconds,
            stages=job.stages,
            path=str(job.footage.source),
        )
        self.tally.done += 1
        self.tally.footage_s += answer.footage_s
        self._tell("done", path=job.footage.source, footage_s=answer.footage_s, seconds=seconds, notes=answer.notes)

    def _remember(self, job: plan.Job, cost: Cost) -> None:
        measured = rates.Measured(
            **vars(self._outlook.here),
            model=self._model_name,
            workers=len(self._crew.busy) + 1,
            size=job.footage.path.stat().st_size if job.footage.path.exists() else 0,
            cut=rates.whole(self._config, cost.footage_s, cost.pixels).cut,
            cost=cost,
        )
        self.journal.note_cost(rates.dumped(measured))
        self._outlook.learn(measured)

    def _failed(self, worker: Line, job: plan.Job, answer: Failed) -> None:
        path, reason = job.footage.source, answer.reason.replace(shown(job.footage.path), shown(job.footage.source))
        # An encoder says in its own words that it had no room.
        if answer.disk_full or (answer.kind == "ExportError" and self._room.is_full):
            self._crew.clear(worker)
            self._list.put_back(job, first=True)
            self._room.wait()
        elif answer.kind == "MemoryError" and self._crew.shrink():
            # They share a device, a GPU or this machine's memory: one fewer from now on, and no attempt is lost.
            self._tell("fewer", workers=self._crew.count)
            self._crew.drop(worker)
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
            self._crew.drop(worker)
            self._retry(job, reason, is_had=answer.kind != "Unfetched")

    def _lost(self, worker: Line, reason: str) -> None:
        job = worker.doing
        self._crew.drop(worker)
        if isinstance(job, Stretch):
            self._tell("retry", path=job.footage.source, reason=reason)
            self._over(job, None)
        else:
            self._retry(job, reason)

    def _watch(self, worker: Line) -> None:
        fault = self._crew.fault(worker)
        if fault is not None:
            self._lost(worker, fault)

    def _retry(self, job: plan.Job, reason: str, *, is_had: bool = True) -> None:
        """Once more in a fresh worker, then once on the CPU where that is another way, then no more.

        The next run tries again what could not be had.
        """
        job.failures.append(reason)
        path = str(job.footage.source)
        if len(job.failures) < (3 if self._crew.on_gpu else 2):
            self.journal.note(job.content, path, "retry", reason)
            self._tell("retry", path=job.footage.source, reason=reason)
            self._list.put_back(job)
            return
        if is_had:
            self.journal.fail(job.content, job.keys, reason, path=path)
        else:
            self.journal.note(job.content, path, "failed", reason)
        self._list.settled(job)
        self._list.give_up(job.footage.source, reason)
