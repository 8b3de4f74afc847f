"""What a GPU gives, piece by piece and whole: NVDEC alone, the model alone, the product. Kernels are in `kernels`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..figures import take_of
from ..registry import Request, Row, case
from ._on_gpu import rows_of


@case("gpu-decode", "NVDEC alone, by streams at a time up to all its engines, with its load")
def gpu_decode(request: Request, path: Path) -> Iterator[Row]:
    """The gate is that every picture asked for comes."""
    for row in rows_of("decode", request, path):
        yield {"take": take_of(path), **row}


@case(
    "gpu-embed",
    "a CLIP model alone on the GPU (--model FOLDER), by TensorRT where its engine is there",
    needs_input=False,
)
def gpu_embed(request: Request, _: Path) -> Iterator[Row]:
    """The gate is the cosine to fp32 on the CPU."""
    yield from rows_of("embed", request)


@case("gpu", "analyze on the GPU against itself on the CPU, with the load of NVDEC, SMs and memory")
def gpu(request: Request, path: Path) -> Iterator[Row]:
    """The gate is the CPU's times, measures and picks."""
    for row in rows_of("whole", request, path):
        yield {"take": take_of(path), **row}
