"""The descriptor on the GPU: exact sums of cells there, the few numbers that follow from them on the host.

Within float64 rounding of the reference. Not yet run on a GPU; its text is compiled for all architectures and run on
the CPU in the tests.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .._compile import CupyRunner, Runner, device_pictures
from . import reference

_THREADS = 64
_BLOCKS_PER_MULTIPROCESSOR = 32


def queue_sums(pixels: Any, runner: Runner) -> Any:
    """`cell_sums` of contiguous pictures, n >= 1, on the runner's device."""
    count, height, width, _ = pixels.shape
    sums = runner.empty((count, reference.GRID, reference.GRID, 3), np.int64)
    blocks = min(count * reference.GRID**2, runner.multiprocessors * _BLOCKS_PER_MULTIPROCESSOR)
    runner.launch("layout_descriptor", (blocks,), (_THREADS,), pixels, count, height, width, sums)
    return sums


def cell_sums(rgb: Any) -> Any:
    """Queue the summing of every picture's cells on CuPy's current stream; does not wait for the device.

    Args:
        rgb: uint8 RGB of shape (n, h, w, 3) on the current device: a CuPy array, or any object with
            ``__cuda_array_interface__``; h and w at least 1, n may be 0. It may be reused once the stream has passed.

    Returns:
        A CuPy array, int64 (n, 12, 12, 3). Copied to the host, it becomes descriptors by `describe`.

    Raises:
        ValueError: ``rgb`` has another type, rank or no pixels, or is not on a GPU.
        ModuleNotFoundError: CuPy is not installed.
    """
    pixels = device_pictures(rgb, np.uint8, "rgb")
    runner = CupyRunner("layout_descriptor")
    return queue_sums(pixels, runner) if len(pixels) else runner.empty((0, reference.GRID, reference.GRID, 3), np.int64)


def describe(sums: npt.NDArray[np.int64], height: int, width: int) -> npt.NDArray[np.float32]:
    """Descriptors, float32 (n, 218), from `cell_sums` of pictures of that size, in host memory."""
    # A cell is height x width of the squares of a twelfth of a pixel that the sums count in.
    return reference.describe(sums / (255.0 * height * width))
