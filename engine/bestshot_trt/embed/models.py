"""Which CLIP models there are, and what a model folder holds. To add a model, add a `ModelSpec` to `SPECS`."""

from __future__ import annotations

import hashlib
import os
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
CONTEXT_LENGTH = 77
"""Tokens of a CLIP text, start and end included."""

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, kw_only=True)
class Download:
    """One file to fetch. ``sha256`` None: not known beforehand, the hub's own hash is checked instead."""

    path: str
    """Path in the hub repository, or for a head its whole URL."""
    sha256: str | None
    size: int | None
    """Bytes, for the announcement and a first check; None when not known."""


@dataclass(frozen=True, kw_only=True)
class HubSource:
    """Ready ONNX towers in a Hugging Face repository.

    The visual tower maps ``pixel_values`` float32 (n, 3, size, size) to ``image_embeds`` (n, width), the text
    tower ``input_ids`` int64 (n, 77) to ``text_embeds`` (n, width); neither is normalised.
    """

    repository: str
    revision: str
    visual: Download
    text: Download
    tokenizer: Download


@dataclass(frozen=True, kw_only=True)
class HeadSpec:
    """A LAION aesthetic head: what maps a unit embedding to a score of about 1 to 10."""

    name: str
    download: Download
    licence: str


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Published values of the model's unnormalised embeddings, to tell that the weights are the right ones."""

    image_first: tuple[float, ...]
    image_sum: float
    texts: tuple[tuple[str, tuple[float, ...], float], ...]
    """(text, first values or (), sum of all values)."""
    logits: tuple[float, ...]
    """100 x cosine of the image with the texts."""
    atol: float = 1e-5


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One CLIP model that can be pulled and exported by name."""

    name: str
    architecture: str
    """OpenCLIP's name. OpenAI's weights were trained with QuickGELU, which the plain names do not have."""
    pretrained: str
    width: int
    """Length of an embedding."""
    size: int = 224
    """Side of the square input picture in pixels."""
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    head: HeadSpec
    source: HubSource
    licence: str
    reference: Reference | None = None


_TOKENIZER = "f7f3b7af117d467b58374797691a6438d3e6b9e9cef800dfd5dced7f697a90cd"
_V1 = "https://github.com/LAION-AI/aesthetic-predictor/raw/main/"
_V2 = "https://github.com/christophschuhmann/improved-aesthetic-predictor/raw/main/"

SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="ViT-B-32",
        architecture="ViT-B-32-quickgelu",
        pretrained="openai",
        width=512,
        head=HeadSpec(
            name="sa_0_4_vit_b_32_linear",
            download=Download(
                path=_V1 + "sa_0_4_vit_b_32_linear.pth",
                sha256="c7b14cead230694acc7b9447974d3cad78003c72da032e402a303b6c2429e85f",
                size=None,
            ),
            licence="MIT",
        ),
        source=HubSource(
            repository="Xenova/clip-vit-base-patch32",
            revision="d15189d7028b43f1d3e65039190477f6af591c2a",
            visual=Download(
                path="onnx/vision_model.onnx",
                sha256="fd6e1402a588279d1723c7534d4bcba5bc0b14b47dfab0e46f8c47b8270d7d40",
                size=351_685_709,
            ),
            text=Download(
                path="onnx/text_model.onnx",
                sha256="3f6571f5bad13a97c469c1622e1cfc4d9aef78b79fdbfcff804ca357bfada8cc",
                size=254_058_553,
            ),
            tokenizer=Download(path="tokenizer.json", sha256=_TOKENIZER, size=2_224_119),
        ),
        licence="MIT",
        reference=Reference(
            image_first=(-0.07944782, 0.22216693, -0.04425960, -0.10214765, 0.04593295),
            image_sum=7.5571523,
            texts=(
                (
                    "a photo of a man",
                    (-0.26425982, 0.32455686, -0.02275231, 0.20319021, -0.00989811),
                    9.667448,
                ),
                ("a photo of a woman", (), 10.100773),
            ),
            logits=(27.878918, 23.396446),
        ),
    ),
    ModelSpec(
        name="ViT-B-16",
        architecture="ViT-B-16-quickgelu",
        pretrained="openai",
        width=512,
        head=HeadSpec(
            name="sa_0_4_vit_b_16_linear",
            download=Download(
                path=_V1 + "sa_0_4_vit_b_16_linear.pth",
                sha256="8ad3923d7ecf019df20ecd2ab5542a3075fbba0278d239c0371345f3d7fcbde0",
                size=None,
            ),
            licence="MIT",
        ),
        source=HubSource(
            repository="Xenova/clip-vit-base-patch16",
            # No commit of this repository could be looked up; the hub's hashes of the day are recorded.
            revision="main",
            visual=Download(path="onnx/vision_model.onnx", sha256=None, size=None),
            text=Download(path="onnx/text_model.onnx", sha256=None, size=None),
            tokenizer=Download(path="tokenizer.json", sha256=None, size=None),
        ),
        licence="MIT",
    ),
    ModelSpec(
        name="ViT-L-14",
        architecture="ViT-L-14-quickgelu",
        pretrained="openai",
        width=768,
        head=HeadSpec(
            name="sac+logos+ava1-l14-linearMSE",
            download=Download(
                path=_V2 + "sac%2Blogos%2Bava1-l14-linearMSE.pth",
                sha256="21dd590f3ccdc646f0d53120778b296013b096a035a2718c9cb0d511bff0f1e0",
                size=None,
            ),
            licence="Apache-2.0",
        ),
        source=HubSource(
            repository="Xenova/clip-vit-large-patch14",
            revision="c307790166907339eed5a9a53a249af534102536",
            visual=Download(
                path="onnx/vision_model.onnx",
                sha256="ff49f8aa57c7abfd26e382eb083e4dbf988505223a9bd3767dbfd4e729206709",
                size=1_216_438_437,
            ),
            text=Download(path="onnx/text_model.onnx", sha256=None, size=None),
            tokenizer=Download(path="tokenizer.json", sha256=None, size=None),
        ),
        licence="MIT",
    ),
)

CPU_DEFAULT = "ViT-B-32"
GPU_DEFAULT = "ViT-L-14"


def find_spec(name: str) -> ModelSpec:
    """The registered model called ``name``; case, ``/`` and ``-`` do not matter (``vit-b/32``).

    Raises:
        ModelUnavailable: there is none of that name.
    """
    wanted = _folded(name)
    for spec in SPECS:
        if _folded(spec.name) == wanted:
            return spec
    known = ", ".join(spec.name for spec in SPECS)
    raise ModelUnavailable(
        f"model {shown(name)!r} is not known; it must be auto, none, one of {known}, or a folder that holds {CARD}"
    )


def _folded(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


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
