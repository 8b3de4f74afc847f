"""Pictures a second through a CLIP model, by precision and batch, each checked against fp32 first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bestshot_kernels.frame_stats import frame_stats
from bestshot_trt.backends import CPU_AHEAD, Backend
from bestshot_trt.decode import PyAVDecoder
from bestshot_trt.embed._onnx import OnnxEmbedder
from bestshot_trt.embed.model_folder import PRECISIONS, ModelFolder, open_folder
from bestshot_trt.frames import FrameBatch, finished
from bestshot_trt.speed.quick import embed_all
from bestshot_trt.speed.timing import Pairs, summarise

from ..figures import compared
from ..registry import Request, Row, case

LEAST_COSINE = 0.99
PICTURES = 32
BATCHES = (1, 8, 32)


def _pictures(size: int) -> npt.NDArray[np.uint8]:
    """Smooth coloured noise: pictures that differ, of no camera."""
    coarse = np.random.default_rng(0).integers(0, 256, (PICTURES, 8, 8, 3)).astype(np.uint8)
    return coarse.repeat(size // 8, axis=1).repeat(size // 8, axis=2)


@case("embed", "pictures a second through a CLIP model (inputs are model folders), by precision and batch")
def embed(request: Request, path: Path) -> Iterator[Row]:
    """Each precision is checked against fp32 on plain ONNX Runtime first.

    They take turns, so that the machine's mood hits all of them.
    """
    folder = open_folder(path)
    embedders = {p: OnnxEmbedder(folder, precision=p) for p in PRECISIONS if folder.has("visual", p)}
    pictures = _pictures(folder.card.size)
    cosines = _cosines(embedders, pictures, _plain(folder, pictures))
    for batch in BATCHES:
        seconds: dict[str, list[float]] = {precision: [] for precision in embedders}
        for index in range(request.runs + 1):
            for precision, embedder in embedders.items():
                spent = _timed(embedder, pictures, batch)
                if index:
                    seconds[precision].append(spent)
        yield from _rows(folder.card.name, batch, seconds, cosines)


def _timed(embedder: OnnxEmbedder, pictures: npt.NDArray[np.uint8], batch: int) -> float:
    """Seconds for all pictures, with as many batches on their way as in an analysis."""
    backend = _backend(embedder, batch)
    taken = FrameBatch(pictures, np.arange(PICTURES, dtype=np.float64), np.arange(PICTURES), views=pictures)
    started = time.perf_counter()
    embed_all(backend, [taken])
    return time.perf_counter() - started


def _backend(embedder: OnnxEmbedder, batch: int) -> Backend:
    """An analysis's on the CPU, but with ``embedder`` and so many pictures at a time."""
    embedder.batch_size = batch
    return Backend(
        name="cpu",
        fallback_reason=None,
        decoder=PyAVDecoder(),
        measure=lambda pixels: finished(frame_stats(pixels)),
        embedder=embedder,
        model_note=None,
        embeds_ahead=CPU_AHEAD,
    )


def _plain(folder: ModelFolder, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Unit embeddings by the fp32 graph on ONNX Runtime with its own defaults."""
    import onnxruntime as ort

    session = ort.InferenceSession(str(folder.graph("visual", "fp32")), providers=["CPUExecutionProvider"])
    found: npt.NDArray[np.float32] = session.run(None, {"frames": pictures})[0]
    return found


def _cosines(
    embedders: dict[str, OnnxEmbedder], pictures: npt.NDArray[np.uint8], wanted: npt.NDArray[np.float32]
) -> dict[str, float]:
    """The least, of each precision."""
    found = {precision: embedder.embed(pictures)().embedding for precision, embedder in embedders.items()}
    return {precision: float((vectors * wanted).sum(axis=1).min()) for precision, vectors in found.items()}


def _rows(model: str, batch: int, seconds: dict[str, list[float]], cosines: dict[str, float]) -> Iterator[Row]:
    for precision, spent in seconds.items():
        settings = {"model": model, "precision": precision, "batch": batch}
        if not cosines[precision] >= LEAST_COSINE:
            yield {"settings": settings, "red": f"cosine to fp32 is {cosines[precision]:.4f}"}
            continue
        pairs = Pairs(tuple(spent), tuple(seconds["fp32"]))
        yield {
            "settings": settings,
            "least_cosine": round(cosines[precision], 5),
            "images_per_s": round(PICTURES / summarise(spent).median, 1),
            **compared(pairs),
        }
