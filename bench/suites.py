"""The suite: end to end by codec, size, model and rate of samples, then every stage by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .inputs import ENCODERS, HEIGHTS
from .steps import Step

RATES = (2.0, 3.0, 5.0)
SECONDS = 60
QUICK_SECONDS = 10
"""Of stages too, which are the same for any length."""
STAGE_TAKE = "made:h264:720p:30"


def suite(models: Sequence[Path], *, quick: bool, runs: int, seconds: int | None = None) -> list[Step]:
    """Steps of the suite, with made takes of ``seconds``.

    ``quick`` varies one thing at a time around 1080p H.264 at 3 samples a second.
    """
    if quick:
        return [*_axes(models, runs, seconds or QUICK_SECONDS), *_stages(models, runs)]
    return [*_crossed(models, runs, seconds or SECONDS), *_stages(models, runs)]


def _take(codec: str, size: str, seconds: int) -> str:
    return f"made:{codec}:{size}:{seconds}"


def _axes(models: Sequence[Path], runs: int, seconds: int) -> list[Step]:
    def step(codec: str = "h264", size: str = "1080p", fps: float = 3.0, model: Path | None = None) -> Step:
        return Step(case="score", inputs=(_take(codec, size, seconds),), runs=runs, fps=fps, model=model)

    return [
        step(),
        *(step(codec=codec) for codec in ENCODERS if codec != "h264"),
        *(step(size=size) for size in HEIGHTS if size != "1080p"),
        *(step(fps=fps) for fps in RATES if fps != 3.0),
        *(step(model=model) for model in models),
    ]


def _crossed(models: Sequence[Path], runs: int, seconds: int) -> list[Step]:
    return [
        Step(case="score", inputs=(_take(codec, size, seconds),), runs=runs, fps=fps, model=model)
        for size in HEIGHTS
        for codec in ENCODERS
        for model in (None, *models)
        for fps in RATES
    ]


def _stages(models: Sequence[Path], runs: int) -> list[Step]:
    steps = [Step(case="decode", inputs=(_take(codec, "1080p", QUICK_SECONDS),), runs=runs) for codec in ENCODERS]
    steps += [Step(case="kernels", runs=runs)]
    steps += [Step(case=case, inputs=(STAGE_TAKE,), runs=runs) for case in ("export", "batch", "gpu-decode", "gpu")]
    steps += [Step(case=case, runs=runs) for case in ("start", "pick")]
    for model in models:
        steps.append(Step(case="embed", inputs=(str(model),), runs=runs))
        steps.append(
            Step(case="score", inputs=(_take("h264", "1080p", QUICK_SECONDS),), runs=runs, model=model, clip="torch")
        )
        steps += [Step(case=case, runs=runs, model=model) for case in ("search", "gpu-embed")]
        steps.append(Step(case="gpu", inputs=(STAGE_TAKE,), runs=runs, model=model))
    return steps
