"""The plain recipe with its model on torch, also beside a torchvision that was built for another torch."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from bestshot_trt.speed import seed

_LIBRARIES: list[Any] = []
_LACKING = 3


def load_open_clip() -> None:
    """Import open_clip, whose torchvision may hold operators for another build of torch; nothing here calls them.

    Raises:
        ImportError, RuntimeError: torch or open_clip is not installed, or does not load.
    """
    torch: Any = importlib.import_module("torch")
    try:
        importlib.import_module("open_clip")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] in ("torchvision", "open_clip", "timm")]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _LIBRARIES.append(library)
        importlib.import_module("open_clip")


if __name__ == "__main__":
    try:
        load_open_clip()
    except (ImportError, RuntimeError) as error:
        reason = (str(error).splitlines() or ["no message"])[0]
        print(f'the recipe on torch needs pip install "bestshot-trt[export]": {reason}', file=sys.stderr)
        sys.exit(_LACKING)
    seed.main()
