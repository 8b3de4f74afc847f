"""Half precision for graphs that `compose` made, float16 or bfloat16, with all that it spoils left in float32."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ModelUnavailable
from ._graphs import TOWER, constants_to_initializers, lift_weights, names_read, opset_of, put_back, subgraphs

# LayerNormalization, or what it is made of before opset 17, and softmax: sums of squares and exponentials leave
# the range of float16. Resize takes its scales as float32 only.
_FLOAT32_OPS = {
    *("LayerNormalization", "ReduceMean", "Sub", "Pow", "Sqrt", "Reciprocal", "Div"),
    *("Softmax", "Resize", "Upsample"),
}


@dataclass(frozen=True)
class _Half:
    """A floating type of 16 bits."""

    name: str
    """Ends the names of what is made."""
    kind: int
    """ONNX's number of it."""
    type: str
    """Its name in ONNX's tables of operators."""
    largest: float

    def tensor(self, values: npt.NDArray[np.float32], name: str) -> Any:
        """``values``, rounded to it."""
        from onnx import helper

        if self.name == "fp16":
            bits = values.astype(np.float16).view(np.uint16)
        else:
            # The upper half of a float32, rounded to the nearest, to the even one of two.
            whole = np.ascontiguousarray(values, np.float32).view(np.uint32)
            bits = ((whole + 0x7FFF + ((whole >> 16) & 1)) >> 16).astype(np.uint16)
        return helper.make_tensor(name, self.kind, values.shape, bits.tobytes(), raw=True)


_FP16 = _Half("fp16", 10, "tensor(float16)", float(np.finfo(np.float16).max))
_BF16 = _Half("bf16", 16, "tensor(bfloat16)", float(np.finfo(np.float32).max))


def to_fp16(model: Any) -> Any:
    """``model``, a graph of `compose.visual_graph` or `compose.text_graph` (used up), with a float16 tower.

    Weights and sums of products become float16. float32 stay: the pixels' normalisation, LayerNormalization or its
    parts, softmax and the mask before it, constants beyond float16 and what reads them, the L2 norm and the head.
    Inputs and outputs keep their names and types.

    Raises:
        ModelUnavailable: the tower has branches or loops, which no CLIP tower needs.
    """
    return _to(model, _FP16)


def to_bf16(model: Any) -> Any:
    """As `to_fp16`, in bfloat16: the range of float32, and 8 bits of precision instead of 11.

    Also float32 stays what ONNX does not define for bfloat16 at the model's opset, such as Conv before opset 22.
    Engines run such a graph; ONNX Runtime does not on a CPU.

    Raises:
        ModelUnavailable: the tower has branches or loops, which no CLIP tower needs.
    """
    return _to(model, _BF16)


def _to(model: Any, half: _Half) -> Any:
    from onnx import checker

    if any(True for node in model.graph.node for _ in subgraphs(node)):
        raise ModelUnavailable(f"the tower has branches or loops, so no {half.name} graph of it can be made; use fp32")
    constants_to_initializers(model.graph)
    weights = _rewrite(model, lift_weights(model), half)
    checker.check_model(model, full_check=True)
    put_back(model, weights)
    return model


def _rewrite(model: Any, weights: list[Any], half: _Half) -> list[Any]:
    """Retype ``model``, in place, leaving inputs for its weights; the weights as it now needs them."""
    from onnx import helper

    graph = model.graph
    rewriting = _Rewriting(half, _float_values(model), [*weights, *graph.initializer])
    stays = _Stays(half, model, rewriting.constants)
    for node in list(graph.node):
        rewriting.add(node, half=not stays(node))
    large = {weight.name for weight in weights}
    inputs = [value for value in graph.input if value.name not in large]
    del graph.node[:], graph.value_info[:], graph.initializer[:], graph.input[:]
    graph.node.extend(rewriting.nodes)
    used = [(tensor, original in large) for original, tensor in rewriting.used.values()]
    graph.initializer.extend(tensor for tensor, is_large in used if not is_large)
    lifted = [tensor for tensor, is_large in used if is_large]
    graph.input.extend(inputs + [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in lifted])
    return lifted


def _float_values(model: Any) -> set[str]:
    """Names of all float32 values but the constants."""
    from onnx import TensorProto, shape_inference

    graph = shape_inference.infer_shapes(model, strict_mode=True).graph
    values = [*graph.input, *graph.value_info, *graph.output]
    return {value.name for value in values if value.type.tensor_type.elem_type == TensorProto.FLOAT}


class _Stays:
    """Whether a node must compute in float32."""

    def __init__(self, half: _Half, model: Any, constants: dict[str, Any]) -> None:
        self._half = half
        self._opset = opset_of(model)
        self._beyond = {name for name, tensor in constants.items() if _is_beyond(half, tensor)}
        self._readers: dict[str, set[str]] = {}
        for node in model.graph.node:
            for name in names_read(node):
                self._readers.setdefault(name, set()).add(node.op_type)

    def __call__(self, node: Any) -> bool:
        if node.op_type in _FLOAT32_OPS or node.domain not in ("", "ai.onnx"):
            return True
        if not any(name.startswith(TOWER) for name in node.output) or self._beyond.intersection(node.input):
            return True
        if node.op_type == "ConstantOfShape" and any(
            _is_beyond(self._half, attribute.t) for attribute in node.attribute
        ):
            return True
        if not _is_defined(node.op_type, self._opset, self._half):
            return True
        # The epsilon before a square root, and the mask before a softmax.
        return node.op_type == "Add" and self._readers.get(node.output[0], set()) <= {"Sqrt", "Softmax"}


@functools.cache
def _is_defined(op_type: str, opset: int, half: _Half) -> bool:
    """Whether the operator takes and gives ``half`` wherever it takes and gives float32."""
    from onnx import defs

    schema = defs.get_schema(op_type, opset, "")
    return all(
        half.type in constraint.allowed_type_strs
        for constraint in schema.type_constraints
        if "tensor(float)" in constraint.allowed_type_strs
    )


def _is_beyond(half: _Half, tensor: Any) -> bool:
    from onnx import TensorProto, numpy_helper

    if tensor.data_type != TensorProto.FLOAT:
        return False
    values = numpy_helper.to_array(tensor)
    return bool(values.size and np.abs(values[np.isfinite(values)]).max(initial=0) > half.largest)


class _Rewriting:
    """The nodes of the new graph, with casts where a value is read in another precision than it is made in."""

    def __init__(self, half: _Half, floats: set[str], constants: list[Any]) -> None:
        from onnx import TensorProto

        self._half = half
        self.nodes: list[Any] = []
        self.constants = {tensor.name: tensor for tensor in constants}
        self.used: dict[str, tuple[str, Any]] = {}
        """Name -> (original name, tensor) of the constants that the nodes read."""
        self._floats = floats | {t.name for t in constants if t.data_type == TensorProto.FLOAT}
        self._halves: set[str] = set()
        self._casts: dict[str, str] = {}

    def add(self, node: Any, *, half: bool) -> None:
        """Append ``node``, its floats in half precision or in float32."""
        for index, name in enumerate(node.input):
            node.input[index] = self._read(name, half)
        made = [name for name in node.output if name in self._floats]
        if half and made:
            self._halves.update(made)
            _retype(node, self._half)
        self.nodes.append(node)

    def _read(self, name: str, half: bool) -> str:
        if name in self.constants:
            return self._constant(name, half and name in self._floats)
        if name not in self._floats or (name in self._halves) == half:
            return name
        return self._cast(name, half)

    def _constant(self, name: str, half: bool) -> str:
        wanted = f"{name}/{self._half.name}" if half else name
        if wanted not in self.used:
            tensor = self.constants[name]
            self.used[wanted] = (name, _halved(tensor, wanted, self._half) if half else tensor)
        return wanted

    def _cast(self, name: str, half: bool) -> str:
        from onnx import TensorProto, helper

        wanted = f"{name}/{self._half.name}" if half else f"{name}/fp32"
        if name not in self._casts:
            self._casts[name] = wanted
            to = self._half.kind if half else TensorProto.FLOAT
            self.nodes.append(helper.make_node("Cast", [name], [wanted], wanted, to=to))
        return wanted


def _halved(tensor: Any, name: str, half: _Half) -> Any:
    from onnx import numpy_helper

    return half.tensor(numpy_helper.to_array(tensor), name)


def _retype(node: Any, half: _Half) -> None:
    """Let ``node`` make ``half`` where its attributes say float32."""
    from onnx import TensorProto, helper

    attributes = {attribute.name: attribute for attribute in node.attribute}
    if node.op_type == "Cast":
        attributes["to"].i = half.kind
    elif node.op_type == "ConstantOfShape":
        value = attributes["value"].t if "value" in attributes else helper.make_tensor("", TensorProto.FLOAT, [1], [0])
        del node.attribute[:]
        node.attribute.append(helper.make_attribute("value", _halved(value, "", half)))
    elif node.op_type == "Attention":
        node.attribute.append(helper.make_attribute("softmax_precision", TensorProto.FLOAT))
