"""Half precision for graphs that `compose` made, with everything that half precision spoils left in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ModelUnavailable
from ._graphs import TOWER, constants_to_initializers, lift_weights, names_read, put_back, subgraphs

# LayerNormalization, or what it is made of before opset 17, and softmax: sums of squares and exponentials leave
# the range of float16. Resize takes its scales as float32 only.
_FLOAT32_OPS = {
    *("LayerNormalization", "ReduceMean", "Sub", "Pow", "Sqrt", "Reciprocal", "Div"),
    *("Softmax", "Resize", "Upsample"),
}
_HALF_RANGE = float(np.finfo(np.float16).max)


def to_fp16(model: Any) -> Any:
    """``model``, a graph of `compose.visual_graph` or `compose.text_graph` (used up), with a float16 tower.

    Weights and sums of products become float16. float32 stay: the pixels' normalisation, LayerNormalization or its
    parts, softmax and the mask before it, constants beyond float16 and what reads them, the L2 norm and the head.
    Inputs and outputs keep their names and types.

    Raises:
        ModelUnavailable: the tower has branches or loops, which no CLIP tower needs.
    """
    from onnx import checker

    if any(True for node in model.graph.node for _ in subgraphs(node)):
        raise ModelUnavailable("the tower has branches or loops, so no fp16 graph of it can be made; use fp32")
    constants_to_initializers(model.graph)
    weights = _rewrite(model, lift_weights(model))
    checker.check_model(model, full_check=True)
    put_back(model, weights)
    return model


def _rewrite(model: Any, weights: list[Any]) -> list[Any]:
    """Retype ``model``, in place, leaving inputs for its weights; the weights as it now needs them."""
    from onnx import helper

    graph = model.graph
    rewriting = _Rewriting(_float_values(model), [*weights, *graph.initializer])
    stays = _Stays(graph, rewriting.constants)
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

    def __init__(self, graph: Any, constants: dict[str, Any]) -> None:
        self._beyond = {name for name, tensor in constants.items() if _is_beyond_half(tensor)}
        self._readers: dict[str, set[str]] = {}
        for node in graph.node:
            for name in names_read(node):
                self._readers.setdefault(name, set()).add(node.op_type)

    def __call__(self, node: Any) -> bool:
        if node.op_type in _FLOAT32_OPS or node.domain not in ("", "ai.onnx"):
            return True
        if not any(name.startswith(TOWER) for name in node.output) or self._beyond.intersection(node.input):
            return True
        if node.op_type == "ConstantOfShape" and any(_is_beyond_half(attribute.t) for attribute in node.attribute):
            return True
        # The epsilon before a square root, and the mask before a softmax.
        return node.op_type == "Add" and self._readers.get(node.output[0], set()) <= {"Sqrt", "Softmax"}


def _is_beyond_half(tensor: Any) -> bool:
    from onnx import TensorProto, numpy_helper

    if tensor.data_type != TensorProto.FLOAT:
        return False
    values = numpy_helper.to_array(tensor)
    return bool(values.size and np.abs(values[np.isfinite(values)]).max(initial=0) > _HALF_RANGE)


class _Rewriting:
    """The nodes of the new graph, with casts where a value is read in another precision than it is made in."""

    def __init__(self, floats: set[str], constants: list[Any]) -> None:
        from onnx import TensorProto

        self.nodes: list[Any] = []
        self.constants = {tensor.name: tensor for tensor in constants}
        self.used: dict[str, tuple[str, Any]] = {}
        """Name -> (original name, tensor) of the constants that the nodes read."""
        self._floats = floats | {t.name for t in constants if t.data_type == TensorProto.FLOAT}
        self._halves: set[str] = set()
        self._casts: dict[str, str] = {}

    def add(self, node: Any, *, half: bool) -> None:
        """Append ``node``, its floats in float16 or in float32."""
        for index, name in enumerate(node.input):
            node.input[index] = self._read(name, half)
        made = [name for name in node.output if name in self._floats]
        if half and made:
            self._halves.update(made)
            _retype(node)
        self.nodes.append(node)

    def _read(self, name: str, half: bool) -> str:
        if name in self.constants:
            return self._constant(name, half and name in self._floats)
        if name not in self._floats or (name in self._halves) == half:
            return name
        return self._cast(name, half)

    def _constant(self, name: str, half: bool) -> str:
        wanted = f"{name}/fp16" if half else name
        if wanted not in self.used:
            tensor = self.constants[name]
            self.used[wanted] = (name, _halved(tensor, wanted) if half else tensor)
        return wanted

    def _cast(self, name: str, half: bool) -> str:
        from onnx import TensorProto, helper

        wanted = f"{name}/fp16" if half else f"{name}/fp32"
        if name not in self._casts:
            self._casts[name] = wanted
            to = TensorProto.FLOAT16 if half else TensorProto.FLOAT
            self.nodes.append(helper.make_node("Cast", [name], [wanted], wanted, to=to))
        return wanted


def _halved(tensor: Any, name: str) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), name)


def _retype(node: Any) -> None:
    """Let ``node`` make float16 where its attributes say float32."""
    from onnx import TensorProto, helper

    attributes = {attribute.name: attribute for attribute in node.attribute}
    if node.op_type == "Cast":
        attributes["to"].i = TensorProto.FLOAT16
    elif node.op_type == "ConstantOfShape":
        value = attributes["value"].t if "value" in attributes else helper.make_tensor("", TensorProto.FLOAT, [1], [0])
        del node.attribute[:]
        node.attribute.append(helper.make_attribute("value", _halved(value, "")))
    elif node.op_type == "Attention":
        node.attribute.append(helper.make_attribute("softmax_precision", TensorProto.FLOAT))
