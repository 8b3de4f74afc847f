"""Takes that are no files here: what stands for a path in this process, read here and there from elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol


class Stream(Protocol):
    """What a path stands for."""

    size: int
    """Bytes that there are."""

    def open(self, name: str) -> BinaryIO:
        """Begin to read it, as a file of that name; a read that fails raises `InputError`, and so do all after it."""

    def check(self) -> None:
        """Raise what a read has failed with.

        A library that reads may take a failure for the end of the file: whatever was read is not to be kept before
        this was asked.

        Raises:
            InputError: a read failed, or the content is no longer what it was.
        """


_standing: dict[Path, Stream] = {}


@contextlib.contextmanager
def standing_for(path: Path, stream: Stream) -> Iterator[None]:
    """Let ``path`` stand for ``stream`` while the block lasts, wherever a take is opened.

    Raises:
        InputError: the stream's own, rather than what came of it.
    """
    _standing[path.absolute()] = stream
    try:
        yield
    except Exception:
        stream.check()
        raise
    finally:
        del _standing[path.absolute()]


def stream_at(path: Path) -> Stream | None:
    """What ``path`` stands for, if it is no file."""
    return _standing.get(path.absolute())


def check(path: Path) -> None:
    """Before anything that was read is kept: `Stream.check` of what ``path`` stands for. Files need none.

    Raises:
        InputError: a read failed, or the content is no longer what it was.
    """
    stream = stream_at(path)
    if stream is not None:
        stream.check()


def size_of(path: Path) -> int:
    """Bytes of a take.

    Raises:
        OSError: it is a file, and cannot be looked at.
    """
    stream = stream_at(path)
    return path.stat().st_size if stream is None else stream.size


def opened(path: Path) -> BinaryIO:
    """A take, open to be read.

    Raises:
        OSError: it is a file, and cannot be opened.
    """
    stream = stream_at(path)
    return path.open("rb") if stream is None else stream.open(str(path))
