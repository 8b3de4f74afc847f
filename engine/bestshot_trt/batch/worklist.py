"""Which take is next: files that need no work are settled on the way, those that others work on are waited for."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..config import BatchConfig
from ..errors import InputError, shown
from . import plan
from .journal import Journal, Keys, Row
from .outputs.outbox import Outbox, Sent
from .sources.inputs import Footage
from .sources.staging import Stage

_LOOK_AGAIN_S = 1.0
_ASK_AGAIN_S = 10.0
"""The same for what another machine works on, which takes requests to the store."""
FETCHED = "fetched"
_AHEAD = 2
"""Remote files are fetched for so many takes more than there are workers."""

Tell = Callable[..., Any]
"""Called with an event's name and its fields."""


@dataclass
class Tally:
    """What became of the files so far."""

    files: int
    done: int = 0
    before: int = 0
    """Takes whose results were there already."""
    duplicates: int = 0
    skipped: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    """(path, reason) of each file given up."""
    footage_s: float = 0.0
    """Footage that was worked on, in seconds."""
    started: float = field(default_factory=time.monotonic)
    stopped: str | None = None
    """Why the batch ended before its end."""

    @property
    def settled(self) -> int:
        """Files of which is known what became of them."""
        return self.done + self.before + self.duplicates + self.skipped + len(self.failures)


class Worklist:
    """The files of one batch, each given out once as a job, or settled without."""

    def __init__(
        self,
        footage: Sequence[Footage],
        layout: plan.Layout,
        journal: Journal,
        keys: Keys,
        batch: BatchConfig,
        tally: Tally,
        tell: Tell,
        outbox: Outbox | None = None,
    ) -> None:
        self._outbox = outbox
        self._layout, self._journal, self._keys, self._batch = layout, journal, keys, batch
        self._tally, self._tell = tally, tell
        local = [item for item in footage if item.uri is None]
        self._files: Iterator[tuple[Footage, str, str | None]] = plan.identified(local, journal)
        space, ahead = int(batch.stage_space * 2**30), (batch.workers or 1) + _AHEAD
        self._stage = Stage(
            footage,
            layout.root,
            layout.staging(journal.owner) / FETCHED,
            space,
            ahead,
            journal,
            tell,
            stream=batch.stream,
            left=layout.begun(journal.owner),
        )
        self._exhausted = False
        self._seen: dict[str, Path | str] = {}
        self._again: deque[plan.Job] = deque()
        self._elsewhere: deque[tuple[Footage, str]] = deque()
        self._look_at = 0.0

    def __bool__(self) -> bool:
        """Whether there may be more to do."""
        return bool(self._again or self._elsewhere or self._stage) or not self._exhausted

    def put_back(self, job: plan.Job, *, first: bool = False) -> None:
        """Let a job be given out again, after all others or before them."""
        if first:
            self._again.appendleft(job)
        else:
            self._again.append(job)

    def turn(self) -> None:
        """See how far the fetching of remote files is; what is here can be given out."""
        for item, content, unreadable in self._stage.identified():
            job = self._looked_at(item, content, unreadable)
            if job is None:
                self._stage.drop(item)
            else:
                self._stage.fetch(job)
        for sent in self._outbox.sent() if self._outbox is not None else ():
            self._sent(sent)
        for job, reason in self._stage.fetched():
            if reason is None:
                self._again.append(job)
                continue
            self._journal.note(job.content, str(job.footage.source), "failed", reason)
            self._stage.drop(job.footage)
            self.give_up(job.footage.source, reason)

    def _sent(self, sent: Sent) -> None:
        if sent.reason is None:
            sent.finish()
            return
        source = sent.job.footage.source
        self._journal.note(sent.job.content, str(source), "failed", sent.reason)
        self.give_up(source, f"{sent.reason}; its results are kept in {shown(self._layout.root)}, run the batch again")

    def sending(self) -> bool:
        """With nothing else to do: whether finished takes are still on their way."""
        return self._outbox is not None and self._outbox.last()

    @property
    def sends_enough(self) -> bool:
        """Whether so many finished takes are on their way that none should be begun."""
        return self._outbox is not None and self._outbox.full

    def settled(self, job: plan.Job) -> None:
        """Nothing more will be done with this job; a file that was fetched for it goes."""
        self._stage.drop(job.footage)

    def end(self) -> None:
        """Fetch no more."""
        self._stage.end()

    def next(self) -> plan.Job | None:
        """The next take to work on, held for this batch; None when there is none at the moment."""
        if self._again:
            return self._again.popleft()
        for item, content, unreadable in self._files:
            job = self._looked_at(item, content, unreadable)
            if job is not None:
                return job
        self._exhausted = True
        return self._next_elsewhere()

    def _looked_at(self, item: Footage, content: str, unreadable: str | None) -> plan.Job | None:
        if unreadable is not None:
            self._journal.note("", str(item.source), "failed", unreadable)
            self.give_up(item.source, unreadable)
            return None
        if content in self._seen:
            self._tally.duplicates += 1
            self._journal.note(content, str(item.source), "duplicate", str(self._seen[content]))
            self._tell("duplicate", path=item.source, of=self._seen[content])
            return None
        self._seen[content] = item.source
        return self._claimed(item, content)

    def _next_elsewhere(self) -> plan.Job | None:
        """A take that another batch was working on, if that is over."""
        if not self._elsewhere or time.monotonic() < self._look_at:
            return None
        self._look_at = time.monotonic() + (_LOOK_AGAIN_S if self._outbox is None else _ASK_AGAIN_S)
        for _ in range(len(self._elsewhere)):
            job = self._claimed(*self._elsewhere.popleft())
            if job is not None and job.footage.uri is not None:
                self._stage.fetch(job)
            elif job is not None:
                return job
        return None

    def _claimed(self, item: Footage, content: str) -> plan.Job | None:
        row = self._journal.claim(content, plan.name_of(item.path, content), str(item.source))
        if row is None:
            self._elsewhere.append((item, content))
            return None
        name = row.name if self._outbox is None else self._outbox.name_of(content) or row.name
        try:
            standing = self._standing(name, content)
        except InputError as error:
            self._journal.restore(row)
            self._journal.note(content, str(item.source), "failed", str(error))
            self.give_up(item.source, str(error))
            return None
        if standing is None:
            self._journal.restore(row)
            self._elsewhere.append((item, content))
            return None
        if not standing.stages:
            job = plan.Job(item, content, name, self._keys, None, "")
            if standing.unsent and self._outbox is not None:
                self._outbox.put(job, lambda: self._in_place(item, row))
            else:
                self._in_place(item, row)
            return None
        if row.state in ("failed", "skipped") and row.keys == self._keys and not self._batch.retry_failed:
            self._settled_before(item, row)
            return None
        return plan.Job(item, content, name, self._keys, standing.known, standing.stages)

    def _standing(self, name: str, content: str) -> plan.Standing | None:
        if self._outbox is None:
            return plan.standing(self._layout.target(name), content, self._keys)
        return self._outbox.standing(name, content, self._keys)

    def _in_place(self, item: Footage, row: Row) -> None:
        if row.state == "done" and row.keys == self._keys:
            self._journal.restore(row)
        else:
            # Its batch was killed before it could say that it is done.
            self._journal.finish(
                row.content,
                self._keys,
                footage_s=row.footage_s,
                seconds=0,
                stages="found in place",
                path=str(item.source),
            )
        self._tally.before += 1
        self._tell("before", path=item.source)

    def _settled_before(self, item: Footage, row: Row) -> None:
        self._journal.restore(row)
        reason = row.reason or "it failed before"
        if row.state == "skipped" and not item.asked:
            self._tally.skipped += 1
            self._tell("skipped", path=item.source, reason=reason)
        else:
            self.give_up(item.source, f"{reason} (found before; --retry-failed tries again)")

    def give_up(self, path: Path | str, reason: str) -> None:
        """Count a file as failed, and stop the batch when there are more of them than it may have."""
        self._tally.failures.append((str(path), reason))
        self._tell("failed", path=path, reason=reason)
        budget = self._batch.failures_allowed(self._tally.files)
        if budget is not None and len(self._tally.failures) > budget and not self._tally.stopped:
            self._tally.stopped = f"{len(self._tally.failures)} files failed, more than --max-failures allows"
            self._tell("stopped", reason=self._tally.stopped)


def without_path(path: str | Path, reason: str) -> str:
    """``reason`` without the file's name at its head, for where that is said already."""
    return reason.removeprefix(f"{shown(path)}: ")
