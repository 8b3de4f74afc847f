"""Embeddings that stay in their track file until rows of them are asked for.

Twelve hours of 768-d embeddings are 400 MB, and a pick looks at those of a few peaks.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import InputError, shown

Rows = npt.NDArray[np.float32]
_THREADS = 4


class StoredRows:
    """One column of fixed size lists of a Parquet file, as an array (n, d) of float32 that is read when used.

    It has what picking and prompts need of an array: ``shape``, ``dtype``, ``len``, one row by its index, the
    product with a vector, and `numpy.asarray` for all of it. Row groups that were read for a row are kept.

    Raises:
        InputError: from any use, when the file cannot be read further.
    """

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(self, open_file: Callable[[], Any], path: Path, column: str) -> None:
        """``open_file`` gives a `pyarrow.parquet.ParquetFile` of its own to every thread that asks."""
        self._open, self._path, self._column = open_file, path, column
        self._own = threading.local()
        file = self._file()
        groups = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(groups)]).astype(int)
        self._kept: dict[int, Rows] = {}
        self.shape: tuple[int, int] = (file.metadata.num_rows, file.schema_arrow.field(column).type.list_size)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> Rows:
        """One row (d,)."""
        group = int(np.searchsorted(self._starts, index, side="right")) - 1
        if group not in self._kept:
            self._kept[group] = self._read(group)
        row: Rows = self._kept[group][index - self._starts[group]]
        return row

    def __matmul__(self, vector: Rows) -> Rows:
        """The product with ``vector`` (d,), float32 (n,), a row group at a time."""
        product = np.empty(len(self), np.float32)

        def fill(group: int) -> None:
            # einsum, since the threads of a BLAS product would only fight with these here.
            product[self._starts[group] : self._starts[group + 1]] = np.einsum("ij,j->i", self._rows(group), vector)

        self._each(fill)
        return product

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """All rows."""
        whole = np.empty(self.shape, np.float32)

        def fill(group: int) -> None:
            whole[self._starts[group] : self._starts[group + 1]] = self._rows(group)

        self._each(fill)
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def _each(self, work: Callable[[int], None]) -> None:
        with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
            list(pool.map(work, range(len(self._starts) - 1)))

    def _rows(self, group: int) -> Rows:
        return self._kept[group] if group in self._kept else self._read(group)

    def _file(self) -> Any:
        if not hasattr(self._own, "file"):
            self._own.file = self._open()
        return self._own.file

    def _read(self, group: int) -> Rows:
        import pyarrow as pa

        try:
            table = self._file().read_row_group(group, columns=[self._column], use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{shown(self._path)}: cannot be read further: {str(error).splitlines()[0]}") from error
        column = table.column(0)
        if column.null_count:
            raise InputError(f"{shown(self._path)}: column {self._column} has empty cells")
        parts = [chunk.flatten().to_numpy() for chunk in column.chunks]
        flat: Rows = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return flat.reshape(-1, self.shape[1])
