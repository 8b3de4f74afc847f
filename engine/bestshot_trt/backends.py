"""The seam: which decoder, measures and embedder a run uses. Everything vendor-specific is behind it."""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .config import AnalyzeConfig
from .decode import Decoder
from .embed import Embedder
from .errors import BackendUnavailable
from .frames import Later, finished
from .progress import Progress, silent

if TYPE_CHECKING:
    from bestshot_kernels.frame_stats import FrameStats

    from .embed.prove import Frames
    from .embed.resolve import Resolved
    from .gpu import Gpu

GPU_AHEAD = 2
"""Results on their way on a GPU: one is computed while another is copied and a third is queued."""
CPU_AHEAD = 2
"""As many as CLIP computes side by side on a CPU, so that none of them waits while the next batch is put together."""
CPU_MEASURED_AHEAD = 16
"""Batches of four pictures, for CLIP small ones: 10 MB, and what a CPU decodes while it loads a model."""
_M_MMAP_THRESHOLD = -3
_MMAP_THRESHOLD = 128 << 10

Measure = Callable[[Any], Later["FrameStats"]]


@dataclass(frozen=True, kw_only=True)
class Backend:
    """Parts that work together; a run never asks which vendor is behind one of them."""

    name: str
    fallback_reason: str | None
    """Why this is not the first choice, in words; every output carries it."""
    decoder: Decoder
    measure: Measure
    """uint8 RGB (n, h, w, 3), where the decoder's pictures are, to the statistics of each picture, on the host."""
    embedder: Embedder
    model_note: str | None
    """Why there is no CLIP model though one was welcome; every output carries it."""
    ahead: int = 0
    """How many results of `measure` may be on their way before the oldest is waited for."""
    embeds_ahead: int = 0
    """How many results of `embed` may be on their way before the oldest is waited for."""
    measured_ahead: int = 4
    """How many batches may be measured before the embedder takes the first of them."""
    working: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
    """`measure` and the embedder run within it: on a GPU it makes the card and the stream current on this thread."""
    load: Callable[[float | None], None] = lambda _pictures: None
    """Loads what only `measure` and the embedder need, which can be done while the first pictures are decoded.

    It is told about how many pictures the take has; None when nobody knows."""
    relieve: Callable[[], None] = lambda: None
    """Gives memory back that nobody uses, before work that did not fit is tried again in smaller pieces."""
    notes: tuple[str, ...] = ()
    """What is done another way than usual, and why, in words."""


def open_backend(config: AnalyzeConfig, progress: Progress = silent, frames: Frames | None = None) -> Backend:
    """The backend for ``config``: ``auto`` falls back and says why, a named one never does.

    ``progress`` hears of a model that has to be pulled. ``frames`` gives frames of the take, on which a new TensorRT
    engine is compared with its model; a GPU uses no engine without.

    Raises:
        BackendUnavailable: the named backend cannot run here.
        ModelUnavailable: the named model cannot be had.
    """
    if config.backend == "cpu":
        return _cpu_backend(config, progress, None)
    from .missing import missing_for_gpu

    reason = missing_for_gpu()
    if reason is None:
        try:
            return _gpu_backend(config, progress, frames)
        except BackendUnavailable as error:
            reason = str(error)
    if config.backend == "gpu":
        raise BackendUnavailable(f"backend gpu: {reason}; or use --backend cpu")
    return _cpu_backend(config, progress, reason)


def _fix_mmap_threshold() -> None:
    """Keep large blocks out of the heap, so that memory does not grow with the length of the take.

    glibc raises its threshold to the size of every large block that is freed; packets of all sizes then
    share the heap and leave holes in it. Setting it once, to its default, ends that (mallopt(3)).
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD)


def _cpu_backend(config: AnalyzeConfig, progress: Progress, fallback_reason: str | None) -> Backend:
    from .decode import PyAVDecoder
    from .embed.models import CPU_DEFAULT
    from .embed.resolve import open_embedder

    _fix_mmap_threshold()
    resolved = open_embedder(config, default=CPU_DEFAULT, progress=progress)
    return Backend(
        name="cpu",
        fallback_reason=fallback_reason,
        decoder=PyAVDecoder(),
        measure=lambda pixels: finished(_opencv_stats()(pixels)),
        embedder=resolved.embedder,
        model_note=resolved.note,
        embeds_ahead=CPU_AHEAD,
        measured_ahead=CPU_MEASURED_AHEAD,
        load=lambda pictures: _load(resolved, pictures),
    )


def _load(resolved: Resolved, pictures: float | None) -> None:
    _opencv_stats()
    resolved.load(pictures)


@functools.cache
def _opencv_stats() -> Callable[[Any], FrameStats]:
    import cv2

    from bestshot_kernels.frame_stats import frame_stats

    # libav's decoding threads already fill the cores; OpenCV's own would only take turns with them.
    cv2.setNumThreads(1)
    return frame_stats


def _gpu_backend(config: AnalyzeConfig, progress: Progress, frames: Frames | None) -> Backend:
    from bestshot_kernels.frame_stats import cuda as statistics

    from .decode import DaliDecoder
    from .gpu import open_gpu

    _fix_mmap_threshold()
    gpu = open_gpu()
    decoder = DaliDecoder(gpu)
    resolved, note = _gpu_embedder(gpu, config, progress, frames)

    def measure(pixels: Any) -> Later[FrameStats]:
        sums = gpu.download(statistics.frame_sums(pixels))
        return lambda: statistics.measures(sums())

    return Backend(
        name="gpu",
        fallback_reason=None,
        decoder=decoder,
        measure=measure,
        embedder=resolved.embedder,
        model_note=resolved.note,
        ahead=GPU_AHEAD,
        embeds_ahead=GPU_AHEAD,
        working=gpu.working,
        relieve=gpu.relieve,
        notes=(note,) if note else (),
    )


def _gpu_embedder(
    gpu: Gpu, config: AnalyzeConfig, progress: Progress, frames: Frames | None
) -> tuple[Resolved, str | None]:
    """An embedder for pictures on ``gpu``, and why it runs on the CPU if it does."""
    from .embed import LayoutEmbedder
    from .embed._from_gpu import FromGpu
    from .embed._layout import GpuLayoutEmbedder
    from .embed.models import CPU_DEFAULT, GPU_DEFAULT
    from .embed.resolve import Resolved, open_embedder

    note = None
    try:
        with gpu.working():
            resolved = open_embedder(config, default=GPU_DEFAULT, progress=progress, device="gpu", frames=frames)
        embedder = resolved.embedder
    except BackendUnavailable as error:
        note = f"CLIP runs on the CPU: {error}"
        resolved = open_embedder(config, default=CPU_DEFAULT, progress=progress, device="cpu")
        embedder = FromGpu(gpu, resolved.embedder)
    if isinstance(embedder, LayoutEmbedder):
        embedder = GpuLayoutEmbedder(gpu)
    return Resolved(embedder, resolved.note), note
