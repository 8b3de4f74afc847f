"""CLIP on a GPU: a proven TensorRT engine, or else ONNX Runtime's CUDA provider."""

from __future__ import annotations

from typing import Any

from ..config import AnalyzeConfig
from ..errors import BackendUnavailable, EngineMismatch, ModelUnavailable, shown
from ..progress import Progress
from ._base import Embedder
from ._engine import Batches
from ._parity import Frames
from ._target import PIP, find_target
from .engines import Engine, Wanted, ensure_engine
from .models import ModelFolder

GPU_PRECISION = "fp16"
"""What ``auto`` means for engines."""
_ORT_PIP = "pip uninstall onnxruntime && pip install onnxruntime-gpu"


def open_on_gpu(
    folder: ModelFolder, config: AnalyzeConfig, frames: Frames | None, progress: Progress
) -> tuple[Embedder, str | None]:
    """The model in ``folder`` on CuPy's current device, and why it is no engine if it is none.

    An engine that is missing is built; one that was not compared with the fp32 graph yet is, on ``frames``; without any
    its numbers are not used.

    Raises:
        BackendUnavailable: int8 was asked for; or there is neither a TensorRT whose engine does what the fp32 graph
            does, nor ONNX Runtime's CUDA provider.
        ModelUnavailable: there is no graph in the precision asked for.
    """
    if config.precision == "int8":
        raise BackendUnavailable("precision int8 is for CPUs; on a GPU use fp16 or fp32, or --backend cpu")
    from .build import add_precision

    precision = GPU_PRECISION if config.precision == "auto" else config.precision
    folder = add_precision(folder, precision)
    if not folder.has("visual", precision):
        raise ModelUnavailable(f"{shown(folder.path)}: this model has no {precision} graph; use fp16, bf16 or fp32")
    try:
        engine, trt = _proven(folder, precision, config.framing, frames, progress)
        return _engine_embedder(folder, engine, trt, precision, config.framing), None
    except (BackendUnavailable, EngineMismatch, ModelUnavailable) as error:
        return _through_cuda(folder, config, error), f"CLIP runs through ONNX Runtime's CUDA provider: {error}"


def _proven(
    folder: ModelFolder, precision: str, framing: str, frames: Frames | None, progress: Progress
) -> tuple[Engine, Any]:
    target = find_target(_current_capability())
    wanted = Wanted(folder, "visual", precision, target, Batches())
    engine = ensure_engine(wanted, progress=progress)
    if engine.card.parity is None:
        from .prove import prove

        if frames is None:
            raise EngineMismatch(
                f"{shown(engine.path.name)}: was not compared with the fp32 graph yet; do that with: "
                f"bestshot-trt build {shown(folder.path)} --frames take.mp4"
            )
        engine = prove(wanted, engine, frames(folder.card.size, framing), progress)
    return engine, target.trt


def _current_capability() -> str:
    import cupy

    # "89": the last digit is the minor number.
    number = cupy.cuda.Device().compute_capability
    return f"{number[:-1]}.{number[-1]}"


def _engine_embedder(folder: ModelFolder, engine: Engine, trt: Any, precision: str, framing: str) -> Embedder:
    from ._tensorrt import TensorRtEmbedder

    try:
        return TensorRtEmbedder(folder, engine, trt, precision=precision, framing=framing)
    except MemoryError as error:
        raise BackendUnavailable(f"the GPU has not enough free memory for the engine: {error}") from error


def _through_cuda(folder: ModelFolder, config: AnalyzeConfig, reason: Exception) -> Embedder:
    from ._onnx import OnnxEmbedder, has_cuda

    if not has_cuda():
        raise BackendUnavailable(
            f"CLIP cannot run on the GPU: {reason}; nor has ONNX Runtime its CUDA provider ({_ORT_PIP}); "
            f"install one of them, best TensorRT: {PIP}; or use --backend cpu"
        ) from reason
    precision = "fp16" if config.precision == "fp16" else "fp32"
    return OnnxEmbedder(folder, precision=precision, framing=config.framing, device="cuda")
