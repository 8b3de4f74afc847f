"""Which moments were picked, and why: the document ``moments.json`` and the table ``moments.csv``."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath

from . import records
from .errors import InputError, shown
from .files import whole_file, write_text
from .provenance import Backend, ClipModel, Decode, Machine, Program, Settings, Source

SCHEMA = "bestshot-trt/moments"
VERSION = 1

CSV_COLUMNS = (
    "rank",
    "start_s",
    "end_s",
    "peak_s",
    "score",
    "score_smooth",
    "sharpness",
    "exposure_penalty",
    "aesthetic",
    "prompt_similarity",
    "clip",
)


@dataclass(frozen=True, kw_only=True)
class Measures:
    """The raw measures of one picture; a ``prompt_similarity`` of NaN becomes None."""

    sharpness: float
    exposure_penalty: float
    aesthetic: float
    prompt_similarity: float | None
    contrast: float
    colourfulness: float

    def __post_init__(self) -> None:
        if self.prompt_similarity is not None and math.isnan(self.prompt_similarity):
            object.__setattr__(self, "prompt_similarity", None)


@dataclass(frozen=True, kw_only=True)
class Shake:
    """How much a clip shook and shakes, in percent of the picture's short side a frame, as `export._shake.shake_of`."""

    method: str
    """``vidstab`` or ``deshake``."""
    before: float
    after: float
    """What the method makes of it."""
    kept: bool
    """Whether the clip was stabilised: not where it was steady, or the method makes it hardly steadier."""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One picked moment: its peak, its clip [``start_s``, ``end_s``], its scores.

    Raises:
        ValueError: the rank is below 1, the clip is empty or starts before 0, or the clip's name
            leaves the folder of the document.
    """

    rank: int
    peak_s: float
    peak_pts: int
    start_s: float
    end_s: float
    score: float
    score_smooth: float
    measures: Measures
    clip: str | None
    """File name relative to the document, or None before export."""
    shake: Shake | None = None
    """None where nothing was to be stabilised, or no shake could be measured."""
    color: str | None = None
    """What was done to the clip's colours, in words."""
    clip_start_s: float | None = None
    """Where on the take the clip begins when it could not be at ``start_s``, and ``clip_end_s`` where it ends."""
    clip_end_s: float | None = None
    clip_notes: Sequence[str] = ()
    """What is to be said about this clip."""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"rank is {self.rank}; it must be at least 1")
        if not 0 <= self.start_s < self.end_s:
            raise ValueError(f"start_s is {self.start_s}, end_s {self.end_s}; need 0 <= start_s < end_s")
        if self.clip is not None and not _is_inside(self.clip):
            raise ValueError(f"clip is {self.clip!r}; it must be a file name inside the document's folder")


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """A peak that was not picked; ``reason`` is ``min_gap``, ``duplicate``, ``top_k`` or ``overlap``."""

    peak_s: float
    score_smooth: float
    reason: str
    detail: str
    """The same in words, with what it lost against."""
    duplicate_of: int | None = None
    """Rank of the pick that a ``duplicate`` is too like."""


@dataclass(frozen=True, kw_only=True)
class MomentsDocument:
    """All of ``moments.json``; the moments are by rank."""

    created_by: Program
    source: Source
    settings: Settings
    model: str
    """``none``, or name and weights of the CLIP model as ``ViT-B-32/openai``."""
    model_note: str | None
    """Why there is no CLIP model though one was welcome, and how to get one."""
    clip_model: ClipModel | None
    backend: Backend
    machine: Machine
    decode: Decode
    moments: tuple[Moment, ...]
    rejected: Sequence[Rejection]
    track: str | None = None
    """Path of the track it was picked from, relative to the document or absolute; None when that is no file."""

    reel: str | None = None
    """File name of the highlight reel relative to the document."""
    encoder: str | None = None
    """What encoded the clips, and why it was not NVENC where that was welcome; ``copy`` where nothing did."""

    def to_json(self) -> str:
        """The document as strict JSON, with its schema and version.

        Raises:
            ValueError: a number that must be finite is not.
        """
        return records.dumps(self, SCHEMA, VERSION)

    @classmethod
    def from_json(cls, text: str | bytes, name: str = "moments document") -> MomentsDocument:
        """Read what `to_json` wrote; ``name`` is used in errors.

        Raises:
            InputError: it is not such a document; the message names the field.
        """
        return records.loads(cls, text, SCHEMA, VERSION, name)


def write_json(document: MomentsDocument, path: Path) -> None:
    """Write ``moments.json``, whole or not at all.

    Raises:
        ExportError: the file cannot be written.
    """
    write_text(path, document.to_json())


def read_json(path: Path) -> MomentsDocument:
    """Read ``moments.json``.

    Raises:
        InputError: the file is missing, unreadable, or not such a document.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be read: {error.strerror or error}") from error
    return MomentsDocument.from_json(text, shown(path))


def write_csv(document: MomentsDocument, path: Path) -> None:
    """Write the moments as a table of `CSV_COLUMNS`; a value that is absent is an empty cell.

    Raises:
        ExportError: the file cannot be written.
    """
    with (
        whole_file(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        rows = csv.DictWriter(file, CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
        rows.writeheader()
        rows.writerows({**vars(moment.measures), **vars(moment)} for moment in document.moments)


def format_timestamp(seconds: float | Fraction) -> str:
    """Media time as ``00h12m34.500s``, rounded to the nearest millisecond; hours may pass 99.

    Raises:
        ValueError: negative or not finite.
    """
    if not 0 <= seconds < math.inf:
        raise ValueError(f"a time of {seconds} s cannot be written; it must be 0 or more")
    whole, milliseconds = divmod(round(Fraction(seconds) * 1000), 1000)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02d}h{minute:02d}m{second:02d}.{milliseconds:03d}s"


def clip_name(rank: int, start: float | Fraction, suffix: str = ".mp4", digits: int = 2) -> str:
    """File name of the clip of ``rank`` that starts at ``start`` seconds, as ``01_00h12m34.500s.mp4``."""
    return f"{rank:0{digits}d}_{format_timestamp(start)}{suffix}"
