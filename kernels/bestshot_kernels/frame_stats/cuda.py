"""The measures on the GPU: exact integer sums in one pass, the few numbers that follow from them on the host.

Sums are of integers in 64 bits, so they do not depend on grid or order. Numbers follow from them in the CPU path's
arithmetic: they equal the CPU path's bit for bit, and differ from the reference's by float64 rounding only, at most
one unit in the last place after rounding to float32.

Every pixel is read once, but for the halo of tiles of 30 x 256 pixels: (32 * 258) / (30 * 256) = 1.075 reads per pixel,
and the second reads mostly hit the cache. Rows that do not begin at multiples of 4 bytes are read byte by byte.

Not yet run on a GPU; its text is compiled for all architectures and run on the CPU in the tests.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .._compile import CupyRunner, Runner, device_pictures
from .stats import BLACK_LUMA, WHITE_LUMA, FrameStats, colourfulness, contrast, laplacian_variance

SUMS = 6
COLUMNS = SUMS + 256
"""Columns of a row of sums: Laplacian, its square, rg, its square, q, its square, then counts of 256 levels of luma.

With rg = R - G and q = R + G - 2B, twice the yb of the documentation.
"""

_LEVELS = np.arange(256)
_CLIPPED = (_LEVELS >= WHITE_LUMA) | (_LEVELS <= BLACK_LUMA)
_THREADS = 512
_TILE = (30, 256)
_BLOCKS_PER_MULTIPROCESSOR = 4
_MOST_BLOCKS = 65535


def _blocks(shape: tuple[int, ...], multiprocessors: int) -> int:
    """Blocks for each picture: enough to fill the device, few enough for each to have several tiles."""
    count, height, width, _ = shape
    tiles = math.ceil(height / _TILE[0]) * math.ceil(width / _TILE[1])
    return min(tiles, _MOST_BLOCKS, max(1, multiprocessors * _BLOCKS_PER_MULTIPROCESSOR // count))


def queue_sums(pixels: Any, runner: Runner) -> Any:
    """The sums of contiguous uint8 pictures (n, h, w, 3), n >= 1, as int64 (n, `COLUMNS`) on the runner's device."""
    count, height, width, _ = pixels.shape
    blocks = _blocks(pixels.shape, runner.multiprocessors)
    partials = runner.empty((count, blocks, COLUMNS), np.int64)
    totals = runner.empty((count, COLUMNS), np.int64)
    pictures = min(count, _MOST_BLOCKS)
    runner.launch("frame_stats_partials", (blocks, pictures), (_THREADS,), pixels, count, height, width, partials)
    columns = min(math.ceil(count * COLUMNS / 256), _MOST_BLOCKS)
    runner.launch("frame_stats_totals", (columns,), (256,), partials, count, blocks, totals)
    return totals


def frame_sums(rgb: Any) -> Any:
    """Queue the measuring of every picture on CuPy's current stream; does not wait for the device.

    Args:
        rgb: uint8 RGB of shape (n, h, w, 3) on the current device: a CuPy array, or any object with
            ``__cuda_array_interface__``; h and w at least 1, n may be 0. It may be reused once the stream has passed.

    Returns:
        A CuPy array, int64 (n, `COLUMNS`). Copied to the host, it becomes measures by `measures`.

    Raises:
        ValueError: ``rgb`` has another type, rank or no pixels, or is not on a GPU.
        ModuleNotFoundError: CuPy is not installed.
    """
    pixels = device_pictures(rgb, np.uint8, "rgb")
    runner = CupyRunner("frame_stats")
    return queue_sums(pixels, runner) if len(pixels) else runner.empty((0, COLUMNS), np.int64)


def measures(sums: npt.NDArray[np.int64]) -> FrameStats:
    """Measures of ``n`` pictures from their sums, int64 (n, `COLUMNS`) in host memory, as `frame_sums` has them.

    Raises:
        ValueError: ``sums`` has another shape.
    """
    if sums.ndim != 2 or sums.shape[1] != COLUMNS:
        raise ValueError(f"sums has shape {sums.shape}; need (n, {COLUMNS}), as frame_sums returns")
    histogram = sums[:, SUMS:]
    pixels, luma, luma_squares = ((histogram @ _LEVELS**power).tolist() for power in range(3))
    rows = list(zip(pixels, sums[:, :SUMS].tolist(), strict=True))
    return FrameStats(
        laplacian_variance=np.array([laplacian_variance(count, *row[:2]) for count, row in rows], np.float32),
        exposure_penalty=(histogram[:, _CLIPPED].sum(axis=1) / pixels).astype(np.float32),
        contrast=np.array([*map(contrast, pixels, luma, luma_squares)], np.float32),
        colourfulness=np.array([colourfulness(count, *row[2:]) for count, row in rows], np.float32),
    )


def frame_stats(rgb: Any) -> FrameStats:
    """Measure pictures on the GPU as the wrapper of the same name documents, and wait for the numbers.

    Takes and raises what `frame_sums` does; where several batches are in flight, use that and `measures` instead.
    """
    from .._compile import cupy

    return measures(cupy().asnumpy(frame_sums(rgb)))
