"""What the supervisor and its workers tell each other, pickled over a pipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...config import Config
from ..sources.remote import Look

END = 1 << 62
"""Where a stretch ends that goes on to the end of its take."""


@dataclass(frozen=True, kw_only=True)
class Prepare:
    """Ask which model the settings come to; it is pulled if need be."""

    config: Config


@dataclass(frozen=True)
class Elsewhere:
    """Where a take is read from that is no file here."""

    uri: str
    look: Look
    """What it must still be."""


@dataclass(frozen=True, kw_only=True)
class TakeTask:
    """Ask for all results of one take."""

    path: Path
    place: Elsewhere | None = None
    """What ``path`` stands for, if it is no file."""
    content: str
    """Its fingerprint, which the file must still have."""
    config: Config
    target: Path
    """The folder of its results, put in place as a whole."""
    home: Path | str
    """Where they are in the end: ``target``, or a URI."""
    staging: Path
    """Where they are made; on the same disk."""
    track: Path
    """Where its analysis is kept until the results are in place."""
    parts: Path
    """Where finished stretches of its analysis are kept."""
    known: Path | None
    """A track with this very analysis, if there is one."""
    origin: str | None
    """What results call the take, where its file was only fetched from there."""
    receipt: str
    """Text of `RECEIPT`, which says what the results are for."""
    without_model: str | None = None
    """Why the settings come to no model, though one is welcome."""


@dataclass(frozen=True, kw_only=True)
class LengthTask:
    """Ask how long a take claims to be."""

    path: Path
    uri: str | None = None
    """Where it is to be looked at, when it has not been fetched."""


@dataclass(frozen=True, kw_only=True)
class RangeTask:
    """Ask for the analysis of one stretch of a take."""

    path: Path
    place: Elsewhere | None = None
    """As in `TakeTask`."""
    config: Config
    parts: Path
    within: range
    """Indices of its samples."""
    without_model: str | None = None
    """As in `TakeTask`."""


@dataclass(frozen=True, kw_only=True)
class Length:
    """The answer to `LengthTask`."""

    seconds: float
    """0 where the take does not say, or its store sends only whole files."""
    pixels_s: float = 0.0
    """Pictures a second times their pixels."""


@dataclass(frozen=True, kw_only=True)
class Ready:
    """The answer to `Prepare`: the model's name and what names its weights, and why there is none."""

    model: str
    note: str | None
    backend: str


@dataclass(frozen=True, kw_only=True)
class Moved:
    """Work has come so far; see `progress.Progress`."""

    stage: str
    done: float
    total: float | None
    unit: str


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What all the work on a take came to."""

    footage_s: float
    pixels: float
    """Of all its pictures."""
    analyze_s: float | None
    """Seconds that its analysis took; None where it was not done in one go."""
    finish_s: float
    """Seconds that all the rest took."""
    track_bytes: int
    other_bytes: int
    """Of results beside the track."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """The results are in place."""

    footage_s: float
    notes: tuple[str, ...]
    cost: Cost | None = None


@dataclass(frozen=True, kw_only=True)
class Failed:
    """It did not work out."""

    kind: str
    """Name of the error's class."""
    reason: str
    disk_full: bool = False


Answer = Ready | Length | Moved | Done | Failed

RECEIPT = "batch.json"
"""In each take's folder: which content and settings its results are for."""
