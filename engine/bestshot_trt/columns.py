"""Arrays that grow by rows while a take is gone through: in memory, or in a file while memory is short."""

from __future__ import annotations

import errno
import io
import tempfile
from typing import Any

import numpy as np
import numpy.typing as npt

_FIRST_ROWS = 1024
_SPOOL_BYTES = 4 << 20
"""Rows of a `Spool` beyond so many bytes wait in the file, while decoding needs the memory."""


class Column:
    """An array that grows by rows in place, so that a long take is never held twice."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._dtype = dtype
        self._rows: npt.NDArray[Any] | None = None
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def extend(self, rows: npt.NDArray[Any]) -> None:
        """Append ``rows`` (m,) or (m, d)."""
        if self._rows is None:
            self._rows = np.empty((_FIRST_ROWS, *rows.shape[1:]), self._dtype)
        needed = self._count + len(rows)
        if needed > len(self._rows):
            self._resize(max(needed, len(self._rows) * 3 // 2))
        self._rows[self._count : needed] = rows
        self._count = needed

    def finish(self) -> npt.NDArray[Any]:
        """All rows; nothing may be appended after."""
        self._resize(self._count)
        assert self._rows is not None
        return self._rows

    def _resize(self, rows: int) -> None:
        assert self._rows is not None
        # In place: nobody else refers to the array yet, and the system moves large blocks without copying.
        self._rows.resize((rows, *self._rows.shape[1:]), refcheck=False)


class Spool:
    """A `Column` of wide rows, which lie in an unnamed temporary file until they are finished, but for the last."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._last = Column(dtype)
        self._file: io.FileIO | None = None
        self._stored = 0
        self._spools = True

    def extend(self, rows: npt.NDArray[Any]) -> None:
        """Append ``rows`` (m, d)."""
        self._last.extend(rows)
        if self._spools and len(self._last) * rows[0].nbytes >= _SPOOL_BYTES:
            self._store()

    def _store(self) -> None:
        """Put what is in memory into the file; where that takes no more, all further rows stay in memory."""
        rows = self._last.finish()
        try:
            self._file = self._file or tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
            self._file.seek(self._stored)
            self._spools = self._file.write(rows.data) == rows.nbytes
        except OSError:
            self._spools = False
        if self._spools:
            self._stored += rows.nbytes
            self._last = Column(self._dtype)
            self._last.extend(rows[:0])

    def finish(self) -> npt.NDArray[Any]:
        """All rows; nothing may be appended after."""
        last = self._last.finish()
        if self._file is None:
            return last
        stored = self._stored // (last.shape[1] * last.itemsize)
        whole = np.empty((stored + len(last), last.shape[1]), self._dtype)
        whole[stored:] = last
        with self._file as file:
            file.seek(0)
            room = whole[:stored].reshape(-1).view(np.uint8).data
            while room:
                count = file.readinto(room)
                if not count:
                    raise OSError(errno.EIO, "the temporary file of embeddings is cut short")
                room = room[count:]
        return whole
