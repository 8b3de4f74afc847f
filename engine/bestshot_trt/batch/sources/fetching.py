"""Fetching a file from a store: piece by piece, on from where a transfer broke, whole or not at all."""

from __future__ import annotations

import time
from pathlib import Path

from .attempts import NO_RANGES, DiskRefused, Pause, Unfetched, attempted
from .remote import CHUNK, Look, look_once, store_of
from .uris import is_web, shown_uri


def fetch(uri: str, look: Look, target: Path, pause: Pause = time.sleep, most: int | None = None) -> None:
    """Write the file to ``target``, which appears when it is whole. A broken transfer goes on where it broke.

    At most ``most`` bytes are taken, where the store does not tell the size. A `partial_of` ``target`` that is there
    already is gone on from: it must hold the beginning of this very content.

    Raises:
        InputError: it is not there or not to be had, changed meanwhile, or is larger than ``most``.
        DiskRefused: the disk here does not take it.
    """
    partial = partial_of(target)
    try:
        with _Sink(partial) as sink:
            attempted(uri, lambda: _transfer(uri, look, sink, pause, most), pause)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def partial_of(target: Path) -> Path:
    """Where `fetch` writes until all of it is there."""
    return target.with_name(f".{target.name[:80]}.part")


def _transfer(uri: str, look: Look, sink: _Sink, pause: Pause, most: int | None) -> None:
    if look_once(uri) != look:
        raise Unfetched(f"{shown_uri(uri)}: changed while it was fetched; run the batch again")
    try:
        _pour(uri, sink, pause, most)
    except ValueError as error:
        if NO_RANGES not in str(error):
            raise
        sink.restart()
        _pour(uri, sink, pause, most)
    if look.size is not None and sink.tell() != look.size:
        come = sink.tell()
        if come > look.size:
            sink.restart()
        raise ConnectionError(f"{come} bytes came of {look.size}")


def _pour(uri: str, sink: _Sink, pause: Pause, most: int | None) -> None:
    """What is missing in ``sink``, piece by piece."""
    store, path = store_of(uri)
    # From its beginning a file on the web comes in one answer.
    one = is_web(uri) and not sink.tell()
    with store.open(
        path, "rb", block_size=0 if one else CHUNK, **({} if one else {"cache_type": "readahead"})
    ) as source:
        if sink.tell():
            if not source.size:
                raise ValueError(NO_RANGES)
            source.seek(sink.tell())
        while piece := source.read(CHUNK):
            pause(0)
            sink.write(piece)
            if most is not None and sink.tell() > most:
                raise Unfetched(f"{shown_uri(uri)}: is larger than --stage-space allows; raise it")


class _Sink:
    """The partial file."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab")
        except OSError as error:
            raise DiskRefused(error.errno, error.strerror) from error
        self.tell = self._file.tell

    def write(self, piece: bytes) -> None:
        try:
            self._file.write(piece)
            self._file.flush()
        except OSError as error:
            raise DiskRefused(error.errno, error.strerror) from error

    def restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()

    def __enter__(self) -> _Sink:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
