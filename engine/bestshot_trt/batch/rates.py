"""How long takes will take and how much disk they need, told from takes that were worked on before.

Every take that a batch finishes leaves what it cost in the journal, and in a file of this machine's for batches into
other folders.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import Config
from ..errors import ExportError
from ..files import write_text
from . import plan
from .messages import Cost

VARIABLE = "BESTSHOT_SPEEDS"
REMEMBERED = 200
"""Takes that this machine's file holds, the latest."""
_LATEST = 50
"""So many takes an estimate is made of: how fast a machine is changes."""
SPEED = 8.0
"""Assumed before anything was measured: times real time at which a worker analyses 1080p at 30 pictures a second."""
_PIXELS_S = 1920 * 1080 * 30
_FINISH_S = 5.0
"""Likewise for picking and cutting one take."""
_BYTES_S = 2_500_000
"""Bytes in a second of such footage: 20 Mbit/s."""
_CLIP_BYTES_S = 1 << 20
_SAMPLE_BYTES = 2200
"""One row of the track with an embedding of 512 numbers."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one take cost, and under which circumstances."""

    machine: str
    place: str
    """What it ran on: ``cpu``, ``gpu``, or one of a Ray cluster's."""
    analyze: str
    """Key of the settings of its analysis, of `settings_of`."""
    finish: str
    """Key of those of selection and clips."""
    model: str
    workers: int
    """So many were at work."""
    size: int
    """Bytes of the take's file."""
    cost: Cost


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What `Measured` has in common for all takes of a batch."""

    place: str
    analyze: str
    finish: str
    machine: str = dataclasses.field(default_factory=socket.gethostname)


def circumstances_of(config: Config, place: str) -> Circumstances:
    """Those of a batch with these settings on this machine's ``place``."""
    return Circumstances(place=place, **plan.settings_of(config))


@dataclass(frozen=True, kw_only=True)
class Work:
    """Takes to be worked on, summed up."""

    takes: int = 0
    """All that need their moments picked or clips cut."""
    new: int = 0
    """Those of them that have no results to be replaced."""
    footage_s: float = 0.0
    """To be analysed."""
    pixels: float = 0.0
    """The same: pictures times their pixels."""

    def __add__(self, other: Work) -> Work:
        return Work(**{field.name: getattr(self, field.name) + getattr(other, field.name) for field in _FIELDS})


_FIELDS = dataclasses.fields(Work)


class Rates:
    """The rates that hold under ``here``, of what was ``measured`` in this folder and on this machine."""

    def __init__(
        self, here: Circumstances, config: Config, folder: Iterable[Measured], machine: Iterable[Measured] = ()
    ) -> None:
        self._here, self._config = here, config
        alike = [
            [each for each in rows if (each.machine, each.place) == (here.machine, here.place)]
            for rows in (folder, machine)
        ]
        analysed = [[each for each in rows if each.cost.analyze_s] for rows in alike]
        self._analysed, self.analysis_basis = _latest(analysed, "analyze", here.analyze)
        self._finished, self.finish_basis = _latest(alike, "finish", here.finish)

    def seconds(self, work: Work, workers: int) -> float:
        """Until ``work`` is done by so many workers."""
        if not work.takes:
            return 0.0
        at_once = max(1, min(workers, work.takes))
        return work.pixels * self._pixel_s(at_once) + work.takes * self._finish_s(at_once)

    def _pixel_s(self, at_once: int) -> float:
        """Seconds of the whole machine for a pixel."""
        pixels = sum(each.cost.pixels for each in self._analysed)
        if not pixels:
            return 1 / (SPEED * _PIXELS_S * at_once)
        return sum((each.cost.analyze_s or 0.0) / self._shared(each, at_once) for each in self._analysed) / pixels

    def _finish_s(self, at_once: int) -> float:
        """Seconds of the whole machine for picking and cutting one take."""
        if not self._finished:
            return _FINISH_S / at_once
        return sum(each.cost.finish_s / self._shared(each, at_once) for each in self._finished) / len(self._finished)

    def _shared(self, measured: Measured, at_once: int) -> int:
        """Cores are shared out, however many workers there are; each GPU is another."""
        return at_once if self._here.place != "cpu" else min(at_once, measured.workers)

    def bytes(self, work: Work) -> float:
        """Of disk for the results of takes that have none yet."""
        footage = sum(each.cost.footage_s for each in self._analysed)
        track = sum(each.cost.track_bytes for each in self._analysed) / footage if footage else self._assumed_track()
        others = [each.cost.other_bytes for each in self._finished]
        return work.footage_s * track + work.new * (sum(others) / len(others) if others else self._assumed_clips())

    def _assumed_track(self) -> float:
        return self._config.analyze.fps * _SAMPLE_BYTES

    def _assumed_clips(self) -> float:
        pick = self._config.pick
        return pick.top * (pick.clip_length[1] if pick.clip_length else pick.pre + pick.post) * _CLIP_BYTES_S

    def guess(self, size: float) -> Work:
        """One take to be analysed of which only its bytes are known."""
        bytes_known = sum(each.size for each in self._analysed)
        if not bytes_known:
            seconds = size / _BYTES_S
            return Work(takes=1, new=1, footage_s=seconds, pixels=seconds * _PIXELS_S)
        footage = sum(each.cost.footage_s for each in self._analysed)
        pixels = sum(each.cost.pixels for each in self._analysed)
        return Work(takes=1, new=1, footage_s=size * footage / bytes_known, pixels=size * pixels / bytes_known)


def _latest(sources: Sequence[Sequence[Measured]], kind: str, key: str) -> tuple[list[Measured], str]:
    """The takes to go by, and which they are: rather with the same settings, and rather in this folder."""
    places = ("in this folder", "on this machine")
    for settings, fits in (("these", True), ("other", False)):
        for rows, place in zip(sources, places, strict=True):
            found = [each for each in rows if not fits or getattr(each, kind) == key][-_LATEST:]
            # The same settings come to another model where one was pulled meanwhile.
            found = [each for each in found if each.model == found[-1].model]
            if found:
                takes = "take" if len(found) == 1 else f"{len(found)} takes"
                return found, f"as the last {takes} with {settings} settings {place} went"
    return [], "assumed, since nothing was measured on this machine yet"


def dumped(measured: Measured) -> str:
    """``measured`` in a line."""
    return json.dumps(dataclasses.asdict(measured))


def loaded(lines: Iterable[str]) -> list[Measured]:
    """What `dumped` made; lines of other versions are left out."""
    found = []
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            told: dict[str, Any] = json.loads(line)
            found.append(Measured(**{**told, "cost": Cost(**told["cost"])}))
    return found


def of_this_machine() -> list[Measured]:
    """What batches into any folder have cost here."""
    try:
        return loaded(_file().read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError):
        return []


def remember(measured: Sequence[Measured]) -> None:
    """Add to this machine's file; that it cannot be written is no fault of the batch's."""
    if measured:
        with contextlib.suppress(OSError, ExportError):
            path = _file()
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = [*of_this_machine(), *measured][-REMEMBERED:]
            write_text(path, "".join(f"{dumped(each)}\n" for each in kept))


def _file() -> Path:
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen)
    import platformdirs

    return Path(platformdirs.user_cache_dir("bestshot-trt", appauthor=False)) / "speeds.jsonl"
