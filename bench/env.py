"""What a measurement ran on, for the row that keeps it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from bestshot_trt import __version__
from bestshot_trt.cards import survey
from bestshot_trt.provenance import Machine

_LIBRARIES = ("onnxruntime", "torch", "open_clip_torch", "imageio-ffmpeg", "tensorrt", "cupy-cuda12x", "cupy-cuda13x")
_MEASURED = ("engine", "kernels", "bench/*.py", "bench/cases", "bench/gpu", "pyproject.toml")
"""What a figure depends on; rows and documents may change without making a commit another one."""


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def _git(*arguments: str) -> str:
    root = Path(__file__).parent.parent
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False, cwd=root).stdout.strip()
    except OSError:
        return ""


def _commit() -> str:
    commit = _git("rev-parse", "--short=10", "HEAD") or "unknown"
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", *_MEASURED)
    return f"{commit}-dirty" if changed else commit


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _versions() -> dict[str, str]:
    found = {"bestshot_trt": __version__, **Machine.here().versions}
    for name in _LIBRARIES:
        try:
            found.setdefault(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def describe() -> dict[str, Any]:
    """Machine, versions and commit of this run; ``gpus`` and ``driver`` are those that the driver shows."""
    cards = survey()
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_gib": _memory_gib(),
        "gpus": [card.name for card in cards.cards],
        "driver": cards.driver,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": _versions(),
        "commit": _commit(),
    }
