"""What a measurement ran on, for the row that keeps it."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from bestshot_trt import __version__
from bestshot_trt.provenance import Machine


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    return done.stdout.strip()


def describe() -> dict[str, Any]:
    """Machine, versions and commit of this run."""
    machine = Machine.here()
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "platform": machine.platform,
        "python": machine.python,
        "versions": {"bestshot_trt": __version__, **machine.versions},
        "commit": _commit(),
    }
