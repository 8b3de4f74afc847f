"""A stand-in for CuPy without a GPU: exactly those of its parts that the product uses, and no kinder than they are.

Kernels run through the shim of ``kernels/shim``. What CuPy refuses is refused: arrays do not turn into NumPy's by
themselves, kernels take no NumPy arrays and no Python numbers. What a GPU does later is done later: all that is queued
on a stream waits until the stream, or an event after it, is waited for; who reads too early, or overwrites what queued
work still needs, gets wrong numbers. What goes wrong unseen on a GPU raises: an array used on another stream than the
one that it was used on last, without waiting for that. Signatures are those of CuPy 14.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import itertools
import os
import shutil
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np

POISON = 0xCD
_KINDS = {"i": np.int32, "f": np.float32}


class CUDARuntimeError(RuntimeError):
    """As ``cupy.cuda.runtime.CUDARuntimeError``."""

    def __init__(self, status: int, text: str = "cudaErrorUnknown") -> None:
        super().__init__(f"{text}: of a test")
        self.status = status


class CUDADriverError(RuntimeError):
    """As ``cupy.cuda.driver.CUDADriverError``."""

    status = 999


class OutOfMemoryError(MemoryError):
    """As ``cupy.cuda.memory.OutOfMemoryError``."""

    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        super().__init__(f"Out of memory allocating {size} bytes (allocated so far: {total} bytes).")


class Stream:
    """As ``cupy.cuda.Stream``; what is queued on it waits for `synchronize`, or for an event after it."""

    _pointers = itertools.count(1000)
    known: ClassVar[weakref.WeakValueDictionary[int, Stream]] = weakref.WeakValueDictionary()

    def __init__(
        self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: Any = None
    ) -> None:
        self.ptr = 0 if null else next(self._pointers)
        self.device_id = 0
        self.queue: list[Callable[[], None]] = []
        self.passed = 0
        self.captured: list[Callable[[], None] | None] | None = None
        """What is recorded for a graph; None among it spoils that."""
        self._lock = threading.RLock()
        self.known[self.ptr] = self

    def add(self, work: Callable[[], None]) -> None:
        (self.queue if self.captured is None else self.captured).append(work)

    def begin_capture(self, mode: int | None = None) -> None:
        assert self.ptr, "cannot capture on the default (legacy) stream"
        self.captured = []

    def end_capture(self) -> Graph:
        captured, self.captured = self.captured, None
        work = [each for each in captured or () if each is not None]
        if captured is None or len(work) < len(captured):
            raise CUDARuntimeError(901, "cudaErrorStreamCaptureInvalidated")
        return Graph(work)

    def __enter__(self) -> Stream:
        _here().streams.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        assert _here().streams.pop() is self

    def record(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.stream, event.place = self, len(self.queue)
        return event

    def run(self, place: int) -> None:
        assert self.captured is None, "waiting for a stream that is captured"
        with self._lock:
            while self.passed < place:
                self.queue[self.passed]()
                self.queue[self.passed] = lambda: None
                self.passed += 1

    def synchronize(self) -> None:
        self.run(len(self.queue))


class Graph:
    """As ``cupy.cuda.Graph``."""

    launches = 0

    def __init__(self, captured: list[Callable[[], None]]) -> None:
        self._captured = captured

    def launch(self, stream: Stream | None = None) -> None:
        Graph.launches += 1
        for work in self._captured:
            (stream or _here().streams[-1]).add(work)


class Event:
    """As ``cupy.cuda.Event``."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self.stream: Stream | None = None
        self.place = 0

    @property
    def done(self) -> bool:
        return self.stream is None or self.stream.passed >= self.place

    def synchronize(self) -> None:
        if self.stream is not None:
            self.stream.run(self.place)


_NULL = Stream(null=True)
_threads = threading.local()


def _here() -> Any:
    if not hasattr(_threads, "streams"):
        _threads.streams, _threads.devices = [_NULL], [0]
    return _threads


class Pinned(bytearray):
    """Host memory that a GPU can write to."""


class Array:
    """As ``cupy.ndarray``, over NumPy memory that nothing but this module touches."""

    def __init__(self, card: Gpu, host: np.ndarray, stream: Stream | None = None) -> None:
        self.card, self.host = card, host
        self.stream = stream or _here().streams[-1]
        self.place = len(self.stream.queue)
        """How much of the stream must have passed before another may use it."""

    shape = property(lambda self: self.host.shape)
    dtype = property(lambda self: self.host.dtype)
    ndim = property(lambda self: self.host.ndim)
    size = property(lambda self: self.host.size)
    nbytes = property(lambda self: self.host.nbytes)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {**self.host.__array_interface__, "version": 3, "stream": self.stream.ptr or 1}

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __len__(self) -> int:
        return len(self.host)

    def __getitem__(self, at: Any) -> Array:
        parts = at if isinstance(at, tuple) else (at,)
        assert all(isinstance(part, int | slice) for part in parts), "only views are stood in for"
        view = Array(self.card, self.host[at], self.stream)
        view.place = self.place
        return view

    def __setitem__(self, at: Any, values: Array) -> None:
        assert isinstance(values, Array)
        target, source = self.used()[at], values.used()
        _here().streams[-1].add(lambda: np.copyto(target, source))

    @property
    def data(self) -> Any:
        return SimpleNamespace(ptr=self.host.ctypes.data)

    def copy(self, order: str = "C") -> Array:
        made = self.card.empty(self.shape, self.dtype)
        made[:] = self
        return made

    def used(self, stream: Stream | None = None) -> np.ndarray:
        """The memory, for what is queued next on ``stream``, or on the current one."""
        on = stream or _here().streams[-1]
        if on is not self.stream and self.stream.passed < self.place:
            raise AssertionError(f"used on stream {self.stream.ptr}, then on stream {on.ptr} without waiting")
        self.stream, self.place = on, len(on.queue) + (on.captured is None)
        return self.host

    def get(self, stream: Any = None, order: str = "C", out: np.ndarray | None = None, blocking: bool = True) -> Any:
        on, values = stream or _here().streams[-1], self.used(stream)
        if out is not None:
            assert out.dtype == self.dtype and out.shape == self.shape and out.flags.c_contiguous
            out.view(np.uint8)[...] = POISON
        host = np.empty_like(values) if out is None else out
        on.add(lambda: np.copyto(host, values))
        if out is None or blocking:
            on.synchronize()
        return host


class Gpu(ModuleType):
    """The module ``cupy``, with one imaginary card."""

    def __init__(self, folder: Path | None = None, capability: str = "89") -> None:
        """Kernels are built in ``folder``; none can be launched without."""
        super().__init__("cupy")
        self.folder, self.capability = folder, capability
        self.limit: float = float("inf")
        """So many bytes are there to be taken,"""
        self.used = 0
        """and so many are."""
        self.largest: int | None = None
        """An array of more bytes cannot be made,"""
        self.largest_copy: int | None = None
        """nor one of more be uploaded."""
        self.broken: Exception | None = None
        """What every launch raises."""
        self.launched: list[str] = []
        self.relieved = 0
        self.free = 8 << 30
        self.name = b"NVIDIA L4"
        self.count = 1
        self.uint8, self.int16, self.int32, self.int64, self.float32 = (
            np.uint8,
            np.int16,
            np.int32,
            np.int64,
            np.float32,
        )
        self.ndarray = Array
        self.cuda = SimpleNamespace(
            Stream=Stream,
            Event=Event,
            Device=self._device,
            alloc_pinned_memory=Pinned,
            get_current_stream=lambda device_id=-1: _here().streams[-1],
            memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
            driver=SimpleNamespace(CUDADriverError=CUDADriverError),
            runtime=SimpleNamespace(
                CUDARuntimeError=CUDARuntimeError,
                cudaDevAttrMultiProcessorCount=16,
                getDevice=lambda: _here().devices[-1],
                getDeviceCount=lambda: self.count,
                getDeviceProperties=lambda index: {"name": self.name, "uuid": bytes(range(16)), "major": 8, "minor": 9},
                deviceGetAttribute=lambda attribute, device: {16: 1}[attribute],
                memGetInfo=lambda: (self.free, 24 << 30),
            ),
        )
        Stream.null = _NULL  # type: ignore[attr-defined]
        self._lock = threading.Lock()

    def _device(self, device: int | None = None) -> Any:
        number = _here().devices[-1] if device is None else device

        @contextlib.contextmanager
        def current() -> Iterator[None]:
            _here().devices.append(number)
            yield
            _here().devices.pop()

        entered = current()
        return SimpleNamespaceContext(entered, id=number, compute_capability=self.capability)

    def get_default_memory_pool(self) -> Any:
        def free_all_blocks() -> None:
            self.relieved += 1

        return SimpleNamespace(free_all_blocks=free_all_blocks)

    def _made(self, shape: Any, dtype: Any, *, copied: bool = False) -> Array:
        """Memory at a multiple of 256 bytes, as CuPy's is, and full of what nobody means."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        largest = self.largest_copy if copied else self.largest
        if self.used + size > self.limit or (largest is not None and size > largest):
            raise OutOfMemoryError(size, self.used)
        self.used += size
        whole = np.full(size + 256, POISON, np.uint8)
        weakref.finalize(whole, self._give_back, size)
        start = -whole.ctypes.data % 256
        return Array(self, whole[start : start + size].view(dtype).reshape(shape))

    def _give_back(self, size: int) -> None:
        self.used -= size

    def empty(self, shape: Any, dtype: Any = float, order: str = "C") -> Array:
        return self._made(shape, dtype)

    def zeros(self, shape: Any, dtype: Any = float, order: str = "C") -> Array:
        made = self._made(shape, dtype)
        host = made.used()
        _here().streams[-1].add(lambda: host.fill(0))
        return made

    def asarray(
        self, a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, blocking: bool = False
    ) -> Array:
        assert dtype is None or np.dtype(dtype) == a.dtype
        if isinstance(a, Array):
            return a
        assert isinstance(a, np.ndarray), f"what to upload is {type(a).__name__}"
        made = self._made(a.shape, a.dtype, copied=True)
        # Memory that is not pinned is read before this returns.
        np.copyto(made.host, a)
        return made

    array = asarray

    def asnumpy(self, a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True) -> Any:
        return a.get(stream, order, out, blocking) if isinstance(a, Array) else np.asarray(a)

    def concatenate(
        self, tup: Any, axis: int = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind"
    ) -> Any:
        if not all(isinstance(each, Array) for each in tup):
            raise TypeError("Only cupy arrays can be concatenated")
        assert axis == 0
        hosts = [each.used() for each in tup]
        made = self._made((sum(map(len, hosts)), *hosts[0].shape[1:]), hosts[0].dtype)
        host = made.used()
        _here().streams[-1].add(lambda: np.concatenate(hosts, out=host))
        return made

    def ascontiguousarray(self, a: Any, dtype: Any = None) -> Array:
        assert isinstance(a, Array)
        return a if a.host.flags.c_contiguous else a.copy()

    def RawModule(  # noqa: N802
        self, code: str | None = None, *, path: Any = None, options: tuple[str, ...] = (), backend: str = "nvrtc"
    ) -> Any:
        assert isinstance(options, tuple) and backend == "nvrtc"
        return SimpleNamespace(get_function=lambda name: lambda *launch: self._launch(str(code), name, *launch))

    def _launch(self, code: str, name: str, grid: Any, block: Any, args: Any) -> None:
        if self.broken is not None:
            raise self.broken
        sizes = []
        for dims in (grid, block):
            assert isinstance(dims, tuple) and all(isinstance(n, int) and n > 0 for n in dims), f"{name}: {dims}"
            sizes.append((ctypes.c_uint * 3)(*dims, *[1] * (3 - len(dims))))
        held = [np.array(self._word(name, argument)) for argument in args]
        pointers = (ctypes.c_void_p * len(held))(*(value.ctypes.data for value in held))
        self.launched.append(name)

        def run(_: Any = args) -> None:
            with self._lock:
                fault = getattr(_library(code, self.folder), f"shim_{name}")(*sizes, 0, pointers, len(held))
            assert not fault, f"{name}: fault {fault}"

        _here().streams[-1].add(run)

    @staticmethod
    def _word(name: str, argument: Any) -> Any:
        if isinstance(argument, Array):
            assert argument.host.flags.c_contiguous, f"{name}: an array that is not contiguous"
            return np.uintp(argument.used().ctypes.data)
        if isinstance(argument, np.int32):
            return argument
        raise TypeError(f"Unsupported type {type(argument)}")


def install_backend(patch: Any) -> None:
    """Let the product find the imaginary card, of which its driver says nothing, with DALI decoding on the CPU."""
    from bestshot_trt import decode, gpu, missing
    from bestshot_trt.cards import Survey

    patch.setattr(gpu, "survey", Survey)
    patch.setattr(missing, "missing_for_gpu", lambda: None)
    patch.setattr(decode, "DaliDecoder", lambda card: decode._dali.DaliDecoder(card, "cpu", parallel=3))


class SimpleNamespaceContext(SimpleNamespace):
    """Attributes of a device, and what makes it current."""

    def __init__(self, entered: Any, **attributes: Any) -> None:
        super().__init__(**attributes)
        self._entered = entered

    def __enter__(self) -> Any:
        self._entered.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._entered.__exit__(None, None, None)


@cache
def _builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "shim_builder", Path(__file__).resolve().parent / "kernels" / "shim" / "build.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_numbers = itertools.count()


@cache
def _library(code: str, folder: Path | None) -> ctypes.CDLL:
    assert folder is not None, "no folder to build kernels in"
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    assert compiler is not None
    return _builder().build("kernel", code, folder / str(next(_numbers)), compiler)
