"""Small CLIP-like models made on the spot: for tests that need a model folder and not a model."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from bestshot_trt.embed import compose
from bestshot_trt.embed._save import save_graph
from bestshot_trt.embed.heads import Head, save_head
from bestshot_trt.embed.model_folder import (
    HEAD,
    TOKENIZER,
    HeadCard,
    ModelCard,
    ModelFolder,
    file_card,
    graph_name,
    write_card,
)
from bestshot_trt.embed.models import CLIP_MEAN, CLIP_STD, CONTEXT_LENGTH, find_spec
from bestshot_trt.embed.text import write_tokenizer
from bestshot_trt.provenance import PROGRAM

MERGES = [("t", "h"), ("th", "e</w>"), ("i", "n"), ("a", "n"), ("w", "i"), ("wi", "d"), ("wid", "e</w>")]
"""A few made-up byte-pair merges; every other word is spelt letter by letter."""
VOCABULARY = 49408
"""Ids that a text tower takes: CLIP's, so that any tokeniser's fit."""
FLOAT, INT32, INT64 = 1, 6, 7
"""Numbers of element types in ONNX."""

_COLOURS = """
<ir_version: 8, opset_import: ["" : {opset}]>
tower (float[{batch}, channels, height, width] pixel_values)
    => (float[{batch}, 8, 4, 4] last_hidden_state, float[{batch}, embedding] image_embeds) {{
    grid = Conv <kernel_shape = [{patch}, {patch}], strides = [{patch}, {patch}]> (pixel_values, patches)
    steep = Mul (grid, slope)
    gate = Sigmoid (steep)
    last_hidden_state = Mul (grid, gate)
    flat = Flatten (last_hidden_state)
    image_embeds = MatMul (flat, projection)
}}
"""


def tiny_visual_tower(width: int = 16, size: int = 32, opset: int = 17, batch: int | str = "n") -> Any:
    """A tower of the hub's form, which embeds where which colours are: patches, a projection, a QuickGELU.

    ``pixel_values`` float32 (batch, 3, size, size) to ``image_embeds`` (batch, width) and, as some exports have it,
    ``last_hidden_state``, which nobody reads.
    """
    random = np.random.default_rng(0)
    patch = size // 4
    weights = {
        "patches": random.normal(0, 1, (8, 3, patch, patch)) / patch,
        "projection": random.normal(0, 1, (8 * 16, width)) / 8,
        "slope": 1.702,
    }
    return _model(_COLOURS.format(opset=opset, batch=batch, patch=patch), weights)


_WORDS = """
<ir_version: 8, opset_import: ["" : {opset}]>
tower ({inputs}) => (float[n, embedding] text_embeds) {{
    every = Gather (words, input_ids)
    {masking}
    sums = MatMul (places, vectors)
    text_embeds = Reshape (sums, shape)
}}
"""
_MASKING = """
    mask = Cast <to = 1> (attention_mask)
    column = Reshape (mask, column_shape)
    vectors = Mul (every, column)
"""


def tiny_text_tower(width: int = 16, opset: int = 17, mask: bool = False, kind: str = "int64") -> Any:
    """A tower of the hub's form, which adds up a vector per token and place; ids may be int32 too."""
    random = np.random.default_rng(1)
    words = random.normal(0, 1, (VOCABULARY, width))
    words[0] = 0
    names = ["input_ids", "attention_mask"] if mask else ["input_ids"]
    text = _WORDS.format(
        opset=opset,
        inputs=", ".join(f"{kind}[n, length] {name}" for name in names),
        masking=_MASKING if mask else "vectors = Identity (every)",
    )
    weights = {"words": words, "places": random.uniform(0.5, 1.5, (1, CONTEXT_LENGTH))}
    shapes = {"shape": [-1, width], "column_shape": [-1, CONTEXT_LENGTH, 1]}
    return _model(text, weights, shapes)


_BLOCK = """
<ir_version: 8, opset_import: ["" : {opset}]>
tower (float[n, 3, height, width] pixel_values) => (float[n, embedding] image_embeds) {{
    grid = Conv <kernel_shape = [8, 8], strides = [8, 8]> (pixel_values, patches)
    rows = Reshape (grid, rows_shape)
    x = Transpose <perm = [0, 2, 1]> (rows)
    {norm}
    q = MatMul (normed, wq)
    k = MatMul (normed, wk)
    v = MatMul (normed, wv)
    kt = Transpose <perm = [0, 2, 1]> (k)
    all_scores = MatMul (q, kt)
    scores = Mul (all_scores, scale)
    masked = Add (scores, mask)
    shares = Softmax <axis = -1> (masked)
    attended = MatMul (shares, v)
    steep = Mul (attended, slope)
    gate = Sigmoid (steep)
    active = Mul (attended, gate)
    first = Gather <axis = 1> (active, zero)
    image_embeds = Gemm (first, projection, shift)
}}
"""
_FUSED_NORM = "normed = LayerNormalization <axis = -1, epsilon = 0.00001> (x, gain, offset)"
_PLAIN_NORM = """
    mean = ReduceMean <axes = [-1], keepdims = 1> (x)
    centred = Sub (x, mean)
    squares = Pow (centred, two)
    variance = ReduceMean <axes = [-1], keepdims = 1> (squares)
    above_zero = Add (variance, epsilon)
    deviation = Sqrt (above_zero)
    unit = Div (centred, deviation)
    scaled = Mul (unit, gain)
    normed = Add (scaled, offset)
"""


def transformer_tower(width: int = 16, opset: int = 14, *, loudness: float = 1.0, mask: float = -3.4e38) -> Any:
    """One block of a transformer on pictures of 32 by 32, in the operators that exporters write.

    Before opset 17, LayerNormalization is spelt out. ``loudness`` scales what it is given: from some hundreds on,
    squares leave the range of float16. ``mask`` is what hides later patches from earlier ones.
    """
    random = np.random.default_rng(3)
    square = {f"w{name}": random.normal(0, 0.3, (32, 32)) for name in "qkv"}
    weights = {
        "patches": random.normal(0, 1, (32, 3, 8, 8)) * loudness / 8,
        "gain": random.uniform(0.5, 1.5, 32),
        "offset": random.normal(0, 0.1, 32),
        "projection": random.normal(0, 1, (32, width)),
        "shift": random.normal(0, 1, width),
        "mask": np.triu(np.full((16, 16), mask), 1),
        "slope": 1.702,
        "scale": 32**-0.5,
        "two": 2.0,
        "epsilon": 1e-5,
        **square,
    }
    norm = _FUSED_NORM if opset >= 17 else _PLAIN_NORM
    return _model(_BLOCK.format(opset=opset, norm=norm), weights, {"rows_shape": [0, 32, 16], "zero": 0})


def _model(text: str, weights: dict[str, Any], shapes: dict[str, Any] | None = None) -> Any:
    """The graph of ``text`` with those of the constants that it reads."""
    from onnx import numpy_helper, parser

    model = parser.parse_model(text)
    read = {name for node in model.graph.node for name in node.input}
    constants = {name: np.asarray(value, np.float32) for name, value in weights.items()}
    constants |= {name: np.asarray(value, np.int64) for name, value in (shapes or {}).items()}
    model.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in constants.items() if name in read
    )
    return model


def tiny_head(width: int = 16) -> Head:
    """Scores that differ from picture to picture, about 5."""
    weight = np.random.default_rng(2).normal(0, 1, width)
    return Head((3 * weight / np.linalg.norm(weight)).astype(np.float32), 5.0)


def tiny_model_folder(path: Path, width: int = 16, size: int = 32, text: bool = True) -> ModelFolder:
    """A model folder of the full contract in ``path``, a few megabytes small, without torch."""
    import onnx

    path.mkdir(parents=True, exist_ok=True)
    head = tiny_head(width)
    visual = compose.visual_graph(
        tiny_visual_tower(width, size), mean=CLIP_MEAN, std=CLIP_STD, head=head, size=size, width=width
    )
    save_graph(visual, path / graph_name("visual", "fp32"))
    if text:
        save_graph(compose.text_graph(tiny_text_tower(width), width=width), path / graph_name("text", "fp32"))
        write_tokenizer(MERGES, path / TOKENIZER)
    save_head(head, path / HEAD)
    card = ModelCard(
        name="tiny",
        architecture="tiny",
        pretrained="random",
        width=width,
        size=size,
        mean=CLIP_MEAN,
        std=CLIP_STD,
        head=HeadCard(name="tiny", sha256=hashlib.sha256(b"tiny").hexdigest(), licence="Apache-2.0"),
        licence="Apache-2.0",
        digest=file_card(path / graph_name("visual", "fp32")).sha256,
        made_from={"test": "tiny_model_folder"},
        made_with={"onnx": onnx.__version__},
        created_by=PROGRAM,
        files={file.name: file_card(file) for file in sorted(path.iterdir())},
        parity={},
    )
    return write_card(path, card)


def write_state_dict(path: Path, tensors: dict[str, Any]) -> Path:
    """What ``torch.save`` writes for a dict of float32 tensors, without torch."""
    pairs = b""
    with zipfile.ZipFile(path, "w") as archive:
        for key, (name, value) in enumerate(tensors.items()):
            numbers = np.ascontiguousarray(value, "<f4")
            pairs += _pickled_text(name) + _pickled_tensor(str(key), numbers)
            archive.writestr(f"archive/data/{key}", numbers.tobytes())
        archive.writestr("archive/data.pkl", b"\x80\x02ccollections\nOrderedDict\n)R(" + pairs + b"u.")
        archive.writestr("archive/version", b"3\n")
    return path


def _pickled_text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def _pickled_numbers(*numbers: int) -> bytes:
    return b"".join(b"J" + struct.pack("<i", number) for number in numbers)


def _pickled_tensor(key: str, values: Any) -> bytes:
    strides = [stride // 4 for stride in values.strides]
    storage = b"(" + _pickled_text("storage") + b"ctorch\nFloatStorage\n" + _pickled_text(key) + _pickled_text("cpu")
    shape = b"(" + _pickled_numbers(*values.shape) + b"t(" + _pickled_numbers(*strides) + b"t"
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage
        + _pickled_numbers(values.size)
        + b"tQ"
        + _pickled_numbers(0)
        + shape
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )


def write_linear_head(path: Path, width: int) -> Path:
    """A made-up linear head as a ``.pth`` file: scores about 5."""
    head = tiny_head(width)
    return write_state_dict(path, {"weight": head.weight[None], "bias": [head.bias]})


def run_in_numpy(model: Any, **inputs: Any) -> list[Any]:
    """What ``model`` gives when every value is rounded to its own type, as a GPU does.

    ONNX Runtime on a CPU computes float16 graphs in float32 and leaves out casts there and back, so it does not show
    what half precision costs. Products are summed up in float32 here, as tensor cores do.
    """
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.op_run import OpRun

    class MatMul(OpRun):
        op_domain = ""

        def _run(self, a: Any, b: Any) -> Any:
            return (np.matmul(a.astype(np.float32), b.astype(np.float32)).astype(a.dtype),)

    class Gemm(OpRun):
        op_domain = ""

        def _run(self, a: Any, b: Any, c: Any = None, alpha: float = 1, beta: float = 1, **sides: int) -> Any:
            a, b = (x.T if sides.get(side) else x for x, side in ((a, "transA"), (b, "transB")))
            total = alpha * (a.astype(np.float32) @ b.astype(np.float32))
            return ((total if c is None else total + beta * c).astype(a.dtype),)

    class Conv(OpRun):
        """Of patches that do not overlap."""

        op_domain = ""

        def _run(self, x: Any, w: Any, b: Any = None, **_: Any) -> Any:
            n, c, height, width = x.shape
            side = w.shape[-1]
            patches = x.reshape(n, c, height // side, side, width // side, side).transpose(0, 2, 4, 1, 3, 5)
            total = np.tensordot(patches.astype(np.float32), w.astype(np.float32), ([3, 4, 5], [1, 2, 3]))
            return ((total + (0 if b is None else b)).transpose(0, 3, 1, 2).astype(x.dtype),)

    # Masks become minus infinity, as they should.
    with np.errstate(over="ignore"):
        return ReferenceEvaluator(model, new_ops=[MatMul, Gemm, Conv]).run(None, inputs)


def open_clip() -> Any:
    """The module `open_clip`, or a skip with the reason."""
    place = Path(__file__).with_name("open_clip_here.py")
    spec = importlib.util.spec_from_file_location("open_clip_here", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.open_clip()


def exported_vit_b_32(factory: Any) -> ModelFolder:
    """ViT-B/32 with random weights, exported once per session in fp32 and fp16; skips without torch.

    ``factory`` is pytest's ``tmp_path_factory``.
    """
    open_clip()
    return _export_vit_b_32(factory.getbasetemp() / "vit-b-32")


@functools.cache
def _export_vit_b_32(root: Path) -> ModelFolder:
    from bestshot_trt.embed.build import export_openclip

    root.mkdir()
    head = write_linear_head(root / "head.pth", 512)
    return export_openclip(find_spec("ViT-B-32"), root / "ViT-B-32", head=head, weights=None)
