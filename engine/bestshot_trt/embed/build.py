"""Making the graphs of a model folder from OpenCLIP (needs the ``export`` extra), and TensorRT engines of them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ModelUnavailable, shown
from ..progress import Progress, silent
from ..provenance import PROGRAM
from . import compose, heads
from . import engines as cache
from ._engine import Batches, build_engine
from ._openclip import OpenClip
from ._save import save_graph
from ._target import Target, find_target
from ._whole_folder import check_replaceable, whole_folder
from .model_folder import (
    HEAD,
    PRECISIONS,
    TOKENIZER,
    WEIGHTS_SUFFIX,
    HeadCard,
    ModelCard,
    ModelFolder,
    file_card,
    graph_name,
    open_folder,
    write_card,
)
from .models import ModelSpec
from .text import write_tokenizer

__all__ = ["Batches", "add_precision", "build_engine", "build_engines", "export_openclip", "find_target"]

_HALVES = {"fp16": compose.to_fp16, "bf16": compose.to_bf16}
REGISTERED = "registered"
"""Weights: those that the registry names."""
RANDOM = "random"
"""What the card says of weights that nobody trained."""


def export_openclip(
    spec: ModelSpec,
    folder: Path,
    *,
    head: Path,
    weights: str | None = REGISTERED,
    precisions: Sequence[str] = ("fp32", "fp16"),
    progress: Progress = silent,
) -> ModelFolder:
    """Make a model folder from OpenCLIP: image and text graph, tokeniser, head and card.

    Weights that are not in OpenCLIP's cache are downloaded by it.

    Args:
        spec: the model; its ``architecture`` is OpenCLIP's name.
        folder: where to; an older model there is replaced once the new one is whole.
        head: an aesthetic head for this model, as `heads.read_head` takes it.
        weights: OpenCLIP's pretrained tag or a checkpoint file; None: random weights, always the same ones.
        precisions: of the graphs, of "fp32" (always made), "fp16" and "int8" (image graph only).
        progress: told the stages, each once.

    Raises:
        ModelUnavailable: torch or open_clip is missing, the head does not fit, or the weights cannot be had.
        ExportError: the folder is something else, or cannot be written.
        ValueError: an unknown precision.
    """
    if unknown := set(precisions) - set(PRECISIONS):
        raise ValueError(f"precision {min(unknown)!r}; it must be one of {', '.join(PRECISIONS)}")
    tag = spec.pretrained if weights == REGISTERED else weights
    check_replaceable(folder)
    aesthetic = _head(head, spec)
    steps = _Steps(progress, 4)
    with whole_folder(folder) as made:
        steps(f"load {spec.architecture}")
        model = OpenClip(spec, tag)
        steps("export image tower")
        visual = compose.visual_graph(
            model.visual(), mean=spec.mean, std=spec.std, head=aesthetic, size=spec.size, width=spec.width
        )
        # Of the whole graph, however it is written, so that weights exported before have the same.
        digest = hashlib.sha256(visual.SerializeToString()).hexdigest()
        _write(visual, made, "visual", precisions)
        del visual
        steps("export text tower")
        _write(compose.text_graph(model.text(), width=spec.width), made, "text", precisions)
        steps("write tokeniser and card")
        write_tokenizer(model.merges, made / TOKENIZER)
        heads.save_head(aesthetic, made / HEAD)
        write_card(made, _card(spec, tag, head, made, model.versions, digest))
    return open_folder(folder)


def _head(path: Path, spec: ModelSpec) -> heads.Head:
    head = heads.read_head(path)
    if len(head.weight) != spec.width:
        raise ModelUnavailable(
            f"{shown(path)}: is for embeddings of {len(head.weight)} numbers, and those of {spec.name} have "
            f"{spec.width}; give the head {spec.head.name}"
        )
    return head


def _write(graph: Any, folder: Path, tower: str, precisions: Sequence[str]) -> None:
    save_graph(graph, folder / graph_name(tower, "fp32"))
    for precision in sorted({*precisions} - {"fp32"}):
        _derive(folder, tower, precision)


@dataclass
class _Steps:
    """Counts the stages."""

    progress: Progress
    total: int
    done: int = 0

    def __call__(self, stage: str) -> None:
        self.progress(stage, self.done, self.total, "steps")
        self.done += 1


def add_precision(folder: ModelFolder, precision: str) -> ModelFolder:
    """``folder`` with its graphs in another precision too, made of those in fp32, without torch.

    What is there already stays. A graph that lies in the folder under that precision's name, such as one with fp8
    quantisation made elsewhere, is taken into the card.

    Args:
        folder: the model.
        precision: "fp16", "bf16" (for engines), "int8" (image graph only), or one of a graph that is there.

    Raises:
        ModelUnavailable: an fp32 graph is not there in full, or cannot be converted.
        ExportError: the folder cannot be written to.
    """
    towers = [tower for tower in ("visual", "text") if folder.has(tower) and not folder.has(tower, precision)]
    made = [name for tower in towers for name in _derived(folder.path, tower, precision)]
    if not made:
        return folder
    files = {**folder.card.files, **{name: file_card(folder.path / name) for name in made}}
    return write_card(folder.path, dataclasses.replace(folder.card, files=files))


def _derived(folder: Path, tower: str, precision: str) -> list[str]:
    """Names of the files of a graph that is new in ``folder``, or is made."""
    name = graph_name(tower, precision)
    if (folder / name).is_file() and precision not in PRECISIONS:
        return [file for file in (name, name + WEIGHTS_SUFFIX) if (folder / file).is_file()]
    return _derive(folder, tower, precision)


def _derive(folder: Path, tower: str, precision: str) -> list[str]:
    """Make one graph of that in fp32; the name of its file, or nothing where there is none in that precision."""
    import onnx

    source, name = folder / graph_name(tower, "fp32"), graph_name(tower, precision)
    if precision in _HALVES:
        save_graph(_HALVES[precision](onnx.load(source)), folder / name)
    elif precision == "int8" and tower == "visual":
        compose.quantise_int8(source, folder / name)
    else:
        return []
    return [name]


def build_engines(
    folder: ModelFolder,
    *,
    towers: Sequence[str] = ("visual",),
    precision: str = "fp16",
    target: Target | None = None,
    batches: Batches | None = None,
    force: bool = False,
    progress: Progress = silent,
) -> list[tuple[cache.Wanted, cache.Engine]]:
    """Engines of the graphs of ``folder``, from the engine cache or built into it; their graphs are made if missing.

    Their numbers are not compared with anything here; see `prove.prove`.

    Args:
        folder: the model.
        towers: of "visual" and "text".
        precision: as for `add_precision`.
        target: this machine's GPU when None.
        batches: the defaults of `Batches` when None.
        force: build them again though they are there.
        progress: told how far the builds are.

    Raises:
        EngineMismatch: one is there, but of another kind or damaged, or was refused before.
        BackendUnavailable: TensorRT is missing, or cannot build for the target.
        ModelUnavailable: a graph is missing, or TensorRT cannot compile it.
        ExportError: the cache or the folder cannot be written to.
    """
    target = target or find_target()
    folder = add_precision(folder, precision)
    wanted = [cache.Wanted(folder, tower, precision, target, batches or Batches()) for tower in towers]
    return [(one, cache.ensure_engine(one, force=force, progress=progress)) for one in wanted]


def _card(
    spec: ModelSpec, tag: str | None, head: Path, folder: Path, versions: dict[str, str], digest: str
) -> ModelCard:
    source = {"open_clip": versions["open_clip"], "architecture": spec.architecture, "pretrained": tag or RANDOM}
    head_hash = file_card(head).sha256
    is_registered = head_hash == spec.head.download.sha256
    return ModelCard(
        name=spec.name,
        architecture=spec.architecture,
        pretrained=tag or RANDOM,
        width=spec.width,
        size=spec.size,
        mean=spec.mean,
        std=spec.std,
        head=HeadCard(
            name=spec.head.name if is_registered else head.stem,
            sha256=head_hash,
            licence=spec.head.licence if is_registered else "unknown",
        ),
        licence=spec.licence,
        digest=digest,
        made_from=source if tag else {**source, "seed": 0},
        made_with=versions,
        created_by=PROGRAM,
        files={path.name: file_card(path) for path in sorted(folder.iterdir())},
        parity={},
    )
