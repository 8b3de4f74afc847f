"""CLIP on a GPU: a proven TensorRT engine, or else ONNX Runtime's CUDA provider."""

from __future__ import annotations

from ..config import AnalyzeConfig
from ..errors import BackendUnavailable, EngineMismatch, ExportError, ModelUnavailable, shown
from ..progress import Progress
from ._base import Embedder
from ._engine import Batches
from ._parity import Frames
from ._target import PIP, find_target
from .engines import Engine, Wanted, ensure_engine
from .model_folder import ModelFolder, graph_name

GPU_PRECISION = "fp16"
"""What ``auto`` means for engines."""
MADE = ("fp32", "fp16", "bf16")
"""Precisions that every model has graphs in, or can have."""
_ORT_PIP = "onnxruntime-gpu instead of onnxruntime; bestshot-trt doctor says which build fits"


def check_runtime(config: AnalyzeConfig) -> None:
    """Before a model is pulled: something must be here that runs it on CuPy's current device.

    Raises:
        BackendUnavailable: int8 was asked for, or neither TensorRT nor ONNX Runtime's CUDA provider is here.
    """
    if config.precision == "int8":
        raise BackendUnavailable("precision int8 is for CPUs; on a GPU use fp16 or fp32, or --backend cpu")
    try:
        find_target(_current_capability())
    except BackendUnavailable as error:
        _check_cuda(error)


def open_on_gpu(
    folder: ModelFolder, config: AnalyzeConfig, frames: Frames | None, progress: Progress
) -> tuple[Embedder, str | None]:
    """The model in ``folder`` on CuPy's current device, and why it is no engine if it is none.

    An engine that is missing is built; one that was not compared with the fp32 graph yet is, on ``frames``; without any
    its numbers are not used.

    Raises:
        BackendUnavailable: there is neither a TensorRT whose engine does what the fp32 graph does, nor ONNX Runtime's
            CUDA provider.
        ModelUnavailable: there is no graph in the precision asked for.
    """
    precision = GPU_PRECISION if config.precision == "auto" else config.precision
    if precision not in MADE and not (folder.path / graph_name("visual", precision)).is_file():
        raise ModelUnavailable(f"{shown(folder.path)}: this model has no {precision} graph; use fp16, bf16 or fp32")
    try:
        target = find_target(_current_capability())
        folder, precision, note = _in_precision(folder, precision, may_differ=config.precision == "auto")
        wanted = Wanted(folder, "visual", precision, target, Batches())
        engine = _proven(wanted, config.framing, frames, progress)
        return _engine_embedder(wanted, engine, config.framing), note
    except (BackendUnavailable, EngineMismatch, ModelUnavailable, ExportError) as error:
        return _through_cuda(folder, config, error), f"CLIP runs through ONNX Runtime's CUDA provider: {error}"


def _in_precision(folder: ModelFolder, precision: str, *, may_differ: bool) -> tuple[ModelFolder, str, str | None]:
    """The model with graphs in ``precision``; if it ``may_differ``, fp32 where they cannot be written, and why."""
    from .build import add_precision

    try:
        return add_precision(folder, precision), precision, None
    except ExportError as error:
        if not may_differ:
            raise
        return folder, "fp32", f"the engine is fp32 instead of {precision}: {error}"


def _proven(wanted: Wanted, framing: str, frames: Frames | None, progress: Progress) -> Engine:
    engine = ensure_engine(wanted, progress=progress)
    if engine.card.parity is not None:
        return engine
    from .prove import prove

    if frames is None:
        raise EngineMismatch(
            f"{shown(engine.path.name)}: was not compared with the fp32 graph yet; do that with: "
            f"bestshot-trt build {shown(wanted.folder.path)} --frames take.mp4"
        )
    return prove(wanted, engine, frames(wanted.folder.card.size, framing), progress)


def _current_capability() -> str:
    import cupy

    # "89": the last digit is the minor number.
    number = cupy.cuda.Device().compute_capability
    return f"{number[:-1]}.{number[-1]}"


def _engine_embedder(wanted: Wanted, engine: Engine, framing: str) -> Embedder:
    from ._tensorrt import TensorRtEmbedder

    try:
        trt = wanted.target.trt
        return TensorRtEmbedder(wanted.folder, engine, trt, precision=wanted.precision, framing=framing)
    except MemoryError as error:
        raise BackendUnavailable(f"the GPU has not enough free memory for the engine: {error}") from error


def _through_cuda(folder: ModelFolder, config: AnalyzeConfig, reason: Exception) -> Embedder:
    from ._onnx import OnnxEmbedder

    _check_cuda(reason)
    precision = "fp16" if config.precision == "fp16" else "fp32"
    return OnnxEmbedder(folder, precision=precision, framing=config.framing, device="cuda")


def _check_cuda(reason: Exception) -> None:
    from ._onnx import has_cuda

    if not has_cuda():
        raise BackendUnavailable(
            f"CLIP cannot run on the GPU: {reason}; nor has ONNX Runtime its CUDA provider ({_ORT_PIP}); "
            f"install one of them, best TensorRT: {PIP}; or use --backend cpu"
        ) from reason
