"""What TensorRT-RTX compiles when an engine runs, kept between runs."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from ..errors import ExportError
from ..files import whole_file
from .engines import engines_folder


class CompiledKernels:
    """What TensorRT-RTX compiles when an engine first runs, kept between runs; nothing for TensorRT."""

    def __init__(self, trt: Any, engine: Any, architecture: str) -> None:
        self.config: Any = None
        self._cache: Any = None
        self._path: Path | None = None
        if not hasattr(trt, "CudaGraphStrategy"):
            return
        self.config = engine.create_runtime_config()
        self.config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        self._path = engines_folder() / f"kernels.{architecture}.{trt.__name__}-{trt.__version__}.cache"
        self._cache = self.config.create_runtime_cache()
        with contextlib.suppress(OSError):
            # What another driver or card compiled is refused, and compiled anew.
            self._cache.deserialize(self._path.read_bytes())
        self.config.set_runtime_cache(self._cache)

    def save(self) -> None:
        """Write what was compiled; a cache that cannot be written costs only time."""
        if self._path is None:
            return
        content = bytes(self._cache.serialize())
        with contextlib.suppress(ExportError, OSError):
            if not self._path.exists() or self._path.stat().st_size < len(content):
                with whole_file(self._path) as temporary:
                    temporary.write_bytes(content)
