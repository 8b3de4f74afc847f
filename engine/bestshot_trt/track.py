"""The score track: every sample's time, measures, score and embedding, as one Parquet file."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import peaks, records, scoring
from .config import PickConfig
from .errors import InputError, shown
from .files import whole_file
from .provenance import Backend, ClipModel, Decode, Machine, Program, Source
from .stored import stored_rows
from .track_file import SCHEMA

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
META_KEY = b"bestshot-trt"

COLUMNS = {
    "time_s": "times",
    "pts": "pts",
    "sharpness": "sharpness",
    "exposure_penalty": "exposure_penalty",
    "aesthetic": "aesthetic",
    "prompt_similarity": "prompt_similarity",
    "score": "score",
    "score_smooth": "score_smooth",
    "embedding": "embedding",
    "contrast": "contrast",
    "colourfulness": "colourfulness",
}
"""Column of the file -> field of `Track`, in the file's order."""

SMALLEST_ROW_GROUP, LARGEST_ROW_GROUP = 2048, 16384
ROW_GROUPS = 16
"""Small row groups keep what the writer holds beside the track small, and let several cores read one."""
_ONE_PAGE = 1 << 30
"""Bytes of a page, beyond what any row group has: `stored.stored_rows` reads embeddings of single pages in place."""


@dataclass(frozen=True, kw_only=True)
class TrackMeta:
    """Where a track comes from and how it was made; kept in the file's schema metadata."""

    created_by: Program
    source: Source
    duration: Fraction
    """End of the last frame in media time, exact; ``source.duration_s`` is the same as a float."""
    analyze: dict[str, Any]
    """Settings of `config.AnalyzeConfig`, as `provenance.plain` gives them."""
    model: str
    """As in `moments.MomentsDocument`."""
    model_note: str | None
    clip_model: ClipModel | None
    prompt: tuple[str, ...]
    """Texts that ``prompt_similarity`` was measured against; with ``avoid`` empty: there is none."""
    avoid: tuple[str, ...]
    backend: Backend
    machine: Machine
    decode: Decode


@dataclass(frozen=True, kw_only=True, eq=False)
class Track:
    """One take, sampled: arrays over its n samples, in time order.

    Raises:
        ValueError: dtype, rank or length does not fit, times do not increase strictly or leave the
            take, a sharpness is negative, or a value is not finite. The embedding's values are not
            looked at: there can be 100 million.
    """

    times: npt.NDArray[np.float64]
    """Seconds of media time (n,)."""
    pts: npt.NDArray[np.int64]
    """pts of the picture on screen at that time (n,)."""
    sharpness: npt.NDArray[np.float32]
    exposure_penalty: npt.NDArray[np.float32]
    contrast: npt.NDArray[np.float32]
    colourfulness: npt.NDArray[np.float32]
    aesthetic: npt.NDArray[np.float32]
    prompt_similarity: npt.NDArray[np.float32]
    """NaN throughout when there was no prompt."""
    score: npt.NDArray[np.float32]
    score_smooth: npt.NDArray[np.float32]
    embedding: npt.NDArray[np.float32]
    """(n, d), d at least 1. From `open_track` it is `stored.StoredRows`, which can stand in for an array here."""
    meta: TrackMeta

    def __post_init__(self) -> None:
        for name in COLUMNS.values():
            self._check_array(name)
        if (self.times[1:] <= self.times[:-1]).any():
            raise ValueError("times do not increase strictly")
        if len(self) and not 0 <= self.times[0] <= self.times[-1] <= float(self.meta.duration):
            span = f"{self.times[0]:g} to {self.times[-1]:g}"
            raise ValueError(f"times span {span} s; they must lie in 0 to {float(self.meta.duration):g} s")
        if (self.sharpness < 0).any():
            raise ValueError("sharpness holds a value below 0; a variance cannot be")

    def _check_array(self, name: str) -> None:
        array = getattr(self, name)
        dtype = {"times": np.float64, "pts": np.int64}.get(name, np.float32)
        rank = 2 if name == "embedding" else 1
        if array.dtype != dtype or array.ndim != rank or len(array) != len(self.times) or 0 in array.shape[1:]:
            need = f"{np.dtype(dtype)} ({len(self.times)},{' d' if rank == 2 else ''})"
            raise ValueError(f"{name} is {array.dtype} {array.shape}; need {need}")
        if name == "embedding" or (name == "prompt_similarity" and np.isnan(array).all()):
            return
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds a value that is not finite")

    def __len__(self) -> int:
        return len(self.times)


def scores(track: Track, config: PickConfig) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The score of every sample of ``track`` by ``config``, and its smoothed score; float64 (n,) each."""
    score = scoring.score(
        track.sharpness,
        track.exposure_penalty,
        track.aesthetic,
        track.prompt_similarity,
        weights=config.weights,
        mode=config.normalize,
    )
    return score, peaks.smooth(track.times, score, config.window)


def load_arrow() -> None:
    """Load what reading and writing tracks needs, which else happens the first time."""
    _arrow()


def _arrow() -> Any:
    """pyarrow on the system's allocator: its own keeps 50 MiB and more that writing a track never needs.

    Arrow reads the choice once, when it is first imported.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    import pyarrow as pa
    import pyarrow.parquet

    return pa


def _schema(width: int, meta: bytes) -> pa.Schema:
    """The file's columns. Only the prompt similarity may be null, which is faster to read too."""
    pa = _arrow()
    types = {
        "time_s": pa.float64(),
        "pts": pa.int64(),
        "embedding": pa.list_(pa.field("element", pa.float32(), nullable=False), width),
    }
    fields = [
        pa.field(column, types.get(column, pa.float32()), nullable=column == "prompt_similarity") for column in COLUMNS
    ]
    return pa.schema(fields, metadata={META_KEY: meta})


def _stored(field: pa.Field, values: npt.NDArray[Any]) -> pa.Array:
    """``values`` as a column of the file, in place.

    Not by ``pa.array``, which looks for masks, and loads all that NumPy has for them to do so.
    """
    pa = _arrow()
    if field.nullable and np.isnan(values).all():
        return pa.nulls(len(values), field.type)
    values = np.ascontiguousarray(values)
    scalar = field.type if values.ndim == 1 else field.type.value_type
    flat = pa.Array.from_buffers(scalar, values.size, [None, pa.py_buffer(values)])
    return flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, type=field.type)


def write_track(track: Track, path: Path) -> None:
    """Write ``track`` as Parquet, whole or not at all.

    The embeddings are stored as they are, since floats of a network hardly compress; the other
    columns are compressed with zstd.

    Raises:
        ExportError: the file cannot be written.
    """
    pa = _arrow()
    schema = _schema(track.embedding.shape[1], records.dumps(track.meta, SCHEMA, VERSION).encode())
    columns = [_stored(field, getattr(track, COLUMNS[field.name])) for field in schema]
    with whole_file(path) as temporary, temporary.open("wb") as file:
        pa.parquet.write_table(
            pa.Table.from_arrays(columns, schema=schema),
            file,
            row_group_size=min(LARGEST_ROW_GROUP, max(SMALLEST_ROW_GROUP, len(track) // ROW_GROUPS)),
            data_page_size=_ONE_PAGE,
            use_dictionary=False,
            write_statistics=["time_s", "pts"],
            compression={**dict.fromkeys(COLUMNS, "zstd"), "embedding": "none"},
        )


def _check_schema(schema: pa.Schema, path: Path) -> None:
    """Raise `InputError` unless ``schema`` has all columns, in their types."""
    pa = _arrow()
    for column in COLUMNS:
        if schema.names.count(column) != 1:
            wrong = "is missing" if column not in schema.names else "is there more than once"
            raise InputError(f"{shown(path)}: column {column} {wrong}")
    kind = schema.field("embedding").type
    width = kind.list_size if pa.types.is_fixed_size_list(kind) else 1
    for want in _schema(width, b""):
        found = schema.field(want.name)
        if found.type != want.type:
            raise InputError(f"{shown(path)}: column {want.name} is {found.type}; it must be {want.type}")


def read_track(path: Path) -> Track:
    """Read what `write_track` wrote. The arrays may be read-only.

    Raises:
        InputError: the file is missing, damaged, or not a score track this version reads.
    """
    track = open_track(path)
    return dataclasses.replace(track, embedding=np.asarray(track.embedding))


def open_track(path: Path) -> Track:
    """As `read_track`, but the embeddings stay in the file, which is held open, until rows of them are used.

    Raises:
        InputError: the file is missing, damaged, or not a score track this version reads.
    """
    with _legible(path):
        # As bytes, since pyarrow refuses a str path whose bytes are not UTF-8.
        source = _arrow().memory_map(os.fsencode(path))
        file = _arrow().parquet.ParquetFile(source)
        schema = file.schema_arrow
        if META_KEY not in (schema.metadata or {}):
            raise InputError(f"{shown(path)}: a Parquet file, but not a score track of bestshot-trt")
        _check_schema(schema, path)
        arrays = {COLUMNS[name]: _column(file, name, path) for name in COLUMNS if name != "embedding"}
        width = schema.field("embedding").type.list_size
        rows = stored_rows(source, file.metadata, "embedding", width)
        arrays["embedding"] = _matrix(file, path, width) if rows is None else rows
    meta = records.loads(TrackMeta, schema.metadata[META_KEY], SCHEMA, VERSION, shown(path))
    try:
        return Track(**arrays, meta=meta)
    except ValueError as error:
        raise InputError(f"{shown(path)}: {error}") from error


@contextlib.contextmanager
def _legible(path: Path) -> Iterator[None]:
    try:
        yield
    except (_arrow().ArrowException, OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise InputError(f"{shown(path)}: cannot be read as a score track: {reason}") from error


def _column(file: Any, name: str, path: Path) -> Any:
    values = file.read(columns=[name]).column(0)
    if name != "prompt_similarity" and values.null_count:
        raise InputError(f"{shown(path)}: column {name} has empty cells")
    return values.to_numpy()


def _matrix(file: Any, path: Path, width: int) -> npt.NDArray[np.float32]:
    """The embeddings (n, d) of a file whose pages are not as `stored_rows` needs them."""
    column = file.read(columns=["embedding"]).column(0)
    if column.null_count:
        raise InputError(f"{shown(path)}: column embedding has empty cells")
    parts = [chunk.flatten().to_numpy() for chunk in column.chunks]
    return np.concatenate([*parts, np.empty(0, np.float32)]).reshape(len(column), width)
