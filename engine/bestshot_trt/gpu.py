"""One GPU: its name, its memory, its decoders, and the one stream on which this process queues its own work.

CuPy's current device and stream belong to a thread, and several threads work for one card: each enters `Gpu.working`.
Nothing of this has run on a GPU yet; docs/gpu.md lists what to confirm on one.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .cards import Card, survey
from .errors import BackendUnavailable, ConfigError
from .frames import Later

DECODERS_VARIABLE = "BESTSHOT_NVDECS"
"""How many videos are decoded at a time, where neither the driver nor NVIDIA's table is right."""
_UNKNOWN_DECODERS = 2
_OUT_OF_MEMORY = 2
"""``cudaErrorMemoryAllocation`` and ``CUDA_ERROR_OUT_OF_MEMORY``."""


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A card that answers. Make one with `open_gpu`."""

    index: int
    """CUDA's number of it, among those that ``CUDA_VISIBLE_DEVICES`` shows."""
    name: str
    card: Card | None
    """What its driver tells of it, its decoders among that; None where it does not."""
    stream: Any
    """A ``cupy.cuda.Stream`` that waits for no other."""

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Make the card and its stream current on this thread.

        Raises:
            MemoryError: the card has no memory left for what was asked.
            BackendUnavailable: it, or its driver, is gone.
        """
        cupy = importlib.import_module("cupy")
        try:
            with cupy.cuda.Device(self.index), self.stream:
                yield
        except (cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError) as error:
            if error.status == _OUT_OF_MEMORY:
                raise MemoryError(f"{self}: {error}") from error
            raise self.lost(error) from error

    def lost(self, error: Exception) -> BackendUnavailable:
        """What to raise when ``error`` says that the card no longer works."""
        return BackendUnavailable(
            f"{self}: {_one_line(error)}; check it with nvidia-smi, then run again, or use --backend cpu"
        )

    def __str__(self) -> str:
        return f"GPU {self.index} ({self.name})"

    def free_bytes(self) -> int:
        """Device memory that nobody holds; CuPy's and DALI's pools count as held."""
        with self.working():
            free, _ = importlib.import_module("cupy").cuda.runtime.memGetInfo()
            return int(free)

    def check(self) -> None:
        """Wait for all that was queued.

        Raises:
            BackendUnavailable: the card, or its driver, is gone.
        """
        with self.working():
            self.stream.synchronize()

    def relieve(self) -> None:
        """Give unused memory of the pools back to the card."""
        with self.working():
            importlib.import_module("cupy").get_default_memory_pool().free_all_blocks()
        with contextlib.suppress(ImportError):
            importlib.import_module("nvidia.dali.backend").ReleaseUnusedMemory()

    def upload(self, values: npt.NDArray[Any]) -> Any:
        """A copy of ``values`` on the card; within `working`."""
        return importlib.import_module("cupy").asarray(values)

    def download(self, values: Any) -> Later[npt.NDArray[Any]]:
        """Queue a copy of ``values`` to the host; within `working`. Calling the result waits for that copy only."""
        cupy = importlib.import_module("cupy")
        pinned = cupy.cuda.alloc_pinned_memory(max(1, values.nbytes))
        host = np.frombuffer(pinned, values.dtype, values.size).reshape(values.shape)
        values.get(stream=self.stream, out=host, blocking=False)
        passed = self.stream.record(cupy.cuda.Event(block=True, disable_timing=True))

        def wait() -> npt.NDArray[Any]:
            passed.synchronize()
            # Pinned memory is scarce and goes back to its pool.
            return host.copy()

        return wait

    @property
    def decoders(self) -> int:
        """How many videos its NVDEC engines decode at a time."""
        told = os.environ.get(DECODERS_VARIABLE)
        if told:
            if not told.isdecimal() or not 1 <= int(told) <= 64:
                raise ConfigError(f"{DECODERS_VARIABLE} is {told!r}; it must be a number of decoders, 1 to 64")
            return int(told)
        return (self.card and self.card.decoders) or _UNKNOWN_DECODERS


def open_gpu(index: int = 0) -> Gpu:
    """The card that CUDA calls ``index``, with a stream of its own.

    Raises:
        BackendUnavailable: CuPy is missing or does not load, or there is no such card or no driver.
    """
    try:
        cupy = importlib.import_module("cupy")
    except Exception as error:  # CuPy turns what goes wrong at its import into an ImportError, its parts do not
        raise BackendUnavailable(f"CuPy: {_one_line(error)}") from error
    runtime = cupy.cuda.runtime
    try:
        count = runtime.getDeviceCount()
        if index >= count:
            raise BackendUnavailable(f"no GPU {index}: CUDA sees {count}; look at CUDA_VISIBLE_DEVICES and nvidia-smi")
        properties = runtime.getDeviceProperties(index)
        with cupy.cuda.Device(index):
            stream = cupy.cuda.Stream(non_blocking=True)
    except (runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError) as error:
        raise BackendUnavailable(f"no GPU that works: {_one_line(error)}") from error
    name = properties["name"]
    name = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
    seen = [card for card in survey().usable if card.ordinal == index]
    return Gpu(index=index, name=name, card=seen[0] if seen else None, stream=stream)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
