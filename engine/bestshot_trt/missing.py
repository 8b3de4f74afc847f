"""What keeps this machine from using a GPU, piece by piece, with what to install."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from .cards import Survey, survey
from .packages import PACKAGES, cuda_for, gpu_extra

NO_GPU = "no NVIDIA GPU is here"
"""How the reason begins on machines that have none, of which nothing needs to be said."""
_TRACES = ("dev/nvidia*", "dev/nvhost*", "dev/dxg", "proc/driver/nvidia")
"""Of the driver on Linux: its devices, those of Jetson and of WSL, its folder."""
_ELSEWHERE = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
"""Set where somebody counts on a GPU: then it is told what the driver says."""


def missing_for_gpu() -> str | None:
    """All that is missing in one line, or None where everything is there. Takes as long as asking the driver does."""
    seen = survey() if _has_driver() else Survey()
    packages = sorted(package.name for package in PACKAGES if package.module and not _is_installed(package.module))
    pip = f"{' and '.join(packages)} {'is' if len(packages) == 1 else 'are'} not installed: {gpu_extra(cuda_for(seen))}"
    parts = [*_of_the_driver(seen), *([pip] if packages else [])]
    return "; ".join(parts) or None


def _has_driver() -> bool:
    """Whether there is a trace of NVIDIA's driver: asking it takes a tenth of a second of every run on a laptop."""
    if sys.platform != "linux":
        return True
    return any(True for trace in _TRACES for _ in Path("/").glob(trace)) or any(map(os.environ.get, _ELSEWHERE))


def _of_the_driver(seen: Survey) -> list[str]:
    if not seen.has_answered:
        return ["the NVIDIA driver does not answer: " + "; ".join(seen.faults)]
    if not seen.usable:
        hidden = "CUDA may use none of this machine's cards: look at CUDA_VISIBLE_DEVICES and nvidia-smi"
        faults = "; ".join(seen.faults) or "its driver is not installed, or shows no card"
        return [hidden if seen.cards else f"{NO_GPU} ({faults})"]
    if not seen.libraries.get("nvcuvid", True):
        return [
            "the driver's decoding library libnvcuvid.so.1 does not load "
            "(in a container set NVIDIA_DRIVER_CAPABILITIES=compute,utility,video)"
        ]
    return []


def _is_installed(module: str) -> bool:
    if module in sys.modules:
        return sys.modules[module] is not None
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
