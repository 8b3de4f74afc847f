"""Load of a card's engines while something runs, as NVML samples it."""

from __future__ import annotations

import importlib
import threading
from types import TracebackType
from typing import Any

from bestshot_trt.cards import survey

from .rows import spread

_PERIOD_S = 0.1


class Sampler:
    """Within ``with``, samples NVDEC, SM and memory of the first card that CUDA offers; without NVML, nothing."""

    def __init__(self) -> None:
        self._samples: dict[str, list[float]] = {"nvdec_percent": [], "sm_percent": [], "memory_gib": []}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(timeout=5)

    @property
    def figures(self) -> dict[str, Any]:
        """Medians and spread of what was sampled."""
        return {name: spread(values) for name, values in self._samples.items() if values}

    @property
    def words(self) -> str:
        """The same in short."""
        nvdec, sm = (self._samples[name] for name in ("nvdec_percent", "sm_percent"))
        if not nvdec:
            return "load not sampled"
        return f"NVDEC {spread(nvdec)['median']:.0f} %, SM {spread(sm)['median']:.0f} %"

    def _sample(self) -> None:
        try:
            nvml = importlib.import_module("pynvml")
            nvml.nvmlInit()
        except Exception:  # no package, no driver: nothing is sampled, and the figures say so
            return
        try:
            # By UUID: NVML's indices are not CUDA's. A MIG instance has no figures of its own; its card's stand.
            handle = nvml.nvmlDeviceGetHandleByUUID(survey().usable[0].uuid)
            while not self._ended.wait(_PERIOD_S):
                self._samples["nvdec_percent"].append(nvml.nvmlDeviceGetDecoderUtilization(handle)[0])
                self._samples["sm_percent"].append(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
                self._samples["memory_gib"].append(nvml.nvmlDeviceGetMemoryInfo(handle).used / 2**30)
        except (nvml.NVMLError, IndexError):
            return
        finally:
            nvml.nvmlShutdown()
