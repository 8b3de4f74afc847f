"""The Python packages a GPU run stands on: their builds for CUDA, which of them suit a machine, and their pip lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .cards import Survey

OLDEST_DRIVER = {12: 535, 13: 580}
"""Branch of the driver that a CUDA version's wheels need (NVIDIA's CUDA compatibility guide)."""
OLDEST_CAPABILITY = {12: (5, 0), 13: (7, 5)}
"""Compute capability that a CUDA version's wheels begin at."""
INDEX = "--extra-index-url https://pypi.nvidia.com"
"""Where TensorRT's libraries are: not all of them are on PyPI."""


@dataclass(frozen=True)
class Package:
    """A library in its builds for several versions of CUDA."""

    name: str
    builds: dict[str, int]
    """Distribution, and the CUDA version it is built for."""
    pip: Callable[[int], str]
    """CUDA version to the line that installs it."""
    module: str = ""
    """What is imported of it, where a run cannot do without."""
    plain: str = ""
    """Distribution under which it comes with a toolkit, a container or Conda, for some version of CUDA."""


def gpu_extra(cuda: int) -> str:
    """The line that installs what decodes and measures on a GPU."""
    return f'pip install "bestshot-trt[{"gpu" if cuda == 12 else "gpu-cuda13"}]"'


def tensorrt_extra(cuda: int) -> str:
    """The line that installs TensorRT."""
    return f'pip install "bestshot-trt[{"tensorrt" if cuda == 12 else "tensorrt-cuda13"}]" {INDEX}'


PACKAGES = (
    Package("DALI", {"nvidia-dali-cuda120": 12, "nvidia-dali-cuda130": 13}, gpu_extra, "nvidia.dali"),
    Package("CuPy", {"cupy-cuda12x": 12, "cupy-cuda13x": 13}, gpu_extra, "cupy", "cupy"),
    Package("NVRTC", {"nvidia-cuda-nvrtc-cu12": 12, "nvidia-cuda-nvrtc": 13}, gpu_extra),
    Package("TensorRT", {"tensorrt-cu12": 12, "tensorrt-cu13": 13}, tensorrt_extra, plain="tensorrt"),
    Package(
        "TensorRT-RTX", {"tensorrt-rtx-cu12": 12, "tensorrt-rtx-cu13": 13}, lambda _: 'pip install "bestshot-trt[rtx]"'
    ),
)


def cuda_for(found: Survey) -> int:
    """The CUDA version whose wheels suit this machine: the newest that driver and cards take."""
    majors = [major for major in OLDEST_CAPABILITY if obstacle_to(major, found) is None]
    return max(majors, default=12) if found.cuda else 12


def obstacle_to(major: int, found: Survey) -> str | None:
    """Why wheels for CUDA ``major`` do not run on this driver or these cards; None when nothing is against it."""
    if found.cuda and found.cuda[0] < major:
        driver = f"driver {found.driver}" if found.driver else "this driver"
        return f"is built for CUDA {major}, and {driver} gives CUDA {found.cuda[0]}.{found.cuda[1]}"
    known = [card for card in found.usable if card.capability is not None]
    old = [card for card in known if (card.capability or (0, 0)) < OLDEST_CAPABILITY[major]]
    if old and len(old) == len(known):
        capability = old[0].capability or (0, 0)
        return f"is built for CUDA {major}, which no longer knows {old[0].name} (sm_{capability[0]}{capability[1]})"
    return None
