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

from ...config import Config
from ...errors import ExportError
from ...files import write_text
from .. import plan
from ..workers.messages import Cost

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
    """Bytes of the take's file, 0 where it never lay here."""
    cut: float
    """As `Work.cut` for this take."""
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
    analyzed: int = 0
    """Those of them that are to be analysed, wholly or in part."""
    footage_s: float = 0.0
    """To be analysed."""
    pixels: float = 0.0
    """The same: pictures times their pixels."""
    cut: float = 0.0
    """Of the clips, as far as takes have as many moments as are asked for."""

    def __add__(self, other: Work) -> Work:
        return Work(**{field.name: getattr(self, field.name) + getattr(other, field.name) for field in _FIELDS})


_FIELDS = dataclasses.fields(Work)


class Rates:
    """The rates that hold under ``here``, of what was ``measured`` in this folder and on this machine.

    Seconds and bytes are so much for each take and so much for what it holds, fitted to what takes have cost.
    """

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
        at_once = max(1, min(workers, work.takes))
        each, pixel = self._analysis(at_once)
        finish, cut = self._finish(at_once)
        return work.analyzed * each + work.pixels * pixel + work.takes * finish + work.cut * cut

    def _analysis(self, at_once: int) -> tuple[float, float]:
        """Seconds of the whole machine for a take, and for a pixel of it."""
        if not self._analysed:
            return 0.0, 1 / (SPEED * _PIXELS_S * at_once)
        return _fitted(
            [each.cost.pixels for each in self._analysed],
            [(each.cost.analyze_s or 0.0) / self._shared(each, at_once) for each in self._analysed],
        )

    def _finish(self, at_once: int) -> tuple[float, float]:
        """The same for picking and cutting one take, and for a pixel of its clips."""
        if not self._finished:
            return _FINISH_S / at_once, 0.0
        return _fitted(
            [each.cut for each in self._finished],
            [each.cost.finish_s / self._shared(each, at_once) for each in self._finished],
        )

    def _shared(self, measured: Measured, at_once: int) -> int:
        """Cores are shared out, however many workers there are; each GPU is another."""
        return at_once if self._here.place != "cpu" else min(at_once, measured.workers)

    def bytes(self, work: Work) -> float:
        """Of disk for the results of takes that have none yet."""
        footage = sum(each.cost.footage_s for each in self._analysed)
        tracks = sum(each.cost.track_bytes for each in self._analysed)
        sample = tracks / footage if footage else self._config.analyze.fps * _SAMPLE_BYTES
        take, pixel = clip_seconds(self._config) * _CLIP_BYTES_S, 0.0
        if self._finished:
            take, pixel = _fitted(
                [each.cut for each in self._finished], [float(each.cost.other_bytes) for each in self._finished]
            )
        return work.footage_s * sample + work.new * (take + pixel * work.cut / max(1, work.takes))

    @property
    def usual_size(self) -> float:
        """Bytes of a take, 0 where no take's are known."""
        sizes = [each.size for each in self._analysed if each.size]
        return sum(sizes) / len(sizes) if sizes else 0.0

    def guess(self, size: float, takes: int = 1) -> Work:
        """Takes to be analysed of which only the bytes of all together are known."""
        sized = [each for each in self._analysed if each.size]
        if sized:
            known = sum(each.size for each in sized)
            footage = size * sum(each.cost.footage_s for each in sized) / known
            pixels = size * sum(each.cost.pixels for each in sized) / known
        else:
            footage, pixels = size / _BYTES_S, size / _BYTES_S * _PIXELS_S
        return whole(self._config, footage, pixels, takes)


def clip_seconds(config: Config) -> float:
    """How long all clips of a take may be together."""
    pick = config.pick
    return pick.top * (pick.clip_length[1] if pick.clip_length else pick.pre + pick.post)


def whole(config: Config, footage_s: float, pixels: float, takes: int = 1) -> Work:
    """Everything that is to be done for takes of which nothing is there, so long all together."""
    cut = pixels * min(1.0, takes * clip_seconds(config) / footage_s) if footage_s else 0.0
    return Work(takes=takes, new=takes, analyzed=takes, footage_s=footage_s, pixels=pixels, cut=cut)


def _fitted(amounts: Sequence[float], costs: Sequence[float]) -> tuple[float, float]:
    """What each take costs, and each unit of its amount: least squares, neither below zero."""
    amount, cost = sum(amounts) / len(amounts), sum(costs) / len(costs)
    spread = sum((each - amount) ** 2 for each in amounts)
    if not spread:
        # All alike: as much for each, in proportion.
        return (0.0, cost / amount) if amount else (cost, 0.0)
    slope = sum((x - amount) * (y - cost) for x, y in zip(amounts, costs, strict=True)) / spread
    slope = max(0.0, slope)
    if slope * amount > cost:
        return 0.0, cost / amount
    return cost - slope * amount, slope


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
