"""What a batch on this machine works on: its GPUs, or its CPU."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..config import Config
from ..cores import usable_cores


def default_workers(devices: Sequence[str | None]) -> int:
    """One a device; on the CPU one for every four cores, since decoding one take uses as many."""
    return len(devices) if devices[0] is not None else max(1, (usable_cores() or 1) // 4)


def devices_of(config: Config) -> list[str | None]:
    """The GPUs to work on, as CUDA_VISIBLE_DEVICES names them (MIG too); ``[None]`` for the CPU."""
    if config.analyze.backend == "cpu":
        return [None]
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        return [name.strip() for name in listed.split(",") if name.strip()] or [None]
    try:
        import pynvml

        pynvml.nvmlInit()
        return [str(number) for number in range(pynvml.nvmlDeviceGetCount())] or [None]
    except Exception:  # no driver or no library: either way there is no GPU to give out
        return [None]
