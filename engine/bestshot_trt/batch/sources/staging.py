"""Remote files on their way here: looked at and fetched in threads, a few ahead of the work, within a bound of disk."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import queue
import secrets
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ...source import fingerprint
from ..journal import Journal
from ..plan import Job
from ..workers.messages import Elsewhere
from . import remote
from .attempts import Unfetched
from .fetching import fetch, partial_of
from .inputs import Footage
from .remote import Look

_THREADS = 4
_FULL = (errno.ENOSPC, errno.EDQUOT)
SPARE = 256 << 20
"""So much of the disk is left to the results."""

Told = tuple[Footage, str, str | None]
"""A file, its fingerprint, and why there is none."""


class _Ended(Exception):
    """The batch is over."""


class Stage:
    """The remote files of one batch. Everything but its threads is for the thread that made it."""

    def __init__(
        self,
        footage: Sequence[Footage],
        root: Path,
        folder: Path,
        space: int,
        ahead: int,
        journal: Journal,
        tell: Callable[..., Any],
        *,
        stream: bool = False,
        left: Path | None = None,
    ) -> None:
        self._stream, self._before = stream, left
        """``left`` is a folder of files that a batch that was killed had begun to fetch."""
        self._boot = _boot()
        self._left = deque(item for item in footage if item.uri is not None)
        self._root, self._folder, self._space, self._ahead = root, folder, space, ahead
        self._journal, self._tell = journal, tell
        self._open: set[str] = set()
        """Files looked at whose work has not been given out."""
        self._looks: dict[str, Look] = {}
        self._held: dict[str, int] = {}
        """Bytes of disk that each file has or will have."""
        self._needed: dict[str, int] = {}
        """Bytes that must be free for a file of unknown size for which the disk was too small."""
        self._wanted: deque[tuple[Footage, Callable[[Any, Exception | None], None]]] = deque()
        self._identified: deque[Told] = deque()
        self._fetched: deque[tuple[Job, str | None]] = deque()
        self._tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._waits = False
        for _ in range(min(_THREADS, len(self._left))):
            threading.Thread(target=self._work, name="stage", daemon=True).start()

    def __bool__(self) -> bool:
        """Whether there is a file that has not been given out or settled."""
        return bool(self._left or self._open)

    def end(self) -> None:
        """Let the threads end; what they fetched goes."""
        self._ended.set()
        shutil.rmtree(self._folder, ignore_errors=True)

    def identified(self) -> Iterator[Told]:
        """Files whose content has become known, or of which nothing can be had. `fetch` or `drop` each."""
        self._turn()
        while self._identified:
            yield self._identified.popleft()

    def fetch(self, job: Job) -> None:
        """Bring a job's file here, unless it is to be read as a stream; see `fetched`."""
        uri, local = _uri(job.footage), self._local(job.footage)
        self._open.add(uri)
        if self._is_streamed(job.footage):
            place = Elsewhere(uri, self._looks[uri])
            job.footage = dataclasses.replace(job.footage, path=local, place=place)
            self._fetched.append((job, None))
        elif local.exists():
            self._here(job, None)
        else:
            self._wanted.append((job.footage, lambda content, error: self._here(job, error or _other(job, content))))

    def _is_streamed(self, item: Footage) -> bool:
        size = self._looks[_uri(item)].size
        return size is not None and (self._stream or size > self._space) and not self._local(item).exists()

    def fetched(self) -> Iterator[tuple[Job, str | None]]:
        """Jobs whose file is here, each with None, or with why it is not."""
        while self._fetched:
            job, reason = self._fetched.popleft()
            self._open.discard(_uri(job.footage))
            yield job, reason

    def drop(self, item: Footage) -> None:
        """Nothing more is to be done with this file: remove it."""
        if item.uri is not None:
            self._open.discard(item.uri)
            self._held.pop(item.uri, None)
            shutil.rmtree(self._local(item).parent, ignore_errors=True)

    def _local(self, item: Footage) -> Path:
        name = item.path.name.encode()[-100:].decode(errors="ignore")
        return self._folder / self._key(_uri(item)) / name

    def _key(self, uri: str) -> str:
        """Another for another content, and where that is not told, or after the machine was down, another each time."""
        look = self._looks.get(uri)
        known = self._boot if look is not None and look.revision is not None else str(self._folder)
        return hashlib.sha256(f"{uri} {look} {known}".encode()).hexdigest()[:16]

    def _work(self) -> None:
        while not self._ended.is_set():
            try:
                work, then = self._tasks.get(timeout=1)
            except queue.Empty:
                continue
            try:
                self._results.put((then, work(), None))
            except _Ended:
                return
            except Exception as error:  # it is one file's, and told as such
                self._results.put((then, None, error))

    def _pause(self, seconds: float) -> None:
        if self._ended.wait(seconds) if seconds else self._ended.is_set():
            raise _Ended

    def _turn(self) -> None:
        """Take in what the threads did, and give them more."""
        while not self._results.empty():
            then, value, error = self._results.get()
            then(value, error)
        while self._left and len(self._open) < self._ahead:
            self._look(self._left.popleft())
        while self._wanted and self._begun(*self._wanted[0]):
            self._wanted.popleft()

    def _look(self, item: Footage) -> None:
        uri = _uri(item)
        self._open.add(uri)
        self._tasks.put((lambda: remote.look_at(uri, self._pause), lambda look, error: self._looked(item, look, error)))

    def _looked(self, item: Footage, look: Look, error: Exception | None) -> None:
        if error is not None:
            self._identified.append((item, "", str(error)))
            return
        uri = _uri(item)
        self._looks[uri] = look
        known = None
        if look.size is not None and look.revision is not None:
            known = self._journal.content_of(str(item.source), look.size, look.revision)
        if known is not None:
            self._identified.append((item, known, None))
            return
        self._tasks.put(
            (lambda: remote.content_of(uri, self._pause), lambda content, error: self._hashed(item, content, error))
        )

    def _hashed(self, item: Footage, content: str | None, error: Exception | None) -> None:
        """Where the store has told no fingerprint, it is taken from the whole file."""
        if content is None and error is None:
            self._wanted.append((item, lambda found, fault: self._known(item, found, fault)))
        else:
            self._known(item, content, error)

    def _known(self, item: Footage, content: str | None, error: Exception | None) -> None:
        if content is None or error is not None:
            self._identified.append((item, "", str(error)))
            return
        look = self._looks[_uri(item)]
        if look.size is not None and look.revision is not None:
            self._journal.note_content(str(item.source), look.size, look.revision, content)
        self._identified.append((item, content, None))

    def _begun(self, item: Footage, then: Callable[[Any, Exception | None], None]) -> bool:
        """Begin to fetch where there is room; a file that never has any is settled at once."""
        uri, look, used = _uri(item), self._looks[_uri(item)], sum(self._held.values())
        size = self._space if look.size is None else look.size
        if size > self._space:
            limit = f"--stage-space {self._space / 2**30:g} allows, and it cannot be read in parts; raise it"
            then(None, Unfetched(f"{item.source}: its {size / 2**30:.2f} GiB are more than {limit}"))
            return True
        self._make_room(self._space - used - size, self._key(uri))
        if used + size > self._space or not self._has_room(self._needed.get(uri, look.size or 0)):
            return False
        self._held[uri] = size
        target = self._local(item)
        self._tell("fetching", path=item.source)
        self._tasks.put(
            (
                lambda: self._brought(uri, look, target),
                lambda content, error: self._came(item, content, error, then),
            )
        )
        return True

    def _make_room(self, free: int, wanted: str) -> None:
        """Where less of the bound is left, what an earlier batch had begun goes, except what is ``wanted``."""
        if self._before is None:
            return
        others = [folder for folder in self._before.glob("*") if folder.name != wanted]
        if sum(file.stat().st_size for folder in others for file in folder.glob("*")) > free:
            for folder in others:
                shutil.rmtree(folder, ignore_errors=True)

    def _has_room(self, size: int) -> bool:
        """Whether the disk itself has room; said once while it has not."""
        short = shutil.disk_usage(self._root).free < size + SPARE
        if short and not self._waits:
            self._tell("paused", folder=self._root)
        elif self._waits and not short:
            self._tell("resumed", folder=self._root)
        self._waits = short
        return not short

    def _brought(self, uri: str, look: Look, target: Path) -> str:
        if self._before is not None:
            begun = self._before / target.parent.name / partial_of(target).name
            with contextlib.suppress(OSError):
                target.parent.mkdir(parents=True, exist_ok=True)
                begun.rename(partial_of(target))
        fetch(uri, look, target, self._pause, most=self._space)
        return fingerprint(target)

    def _came(
        self, item: Footage, content: str, error: Exception | None, then: Callable[[Any, Exception | None], None]
    ) -> None:
        uri, target = _uri(item), self._local(item)
        if error is not None:
            self._held.pop(uri, None)
            shutil.rmtree(target.parent, ignore_errors=True)
            if isinstance(error, OSError) and error.errno in _FULL:
                # Where nobody told its size, it needs more than there was. What is known is enough once it is free.
                if self._looks[uri].size is None:
                    self._needed[uri] = shutil.disk_usage(self._root).free
                self._wanted.append((item, then))
                return
            then(None, error)
            return
        self._held[uri] = target.stat().st_size
        then(content, None)

    def _here(self, job: Job, error: Exception | None) -> None:
        if error is None:
            job.footage = dataclasses.replace(job.footage, path=self._local(job.footage))
        self._fetched.append((job, None if error is None else str(error)))


def _boot() -> str:
    """What is another each time the machine starts: what was written before that may not be on the disk."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        return secrets.token_hex(8)


def _other(job: Job, content: str) -> Exception | None:
    if content == job.content:
        return None
    return Unfetched(f"{job.footage.source}: changed while it was fetched; run the batch again")


def _uri(item: Footage) -> str:
    assert item.uri is not None
    return item.uri
