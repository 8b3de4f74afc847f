"""What `compose` and `_half` need to take ONNX graphs apart: lifting weights out, walking, inferring types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

TOWER = "tower/"
"""Starts the name of every value inside the tower, so that none clashes with those around it."""

HEAD_NODE = "head"
"""Name of the node that multiplies with the head's weight."""

LARGE = 1 << 12
"""Bytes from which a constant is a weight. Shapes, which inference must see, are smaller."""

_CONSTANTS: dict[str, tuple[str, type[np.generic] | None]] = {
    "value": ("t", None),
    "value_float": ("f", np.float32),
    "value_floats": ("floats", np.float32),
    "value_int": ("i", np.int64),
    "value_ints": ("ints", np.int64),
}
"""What a Constant node may hold: attribute, its field, and the type it means."""


def lift_weights(model: Any) -> list[Any]:
    """Take large constants out of ``model``, in place, leaving inputs of their type; `put_back` undoes it.

    What is left of a tower of a gigabyte is small enough to check, infer and merge at once.
    """
    from onnx import helper

    graph = model.graph
    weights = [tensor for tensor in graph.initializer if tensor.ByteSize() >= LARGE]
    small = [tensor for tensor in graph.initializer if tensor.ByteSize() < LARGE]
    constants = {tensor.name for tensor in graph.initializer}
    # Before IR version 4 every constant was listed as an input too.
    inputs = [value for value in graph.input if value.name not in constants]
    del graph.input[:], graph.initializer[:]
    graph.input.extend(inputs)
    graph.input.extend(helper.make_tensor_value_info(w.name, w.data_type, w.dims) for w in weights)
    graph.initializer.extend(small)
    return weights


def put_back(model: Any, weights: Iterable[Any]) -> None:
    """Give ``model``, in place, the constants that `lift_weights` took, in place of its inputs of their names."""
    weights = list(weights)
    names = {weight.name for weight in weights}
    inputs = [value for value in model.graph.input if value.name not in names]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    used = {name for node in model.graph.node for name in names_read(node)}
    model.graph.initializer.extend(weight for weight in weights if weight.name in used)


def subgraphs(node: Any) -> Iterator[Any]:
    """Graphs inside a node (the branches of an If, the body of a Loop)."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def names_read(node: Any) -> Iterator[str]:
    """Every value that ``node`` or a graph inside it reads."""
    yield from (name for name in node.input if name)
    for graph in subgraphs(node):
        for inner in graph.node:
            yield from names_read(inner)
        yield from (value.name for value in graph.output)


def keep_outputs(graph: Any, names: Iterable[str]) -> None:
    """Drop, in place, every other output of ``graph``, the nodes and constants only they need, and known shapes."""
    kept = [value for value in graph.output if value.name in set(names)]
    wanted = {value.name for value in kept}
    nodes = []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            nodes.append(node)
            wanted.update(names_read(node))
    constants = [tensor for tensor in graph.initializer if tensor.name in wanted]
    nodes.reverse()
    del graph.output[:], graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.output.extend(kept)
    graph.node.extend(nodes)
    graph.initializer.extend(constants)


def constants_to_initializers(graph: Any) -> None:
    """Turn Constant nodes, in place, into what `lift_weights` and its kind know to handle."""
    from onnx import numpy_helper

    kept = []
    for node in graph.node:
        attribute = node.attribute[0] if node.op_type == "Constant" else None
        if attribute is None or attribute.name not in _CONSTANTS:
            kept.append(node)
            continue
        field, kind = _CONSTANTS[attribute.name]
        value = getattr(attribute, field)
        tensor = value if kind is None else numpy_helper.from_array(np.array(value, kind))
        tensor.name = node.output[0]
        graph.initializer.append(tensor)
    del graph.node[:]
    graph.node.extend(kept)


def shape_of(value: Any) -> list[int | str]:
    """Dimensions of an input or output: a number, or a name ("" for none)."""
    return [d.dim_value if d.HasField("dim_value") else d.dim_param for d in value.type.tensor_type.shape.dim]


def opset_of(model: Any) -> int:
    """Version of the standard operators that ``model`` uses."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
