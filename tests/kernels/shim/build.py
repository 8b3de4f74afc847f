"""Runs the text of a ``.cu`` on the CPU: compiled by g++ with ``cuda_shim.h``, called through ctypes."""

from __future__ import annotations

import ctypes
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
GUARD_BYTES = 256
POISON = 0xCD

_KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\(")
_FAULTS = {1: "threads wait for each other for ever", 2: "wrong number of arguments"}


def build(name: str, code: str, folder: Path, compiler: str) -> ctypes.CDLL:
    """A library with a function ``shim_<kernel>`` for every kernel of ``code``."""
    folder.mkdir(parents=True, exist_ok=True)
    kernels = _KERNEL.findall(code)
    exports = "\n".join(f"SHIM_EXPORT({kernel})" for kernel in kernels)
    text, library = folder / f"{name}.cpp", folder / f"{name}.so"
    text.write_text(f'#include "cuda_shim.h"\n#line 1 "{name}.cu"\n{code}\n{exports}\n')
    options = ["-O2", "-std=c++17", "-shared", "-fPIC", "-Wall", "-Werror", "-Wno-unknown-pragmas"]
    # Fortified jumps refuse to go from one stack to another.
    options += ["-U_FORTIFY_SOURCE", f"-I{HERE}"]
    subprocess.run([compiler, *options, str(text), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


def guarded(values: np.ndarray, fill: int, shift: int = 0) -> np.ndarray:
    """A contiguous copy with ``fill`` before and after it, ``shift`` bytes off its alignment."""
    memory = np.full(values.nbytes + 2 * GUARD_BYTES, fill, np.uint8)
    start = GUARD_BYTES + shift
    inside = memory[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    inside[...] = values
    return inside


class ShimRunner:
    """Satisfies ``bestshot_kernels._compile.Runner`` on the CPU. Outputs are poisoned, writes past them are found."""

    def __init__(self, library: ctypes.CDLL, *, reverse: bool = False, multiprocessors: int = 1) -> None:
        self.library = library
        self.reverse = reverse
        self.multiprocessors = multiprocessors
        self._made: list[tuple[np.ndarray, int]] = []

    def empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        memory = np.full(size + 2 * GUARD_BYTES, POISON, np.uint8)
        self._made.append((memory, size))
        return memory[GUARD_BYTES : GUARD_BYTES + size].view(dtype).reshape(shape)

    def upload(self, values: np.ndarray) -> np.ndarray:
        return guarded(values, POISON)

    def launch(self, kernel: str, grid: tuple[int, ...], block: tuple[int, ...], *arguments: Any) -> None:
        held = [np.array(_word(argument)) for argument in arguments]
        pointers = (ctypes.c_void_p * len(held))(*(value.ctypes.data for value in held))
        sizes = [(ctypes.c_uint * 3)(*dims, *[1] * (3 - len(dims))) for dims in (grid, block)]
        fault = getattr(self.library, f"shim_{kernel}")(*sizes, int(self.reverse), pointers, len(held))
        if fault:
            raise RuntimeError(f"{kernel}: {_FAULTS[fault]}")
        for memory, size in self._made:
            if (memory[:GUARD_BYTES] != POISON).any() or (memory[GUARD_BYTES + size :] != POISON).any():
                raise RuntimeError(f"{kernel}: wrote outside its output")


def _word(argument: Any) -> Any:
    """What is passed for an argument: the address of an array, a C int for a whole number."""
    if isinstance(argument, np.ndarray):
        assert argument.flags.c_contiguous
        return np.uintp(argument.ctypes.data)
    return np.int32(argument) if isinstance(argument, int) else argument
