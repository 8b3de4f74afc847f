"""A remote take that is read as a stream, in blocks that all who read it share: it never lies on this disk."""

from __future__ import annotations

import contextlib
import io
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, cast

from ... import streams
from ..workers.messages import Elsewhere
from . import remote
from .attempts import Unfetched, attempted
from .uris import shown_uri

_BLOCK = 4 << 20
_KEPT = 16
"""Blocks in memory, of each take that is worked on."""
_AHEAD = 3
"""Blocks asked for before they are needed, where a take is read in order."""


class RemoteStream:
    """What lies at ``place``, which must stay what it is; see `streams.Stream`."""

    def __init__(self, place: Elsewhere) -> None:
        self._place = place
        self.size = place.look.size or 0
        self._blocks: OrderedDict[int, Future[bytes]] = OrderedDict()
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(_AHEAD + 1, "stream")
        self._files = threading.local()
        self._ended = threading.Event()
        self._fault: Unfetched | None = None

    def open(self, name: str) -> BinaryIO:
        """Begin to read it."""
        return cast(BinaryIO, _Reader(self, name))

    def check(self) -> None:
        """See `streams.Stream.check`."""
        if self._fault is not None:
            raise self._fault
        if remote.look_at(self._place.uri) != self._place.look:
            self._fault = Unfetched(f"{shown_uri(self._place.uri)}: changed while it was read; run the batch again")
            raise self._fault

    def end(self) -> None:
        """Read no more."""
        self._ended.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def block(self, number: int, *, in_order: bool) -> bytes:
        """One block; those after it are asked for where it is read ``in_order``.

        Raises:
            Unfetched: it cannot be had.
        """
        with self._lock:
            if self._fault is not None:
                raise self._fault
            last = (self.size - 1) // _BLOCK
            for each in range(number, min(number + (_AHEAD if in_order else 0), last) + 1):
                if each not in self._blocks:
                    self._blocks[each] = self._threads.submit(self._fetch, each)
            block = self._blocks[number]
            self._blocks.move_to_end(number)
            while len(self._blocks) > _KEPT:
                self._blocks.popitem(last=False)[1].cancel()
        try:
            return block.result()
        except Unfetched as error:
            self._fault = error
            raise

    def _fetch(self, number: int) -> bytes:
        start, stop = number * _BLOCK, min((number + 1) * _BLOCK, self.size)

        def read() -> bytes:
            file = self._file()
            file.seek(start)
            content = bytes(file.read(stop - start))
            if len(content) != stop - start:
                raise ConnectionError(f"{len(content)} bytes came of {stop - start}")
            return content

        return attempted(self._place.uri, read, self._pause, "read")

    def _file(self) -> Any:
        """This thread's own, since a file has one position."""
        if not hasattr(self._files, "file"):
            store, path = remote.store_of(self._place.uri)
            self._files.file = store.open(path, "rb", block_size=_BLOCK, cache_type="none")
        return self._files.file

    def _pause(self, seconds: float) -> None:
        if self._ended.is_set():
            raise Unfetched("the stream has ended")
        time.sleep(seconds)


class _Reader(io.RawIOBase):
    """One reader of a stream, with a position of its own; libav tells a format by ``name`` too."""

    def __init__(self, stream: RemoteStream, name: str) -> None:
        self._stream, self.name = stream, name
        self._position = 0
        self._last = -1

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._stream.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        number, within = divmod(self._position, _BLOCK)
        if self._position >= self._stream.size or not len(buffer):
            return 0
        block = self._stream.block(number, in_order=number in (self._last, self._last + 1))
        self._last = number
        piece = block[within : within + len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def read(self, size: int = -1) -> bytes:
        """As much as is asked for, over the ends of blocks."""
        wanted = self._stream.size - self._position if size < 0 else size
        content = bytearray(max(0, min(wanted, self._stream.size - self._position)))
        view = memoryview(content)
        while view:
            view = view[self.readinto(view) :]
        return bytes(content)


@contextlib.contextmanager
def reading(path: Path, place: Elsewhere | None) -> Iterator[None]:
    """Let ``path`` stand for what lies at ``place`` while the block lasts; None: it is a file.

    Raises:
        Unfetched: it cannot be had.
    """
    if place is None:
        yield
        return
    stream = RemoteStream(place)
    try:
        with streams.standing_for(path, stream):
            yield
    finally:
        stream.end()
