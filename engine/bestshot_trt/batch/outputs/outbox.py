"""Finished takes on their way to a store: sent in threads, kept here until they are there."""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import BestshotError
from .. import plan
from ..journal import Keys
from ..plan import Job
from . import shelf
from .store import BEAT_S, Store

_THREADS = 2
_MOST = 8
"""With so many takes waiting to be sent, no further one is begun: they take disk."""


class _Ended(Exception):
    """The batch is over."""


@dataclass(frozen=True)
class Sent:
    """A take that is in the store, or why it is not."""

    job: Job
    finish: Callable[[], None]
    reason: str | None


@dataclass
class _Parcel:
    job: Job
    finish: Callable[[], None]
    again: bool = True


class Outbox:
    """What one batch sends to ``uri``. Everything but its threads is for the thread that made it.

    Raises:
        ExportError: the store takes nothing.
    """

    def __init__(self, uri: str, layout: plan.Layout, owner: str) -> None:
        self._layout = layout
        self._ended = threading.Event()
        self.store = Store(uri, owner, self._pause)
        self.store.arrive()
        self._names: dict[str, str] = {}
        self._receipts: dict[str, dict[str, str]] = {}
        self._held: set[str] = set()
        self._going = 0
        self._later: deque[_Parcel] = deque()
        self._tasks: queue.SimpleQueue[_Parcel] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[tuple[_Parcel, str | None]] = queue.SimpleQueue()
        for work in (self._beat, *[self._work] * _THREADS):
            threading.Thread(target=work, name="outbox", daemon=True).start()

    def begin(self, keys: Keys) -> None:
        """Look at what is in the store.

        Raises:
            ExportError: another batch with other settings is at work there. InputError: it cannot be read.
        """
        self.store.announce(keys)
        self._receipts = self.store.receipts()
        self._names = {receipt.get("content", ""): name for name, receipt in self._receipts.items()}

    def name_of(self, content: str) -> str | None:
        """What a take is called in the store, if it is there: another batch may have seen another copy first."""
        return self._names.get(content)

    def standing(self, take: str, content: str, keys: Keys) -> plan.Standing | None:
        """What is left of a take, which is held from then on; None while another batch that works holds it.

        A stored track that serves is fetched.

        Raises:
            InputError: the store cannot be read or written.
        """
        target = self._layout.target(take)
        stages = plan.stages_left(self._receipts.get(take, {}), content, keys)
        if stages:
            if not self._hold(take):
                return None
            # Another batch may have done it since this one began.
            stages = plan.stages_left(self.store.receipt(take), content, keys)
        if not stages:
            self._forget(target)
            self._let_go(take)
            return plan.Standing("")
        here = plan.standing(target, content, keys)
        if here.stages != plan.ALL:
            return dataclasses.replace(here, unsent=not here.stages)
        return plan.Standing(stages, None if stages == plan.ALL else self._track(take, content, keys))

    def _track(self, take: str, content: str, keys: Keys) -> Path:
        """A stored track, kept as that of an analysis whose results are not in place."""
        track = self._layout.track(content, keys.analyze)
        if not track.exists():
            self.store.fetch(f"{plan.TAKES}/{take}/{plan.TRACK}", track)
        return track

    def _hold(self, take: str) -> bool:
        if take not in self._held and self.store.hold(take):
            self._held.add(take)
        return take in self._held

    @property
    def full(self) -> bool:
        """Whether so many takes wait to be sent that none should be begun."""
        return self._going >= _MOST

    def put(self, job: Job, finish: Callable[[], None]) -> None:
        """Send a take whose results are whole here; ``finish`` is kept for `sent`."""
        self._give(_Parcel(job, finish))

    def _give(self, parcel: _Parcel) -> None:
        self._going += 1
        self._tasks.put(parcel)

    def sent(self) -> Iterator[Sent]:
        """Takes that are in the store now, or that it has refused at the second attempt."""
        while not self._results.empty():
            parcel, reason = self._results.get()
            self._going -= 1
            if reason is not None and parcel.again:
                # Not at once: by the end of the batch the fault may have passed.
                parcel.again = False
                self._later.append(parcel)
                continue
            self._let_go(parcel.job.name)
            yield Sent(parcel.job, parcel.finish, reason)

    def last(self) -> bool:
        """With nothing else to do: try again what the store has refused. False when everything is settled."""
        while self._later:
            self._give(self._later.popleft())
        return bool(self._going)

    def _let_go(self, take: str) -> None:
        if take in self._held:
            self._held.discard(take)
            self._try(lambda: self.store.let_go([take]))

    def end(self) -> None:
        """Let the threads end, and others have what is held."""
        self._ended.set()
        self._try(lambda: self.store.let_go(self._held))
        self._try(self.store.leave)

    @staticmethod
    def _try(work: Callable[[], Any]) -> None:
        # What stays behind is a dead batch's to others, and overwritten.
        with contextlib.suppress(BestshotError, _Ended):
            work()

    def _pause(self, seconds: float) -> None:
        if self._ended.wait(seconds) if seconds else self._ended.is_set():
            raise _Ended

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            try:
                self.store.beat()
            except BestshotError:
                continue
            except _Ended:
                return

    def _work(self) -> None:
        while not self._ended.is_set():
            try:
                parcel = self._tasks.get(timeout=1)
            except queue.Empty:
                continue
            try:
                self._send(parcel.job.name)
                self._results.put((parcel, None))
            except _Ended:
                return
            except Exception as error:  # it is one take's, and told as such
                self._results.put((parcel, str(error)))

    def _send(self, take: str) -> None:
        folder = self._layout.target(take)
        self.store.put(folder, f"{plan.TAKES}/{take}")
        shelf.note(folder, mirror_of(self._layout) / take)
        self._forget(folder)

    def _forget(self, folder: Path) -> None:
        """Remove results that are in the store, in one step: half of them must not pass for a whole take."""
        aside = self._layout.staging(self.store.owner) / f"sent-{folder.name}"
        with contextlib.suppress(OSError):
            aside.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def mirror_of(layout: plan.Layout) -> Path:
    """Where the little of each stored take is kept that the summary needs."""
    return layout.state / "stored"
