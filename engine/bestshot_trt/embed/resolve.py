"""From the words of a setting to a model that runs: found here, pulled, or refused with the reason."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import AnalyzeConfig
from ..errors import BackendUnavailable, ModelUnavailable, shown
from ..progress import Progress
from ..provenance import ClipModel
from ._base import Embedder
from ._layout import LayoutEmbedder
from .model_folder import CARD, ModelFolder, installed, models_folder, open_folder
from .models import SPECS, ModelSpec, find_spec

if TYPE_CHECKING:
    from ._onnx import TextEncoder
    from ._parity import Frames

CPU_PRECISION = "fp32"
"""What ``auto`` means for ONNX Runtime; on a CPU fp16 gains nothing."""
GPU_ONLY = ("bf16", "fp8")
CLOSE_ENOUGH = 0.99
"""Least mean cosine to fp32, over real frames, at which int8 may be used."""


@dataclass(frozen=True)
class Resolved:
    """An embedder, and why it is not a CLIP model, or not run the best way, though that was welcome."""

    embedder: Embedder
    note: str | None
    load: Callable[[float | None], None] = lambda _pictures: None
    """Loads what the embedder would else load when it is first used, for about so many pictures; None: for many.

    Raises ModelUnavailable."""


_given_up: dict[str, str] = {}
"""Why a name comes to no model in this process, whatever the hub would say by now."""


def give_up(reason: str | None) -> None:
    """Let ``auto`` come to no model in this process, for this ``reason``; None: let it be looked for.

    So the hub is asked once for all takes of a batch, and all of them get the same.
    """
    _given_up.clear()
    if reason is not None:
        _given_up["auto"] = reason


def open_embedder(
    config: AnalyzeConfig, *, default: str, progress: Progress, device: str = "any", frames: Frames | None = None
) -> Resolved:
    """The embedder that ``config.model`` names; ``default`` is what ``auto`` pulls when no model is here.

    Args:
        config: model, precision and framing.
        default: name of a model.
        progress: told of pulls, builds and comparisons.
        device: ``cpu``; ``any`` for ONNX Runtime wherever it can; ``gpu`` for CuPy's current device, with TensorRT or
            else ONNX Runtime's CUDA provider, and never the CPU.
        frames: gives frames of the takes at hand, on which engines are compared with the fp32 graph; for ``gpu``.

    Raises:
        ModelUnavailable: a model asked for by name or folder cannot be had, or not in that precision.
        BackendUnavailable: CLIP cannot run on the GPU; what to install.
    """
    if config.model == "none" or config.model in _given_up:
        return Resolved(LayoutEmbedder(), _given_up.get(config.model))
    if device == "gpu":
        from ._on_gpu import check_runtime

        check_runtime(config)
    if config.model != "auto":
        return _open(find_model(config.model, progress), config, device, frames, progress)
    try:
        folder = _any_installed(default) or _pull(find_spec(default), progress)
    except ModelUnavailable as error:
        return Resolved(LayoutEmbedder(), f"aesthetics and prompts are off, since no CLIP model is here: {error}")
    return _open(folder, config, device, frames, progress)


def find_model(name: str, progress: Progress) -> ModelFolder:
    """The model called ``name``, pulled if it is not here, or the one in the folder ``name``.

    Raises:
        ModelUnavailable: it cannot be had.
    """
    # A folder may be called as a model is; it is meant when it has a card.
    is_path = os.sep in name or Path(name).is_dir()
    if is_path and ((Path(name) / CARD).exists() or not _is_known(name)):
        return open_folder(Path(name))
    spec = find_spec(name)
    return _installed(spec) or _pull(spec, progress)


def _is_known(name: str) -> bool:
    try:
        find_spec(name)
    except ModelUnavailable:
        return False
    return True


def _installed(spec: ModelSpec) -> ModelFolder | None:
    path = models_folder() / spec.name
    return open_folder(path) if (path / CARD).exists() else None


def _any_installed(default: str) -> ModelFolder | None:
    """The default model if it is here, else any other that the registry knows."""
    names = [default, *(spec.name for spec in SPECS)]
    folders = {folder.path.name: folder for folder in installed()}
    return next((folders[name] for name in names if name in folders), None)


def _pull(spec: ModelSpec, progress: Progress) -> ModelFolder:
    from .pull import pull

    return pull(spec, progress=progress)


def _open(
    folder: ModelFolder, config: AnalyzeConfig, device: str, frames: Frames | None, progress: Progress
) -> Resolved:
    if device == "gpu":
        from ._on_gpu import open_on_gpu

        return Resolved(*open_on_gpu(folder, config, frames, progress))
    from ._onnx import OnnxEmbedder

    precision = CPU_PRECISION if config.precision == "auto" else config.precision
    if precision in GPU_ONLY:
        raise BackendUnavailable(f"precision {precision} is for TensorRT engines; use fp32, or --backend gpu")
    _check_precision(folder, precision)
    embedder = OnnxEmbedder(folder, precision=precision, framing=config.framing, device=device)
    return Resolved(embedder, None, embedder.load)


def _check_precision(folder: ModelFolder, precision: str) -> None:
    """int8 changes the numbers, so it must have been found close enough on real frames first."""
    where = shown(folder.path)
    if not folder.has("visual", precision):
        hint = f"bestshot-trt models pull {folder.card.name} --precision {precision}"
        if precision == "int8":
            hint = f"bestshot-trt models verify {where} --int8 --frames take.mp4"
        raise ModelUnavailable(f"{where}: this model has no {precision} graph; make one with: {hint}")
    parity = folder.card.parity.get(precision)
    if precision == "int8" and (parity is None or parity < CLOSE_ENOUGH):
        raise ModelUnavailable(
            f"{where}: its int8 graph has a cosine of {parity or 0:.4f} to fp32; it must be {CLOSE_ENOUGH} or more"
        )


def open_text_encoder(clip_model: ClipModel, progress: Progress) -> TextEncoder:
    """The text tower of the model that made a track's embeddings, pulled if only its image tower is here.

    Raises:
        ModelUnavailable: that very model is not here, or its text tower cannot be had.
    """
    from ._onnx import TextEncoder

    folder = _same(clip_model)
    if not folder.has("text"):
        from .pull import add_text

        folder = add_text(folder, progress=progress)
    return TextEncoder(folder)


def _same(clip_model: ClipModel) -> ModelFolder:
    for folder in [*_at(Path(clip_model.folder)), *installed()]:
        if folder.card.digest == clip_model.digest:
            return folder
    name = f"{clip_model.name}/{clip_model.pretrained}"
    raise ModelUnavailable(
        f"prompts need the model that made the track, {name}, and neither {shown(clip_model.folder)} nor "
        f"{shown(models_folder())} holds it; get it with: bestshot-trt models pull {clip_model.name}"
    )


def _at(path: Path) -> list[ModelFolder]:
    try:
        return [open_folder(path)]
    except ModelUnavailable:
        return []
