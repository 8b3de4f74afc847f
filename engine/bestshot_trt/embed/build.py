"""Making the graphs of a model folder from OpenCLIP (needs the ``export`` extra), and TensorRT engines of them."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ModelUnavailable, shown
from ..files import whole_file
from ..moments import PROGRAM
from ..progress import Progress, silent
from . import compose, heads, text
from ._engine import Batches, Target, build_engine, find_target
from ._folder import check_replaceable, whole_folder
from ._quiet import quiet
from .models import (
    CONTEXT_LENGTH,
    HEAD,
    PRECISIONS,
    TOKENIZER,
    HeadCard,
    ModelCard,
    ModelFolder,
    ModelSpec,
    file_card,
    graph_name,
    open_folder,
    write_card,
)

__all__ = ["Batches", "add_precision", "build_engine", "build_engines", "export_openclip", "find_target"]

REGISTERED = "registered"
"""Weights: those that the registry names."""
RANDOM = "random"
"""What the card says of weights that nobody trained."""

_OPSET = 18
"""What torch's exporter writes without converting; ONNX Runtime since 1.14 and TensorRT since 8.6 read it."""
_MERGES = "bpe_simple_vocab_16e6.txt.gz"
_PIP = 'pip install "bestshot-trt[export]"'


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
    torch, open_clip = _libraries()
    check_replaceable(folder)
    aesthetic = heads.read_head(head)
    if len(aesthetic.weight) != spec.width:
        raise ModelUnavailable(
            f"{shown(head)}: is for embeddings of {len(aesthetic.weight)} numbers, and those of {spec.name} have "
            f"{spec.width}; give the head {spec.head.name}"
        )
    steps = _Steps(progress, 4)
    with whole_folder(folder) as made, quiet():
        steps("load weights")
        model = _load(torch, open_clip, spec, tag)
        exporter = _Exporter(torch, model, made, precisions, steps)
        exporter.visual(spec, aesthetic)
        exporter.text(spec)
        steps("write tokeniser and card")
        text.write_tokenizer(Path(open_clip.__file__).with_name(_MERGES), made / TOKENIZER)
        heads.save_head(aesthetic, made / HEAD)
        write_card(made, _card(spec, tag, head, made))
    return open_folder(folder)


@dataclass
class _Steps:
    """Counts the stages."""

    progress: Progress
    total: int
    done: int = 0

    def __call__(self, stage: str) -> None:
        self.progress(stage, self.done, self.total)
        self.done += 1


def _libraries() -> tuple[Any, Any]:
    for name in ("onnxscript", "torch", "open_clip"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ModelUnavailable(f"exporting needs {name}, which cannot be imported ({error}); {_PIP}") from error
    return importlib.import_module("torch"), importlib.import_module("open_clip")


def _load(torch: Any, open_clip: Any, spec: ModelSpec, tag: str | None) -> Any:
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return open_clip.create_model(spec.architecture, pretrained=tag, device="cpu").eval()
    except (OSError, RuntimeError, ValueError, AssertionError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelUnavailable(
            f"{spec.architecture}: OpenCLIP cannot load the weights {shown(tag)}: {shown(reason)}; check the network, "
            "or give a checkpoint file"
        ) from error


class _Exporter:
    """Writes the graphs of one OpenCLIP model into a folder."""

    def __init__(self, torch: Any, model: Any, folder: Path, precisions: Sequence[str], steps: _Steps) -> None:
        self._torch = torch
        self._model = model
        self._folder = folder
        self._precisions = precisions
        self._steps = steps

    def visual(self, spec: ModelSpec, head: heads.Head) -> None:
        self._steps("export image tower")
        pixels = self._torch.zeros(2, 3, spec.size, spec.size)
        tower = self._tower("encode_image", pixels, "pixel_values", "image_embeds")
        graph = compose.visual_graph(tower, mean=spec.mean, std=spec.std, head=head, size=spec.size, width=spec.width)
        self._write("visual", graph)

    def text(self, spec: ModelSpec) -> None:
        self._steps("export text tower")
        tokens = self._torch.ones(2, CONTEXT_LENGTH, dtype=self._torch.int64)
        tower = self._tower("encode_text", tokens, "input_ids", "text_embeds")
        self._write("text", compose.text_graph(tower, width=spec.width))

    def _tower(self, method: str, example: Any, input_name: str, output_name: str) -> Any:
        torch = self._torch

        class Tower(torch.nn.Module):  # type: ignore[name-defined, misc]
            """One tower of the model, as the hub has it: not normalised."""

            def __init__(self, model: Any) -> None:
                super().__init__()
                self.model = model

            def forward(self, values: Any) -> Any:
                return getattr(self.model, method)(values)

        with torch.no_grad():
            program = torch.onnx.export(
                Tower(self._model).eval(),
                (example,),
                input_names=[input_name],
                output_names=[output_name],
                opset_version=_OPSET,
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim(compose.BATCH)},),
                verbose=False,
            )
        return program.model_proto

    def _write(self, tower: str, graph: Any) -> None:
        _save(graph, self._folder / graph_name(tower, "fp32"))
        del graph
        for precision in set(self._precisions) - {"fp32"}:
            _derive(self._folder, tower, precision)


def add_precision(folder: ModelFolder, precision: str) -> ModelFolder:
    """``folder`` with its graphs in "fp16" or "int8" (image graph only) too, made of those in fp32, without torch.

    What is there already stays.

    Raises:
        ModelUnavailable: an fp32 graph is not there in full, or cannot be converted.
        ExportError: the folder cannot be written to.
    """
    towers = [tower for tower in ("visual", "text") if folder.has(tower) and not folder.has(tower, precision)]
    made = [name for tower in towers for name in _derive(folder.path, tower, precision)]
    if not made:
        return folder
    files = {**folder.card.files, **{name: file_card(folder.path / name) for name in made}}
    return write_card(folder.path, dataclasses.replace(folder.card, files=files))


def _derive(folder: Path, tower: str, precision: str) -> list[str]:
    """Make one graph of that in fp32; the name of its file, or nothing where there is none in that precision."""
    import onnx

    source, name = folder / graph_name(tower, "fp32"), graph_name(tower, precision)
    if precision == "fp16":
        _save(compose.to_fp16(onnx.load(source)), folder / name)
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
    progress: Progress = silent,
) -> list[Path]:
    """Engines of the graphs of ``folder``, in it, named by what they are tied to; fp16 graphs are made if missing.

    Args:
        folder: the model.
        towers: of "visual" and "text".
        precision: "fp32" or "fp16".
        target: this machine's GPU when None.
        batches: the defaults of `Batches` when None.
        progress: told the stages, each once.

    Raises:
        BackendUnavailable: TensorRT is missing, or cannot build for the target.
        ModelUnavailable: a graph is missing, or TensorRT cannot compile it.
        ExportError: the folder cannot be written to.
    """
    target = target or find_target()
    if precision == "fp16":
        folder = add_precision(folder, precision)
    steps = _Steps(progress, len(towers))
    engines = []
    for tower in towers:
        graph = folder.graph(tower, precision)
        steps(f"build {tower} engine")
        engines.append(folder.path / f"{tower}.{precision}.{target.name}.engine")
        build_engine(graph, engines[-1], target=target, batches=batches)
    return engines


def _save(graph: Any, path: Path) -> None:
    import onnx

    with whole_file(path) as temporary:
        onnx.save(graph, temporary)


def _card(spec: ModelSpec, tag: str | None, head: Path, folder: Path) -> ModelCard:
    versions = {name: str(importlib.import_module(name).__version__) for name in ("onnx", "onnxscript", "torch")}
    open_clip = str(importlib.import_module("open_clip").__version__)
    made_from = {"open_clip": open_clip, "architecture": spec.architecture, "pretrained": tag or RANDOM}
    return ModelCard(
        name=spec.name,
        architecture=spec.architecture,
        pretrained=tag or RANDOM,
        width=spec.width,
        size=spec.size,
        mean=spec.mean,
        std=spec.std,
        head=HeadCard(name=head.stem, sha256=file_card(head).sha256, licence=spec.head.licence),
        licence=spec.licence,
        made_from=made_from if tag else {**made_from, "seed": 0},
        made_with=versions,
        created_by=PROGRAM,
        files={path.name: file_card(path) for path in sorted(folder.iterdir())},
        parity={},
    )
