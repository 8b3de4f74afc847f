"""Embeddings that stay in their track file until rows of them are used.

Twelve hours of 768-d embeddings are 400 MB, of which a pick looks at a few rows, and a prompt at each once. In the
files that this program writes they lie as they are in memory: PLAIN, uncompressed, one page to a row group.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from .cores import usable_cores

Rows = npt.NDArray[np.float32]
_BLOCK_ROWS = 1024
_PAGE_HEADER = 64
_VARINT = rb"[\x80-\xff]{0,9}[\x00-\x7f]"
_HEADER = re.compile(rb"\x15(?P<type>%b)\x15%b\x15%b(?:\x15%b\x1c|\x2c)\x15(?P<count>%b)" % ((_VARINT,) * 5), re.DOTALL)
_FLOAT = np.dtype("<f4")
_DATA_PAGE = 0


class StoredRows:
    """A column of fixed size lists as an array (n, d) of float32 that the system pages in from its file.

    It has what picking and prompts need of an array: ``shape``, ``dtype``, ``len``, a row by its index, the product
    with a vector, and `numpy.asarray` for all of it.
    """

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(self, groups: list[Rows]) -> None:
        """``groups`` are the row groups, at least one of them, in order; they may be unaligned."""
        self._groups = groups
        self._starts = np.cumsum([0, *map(len, groups)])
        self.shape = (int(self._starts[-1]), groups[0].shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> Rows:
        """One row (d,)."""
        group = int(np.searchsorted(self._starts, index, side="right")) - 1
        row: Rows = self._groups[group][index - self._starts[group]].copy()
        return row

    def __matmul__(self, vector: Rows) -> Rows:
        """The product with ``vector`` (d,), float32 (n,), computed block by block on all cores."""
        from concurrent.futures import ThreadPoolExecutor

        product = np.empty(len(self), np.float32)

        def fill(group: int) -> None:
            out = product[self._starts[group] : self._starts[group + 1]]
            for first in range(0, len(out), _BLOCK_ROWS):
                # A copy, since no row in the file need begin at a multiple of four bytes; small, to stay in cache.
                block = np.array(self._groups[group][first : first + _BLOCK_ROWS], np.float32)
                np.einsum("ij,j->i", block, vector, out=out[first : first + len(block)])

        with ThreadPoolExecutor(usable_cores()) as pool:
            list(pool.map(fill, range(len(self._groups))))
        return product

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """All rows."""
        whole = np.concatenate(self._groups)
        return whole if dtype is None else whole.astype(dtype, copy=False)


def stored_rows(source: Any, metadata: Any, column: str, width: int) -> StoredRows | None:
    """``column`` of a Parquet file, where its values lie in the file as they do in memory; None where they do not.

    Args:
        source: the file, as `pyarrow.memory_map` opens it.
        metadata: its `pyarrow.parquet.FileMetaData`.
        column: a column of lists of ``width`` floats, none of them null.
        width: d.
    """
    groups = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        chunk = next(c for c in map(group.column, range(group.num_columns)) if c.path_in_schema.split(".")[0] == column)
        values = _values(source, chunk, group.num_rows * width)
        if values is None:
            return None
        groups.append(values.reshape(group.num_rows, width))
    return StoredRows(groups) if groups else None


def _values(source: Any, chunk: Any, count: int) -> Rows | None:
    """The values of a column chunk that is one PLAIN page: its last bytes, after a header and the list's levels."""
    is_plain = (
        chunk.physical_type == "FLOAT"
        and chunk.compression == "UNCOMPRESSED"
        and {*chunk.encodings} <= {"PLAIN", "RLE", "BIT_PACKED"}
        and not chunk.has_dictionary_page
        and chunk.num_values == count
    )
    if not is_plain:
        return None
    source.seek(chunk.data_page_offset)
    stored = source.read_buffer(chunk.total_compressed_size)
    size = count * _FLOAT.itemsize
    if len(stored) != chunk.total_compressed_size or size > len(stored):
        return None
    if _page_header(bytes(stored[:_PAGE_HEADER])) != (_DATA_PAGE, count):
        return None
    values: Rows = np.frombuffer(stored, _FLOAT, count, len(stored) - size)
    return values


def _page_header(head: bytes) -> tuple[int, int] | None:
    """Type of a page and how many values it has, from ``PageHeader`` in parquet.thrift; None if that is not it.

    In Thrift's compact protocol: 0x15 and a varint for each of type, size and compressed size (and a checksum, maybe),
    then the header of a data page: 0x1C or 0x2C as it follows on field 4 or 3, and in it 0x15 and the count.
    """
    match = _HEADER.match(head)
    return None if match is None else (_integer(match["type"]), _integer(match["count"]))


def _integer(varint: bytes) -> int:
    """A zigzag varint, seven bits a byte, lowest first."""
    value = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(varint))
    return value >> 1 ^ -(value & 1)
