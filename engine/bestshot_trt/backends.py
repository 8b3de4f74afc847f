"""The seam: which decoder, measures and embedder a run uses. Everything vendor-specific is behind it."""

from __future__ import annotations

import contextlib
import ctypes
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
    """How many results of `measure`, and of `embed`, may be on their way before the oldest is waited for."""
    working: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
    """`measure` and the embedder run within it: on a GPU it makes the card and the stream current on this thread."""


def open_backend(config: AnalyzeConfig, progress: Progress = silent, frames: Frames | None = None) -> Backend:
    """The backend for ``config``: ``auto`` falls back and says why, a named one never does.

    ``progress`` hears of a model that has to be pulled. ``frames`` gives frames of the take, on which a new TensorRT
    engine is compared with its model; a GPU uses no engine without.

    Raises:
        BackendUnavailable: the named backend cannot run here.
        ModelUnavailable: the named model cannot be had.
    """
    if config.backend == "gpu":
        raise BackendUnavailable("backend gpu: this version runs on the CPU only; use --backend cpu or auto")
    return _cpu_backend(config, progress)


def _fix_mmap_threshold() -> None:
    """Keep large blocks out of the heap, so that memory does not grow with the length of the take.

    glibc raises its threshold to the size of every large block that is freed; packets of all sizes then
    share the heap and leave holes in it. Setting it once, to its default, ends that (mallopt(3)).
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD)


def _cpu_backend(config: AnalyzeConfig, progress: Progress) -> Backend:
    import cv2

    from bestshot_kernels.frame_stats import frame_stats

    from .decode import PyAVDecoder
    from .embed.models import CPU_DEFAULT
    from .embed.resolve import open_embedder

    _fix_mmap_threshold()
    resolved = open_embedder(config, default=CPU_DEFAULT, progress=progress)
    # libav's decoding threads already fill the cores; OpenCV's own would only take turns with them.
    cv2.setNumThreads(1)
    return Backend(
        name="cpu",
        fallback_reason=None,
        decoder=PyAVDecoder(),
        measure=lambda pixels: finished(frame_stats(pixels)),
        embedder=resolved.embedder,
        model_note=resolved.note,
    )
