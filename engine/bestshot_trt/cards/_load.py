"""Prints how busy NVIDIA's cards are, a JSON list a line, every so many seconds: run as a script, by `load.Loads`.

In a process of its own, as `_look` is: a driver that hangs takes only that process along. Needs nvidia-ml-py.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from typing import Any


def main() -> None:
    """Sample until whoever started this is gone."""
    import pynvml as nvml

    every_s, parent = float(sys.argv[1]), os.getppid()
    nvml.nvmlInit()
    handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    while os.getppid() == parent:
        print(json.dumps([_card(nvml, handle) for handle in handles]), flush=True)
        time.sleep(every_s)


def _card(nvml: Any, handle: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"name": "", "decoder": None, "sm": None, "used": None, "memory": None}
    with contextlib.suppress(nvml.NVMLError):
        name = nvml.nvmlDeviceGetName(handle)
        found["name"] = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
    # A card divided by MIG tells none of these loads.
    with contextlib.suppress(nvml.NVMLError):
        found["decoder"] = nvml.nvmlDeviceGetDecoderUtilization(handle)[0]
    with contextlib.suppress(nvml.NVMLError):
        found["sm"] = nvml.nvmlDeviceGetUtilizationRates(handle).gpu
    with contextlib.suppress(nvml.NVMLError):
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        found["used"], found["memory"] = memory.used, memory.total
    return found


if __name__ == "__main__":
    main()
