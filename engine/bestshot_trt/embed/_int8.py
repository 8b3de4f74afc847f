"""8-bit weights for graphs that `compose` made, for CPUs."""

from __future__ import annotations

from pathlib import Path

from ..files import whole_file
from ._graphs import HEAD_NODE
from ._quiet import quiet


def quantise_int8(source: Path, target: Path) -> None:
    """Write ``source``, an image graph in fp32, to ``target`` with its linear layers in int8, whole or not at all.

    Weights are quantised per channel, activations as they come, over a whole batch: so an embedding depends a
    little on what else is in its batch. Attention itself, the patch convolution, the L2 norm and the head stay
    float32. Weights use 7 of the 8 bits, since x86 CPUs without VNNI add pairs of products in 16 bits that saturate;
    where there is VNNI that costs no speed.

    Raises:
        ExportError: ``target`` cannot be written.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # Given as a path, the graph would be unpacked into files beside it.
    model = onnx.load(source)
    with quiet(), whole_file(target) as temporary:
        quantize_dynamic(
            model,
            temporary,
            op_types_to_quantize=["MatMul", "Gemm"],
            nodes_to_exclude=[HEAD_NODE],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
        )
