"""NVIDIA cards, as their driver tells of them, without CUDA's toolkit, CuPy or a GPU."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import _table

__all__ = ["Card", "Format", "Slice", "Survey", "survey"]

_LOOK = Path(__file__).with_name("_look.py")
_WAIT_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Format:
    """One kind of stream that a card's NVDEC decodes."""

    codec: str
    """libavcodec's name."""
    chroma: str
    """Of "4:2:0", "4:2:2" and "4:4:4"."""
    bits: int
    engines: int
    """NVDEC engines that take it; 0 where the driver is too old to tell."""
    largest: tuple[int, int]
    """Width and height in pixels."""


@dataclass(frozen=True, kw_only=True)
class Slice:
    """A MIG instance."""

    name: str
    uuid: str
    memory: int
    """In bytes."""
    engines: int
    """NVDEC engines it may use."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """One GPU."""

    name: str
    uuid: str
    ordinal: int | None = None
    """CUDA's number of it in this process; None when this process may not use it."""
    capability: tuple[int, int] | None = None
    memory: int | None = None
    """In bytes."""
    is_mig: bool = False
    """Whether it is divided into MIG instances, of which a process uses one."""
    slices: tuple[Slice, ...] = ()
    """Its MIG instances, that of this process first."""
    encodes: tuple[str, ...] | None = None
    """Codecs of its NVENC; None when it cannot be asked."""
    decodes: tuple[Format, ...] | None = None
    """What its NVDEC takes; None when it cannot be asked."""
    decode_fault: str | None = None
    """Why it could not be asked, in the driver's words."""

    @property
    def decoders(self) -> int | None:
        """NVDEC engines at this process' disposal: as the card says, else NVIDIA's table, else None."""
        if self.is_mig:
            return self.slices[0].engines if self.slices else None
        told = max((each.engines for each in self.decodes or ()), default=0)
        listed = _table.engines(self.name)
        return told or (listed[0] if listed else None)

    @property
    def encoders(self) -> int | None:
        """NVENC engines by NVIDIA's table; None for a card that is not in it."""
        listed = _table.engines(self.name)
        return listed[1] if listed else None

    @property
    def has_av1(self) -> bool | None:
        """Whether its NVDEC decodes AV1; None when unknown."""
        if self.decodes is not None:
            return any(each.codec == "av1" for each in self.decodes)
        return None if self.capability is None else _table.has_av1(self.capability)


@dataclass(frozen=True, kw_only=True)
class Survey:
    """The cards of a machine, and what is wrong with them."""

    driver: str | None = None
    """Version of the driver, as "550.54.15"."""
    cuda: tuple[int, int] | None = None
    """The newest CUDA that the driver supports."""
    cards: tuple[Card, ...] = ()
    """Every card that the driver shows, in NVML's order where that is known."""
    faults: tuple[str, ...] = ()
    """What the driver's libraries said went wrong."""
    libraries: dict[str, bool] = field(default_factory=dict)
    """Which of the driver's libraries load: "cuda", "nvcuvid", "nvenc", "nvml"."""
    has_answered: bool = True
    """False when the driver hung or crashed; then nothing else is known."""

    @property
    def usable(self) -> tuple[Card, ...]:
        """Cards that this process may use, in CUDA's order."""
        mine = (card for card in self.cards if card.ordinal is not None)
        return tuple(sorted(mine, key=lambda card: card.ordinal or 0))


def survey(wait_s: float = _WAIT_S) -> Survey:
    """Ask the driver, in a process of its own that is given ``wait_s`` seconds. Never raises.

    Takes a tenth of a second without a driver, and with one about as long as a CUDA context per kind of card.
    """
    command = [sys.executable, "-P", str(_LOOK)]
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ
        )
    except OSError as error:
        return Survey(faults=(f"the driver could not be asked: {error}",), has_answered=False)
    try:
        output, _ = process.communicate(timeout=wait_s)
    except subprocess.TimeoutExpired:
        _abandon(process)
        return Survey(faults=(f"the driver did not answer within {wait_s:g} s",), has_answered=False)
    if process.returncode:
        return Survey(faults=(f"asking the driver ended with status {process.returncode}",), has_answered=False)
    return _survey(json.loads(output))


def _abandon(process: subprocess.Popen[bytes]) -> None:
    """End a process; one that waits in the kernel for a dead card is left behind rather than waited for."""
    process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=1)


def _survey(found: dict[str, Any]) -> Survey:
    return Survey(
        driver=found["driver"],
        cuda=tuple(found["cuda"]) if found["cuda"] else None,
        cards=tuple(_card(each) for each in found["cards"]),
        faults=tuple(found["faults"]),
        libraries=found["libraries"],
    )


def _card(found: dict[str, Any]) -> Card:
    formats = found["decodes"]
    return Card(
        name=found["name"],
        uuid=found["uuid"],
        ordinal=found["ordinal"],
        capability=tuple(found["capability"]) if found["capability"] else None,
        memory=found["memory"],
        is_mig=found["is_mig"],
        slices=tuple(Slice(**each) for each in found["slices"]),
        encodes=None if found["encodes"] is None else tuple(found["encodes"]),
        decodes=None if formats is None else tuple(Format(**{**f, "largest": tuple(f["largest"])}) for f in formats),
        decode_fault=found["decode_fault"],
    )
