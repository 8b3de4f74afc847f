"""The same on the GPU, bit for bit: planes, rows, columns, each one kernel; the full-size picture is read once.

Not yet run on a GPU; its text is compiled for all architectures and run on the CPU in the tests.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .._compile import CupyRunner, Runner, device_pictures
from . import check_settings
from .colour import from_rgb, to_rgb
from .weights import ACROSS_BITS, DOWN_BITS, Taps, taps

_THREADS = 256
_BLOCKS_PER_MULTIPROCESSOR = 16


def _constants(full_range: bool) -> npt.NDArray[np.int32]:
    """The struct FromRgb of the kernel."""
    weights = from_rgb(full_range)
    parts = [weights.luma, weights.blue, weights.red, (weights.scale, weights.black), weights.shift.ravel()]
    return np.concatenate([np.asarray(part, np.int32) for part in parts])


def _table(along: Taps) -> npt.NDArray[np.int32]:
    return np.concatenate([along.first, along.weights.ravel()])


class _Queue:
    """Launches over ``work`` outputs each, on one runner."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._most = runner.multiprocessors * _BLOCKS_PER_MULTIPROCESSOR

    def launch(self, kernel: str, work: int, *arguments: Any, per_block: int = _THREADS) -> None:
        grid = (min(-(-work // per_block), self._most),)
        self._runner.launch(kernel, grid, (_THREADS,), *arguments)

    def rows(self, planes: Any, along: Taps) -> Any:
        """Every row of ``planes`` (..., rows, width), filtered to 15 bits."""
        *outer, width = planes.shape
        rows = int(np.prod(outer))
        most, outputs = along.weights.shape
        out = self._runner.empty((*outer, outputs), np.int16)
        table = self._runner.upload(_table(along))
        self.launch("score_rows", rows, planes, rows, width, table, outputs, most, out, per_block=1)
        return out


def queue_planes(pixels: Any, full_range: bool, rotation: int, runner: Runner) -> tuple[Any, Any]:
    """Upright planes of contiguous uint8 pictures (n, h, w, 3), n >= 1, as `reference.planes` has them."""
    count, height, width, _ = pixels.shape
    down, across = -(-height // 2), -(-width // 2)
    turned = rotation % 180 != 0
    luma = runner.empty((count, width, height) if turned else (count, height, width), np.uint8)
    chroma = runner.empty((count, 2, across, down) if turned else (count, 2, down, across), np.uint8)
    constants = runner.upload(_constants(full_range))
    work = count * down * across
    shape = (count, height, width, rotation // 90)
    _Queue(runner).launch("score_planes", work, pixels, *shape, constants, luma, chroma)
    return luma, chroma


def queue_shown(luma: Any, chroma: Any, size: tuple[int, int], matrix: str, full_range: bool, runner: Runner) -> Any:
    """`reference.shown` of planes on the runner's device."""
    queue = _Queue(runner)
    (width, height), (count, rows, columns) = size, luma.shape
    out = runner.empty((count, height, width, 3), np.uint8)
    scaled = (rows, columns) != (height, width)
    rule = to_rgb(matrix, full_range, scaled)
    shifts = runner.upload(rule.shifts)
    if not scaled:
        shape = (count, height, width, rule.luma, rule.offset)
        queue.launch("score_same", count * height * width, luma, chroma, *shape, shifts, out)
        return out
    narrow = queue.rows(luma, taps(columns, width, ACROSS_BITS))
    narrow_chroma = queue.rows(chroma, taps(chroma.shape[3], -(-width // 2), ACROSS_BITS))
    downs = [taps(side, height, DOWN_BITS) for side in (rows, chroma.shape[2])]
    tables = [(runner.upload(_table(down)), len(down.weights)) for down in downs]
    shape = (count, rows, chroma.shape[2], width, height)
    colours = (rule.luma, rule.offset, shifts)
    work = count * height * -(-width // 2)
    queue.launch("score_columns", work, narrow, narrow_chroma, *shape, *tables[0], *tables[1], *colours, out)
    return out


def queue_resize(
    pixels: Any,
    size: tuple[int, int],
    matrix: str,
    full_range: bool,
    rotation: int,
    made_full_range: bool,
    runner: Runner,
) -> Any:
    """Score pictures of contiguous uint8 pictures (n, h, w, 3), n >= 1, on the runner's device."""
    luma, chroma = queue_planes(pixels, made_full_range, rotation, runner)
    return queue_shown(luma, chroma, size, matrix, full_range, runner)


def score_resize(
    rgb: Any,
    size: tuple[int, int],
    matrix: str,
    full_range: bool,
    *,
    rotation: int = 0,
    made_full_range: bool | None = None,
) -> Any:
    """Make score pictures as the wrapper of the same name does; does not wait for the device.

    Takes and raises what the wrapper does, but for a CuPy array, or any object with ``__cuda_array_interface__``, on
    the current device; it may be reused once the stream has passed. Returns a CuPy array, ready once CuPy's current
    stream has passed.
    """
    check_settings(size, matrix, rotation)
    pictures = device_pictures(rgb, np.uint8, "rgb")
    runner = CupyRunner("score_resize")
    if not len(pictures):
        return runner.empty((0, size[1], size[0], 3), np.uint8)
    made = full_range if made_full_range is None else made_full_range
    return queue_resize(pictures, size, matrix, full_range, rotation, made, runner)
