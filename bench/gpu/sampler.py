"""Load of a card's engines while something runs, as NVML samples it."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any

from bestshot_trt.cards.load import Load, Loads

from .rows import spread

_PERIOD_S = 0.2


class Sampler:
    """Within ``with``, samples NVDEC, SMs and memory of the cards; without NVML, nothing.

    Of several cards, the busiest counts at every sample: work here is on one.
    """

    def __init__(self) -> None:
        self._samples: dict[str, list[float]] = {"nvdec_percent": [], "sm_percent": [], "memory_gib": []}
        self._ended = threading.Event()
        self._loads = Loads(_PERIOD_S)
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Sampler:
        self._loads.__enter__()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(timeout=5)
        self._loads.__exit__(kind, error, trace)

    @property
    def figures(self) -> dict[str, Any]:
        """Medians and spread of what was sampled."""
        return {name: spread(values) for name, values in self._samples.items() if values}

    @property
    def words(self) -> str:
        """The same in short."""
        nvdec, sm = (self._samples[name] for name in ("nvdec_percent", "sm_percent"))
        if not nvdec or not sm:
            return "load not sampled"
        return f"NVDEC {spread(nvdec)['median']:.0f} %, SM {spread(sm)['median']:.0f} %"

    def _sample(self) -> None:
        while not self._ended.wait(_PERIOD_S):
            self._keep(self._loads.latest)

    def _keep(self, loads: tuple[Load, ...]) -> None:
        """A card that tells nothing of one kind adds nothing to it."""
        told: dict[str, list[float]] = {
            "nvdec_percent": [load.decoder for load in loads if load.decoder is not None],
            "sm_percent": [load.sm for load in loads if load.sm is not None],
            "memory_gib": [load.used / 2**30 for load in loads if load.used is not None],
        }
        for name, values in told.items():
            if values:
                self._samples[name].append(max(values))
