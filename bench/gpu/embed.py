"""CLIP on the card: the product's embedder where a model and its engine can be had, else a stand-in that says so."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from .rows import OK, Row, guarded, same, spread
from .sampler import Sampler

PICTURES, SIZE = 256, 224
RUNS = 10
_LEAST_COSINE = 0.999


def run(options: argparse.Namespace) -> Iterator[Row]:
    """The product's path, then the stand-in."""
    yield from guarded("product", partial(_product, options))
    yield from guarded("stand-in", _stand_in)


def _product(options: argparse.Namespace) -> Iterator[Row]:
    """TensorRT's engine, or ONNX Runtime's CUDA provider, compared with the fp32 graph on the CPU."""
    if options.model is None:
        raise RuntimeError("no --model named: a folder that bestshot-trt models export or pull made")
    import cupy

    from bestshot_trt.config import AnalyzeConfig
    from bestshot_trt.embed._on_gpu import open_on_gpu
    from bestshot_trt.embed._onnx import OnnxEmbedder
    from bestshot_trt.embed._parity import Footage
    from bestshot_trt.embed.model_folder import open_folder
    from bestshot_trt.progress import silent

    folder = open_folder(options.model)
    pictures = np.random.default_rng(0).integers(0, 256, (PICTURES, 8, 8, 3), np.uint8)
    pictures = np.ascontiguousarray(pictures.repeat(SIZE // 8, axis=1).repeat(SIZE // 8, axis=2))
    # What an engine that is new here is compared with the fp32 graph on.
    footage = Footage(pictures[:32], np.arange(32.0), 32.0)
    embedder, note = open_on_gpu(folder, AnalyzeConfig(model=str(options.model)), lambda *_: [footage], silent)
    wanted = _numbers(OnnxEmbedder(folder, precision="fp32").embed(pictures[:32]))
    on_card = cupy.asarray(pictures)
    found = _numbers(embedder.embed(on_card[:32]))
    cosine = float((found * wanted).sum(axis=1).min())
    same(min(cosine, 1.0), 1.0, "cosine to fp32 on the CPU", within=1 - _LEAST_COSINE)
    with Sampler() as load:
        rate = _rate(lambda: _numbers(embedder.embed(on_card)))
    speed = f"{rate['median']:.0f} images/s; {load.words}"
    value = f"{type(embedder).__name__}, {embedder.model}: least cosine {cosine:.5f}, {speed}"
    figures = {"images_per_s": rate, "least_cosine": cosine, "embedder": type(embedder).__name__, "note": note}
    figures["load"] = load.figures
    yield Row("product", OK, value + (f" ({note})" if note else ""), figures)


def _numbers(result: Any) -> Any:
    """Embeddings, from an embedder that may give them late."""
    return (result() if callable(result) else result).embedding


def _stand_in() -> Iterator[Row]:
    """A PyTorch transformer of ViT-B/32's shape, random weights: what the card could do, not what the product does."""
    import torch

    if not torch.cuda.is_available():
        raise RuntimeError("PyTorch finds no CUDA device")
    layer = torch.nn.TransformerEncoderLayer(768, 12, 3072, activation="gelu", batch_first=True, norm_first=True)
    model = torch.nn.TransformerEncoder(layer, 12, enable_nested_tensor=False).cuda().half().eval()
    tokens = torch.randn(PICTURES, 50, 768, device="cuda", dtype=torch.float16)

    def call() -> None:
        with torch.inference_mode():
            model(tokens)
        torch.cuda.synchronize()

    rate = _rate(call)
    value = f"{rate['median']:.0f} images/s: a PyTorch transformer of ViT-B/32's shape, fp16, random weights"
    yield Row("stand-in", OK, f"{value}; not the product's path", {"images_per_s": rate, "torch": torch.__version__})


def _rate(call: Callable[[], Any]) -> dict[str, float]:
    """Pictures a second, the first run not counted."""
    call()
    rates = []
    for _ in range(RUNS):
        started = time.perf_counter()
        call()
        rates.append(PICTURES / (time.perf_counter() - started))
    return spread(rates)
