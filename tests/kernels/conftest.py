"""Runs CUDA kernels on the CPU."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bestshot_kernels import _compile


@pytest.fixture(scope="session")
def shim() -> ModuleType:
    """``shim/build.py``; skips without g++."""
    path = Path(__file__).resolve().parent / "shim" / "build.py"
    spec = importlib.util.spec_from_file_location("shim_build", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def on_cpu(shim: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """``on_cpu(op, code=..., reverse=..., multiprocessors=...)`` gives a runner; builds every source once."""
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        pytest.skip("no g++: kernels cannot be run on the CPU")
    folder = tmp_path_factory.mktemp("shim")
    count = iter(range(1000))

    @cache
    def library(op: str, code: str | None) -> Any:
        text = _compile.source(op) if code is None else code
        return shim.build(op, text, folder / str(next(count)), compiler)

    return lambda op, code=None, **how: shim.ShimRunner(library(op, code), **how)


@pytest.fixture(scope="session")
def gpu_or_skip() -> Any:
    """CuPy with a GPU that works; skips without one, or fails where BESTSHOT_REQUIRE_GPU=1."""
    try:
        cupy = _compile.cupy()
        cupy.cuda.Device().synchronize()
    except Exception as error:  # Without a driver CuPy raises its own errors, which cannot be named without it.
        if os.environ.get("BESTSHOT_REQUIRE_GPU") == "1":
            raise
        pytest.skip(f"no GPU: {error}")
    return cupy
