"""Which CLIP models there are. To add one, add a `ModelSpec` to `SPECS`."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ModelUnavailable, shown
from .model_folder import CARD

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
