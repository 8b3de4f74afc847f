"""From a bare CLIP tower in ONNX to the one graph that every runtime takes: pixels in, unit embedding and score out.

Nothing here needs torch. Weights are lifted out while a graph is worked on, so that even a tower of a gigabyte is
merged and checked as a graph of a few hundred kilobytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ModelUnavailable, shown
from ..provenance import PROGRAM
from ._graphs import HEAD_NODE, TOWER, keep_outputs, lift_weights, opset_of, put_back, shape_of
from ._half import to_bf16, to_fp16
from ._int8 import quantise_int8
from .heads import Head
from .models import CONTEXT_LENGTH

__all__ = ["BATCH", "quantise_int8", "text_graph", "to_bf16", "to_fp16", "visual_graph"]

BATCH = "batch"
"""Name of the dynamic dimension of every input and output."""

_OLDEST_OPSET = 11
_IR_VERSION = 8
"""Least version of the file format; it came with opset 15 and every runtime in use reads it."""
_IMAGE_OUTPUTS = ("image_embeds", "embedding", "embeddings")
_TEXT_OUTPUTS = ("text_embeds", "embedding", "embeddings")
_SHORTEST = 1e-12
"""Least length to divide by, so that a zero embedding stays zero."""


def visual_graph(tower: Any, *, mean: Sequence[float], std: Sequence[float], head: Head, size: int, width: int) -> Any:
    """Wrap an image tower: ``frames`` uint8 RGB (batch, size, size, 3) to ``embedding`` and ``aesthetic``.

    ``embedding`` is float32 (batch, width), L2-normalised; ``aesthetic`` is float32 (batch,), the score of ``head``.

    Args:
        tower: an `onnx.ModelProto`, used up: float32 (n, 3, size, size), normalised by ``mean`` and ``std`` (which
            are of pictures in 0 to 1), to float32 (n, width), or several outputs of which one is ``image_embeds``.
        head: its weight is (width,).

    Returns:
        An `onnx.ModelProto` of the tower's own opset.

    Raises:
        ModelUnavailable: the tower's input, outputs or width are others, or its batch is fixed.
        ValueError: the head is of another width.
    """
    from onnx import TensorProto

    if len(head.weight) != width:
        raise ValueError(f"a head for embeddings of {len(head.weight)} numbers; the model's have {width}")
    weights = _prepare(tower, "image", _IMAGE_OUTPUTS)
    if len(pixels := _inputs(tower, weights)) != 1:
        raise _misfit("image", f"has {len(pixels)} inputs instead of one")
    _check_input("image", pixels[0], (TensorProto.FLOAT,), (3, size, size))
    wrapped = _fed(tower, _pixels(mean, std, size), [("pixels", pixels[0].name)])
    _check_output("image", wrapped, width)
    return _finished(wrapped, _after(tower, width, head), weights)


def text_graph(tower: Any, *, width: int) -> Any:
    """Wrap a text tower: ``tokens`` int64 (batch, 77) to ``embedding`` float32 (batch, width), L2-normalised.

    Args:
        tower: an `onnx.ModelProto`, used up: int64 or int32 (n, 77), with or without an ``attention_mask`` beside
            it, to float32 (n, width), or several outputs of which one is ``text_embeds``. A mask is set to ones: the
            tower is causal and reads the embedding at the end token, so what follows that changes nothing.

    Returns:
        An `onnx.ModelProto` of the tower's own opset.

    Raises:
        ModelUnavailable: the tower's inputs, outputs or width are others, or its batch is fixed.
    """
    from onnx import TensorProto

    weights = _prepare(tower, "text", _TEXT_OUTPUTS)
    inputs = _inputs(tower, weights)
    if sum("mask" not in value.name for value in inputs) != 1:
        raise _misfit("text", f"has the inputs {_names(inputs)} instead of one of token ids")
    for value in inputs:
        _check_input("text", value, (TensorProto.INT64, TensorProto.INT32), (CONTEXT_LENGTH,))
    wrapped = _fed(tower, *_tokens(inputs))
    _check_output("text", wrapped, width)
    return _finished(wrapped, _after(tower, width, None), weights)


def _prepare(tower: Any, what: str, outputs: Sequence[str]) -> list[Any]:
    """Reduce ``tower`` to its one output and lift its weights out; every name gets a prefix, so that none clashes."""
    from onnx import TensorProto, compose

    if opset_of(tower) < _OLDEST_OPSET:
        raise _misfit(what, f"is of ONNX opset {opset_of(tower)}, and the oldest that fits is {_OLDEST_OPSET}")
    # Copied before, the embeddings of a text tower may be among the many outputs of its layers.
    known = [value for value in tower.graph.output if value.name in outputs] or list(tower.graph.output)
    if len(known) != 1:
        raise _misfit(what, f"has the outputs {_names(known)}, and none of them is called {outputs[0]}")
    (output,) = known
    if output.type.tensor_type.elem_type != TensorProto.FLOAT:
        raise _misfit(what, f"has an output {shown(output.name)} that is not float32")
    weights = lift_weights(tower)
    keep_outputs(tower.graph, [output.name])
    compose.add_prefix(tower, TOWER, inplace=True)
    for weight in weights:
        weight.name = TOWER + weight.name
    tower.ir_version = max(tower.ir_version, _IR_VERSION)
    return weights


def _inputs(tower: Any, weights: Sequence[Any]) -> list[Any]:
    names = {weight.name for weight in weights}
    return [value for value in tower.graph.input if value.name not in names]


def _names(values: Sequence[Any]) -> str:
    return ", ".join(shown(value.name.removeprefix(TOWER)) for value in values) or "nothing"


def _misfit(what: str, reason: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"the {what} tower does not fit: it {reason}; make the model with: bestshot-trt models export"
    )


def _check_input(what: str, value: Any, kinds: Sequence[int], dims: Sequence[int]) -> None:
    """``value`` must be of one of ``kinds`` and take (any batch, *dims)."""
    from onnx import helper

    name, kind, shape = _names([value]), value.type.tensor_type.elem_type, shape_of(value)
    if kind not in kinds:
        raise _misfit(what, f"takes {name} as {helper.tensor_dtype_to_string(kind).removeprefix('TensorProto.')}")
    fits = len(shape) == 1 + len(dims) and all(
        isinstance(have, str) or have == need for have, need in zip(shape[1:], dims, strict=True)
    )
    if not fits:
        raise _misfit(what, f"takes {name} of shape {shape} instead of (batch, {', '.join(map(str, dims))})")
    if isinstance(shape[0], int):
        raise _misfit(what, f"takes {shape[0]} at a time, fixed, instead of any number")


def _floats(name: str, value: Any) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name)


def _int64(name: str, value: Sequence[int]) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.array(value, np.int64), name)


def _pixels(mean: Sequence[float], std: Sequence[float], size: int) -> Any:
    """``frames`` to ``pixels``, as CLIP normalises them: (value / 255 - mean) / std."""
    from onnx import TensorProto, helper

    scale = 1 / (255 * np.asarray(std, np.float64))
    constants = {"pixel_scale": scale, "pixel_offset": -255 * np.asarray(mean) * scale}
    nodes = [
        # TensorRT takes no uint8 into Transpose, so the cast comes first.
        helper.make_node("Cast", ["frames"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["numbers"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Mul", ["planes", "pixel_scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "pixel_offset"], ["pixels"]),
    ]
    return helper.make_graph(
        nodes,
        "pixels",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, [BATCH, size, size, 3])],
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [BATCH, 3, size, size])],
        [_floats(name, value.reshape(1, 3, 1, 1)) for name, value in constants.items()],
    )


def _tokens(inputs: Sequence[Any]) -> tuple[Any, list[tuple[str, str]]]:
    """``tokens`` to the tower's ``inputs``, ones for masks; and which of what is made goes where."""
    from onnx import TensorProto, helper

    nodes, made, io_map = [], [], []
    if any("mask" in value.name for value in inputs):
        nodes.append(helper.make_node("Shape", ["tokens"], ["tokens_shape"]))
        nodes.append(helper.make_node("ConstantOfShape", ["tokens_shape"], ["ones"], value=_int64("one", [1])))
    for value in inputs:
        kind, name = value.type.tensor_type.elem_type, value.name.removeprefix(TOWER) + "_cast"
        nodes.append(helper.make_node("Cast", ["ones" if "mask" in name else "tokens"], [name], to=kind))
        made.append(helper.make_tensor_value_info(name, kind, [BATCH, CONTEXT_LENGTH]))
        io_map.append((name, value.name))
    tokens = helper.make_tensor_value_info("tokens", TensorProto.INT64, [BATCH, CONTEXT_LENGTH])
    return helper.make_graph(nodes, "tokens", [tokens], made), io_map


def _after(tower: Any, width: int, head: Head | None) -> Any:
    """L2 normalisation of the tower's output, and the head on what comes out of it."""
    from onnx import TensorProto, helper

    constants = [_floats("shortest", np.array(_SHORTEST))]
    if opset_of(tower) < 18:
        length = helper.make_node("ReduceL2", ["raw"], ["length"], axes=[1])
    else:
        length = helper.make_node("ReduceL2", ["raw", "axis"], ["length"])
        constants.append(_int64("axis", [1]))
    nodes = [
        length,
        helper.make_node("Max", ["length", "shortest"], ["divisor"]),
        helper.make_node("Div", ["raw", "divisor"], ["embedding"]),
    ]
    outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [BATCH, width])]
    if head is not None:
        nodes += [
            helper.make_node("MatMul", ["embedding", "head_weight"], ["score"], HEAD_NODE),
            helper.make_node("Add", ["score", "head_bias"], ["aesthetic"]),
        ]
        constants += [_floats("head_weight", head.weight), _floats("head_bias", np.array(head.bias))]
        outputs.append(helper.make_tensor_value_info("aesthetic", TensorProto.FLOAT, [BATCH]))
    raw = helper.make_tensor_value_info("raw", TensorProto.FLOAT, [BATCH, width])
    return helper.make_graph(nodes, "embedding", [raw], outputs, constants)


def _fed(tower: Any, before: Any, io_map: list[tuple[str, str]]) -> Any:
    """``before`` and then ``tower``, without any claim of the tower's about shapes."""
    from onnx import compose

    wrapped = compose.merge_models(_like(tower, before), tower, io_map)
    del wrapped.graph.value_info[:]
    wrapped.graph.output[0].type.tensor_type.ClearField("shape")
    return wrapped


def _like(model: Any, graph: Any) -> Any:
    """``graph`` as a model of the operators and the file format of ``model``."""
    from onnx import helper

    return helper.make_model(graph, opset_imports=_opsets(model), ir_version=model.ir_version)


def _opsets(model: Any) -> list[Any]:
    """Those that ``model`` uses, each once: a merge lists those of each of its parts."""
    from onnx import helper

    return [helper.make_opsetid(*pair) for pair in sorted({(e.domain, e.version) for e in model.opset_import})]


def _check_output(what: str, wrapped: Any, width: int) -> None:
    """The tower must make (any batch, width) of what it is now fed with."""
    from onnx import shape_inference

    try:
        inferred = shape_inference.infer_shapes(wrapped, check_type=True, strict_mode=True, data_prop=True)
    except Exception as error:  # onnx raises kinds of its own, in several lines
        raise _misfit(what, f"contradicts itself: {shown(str(error).strip().splitlines()[0])}") from error
    if not (found := shape_of(inferred.graph.output[0])):
        return
    if len(found) != 2 or (isinstance(found[1], int) and found[1] != width):
        raise _misfit(what, f"gives embeddings of {found[-1]} numbers instead of {width}")
    if isinstance(found[0], int):
        raise _misfit(what, f"gives {found[0]} embeddings at a time, fixed, instead of any number")


def _finished(wrapped: Any, after: Any, weights: list[Any]) -> Any:
    """``wrapped`` and then ``after``, checked, with its weights in place again."""
    from onnx import TensorProto, checker, compose, helper

    output = wrapped.graph.output[0]
    output.CopyFrom(helper.make_tensor_value_info(output.name, TensorProto.FLOAT, [None, None]))
    model = compose.merge_models(wrapped, _like(wrapped, after), [(output.name, "raw")], name="bestshot")
    del model.graph.value_info[:]
    opsets = _opsets(model)
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    model.producer_name, model.producer_version = PROGRAM.name, PROGRAM.version
    checker.check_model(model, full_check=True)
    put_back(model, weights)
    return model
