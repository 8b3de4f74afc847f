"""What is done to every picture: on the CPU against a plain copy of memory, on a GPU against the card's own copy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bestshot_trt.speed.timing import Pairs, paired

from ..figures import spread
from ..gpu.rows import Wrong, same
from ..registry import Request, Row, case
from ._on_gpu import rows_of

LEAST_RUNS = 5
COPY_BYTES = 1 << 28
"""More than any processor caches."""
HD, FULL_HD = (8, 720, 1280, 3), (4, 1080, 1920, 3)
SMALL = (2, 61, 83, 3)


@dataclass(frozen=True)
class OnCpu:
    """A function of pictures as the product calls it without a GPU, and its reference, with how far they may differ."""

    name: str
    shape: tuple[int, ...]
    call: Callable[[Any], Any]
    reference: Callable[[Any], Any]
    within: float = 0
    dtype: Any = np.uint8


def on_cpu() -> Iterator[OnCpu]:
    """Those of the kernels that have code of their own for the CPU; scaling and colour are libswscale's there."""
    from bestshot_kernels import clip_resize, convert, frame_stats, layout_descriptor
    from bestshot_kernels.clip_resize import reference as clip
    from bestshot_kernels.convert import reference as tone
    from bestshot_kernels.frame_stats import reference as stats
    from bestshot_kernels.layout_descriptor import reference as layout

    yield OnCpu(
        "frame_stats",
        HD,
        lambda p: _measures(frame_stats.frame_stats(p)),
        lambda p: _measures(stats.frame_stats(p)),
        1e-4,
    )
    yield OnCpu("clip_resize", FULL_HD, clip_resize.clip_resize, lambda p: clip.clip_resize(p, 224, "crop"))
    # 1: tables in 32 bits may fall to the other side of a half.
    for transfer in ("pq", "hlg"):
        ours = partial(convert.tone_map, transfer=transfer)
        wanted = partial(tone.tone_map, transfer=transfer, peak_nits=1000.0)
        yield OnCpu(f"tone_map, {transfer}", FULL_HD, ours, wanted, 1, np.uint16)
    # Halved a few times first, which moves noise most.
    yield OnCpu("layout_descriptor", HD, layout_descriptor.layout_descriptor, layout.layout_descriptor, 5e-3)


def _measures(found: Any) -> Any:
    """Everything that was measured, each measure by its own size, so that one tolerance fits."""
    sizes = (np.log(size) for size in (found.laplacian_variance, found.contrast, found.colourfulness))
    return np.column_stack((*sizes, found.exposure_penalty))


@case(
    "kernels",
    "what is done to every picture, in GB/s: on the CPU against memcpy, on a GPU against its copy",
    needs_input=False,
)
def kernels(request: Request, _: Path) -> Iterator[Row]:
    """Each is compared with its reference first; bytes are those a perfect one moves: pictures in, results out."""
    for kernel in on_cpu():
        yield _on_cpu(kernel, max(request.runs, LEAST_RUNS))
    yield from rows_of("kernels", request)


def _on_cpu(kernel: OnCpu, runs: int) -> Row:
    random = np.random.default_rng(0)
    settings = {"kernel": kernel.name, "on": "CPU", "pictures": "x".join(map(str, kernel.shape))}
    most = np.iinfo(kernel.dtype).max + 1
    small = random.integers(0, most, SMALL, kernel.dtype)
    try:
        same(kernel.call(small), kernel.reference(small), kernel.name, within=kernel.within)
    except Wrong as reason:
        return {"settings": settings, "red": str(reason)}
    pixels = random.integers(0, most, kernel.shape, kernel.dtype)
    moved = pixels.nbytes + kernel.call(pixels).nbytes
    source = np.ones(COPY_BYTES, np.uint8)
    target = np.empty_like(source)
    pairs = paired(_timed(lambda: kernel.call(pixels)), _timed(lambda: np.copyto(target, source)), runs)
    return {"settings": settings, **_rated(pairs, moved, 2 * COPY_BYTES)}


def _timed(call: Callable[[], Any]) -> Callable[[], float]:
    def run() -> float:
        started = time.perf_counter()
        call()
        return time.perf_counter() - started

    return run


def _rated(pairs: Pairs, moved: int, copied: int) -> dict[str, Any]:
    ours = [moved / seconds / 1e9 for seconds in pairs.ours]
    copy = [copied / seconds / 1e9 for seconds in pairs.baseline]
    share = [a / b for a, b in zip(ours, copy, strict=True)]
    return {"unit": "GB/s", "ours": spread(ours), "baseline": spread(copy), "of_copy": spread(share)}
