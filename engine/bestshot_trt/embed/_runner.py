"""Running a TensorRT engine on CuPy's current device and stream; results are read late.

Not yet run on a GPU: the tests put a stand-in in TensorRT's place that computes on the CPU. docs/engines.md lists what
is still to be confirmed on a card.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BackendUnavailable, EngineMismatch, shown
from ..frames import Later
from ._base import Embedded
from ._compiled import CompiledKernels
from ._engine import quiet_logger
from .engines import Engine

RING = 4
"""Batches whose results may be on their way; a further one first takes in the oldest."""
_SAVED_AFTER = (1, 16)
"""Batches after which TensorRT-RTX's compiled kernels are written: those of any shape come first, better ones later."""
_OUTPUTS = ("embedding", "aesthetic")


class _Slot:
    """Host memory for the results of one batch, in pages that the GPU writes to directly."""

    def __init__(self, cupy: Any, rows: int, width: int) -> None:
        self.embedding = _pinned(cupy, (rows, width))
        self.aesthetic = _pinned(cupy, (rows,))
        self.event = cupy.cuda.Event(block=True, disable_timing=True)
        self.late: _Late | None = None

    def taken(self, late: _Late | None) -> None:
        """The slot is ``late``'s from now on; whose it was reads its results first."""
        if self.late is not None:
            self.late.settle()
        self.late = late


def _pinned(cupy: Any, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    count = int(np.prod(shape))
    return np.frombuffer(cupy.cuda.alloc_pinned_memory(4 * count), np.float32, count).reshape(shape)


class _Late:
    """The results of one batch on their way; calling it waits for them."""

    def __init__(self, slot: _Slot, count: int) -> None:
        self._slot = slot
        self._count = count
        self._embedded: Embedded | None = None

    def __call__(self) -> Embedded:
        self.settle()
        assert self._embedded is not None
        return self._embedded

    def settle(self) -> None:
        """Wait, and copy the results out of the slot, which then may be used again."""
        if self._embedded is not None:
            return
        self._slot.event.synchronize()
        n = self._count
        self._embedded = Embedded(self._slot.embedding[:n].copy(), self._slot.aesthetic[:n].copy())


class _Sized:
    """The execution context of one batch size, and in time the CUDA graph of it."""

    def __init__(self, context: Any, memory: Any, *, capturing: bool) -> None:
        self.context = context
        self.memory = memory
        self.capturing = capturing
        self.warm = False
        self.graph: Any = None


class EngineRunner:
    """An image engine, loaded: uint8 pictures in, embeddings and aesthetics out, a batch at a time.

    Batches are filled up to a power of two, so that there are few sizes; each has a context and, from its second batch
    on, a CUDA graph. All share one input and one set of outputs on the device, which is in order since all work is
    queued on one stream. TensorRT-RTX captures graphs itself.

    Args:
        engine: of a visual tower; its bytes are checked against its card.
        trt: the module that built it.
        rows: the largest batch that memory is taken for.

    Raises:
        EngineMismatch: TensorRT does not load it, or it takes and gives other things than an image engine.
        BackendUnavailable: TensorRT or CUDA does not start.
    """

    def __init__(self, engine: Engine, trt: Any, rows: int) -> None:
        import cupy

        self._cupy = cupy
        self._trt = trt
        self._name = shown(engine.path.name)
        self._complaints: list[str] = []
        self._logger = quiet_logger(trt, self._complaints)
        self._runtime = self._started()
        self._engine = self._runtime.deserialize_cuda_engine(engine.read())
        if self._engine is None:
            if "memory" in self._reason().lower():
                raise MemoryError(f"{self._name}: TensorRT cannot load it: {self._reason()}")
            raise EngineMismatch(
                f"{self._name}: TensorRT cannot load it: {self._reason()}; "
                "build it again on this machine with: bestshot-trt build NAME --force"
            )
        self.size, self.width = self._interface()
        self._compiled = CompiledKernels(self._trt, self._engine, engine.card.architecture)
        self._results = 0
        self._slots: list[_Slot] = []
        self.shrink(rows)

    def _started(self) -> Any:
        try:
            return self._trt.Runtime(self._logger)
        except TypeError as error:  # so the bindings report a runtime that could not be made
            raise BackendUnavailable(
                f"TensorRT does not start: {self._reason() or error}; check the driver with nvidia-smi"
            ) from error

    def _reason(self) -> str:
        return shown(" ".join(self._complaints[-1].split())) if self._complaints else "no reason given"

    def _interface(self) -> tuple[int, int]:
        """Side of its pictures and length of its embeddings, once its names, types and shapes are as they must be."""
        engine, trt = self._engine, self._trt
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        found = {
            name: (engine.get_tensor_mode(name), engine.get_tensor_dtype(name), tuple(engine.get_tensor_shape(name)))
            for name in names
        }
        side = found["frames"][2][1] if "frames" in found else 0
        width = found["embedding"][2][-1] if "embedding" in found else 0
        into, out = trt.TensorIOMode.INPUT, trt.TensorIOMode.OUTPUT
        if found != {
            "frames": (into, trt.DataType.UINT8, (-1, side, side, 3)),
            "embedding": (out, trt.DataType.FLOAT, (-1, width)),
            "aesthetic": (out, trt.DataType.FLOAT, (-1,)),
        }:
            raise EngineMismatch(f"{self._name}: is no image engine of this version; build it again with --force")
        return side, width

    def shrink(self, rows: int) -> None:
        """Give back all device memory but the weights'; the next batch takes what ``rows`` pictures at most need."""
        for slot in self._slots:
            slot.taken(None)
        self.rows = rows
        self._sized: dict[int, _Sized] = {}
        self._context: Any = None
        self._frames: Any = None
        self._outputs: dict[str, Any] = {}
        self._slots = []
        self._cupy.get_default_memory_pool().free_all_blocks()

    def _take_memory(self) -> None:
        cupy, rows = self._cupy, self.rows
        # Zeroed once: a batch is filled up with whatever lies here.
        self._frames = cupy.zeros((rows, self.size, self.size, 3), np.uint8)
        self._outputs = {
            "embedding": cupy.empty((rows, self.width), np.float32),
            "aesthetic": cupy.empty(rows, np.float32),
        }
        self._slots = [_Slot(cupy, rows, self.width) for _ in range(RING)]
        self._next = 0
        # The zeros are written before another stream writes pictures there.
        cupy.cuda.get_current_stream().synchronize()

    def queue(self, pictures: Any) -> Later[Embedded]:
        """Queue one batch on the current stream.

        Args:
            pictures: uint8 RGB (n, size, size, 3), n from 1 to ``rows``, on the device (``__cuda_array_interface__``)
                or the host; it may be reused once the stream has passed.

        Raises:
            MemoryError: the device has no memory for it; nothing is queued.
            BackendUnavailable: TensorRT does not run it.
        """
        if not self._slots:
            self._take_memory()
        count, stream = len(pictures), self._cupy.cuda.get_current_stream()
        rows = min(self.rows, 1 << (count - 1).bit_length())
        sized = self._sized.get(rows) or self._new_size(rows)
        slot = self._slots[self._next]
        slot.taken(None)
        self._frames[:count] = self._cupy.asarray(pictures)
        self._execute(sized, rows, stream)
        for name in _OUTPUTS:
            self._outputs[name][:count].get(stream=stream, out=getattr(slot, name)[:count], blocking=False)
        stream.record(slot.event)
        late = _Late(slot, count)
        slot.taken(late)
        self._next = (self._next + 1) % RING
        self._results += 1
        if self._results in _SAVED_AFTER:
            self._compiled.save()
        return late

    def _new_size(self, rows: int) -> _Sized:
        if self._compiled.config is not None:
            # One context for all sizes: its memory is its own, and so are its graphs.
            self._context = self._context or self._made(self._engine.create_execution_context(self._compiled.config))
            sized = _Sized(self._context, None, capturing=False)
        else:
            strategy = self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
            sized = _Sized(self._made(self._engine.create_execution_context(strategy)), None, capturing=True)
            sized.memory = self._activations(sized.context, rows)
        self._sized[rows] = sized
        return sized

    def _made(self, context: Any) -> Any:
        if context is None:
            self._refused("TensorRT cannot set it up")
        return context

    def _activations(self, context: Any, rows: int) -> Any:
        """Device memory for what lies between the layers; of one size at a time, so all share the largest."""
        self._shape(context, rows)
        need = max(1, context.update_device_memory_size_for_shapes())
        held = [sized.memory for sized in self._sized.values() if sized.memory.nbytes >= need]
        memory = held[0] if held else self._cupy.empty(need, np.uint8)
        context.set_device_memory(memory.data.ptr, memory.nbytes)
        return memory

    def _shape(self, context: Any, rows: int) -> None:
        if not context.set_input_shape("frames", (rows, self.size, self.size, 3)):
            self._refused(f"TensorRT does not take {rows} pictures at once")

    def _execute(self, sized: _Sized, rows: int, stream: Any) -> None:
        if sized.graph is None and sized.capturing and sized.warm:
            self._capture(sized, rows)
        if sized.graph is not None:
            sized.graph.launch(stream)
        else:
            self._enqueue(sized, rows, stream)
            sized.warm = True

    def _enqueue(self, sized: _Sized, rows: int, stream: Any) -> None:
        context = sized.context
        self._shape(context, rows)
        context.set_tensor_address("frames", self._frames.data.ptr)
        for name in _OUTPUTS:
            context.set_tensor_address(name, self._outputs[name].data.ptr)
        if not context.execute_async_v3(stream.ptr):
            self._refused("TensorRT does not run it")

    def _capture(self, sized: _Sized, rows: int) -> None:
        """Record what one batch of this size queues, on a stream that nothing else is queued on."""
        sized.capturing = False
        stream = self._cupy.cuda.Stream(non_blocking=True)
        # What cannot be captured is queued call by call, as before.
        with contextlib.suppress(BackendUnavailable, MemoryError, self._cupy.cuda.runtime.CUDARuntimeError):
            stream.begin_capture()
            try:
                self._enqueue(sized, rows, stream)
            finally:
                graph = stream.end_capture()
            sized.graph = graph

    def _refused(self, what: str) -> None:
        reason = self._reason()
        if "memory" in reason.lower():
            raise MemoryError(f"{self._name}: {what}: {reason}")
        raise BackendUnavailable(
            f"{self._name}: {what}: {reason}; build it again with: bestshot-trt build NAME --force"
        )
