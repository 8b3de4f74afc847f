"""Small CLIP-like models made on the spot: for tests that need a model folder and not a model."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from bestshot_trt.embed import compose
from bestshot_trt.embed.heads import Head, save_head
from bestshot_trt.embed.models import (
    CLIP_MEAN,
    CLIP_STD,
    CONTEXT_LENGTH,
    HEAD,
    TOKENIZER,
    HeadCard,
    ModelCard,
    ModelFolder,
    file_card,
    graph_name,
    write_card,
)
from bestshot_trt.embed.text import write_tokenizer
from bestshot_trt.moments import PROGRAM

MERGES = [("t", "h"), ("th", "e</w>"), ("i", "n"), ("a", "n"), ("w", "i"), ("wi", "d"), ("wid", "e</w>")]
"""A few made-up byte-pair merges; every other word is spelt letter by letter."""
VOCABULARY = 49408
"""Ids that a text tower takes: CLIP's, so that any tokeniser's fit."""


def tiny_visual_tower(width: int = 16, size: int = 32, opset: int = 17, batch: int | str = "n") -> Any:
    """A tower of the hub's form, which embeds where which colours are: patches, a projection, a QuickGELU.

    ``pixel_values`` float32 (batch, 3, size, size) to ``image_embeds`` (batch, width) and, as some exports have it,
    ``last_hidden_state``, which nobody reads.
    """
    from onnx import TensorProto, helper

    random = np.random.default_rng(0)
    patch = size // 4
    weights = {
        "patches": random.normal(0, 1, (8, 3, patch, patch)) / patch,
        "projection": random.normal(0, 1, (8 * 16, width)) / 8,
        "slope": np.array(1.702),
    }
    nodes = [
        helper.make_node("Conv", ["pixel_values", "patches"], ["grid"], kernel_shape=[patch] * 2, strides=[patch] * 2),
        helper.make_node("Mul", ["grid", "slope"], ["steep"]),
        helper.make_node("Sigmoid", ["steep"], ["gate"]),
        helper.make_node("Mul", ["grid", "gate"], ["last_hidden_state"]),
        helper.make_node("Flatten", ["last_hidden_state"], ["flat"]),
        helper.make_node("MatMul", ["flat", "projection"], ["image_embeds"]),
    ]
    inputs = [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, [batch, "channels", "height", "width"])]
    outputs = [
        helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [batch, 8, 4, 4]),
        helper.make_tensor_value_info("image_embeds", TensorProto.FLOAT, [batch, width]),
    ]
    return _model(nodes, inputs, outputs, weights, opset)


def tiny_text_tower(width: int = 16, opset: int = 17, mask: bool = False, kind: int = 7) -> Any:
    """A tower of the hub's form, which adds up a vector per token and place. ``kind`` 7 is int64, 6 is int32."""
    from onnx import TensorProto, helper

    random = np.random.default_rng(1)
    words = random.normal(0, 1, (VOCABULARY, width))
    words[0] = 0
    weights = {"words": words, "places": random.uniform(0.5, 1.5, (1, CONTEXT_LENGTH))}
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["vectors"]),
        helper.make_node("MatMul", ["places", "vectors"], ["sums"]),
        helper.make_node("Reshape", ["sums", "out_shape"], ["text_embeds"]),
    ]
    ids = ["input_ids"]
    if mask:
        ids.append("attention_mask")
        nodes[0].output[0] = "unmasked"
        nodes[1:1] = [
            helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
            helper.make_node("Reshape", ["mask", "mask_shape"], ["mask_column"]),
            helper.make_node("Mul", ["unmasked", "mask_column"], ["vectors"]),
        ]
    inputs = [helper.make_tensor_value_info(name, kind, ["n", "length"]) for name in ids]
    outputs = [helper.make_tensor_value_info("text_embeds", TensorProto.FLOAT, ["n", width])]
    shapes = {"out_shape": [-1, width]} | ({"mask_shape": [-1, CONTEXT_LENGTH, 1]} if mask else {})
    return _model(nodes, inputs, outputs, weights, opset, shapes)


def _model(nodes: Any, inputs: Any, outputs: Any, weights: Any, opset: int, shapes: Any = None) -> Any:
    from onnx import helper, numpy_helper

    constants = [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in weights.items()]
    constants += [numpy_helper.from_array(np.array(value), name) for name, value in (shapes or {}).items()]
    graph = helper.make_graph(nodes, "tower", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


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
    onnx.save(visual, path / graph_name("visual", "fp32"))
    if text:
        onnx.save(compose.text_graph(tiny_text_tower(width), width=width), path / graph_name("text", "fp32"))
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
        made_from={"test": "tiny_model_folder"},
        made_with={"onnx": onnx.__version__},
        created_by=PROGRAM,
        files={file.name: file_card(file) for file in sorted(path.iterdir())},
        parity={},
    )
    return write_card(path, card)
