"""What a folder with a model holds: its graphs, and the card that says what they are and where they come from."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import records
from ..errors import InputError, ModelUnavailable, shown
from ..files import check_regular, write_text
from ..provenance import Program

SCHEMA = "bestshot-trt/model"
VERSION = 1
CARD = "model.json"
TOKENIZER = "tokenizer.json"
HEAD = "head.npz"
WEIGHTS_SUFFIX = ".data"
"""Ends the name of the file that holds a graph's weights, where they are not in the graph itself."""
PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True, kw_only=True)
class FileCard:
    """What a file of a model folder must be."""

    sha256: str
    size: int
    """Bytes."""


@dataclass(frozen=True, kw_only=True)
class HeadCard:
    """The aesthetic head inside the graphs."""

    name: str
    sha256: str
    """Of the file it was read from."""
    licence: str


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """``model.json``: what the graphs of a model folder are and where they come from.

    Visual graphs map ``frames`` uint8 RGB (n, size, size, 3) to ``embedding`` float32 (n, width), L2-normalised,
    and ``aesthetic`` float32 (n,). Text graphs map ``tokens`` int64 (n, 77) to ``embedding`` float32 (n, width),
    L2-normalised. Files are named ``visual.<precision>.onnx`` and ``text.<precision>.onnx``; the weights of a graph may
    lie beside it in a file of the same name and ``.data``.
    """

    name: str
    architecture: str
    pretrained: str
    width: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    head: HeadCard
    licence: str
    digest: str
    """Names the image tower's weights, however they were packed: sha256 of the hub's file, or of the exported graph.
    Embeddings of equal digests can be compared."""
    made_from: dict[str, Any]
    """Provenance: ``{"hub": repository, "revision": ..., "files": {...}}`` or ``{"open_clip": version, ...}``."""
    made_with: dict[str, str]
    """Versions of the libraries that made the graphs."""
    created_by: Program
    files: dict[str, FileCard]
    parity: dict[str, float]
    """Precision -> least cosine of its embeddings to those of fp32, where that was measured."""

    @property
    def tokens(self) -> int | None:
        """Patches of a picture, and one more for all of it; None where OpenCLIP's name tells no side of a patch."""
        named = re.search(r"ViT-\w+-(\d+)", self.architecture)
        return None if named is None else (self.size // int(named[1])) ** 2 + 1


@dataclass(frozen=True)
class ModelFolder:
    """A folder with graphs that are ready to run."""

    path: Path
    card: ModelCard

    def has(self, tower: str, precision: str = "fp32") -> bool:
        """Whether the graph of ``tower`` (``visual`` or ``text``) is there in that precision."""
        return graph_name(tower, precision) in self.card.files

    def file(self, name: str) -> Path:
        """Path of ``name``, a file of the card.

        Raises:
            ModelUnavailable: the card does not list it, or it is not there in its full size.
        """
        entry = self.card.files.get(name)
        if entry is None:
            raise ModelUnavailable(f"{shown(self.path)}: this model has no {name}")
        path = self.path / name
        if not path.is_file() or path.stat().st_size != entry.size:
            raise ModelUnavailable(f"{shown(path)}: missing or cut short; pull or export the model again")
        return path

    def graph(self, tower: str, precision: str = "fp32") -> Path:
        """Path of one graph.

        Raises:
            ModelUnavailable: there is none in that precision.
        """
        name = graph_name(tower, precision)
        if name + WEIGHTS_SUFFIX in self.card.files:
            self.file(name + WEIGHTS_SUFFIX)
        return self.file(name)


def graph_name(tower: str, precision: str) -> str:
    """File name of a graph, as ``visual.fp32.onnx``."""
    return f"{tower}.{precision}.onnx"


def models_folder() -> Path:
    """Where models are kept: ``BESTSHOT_MODELS``, or else ``bestshot-trt/models`` in the user's cache folder."""
    if chosen := os.environ.get("BESTSHOT_MODELS"):
        return Path(chosen)
    import platformdirs

    return Path(platformdirs.user_cache_dir("bestshot-trt", appauthor=False)) / "models"


def open_folder(path: Path) -> ModelFolder:
    """The model in folder ``path``, by its card; the hashes of its files are not computed (see `check_hashes`).

    Raises:
        ModelUnavailable: no folder, no card, a card that cannot be read, or no visual graph.
    """
    if not path.is_dir():
        raise ModelUnavailable(f"{shown(path)}: no such folder; name a model or a folder that holds {CARD}")
    card_path = path / CARD
    if not card_path.exists():
        raise ModelUnavailable(f"{shown(path)}: holds no {CARD}, so it is not a model folder")
    try:
        check_regular(card_path)
        card = records.loads(ModelCard, card_path.read_bytes(), SCHEMA, VERSION, shown(card_path))
    except (InputError, OSError) as error:
        raise ModelUnavailable(f"{error}; pull or export the model again") from error
    folder = ModelFolder(path, card)
    folder.graph("visual")
    return folder


def installed(root: Path | None = None) -> list[ModelFolder]:
    """Every model in the models folder that opens, by name."""
    root = root or models_folder()
    found = []
    for path in sorted(root.iterdir()) if root.is_dir() else []:
        try:
            found.append(open_folder(path))
        except ModelUnavailable:
            continue
    return found


def write_card(path: Path, card: ModelCard) -> ModelFolder:
    """Write ``card`` as ``model.json`` into folder ``path``, last of all files, whole or not at all.

    Raises:
        ExportError: it cannot be written.
    """
    write_text(path / CARD, records.dumps(card, SCHEMA, VERSION))
    return ModelFolder(path, card)


def file_card(path: Path) -> FileCard:
    """Hash and size of a file."""
    with path.open("rb") as file:
        return FileCard(sha256=hashlib.file_digest(file, "sha256").hexdigest(), size=path.stat().st_size)


def check_hashes(folder: ModelFolder) -> list[str]:
    """Names of the card's files that are missing or differ from it."""
    wrong = []
    for name, entry in folder.card.files.items():
        path = folder.path / name
        if not path.is_file() or file_card(path) != entry:
            wrong.append(name)
    return wrong
