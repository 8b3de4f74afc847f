"""The same on the GPU, bit for bit: the reference's weights, in 32-bit integers as in Pillow, rows first.

What is seen of each picture is read once from device memory, a row at a time into shared memory (rows of more than
8192 seen pixels through the cache).

Not yet run on a GPU; its text is compiled for all architectures and run on the CPU in the tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from .._compile import CupyRunner, Runner, device_pictures
from . import reference
from .framing import FRAMINGS, place

_THREADS = 256
_BLOCKS_PER_MULTIPROCESSOR = 16


@dataclass(frozen=True)
class _Pass:
    """Resampling along one side: ``outputs`` values of the ``span`` inputs that begin at ``start``.

    ``table`` is int32: first inputs, numbers of taps, then weights of shape (most taps, outputs).
    """

    start: int
    span: int
    outputs: int
    table: npt.NDArray[np.int32]


def _pass(source: int, target: int, seen: slice) -> _Pass:
    taps = reference.weights(source, target, seen)
    start, end = taps[0][0], taps[-1][0] + len(taps[-1][1])
    factors = np.zeros((max(len(weights) for _, weights in taps), len(taps)), np.int32)
    for column, (_, weights) in zip(factors.T, taps, strict=True):
        column[: len(weights)] = weights
    heads = [[first - start for first, _ in taps], [len(weights) for _, weights in taps]]
    table = np.concatenate([np.array(heads, np.int32).ravel(), factors.ravel()])
    return _Pass(start, end - start, len(taps), table)


@dataclass(frozen=True)
class _Plan:
    """Both passes, and where in the square their result begins."""

    vertical: _Pass
    horizontal: _Pass
    down: int
    right: int


@lru_cache(maxsize=32)
def _plan(height: int, width: int, size: int, framing: str, display: tuple[int, int]) -> _Plan:
    placed = place(*display, size, framing)
    rows, columns = placed.seen(size)
    down, right = placed.covered(size)
    vertical, horizontal = _pass(height, placed.height, rows), _pass(width, placed.width, columns)
    return _Plan(vertical, horizontal, down.start, right.start)


def queue_resize(pixels: Any, size: int, framing: str, runner: Runner, display: tuple[int, int] | None = None) -> Any:
    """Squares of contiguous uint8 pictures (n, h, w, 3), n >= 1, as uint8 (n, size, size, 3) on the runner's device."""
    count, height, width, _ = pixels.shape
    plan = _plan(height, width, size, framing, display or (height, width))
    down, across = plan.vertical, plan.horizontal
    most = runner.multiprocessors * _BLOCKS_PER_MULTIPROCESSOR
    narrow = runner.empty((count, down.span, across.outputs, 3), np.uint8)
    squares = runner.empty((count, size, size, 3), np.uint8)
    window = (down.start, down.span, across.start, across.span)
    table = runner.upload(across.table)
    grid = (min(count * down.span, most),)
    shape = (count, height, width)
    runner.launch("clip_resize_rows", grid, (_THREADS,), pixels, *shape, *window, table, across.outputs, narrow)
    table = runner.upload(down.table)
    grid = (min(-(-squares.size // _THREADS), most),)
    shape = (count, down.span, across.outputs)
    place_ = (down.outputs, plan.down, plan.right, size)
    runner.launch("clip_resize_columns", grid, (_THREADS,), narrow, *shape, table, *place_, squares)
    return squares


def clip_resize(pixels: Any, size: int = 224, framing: str = "crop", *, display: tuple[int, int] | None = None) -> Any:
    """Scale every picture to a square as the wrapper of the same name does; does not wait for the device.

    Args:
        pixels: uint8 RGB of shape (n, h, w, 3) on the current device: a CuPy array, or any object with
            ``__cuda_array_interface__``; h and w at least 1, n may be 0. It may be reused once the stream has passed.
        size: side of the square in pixels, at least 1.
        framing: as for the wrapper.
        display: (height, width) that the pictures have in square pixels, where theirs are not; scaled in the same step.

    Returns:
        A CuPy array, uint8 (n, size, size, 3), ready once CuPy's current stream has passed.

    Raises:
        ValueError: as the wrapper, or ``pixels`` is not on a GPU.
        ModuleNotFoundError: CuPy is not installed.
    """
    if size < 1:
        raise ValueError(f"size is {size}; it must be at least 1")
    if framing not in FRAMINGS:
        raise ValueError(f"framing is {framing!r}; it must be one of {', '.join(FRAMINGS)}")
    pictures = device_pictures(pixels, np.uint8, "pixels")
    runner = CupyRunner("clip_resize")
    if not len(pictures):
        return runner.empty((0, size, size, 3), np.uint8)
    return queue_resize(pictures, size, framing, runner, display)
