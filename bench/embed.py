"""Pictures a second through a CLIP model, by precision and batch, each checked against fp32 first."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bestshot_trt.embed._onnx import OnnxEmbedder
from bestshot_trt.embed.models import PRECISIONS, open_folder

LEAST_COSINE = 0.99
PICTURES = 32


def _pictures(size: int) -> npt.NDArray[np.uint8]:
    """Smooth coloured noise: pictures that differ, of no camera."""
    coarse = np.random.default_rng(0).integers(0, 256, (PICTURES, 8, 8, 3)).astype(np.uint8)
    return coarse.repeat(size // 8, axis=1).repeat(size // 8, axis=2)


def measure(path: Path, runs: int) -> list[dict[str, Any]]:
    """A row per precision and batch; precisions take turns, so that the machine's mood hits all of them."""
    folder = open_folder(path)
    embedders = {p: OnnxEmbedder(folder, precision=p) for p in PRECISIONS if folder.has("visual", p)}
    pictures = _pictures(folder.card.size)
    wanted = embedders["fp32"].embed(pictures)().embedding
    rows = []
    for batch in (1, 8, 32):
        times: dict[str, list[float]] = {precision: [] for precision in embedders}
        for _ in range(runs):
            for precision, embedder in embedders.items():
                start = time.perf_counter()
                for first in range(0, PICTURES, batch):
                    embedder.embed(pictures[first : first + batch])()
                times[precision].append(time.perf_counter() - start)
        rows += [_row(folder.card.name, p, batch, times, embedders[p], pictures, wanted) for p in embedders]
    return rows


def _row(
    name: str,
    precision: str,
    batch: int,
    times: dict[str, list[float]],
    embedder: OnnxEmbedder,
    pictures: npt.NDArray[np.uint8],
    wanted: npt.NDArray[np.float32],
) -> dict[str, Any]:
    cosine = float((embedder.embed(pictures)().embedding * wanted).sum(axis=1).min())
    if cosine < LEAST_COSINE:
        return {"case": "embed", "model": name, "precision": precision, "batch": batch, "wrong": f"cosine {cosine:.4f}"}
    median = statistics.median(times[precision])
    return {
        "case": "embed",
        "model": name,
        "precision": precision,
        "batch": batch,
        "images_per_s": round(PICTURES / median, 1),
        "ratio_to_fp32": round(statistics.median(times["fp32"]) / median, 2),
        "least_cosine": round(cosine, 5),
        "runs": len(times[precision]),
    }
