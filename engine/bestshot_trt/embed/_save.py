"""Writing graphs into a model folder."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ..files import whole_file
from .model_folder import WEIGHTS_SUFFIX, graph_name

_LEAST_BYTES = 1024


def save_graph(graph: Any, path: Path) -> None:
    """Write ``graph`` to ``path``, whole or not at all.

    The weights of a graph in fp32 go into a file of their own beside it, written first, since ONNX Runtime maps such a
    file. Of the text tower's it then reads what a prompt needs, which is answered in a tenth of the time; the image
    tower is loaded in half of it.

    Raises:
        ExportError: it cannot be written.
    """
    from onnx.external_data_helper import convert_model_to_external_data, write_external_data_tensors

    if path.name in (graph_name("visual", "fp32"), graph_name("text", "fp32")):
        weights = path.with_name(path.name + WEIGHTS_SUFFIX)
        convert_model_to_external_data(graph, location=weights.name, size_threshold=_LEAST_BYTES)
        with whole_file(weights) as temporary, tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            write_external_data_tensors(graph, scratch)
            (Path(scratch) / weights.name).replace(temporary)
            temporary.chmod(path.parent.stat().st_mode & 0o666)
    with whole_file(path) as temporary:
        temporary.write_bytes(graph.SerializeToString())
