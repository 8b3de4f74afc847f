"""The pieces of ``bench/gpu_check.py`` as rows of the suite."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator
from functools import partial
from typing import Any

from bestshot_trt.cards import survey

from ..gpu.rows import NEWS, NOT_RUN, WRONG, guarded
from ..gpu.rows import Row as Checked
from ..registry import Request, Row

NO_GPU = "needs an NVIDIA GPU, and the driver shows none"
_UNITS = {"gb_per_s": "GB/s", "frames_per_s": "frames/s", "images_per_s": "images/s", "times_real_time": "x real time"}


def rows_of(piece: str, request: Request, *takes: Any) -> Iterator[Row]:
    """The rows of ``piece``, a module of `bench.gpu`; without a card one that says so."""
    if not survey().usable:
        yield {"settings": {"on": "GPU"}, "skipped": NO_GPU}
        return
    options = argparse.Namespace(video=list(takes), model=request.model, device="gpu", only=None)
    run = importlib.import_module(f"bench.gpu.{piece}").run
    for checked in guarded("all of it", partial(run, options)):
        if checked.status != NEWS:
            yield converted(checked, request.model_name)


def converted(checked: Checked, model: str) -> Row:
    """A row of the check as one of the suite; its figures stay, the one with a spread is what was measured."""
    settings = {"on": "GPU", "what": checked.what, "model": model}
    if checked.status == WRONG:
        return {"settings": settings, "red": checked.value}
    if checked.status == NOT_RUN:
        return {"settings": settings, "skipped": checked.value}
    for name, unit in _UNITS.items():
        if name in checked.figures:
            rest = {key: value for key, value in checked.figures.items() if key != name}
            return {"settings": settings, "unit": unit, "ours": checked.figures[name], **rest}
    return {"settings": settings, "said": checked.value, **checked.figures}
