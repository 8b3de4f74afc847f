"""What limits CLIP on a CPU: how fast ONNX Runtime multiplies matrices there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bestshot_trt.cores import usable_cores
from bestshot_trt.embed._onnx import open_session

from ..figures import rate
from ..registry import Red, Request, Row, case

TOKENS, WIDTH = 50, 768
"""Of a picture in ViT-B/32; its MLP is four times as wide."""
TIMES = 20
"""Products of each run; the quickest counts, as other work can only slow them down."""


@case("products", "the matrix products that ViT-B/32 mostly is, in GFLOP/s of one thread", needs_input=False)
def products(request: Request, _: Path) -> Iterator[Row]:
    """Each product is compared with NumPy's first; seconds are CPU seconds of the thread that computes."""
    for pictures in (1, 8):
        for wide, name in ((4 * WIDTH, "into the MLP"), (WIDTH, "out of attention")):
            left, right = _matrices(TOKENS * pictures, wide)
            session = _session(right, request.folder / "product.onnx")
            found = session.run(None, {"left": left})[0]
            if not np.allclose(found, left @ right, atol=1e-2):
                raise Red("ONNX Runtime's product of two matrices is not NumPy's")
            seconds = [_quickest(session, left) for _ in range(request.runs)]
            settings = {"pictures": f"{pictures} at a time", "what": name}
            yield {"settings": settings, **rate("GFLOP/s", 2 * left.size * wide / 1e9, seconds)}


def _matrices(rows: int, wide: int) -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    return random.random((rows, WIDTH), np.float32), random.random((WIDTH, wide), np.float32)


def _session(right: Any, path: Path) -> Any:
    """A session that multiplies by ``right`` on the thread that calls it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("MatMul", ["left", "right"], ["product"])],
        "product",
        [helper.make_tensor_value_info("left", TensorProto.FLOAT, [None, len(right)])],
        [helper.make_tensor_value_info("product", TensorProto.FLOAT, [None, right.shape[1]])],
        [numpy_helper.from_array(right, "right")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return open_session(path, cuda=False, callers=usable_cores() or 1)


def _quickest(session: Any, left: Any) -> float:
    seconds = []
    for _ in range(TIMES):
        started = time.thread_time()
        session.run(None, {"left": left})
        seconds.append(time.thread_time() - started)
    return min(seconds)
