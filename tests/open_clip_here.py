"""Imports open_clip for tests, or skips with the reason, also beside a torchvision built for another torch."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

_LIBRARIES: list[Any] = []


def open_clip() -> Any:
    """The module `open_clip`; skips the test when torch or open_clip is not installed.

    torchvision from PyPI holds operators for one build of torch, and its import fails on any other, since
    ``torchvision::nms`` is registered twice or not at all. No test needs these operators, only their names.
    """
    torch = pytest.importorskip("torch", reason='needs the export extra: pip install "bestshot-trt[export]"')
    try:
        return importlib.import_module("open_clip")
    except ModuleNotFoundError:
        pytest.skip('needs the export extra: pip install "bestshot-trt[export]"')
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    _forget_torchvision()
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _LIBRARIES.append(library)
    return importlib.import_module("open_clip")


def _forget_torchvision() -> None:
    import sys

    for name in [name for name in sys.modules if name.split(".")[0] in ("torchvision", "open_clip", "timm")]:
        del sys.modules[name]
