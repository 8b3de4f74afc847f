"""``bestshot-trt bench``: what this machine gives."""

from __future__ import annotations

import dataclasses
import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..config import AnalyzeConfig
from . import options as o
from .exits import put, reported
from .given import Given, takes

if TYPE_CHECKING:
    from ..speed.quick import Speed

Take = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", help="A take; left out: one made on the spot.", show_default=False)
]


_SHORT_S = 10
_ADVICE = {
    "read": ("a faster disk, or footage copied to one first",) * 2,
    "decode and scale": ("fewer samples (--fps), or an NVIDIA GPU", "more takes at a time (batch)"),
    "embed": (
        "a smaller model, --precision int8 where the model has it, fewer samples (--fps), or an NVIDIA GPU",
        "TensorRT's engine of the model (bestshot-trt build), or a smaller model",
    ),
}
"""On the CPU, and on a GPU."""


@takes(files=False, analyze=o.group(AnalyzeConfig, o.ANALYSIS, "fps", "model", "precision", "backend"))
def bench(
    take: Take = None,
    *,
    given: Given,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.", rich_help_panel=o.OUTPUT)] = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Measure for about two minutes what this machine gives, what limits it, and what the plain recipe gives.

    Examples: bestshot-trt bench; bestshot-trt bench take.mp4 --model none

    The plain recipe samples with ffmpeg into JPEG files and scores them one by one. Close other programs first.
    """
    with reported(verbose=verbose):
        from ..speed.quick import test_speed
        from .progress import Meter

        with Meter(quiet=quiet) as progress:
            speed = test_speed(take, given.settings().analyze, progress)
        put(_json(speed) if json else _table(speed))


def _json(speed: Speed) -> str:
    figures = {**dataclasses.asdict(speed), "times_real_time": speed.times_real_time, "limit": speed.limit.name}
    return jsonlib.dumps(figures, indent=2, ensure_ascii=False) + "\n"


def _table(speed: Speed) -> str:
    rows = [(stage.name, f"{stage.seconds:.2f} s", _rate(speed.footage_s, stage.seconds)) for stage in speed.stages]
    rows.append(("all, overlapped", f"{speed.whole_s:.2f} s", _rate(speed.footage_s, speed.whole_s)))
    lines = [
        f"{speed.footage_s:.0f} s of footage ({speed.take}), {speed.fps:g} samples a second, "
        f"backend {speed.backend}, model {speed.model}",
        *(f"  {name:18}{seconds:>10}{rate:>24}" for name, seconds, rate in rows),
        f"what limits it:      {speed.limit.name}",
        f"to expect:           {speed.times_real_time:.1f} hours of such footage an hour",
    ]
    if speed.speedup is None:
        lines.append(f"plain recipe:        not compared: {speed.fault}")
    else:
        low, high = speed.speedup.p20, speed.speedup.p80
        lines.append(
            f"plain recipe:        analyze is {speed.speedup.median:.2f} times as fast ({low:.2f} to {high:.2f})"
        )
    if advice := _ADVICE.get(speed.limit.name):
        lines.append(f"what would help:     {advice[speed.backend == 'gpu']}")
    if speed.footage_s < _SHORT_S:
        lines.append(f"mind:                under {_SHORT_S:g} s of footage, so that the start of programs weighs in")
    if speed.fallback_reason:
        lines.append(f"backend:             {speed.fallback_reason}")
    return "".join(f"{line}\n" for line in lines)


def _rate(footage_s: float, seconds: float) -> str:
    return f"{footage_s / seconds:.1f} times real time" if seconds > 0.005 else "no time to speak of"
