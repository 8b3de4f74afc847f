"""Every kernel: compiled, compared with its reference, then timed against what a plain copy moves in the same run.

The bytes counted are those a perfect kernel moves: each picture read once, each result written once. A kernel that
reads pixels twice pays for it in its percentage.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bestshot_kernels.convert.ycbcr import Made

from .rows import OK, Row, guarded, same, spread

COPY_BYTES = 1 << 30
RUNS = 30
BUSY = 16
"""Times that 1 GiB is filled before each run: about 4 ms on the fastest card."""
TARGET = 0.7
"""Share of the copy's bandwidth that a kernel is to reach on 64 pictures of 720p."""
_WAS, _SHOULD_BE = Made("bt601", True), Made("bt709", False)
"""What DALI makes of segments tagged as of full range, and what a stream of 720 lines and more should be."""


@dataclass(frozen=True)
class Kernel:
    """What to run, and against what; ``shape`` is that of the pictures that are timed."""

    name: str
    shape: tuple[int, ...]
    prove: Callable[[Any, Any], None]
    """Compares it with its reference on a few small pictures, given CuPy and a generator."""
    call: Callable[[Any], Any]


def run(options: argparse.Namespace) -> Iterator[Row]:
    """The copy, then the kernels."""
    copy = _copy()
    yield Row("copy", OK, f"{copy['median']:.0f} GB/s", {"gb_per_s": copy, "bytes": 2 * COPY_BYTES})
    for kernel in _kernels():
        yield from guarded(kernel.name, partial(_measure, kernel, copy["median"]))


def _copy() -> dict[str, float]:
    import cupy

    pixels = cupy.zeros(COPY_BYTES, cupy.uint8)
    target = cupy.empty_like(pixels)
    return spread([2 * COPY_BYTES / seconds / 1e9 for seconds in _times(lambda: cupy.copyto(target, pixels))])


def _measure(kernel: Kernel, copy: float) -> Iterator[Row]:
    import cupy

    random = np.random.default_rng(0)
    kernel.prove(cupy, random)
    dtype = np.uint16 if kernel.name.startswith("tone_map") else np.uint8
    pixels = cupy.asarray(random.integers(0, np.iinfo(dtype).max + 1, kernel.shape, dtype))
    moved = pixels.nbytes + kernel.call(pixels).nbytes
    rate = spread([moved / seconds / 1e9 for seconds in _times(lambda: kernel.call(pixels))])
    share = rate["median"] / copy
    shape = "x".join(map(str, kernel.shape))
    verdict = "" if kernel.name != "frame_stats" else f"; target {TARGET:.0%} {'met' if share >= TARGET else 'MISSED'}"
    value = f"as its reference; {rate['median']:.0f} GB/s, {share:.0%} of the copy ({shape}{verdict})"
    yield Row(kernel.name, OK, value, {"gb_per_s": rate, "of_copy": share, "bytes": moved, "shape": kernel.shape})


def _times(call: Callable[[], Any]) -> list[float]:
    """Seconds on the device of each run, after one that is not counted and compiles.

    The device is kept busy until a run is queued whole: a fast one is over before Python has queued it, and would be
    measured with the wait.
    """
    import cupy

    start, stop = cupy.cuda.Event(), cupy.cuda.Event()
    busy = cupy.empty(COPY_BYTES, cupy.uint8)
    seconds = []
    for _ in range(RUNS + 1):
        for _ in range(BUSY):
            busy.fill(0)
        start.record()
        call()
        stop.record()
        stop.synchronize()
        seconds.append(cupy.cuda.get_elapsed_time(start, stop) / 1000)
    return seconds[1:]


def _kernels() -> Iterator[Kernel]:
    from bestshot_kernels.clip_resize import cuda as clip
    from bestshot_kernels.convert import cuda as convert
    from bestshot_kernels.frame_stats import cuda as stats
    from bestshot_kernels.layout_descriptor import cuda as layout
    from bestshot_kernels.score_resize import cuda as score

    full_hd = (16, 1080, 1920, 3)
    yield Kernel("frame_stats", (64, 720, 1280, 3), _prove_stats, stats.frame_sums)
    yield Kernel("clip_resize", full_hd, _prove_clip, clip.clip_resize)
    for rotation in (0, 90):
        to_rgb = partial(convert.to_rgb, matrix="bt709", full_range=False, rotation=rotation)
        yield Kernel(f"to_rgb, turned {rotation}", full_hd, partial(_prove_rgb, rotation), to_rgb)
    yield Kernel("recode", full_hd, _prove_recode, partial(convert.recode, was=_WAS, should_be=_SHOULD_BE))
    for transfer in ("pq", "hlg"):
        tone = partial(convert.tone_map, transfer=transfer)
        yield Kernel(f"tone_map, {transfer}", full_hd, partial(_prove_tone, transfer), tone)
    to_720 = partial(score.score_resize, size=(1280, 720), matrix="bt709", full_range=False)
    yield Kernel("score_resize", full_hd, _prove_score, to_720)
    yield Kernel("layout_descriptor", (64, 720, 1280, 3), _prove_layout, layout.cell_sums)


def _prove_stats(cupy: Any, random: Any) -> None:
    from bestshot_kernels.frame_stats import cuda, reference

    pixels = random.integers(0, 256, (3, 361, 643, 3), np.uint8)
    sums, wanted = cupy.asnumpy(cuda.frame_sums(cupy.asarray(pixels))), reference.frame_stats(pixels)
    counts = [np.bincount(luma.ravel(), minlength=256) for luma in reference.luma(pixels)]
    same(sums[:, cuda.SUMS :], np.array(counts), "histogram")
    found = cuda.measures(sums)
    same(found.exposure_penalty, wanted.exposure_penalty, "exposure_penalty")
    for name in ("laplacian_variance", "contrast", "colourfulness"):
        same(getattr(found, name) / getattr(wanted, name), np.ones(3), name, within=2e-7)


def _prove_clip(cupy: Any, random: Any) -> None:
    from bestshot_kernels.clip_resize import cuda, reference

    pixels = random.integers(0, 256, (2, 361, 643, 3), np.uint8)
    for framing in ("crop", "squash", "pad"):
        found = cuda.clip_resize(cupy.asarray(pixels), 224, framing)
        same(cupy.asnumpy(found), reference.clip_resize(pixels, 224, framing), framing)


def _prove_rgb(rotation: int, cupy: Any, random: Any) -> None:
    from bestshot_kernels.convert import cuda, ycbcr

    codes = random.integers(0, 256, (2, 67, 129, 3), np.uint8)
    for full_range in (False, True):
        found = cuda.to_rgb(cupy.asarray(codes), "bt709", full_range, rotation=rotation)
        same(cupy.asnumpy(found), ycbcr.turned(ycbcr.to_rgb(codes, "bt709", full_range), rotation), "R'G'B'")


def _prove_recode(cupy: Any, random: Any) -> None:
    from bestshot_kernels.convert import cuda, ycbcr

    pixels = random.integers(0, 256, (2, 67, 129, 3), np.uint8)
    found = cuda.recode(cupy.asarray(pixels), was=_WAS, should_be=_SHOULD_BE)
    same(cupy.asnumpy(found), ycbcr.recode(pixels, was=_WAS, should_be=_SHOULD_BE), "R'G'B'")


def _prove_tone(transfer: str, cupy: Any, random: Any) -> None:
    from bestshot_kernels.convert import cuda, reference

    pixels = random.integers(0, 1 << 16, (2, 67, 129, 3), np.uint16)
    found = cupy.asnumpy(cuda.tone_map(cupy.asarray(pixels), transfer))
    # Powers in 32 bits may fall to the other side of a half.
    same(found, reference.tone_map(pixels, transfer, peak_nits=1000.0), transfer, within=1)


def _prove_score(cupy: Any, random: Any) -> None:
    from bestshot_kernels.score_resize import cuda, reference

    pixels = random.integers(0, 256, (1, 270, 480, 3), np.uint8)
    for rotation in (0, 90):
        size = (320, 180) if rotation == 0 else (180, 320)
        found = cuda.score_resize(cupy.asarray(pixels), size, "bt709", False, rotation=rotation)
        wanted = reference.score_resize(pixels, size, "bt709", False, rotation, False)
        same(cupy.asnumpy(found), wanted, f"turned {rotation}")


def _prove_layout(cupy: Any, random: Any) -> None:
    from bestshot_kernels.layout_descriptor import cuda, reference

    pixels = random.integers(0, 256, (3, 181, 321, 3), np.uint8)
    found = cuda.describe(cupy.asnumpy(cuda.cell_sums(cupy.asarray(pixels))), 181, 321)
    same(found, reference.layout_descriptor(pixels), "descriptor", within=1e-6)
