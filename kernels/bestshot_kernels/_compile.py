"""CUDA C++ beside its reference: found in the package, compiled by CuPy when first used.

``bestshot_kernels/<op>/<op>.cu`` is compiled by NVRTC for the card at hand, so no compiler has to be installed and
nothing is compiled at import. Host code asks a `Runner` for memory and launches: CuPy's in the product, the tests'
own on machines without a GPU, so that one text of host code serves both.

The sources compile for sm_75 to sm_120 in the tests; nothing of this has run on a GPU yet.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ._checks import check_pictures

OPTIONS = ("-std=c++17",)
"""Options of NVRTC for every source."""

Dims = tuple[int, ...]


class Runner(Protocol):
    """Where kernels run. Arrays are the runner's own; whole numbers are passed as C ``int``."""

    @property
    def multiprocessors(self) -> int:
        """How many the device has: what sizes a grid."""

    def empty(self, shape: Dims, dtype: npt.DTypeLike) -> Any:
        """An uninitialised array."""

    def upload(self, values: npt.NDArray[Any]) -> Any:
        """A copy of ``values`` on the device."""

    def launch(self, kernel: str, grid: Dims, block: Dims, *arguments: Any) -> None:
        """Queue ``kernel``; it may not have run when this returns."""


def source(op: str) -> str:
    """The CUDA C++ of operation ``op``, such as ``frame_stats``.

    Raises:
        ValueError: there is no such kernel.
    """
    file = resources.files(__package__).joinpath(op, f"{op}.cu")
    if not op.isidentifier() or not file.is_file():
        raise ValueError(f"no kernel named {op!r}: there is no {op}.cu in its folder")
    return file.read_text(encoding="utf-8")


def cupy() -> Any:
    """The module CuPy.

    Raises:
        ModuleNotFoundError: it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module("cupy")
    except ModuleNotFoundError as error:
        if error.name != "cupy":
            raise
        advice = 'GPU kernels need CuPy, which is not installed: pip install "bestshot-trt[gpu]"'
        raise ModuleNotFoundError(advice, name="cupy") from error


@cache
def _compiled(op: str, device: int) -> Any:
    # ``device`` is only a key: CuPy compiles for, and loads on, the current device.
    return cupy().RawModule(code=source(op), options=OPTIONS, backend="nvrtc")


def module(op: str) -> Any:
    """The compiled kernels of ``op`` on CuPy's current device, a ``cupy.RawModule``; compiled once per device.

    Raises:
        ValueError: there is no such kernel.
        ModuleNotFoundError: CuPy is not installed.
        cupy.cuda.compiler.CompileException: NVRTC refused the source.
    """
    return _compiled(op, _device())


@cache
def _kernel(op: str, kernel: str, device: int) -> Any:
    return _compiled(op, device).get_function(kernel)


@cache
def _multiprocessors(device: int) -> int:
    runtime = cupy().cuda.runtime
    return int(runtime.deviceGetAttribute(runtime.cudaDevAttrMultiProcessorCount, device))


def _device() -> int:
    return int(cupy().cuda.runtime.getDevice())


@dataclass(frozen=True)
class CupyRunner:
    """Runs the kernels of ``op`` on CuPy's current device and stream; never waits for the device."""

    op: str

    @property
    def multiprocessors(self) -> int:
        """How many the current device has."""
        return _multiprocessors(_device())

    def empty(self, shape: Dims, dtype: npt.DTypeLike) -> Any:
        """An uninitialised array from CuPy's pool of the current stream."""
        return cupy().empty(shape, dtype)

    def upload(self, values: npt.NDArray[Any]) -> Any:
        """A copy of ``values``, queued on the current stream."""
        return cupy().asarray(values)

    def launch(self, kernel: str, grid: Dims, block: Dims, *arguments: Any) -> None:
        """Queue ``kernel`` on the current stream."""
        passed = tuple(np.int32(value) if isinstance(value, int) else value for value in arguments)
        _kernel(self.op, kernel, _device())(grid, block, passed)


def device_pictures(pixels: Any, dtype: npt.DTypeLike, name: str) -> Any:
    """``pixels`` as a contiguous CuPy array, copied on the device only when its strides ask for it.

    Args:
        pixels: a CuPy array, or any object with ``__cuda_array_interface__``, of shape (n, h, w, 3).
        dtype: its only accepted type.
        name: what to call it in errors.

    Raises:
        ValueError: another type, rank or no pixels, or an array that is not on a GPU.
        ModuleNotFoundError: CuPy is not installed.
    """
    if not hasattr(pixels, "__cuda_array_interface__"):
        raise ValueError(
            f"{name} is {type(pixels).__name__}, not on a GPU: pass a CuPy array, or use the CPU's wrapper"
        )
    array = cupy().asarray(pixels)
    # Stands for the array in checks that read type and shape only.
    check_pictures(np.broadcast_to(np.empty((), array.dtype), array.shape), dtype, name)
    return cupy().ascontiguousarray(array)
