"""What a batch on this machine works on: its GPUs, or its CPU."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ...cards import Survey, survey
from ...config import Config
from ...cores import usable_cores

_LISTED = "CUDA_VISIBLE_DEVICES"
_MIG = "MIG-"


def default_workers(devices: Sequence[str | None]) -> int:
    """One a device; on the CPU one for every four cores, since decoding one take uses as many."""
    return len(devices) if devices[0] is not None else max(1, (usable_cores() or 1) // 4)


def devices_of(config: Config, seen: Survey | None = None) -> list[str | None]:
    """The GPUs to work on, each as CUDA_VISIBLE_DEVICES names it; ``[None]`` for the CPU.

    The driver is asked in a process of its own, or has been with ``seen``: one that hangs gives no GPU.
    """
    if config.analyze.backend == "cpu":
        return [None]
    seen = survey() if seen is None else seen
    listed = os.environ.get(_LISTED)
    if not seen.usable:
        return [None]
    return [*(_by_driver(seen) if listed is None else _by_user(seen, listed))]


def _by_user(seen: Survey, listed: str) -> list[str]:
    """What CUDA takes of the user's list: all before the first that it does not know."""
    names = [name.strip() for name in listed.split(",") if name.strip()]
    # Of MIG instances a process sees only one, however many are named; each worker is given its own.
    return names if any(name.startswith(_MIG) for name in names) else names[: len(seen.usable)]


def _by_driver(seen: Survey) -> list[str]:
    """CUDA's numbers; where cards are divided, all instances and whole cards, which then go by their names only."""
    if not any(card.slices for card in seen.cards):
        return [str(card.ordinal) for card in seen.usable]
    whole = (card.uuid for card in seen.cards if not card.is_mig)
    return [*(each.uuid for card in seen.cards for each in card.slices), *whole]
