"""What a run made of the demo take, compared with what is planted in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .. import pipeline, results
from ..config import AnalyzeConfig, Config
from ..moments import Moment, MomentsDocument
from ..progress import Progress, silent
from ._shots import PLANTED, Planted
from ._take import make_take

TAKE = "bestshot-demo.mp4"


@dataclass(frozen=True)
class Finding:
    """Whether a run made of a planted stretch what it must, and in words what it made of it."""

    planted: Planted
    found: bool
    detail: str


def check(document: MomentsDocument) -> list[Finding]:
    """Compare what a run with default settings on the demo take picked with what is planted in it."""
    return [_judge(planted, document) for planted in PLANTED]


def _judge(planted: Planted, document: MomentsDocument) -> Finding:
    inside = [moment for moment in document.moments if planted.holds(moment.peak_s)]
    if planted.expect == "picked":
        return _judge_good(planted, inside)
    if inside:
        return Finding(planted, False, f"picked as {_named(inside[0])}")
    if planted.expect == "avoided":
        return Finding(planted, True, "not picked")
    for rejection in document.rejected:
        if planted.holds(rejection.peak_s) and rejection.reason == "duplicate":
            return Finding(planted, True, f"turned down at {rejection.peak_s:.1f} s: {rejection.detail}")
    return Finding(planted, False, "not picked, but not recognised as a duplicate either")


def _judge_good(planted: Planted, inside: list[Moment]) -> Finding:
    places = sum(other.expect == "picked" for other in PLANTED)
    if not inside:
        return Finding(planted, False, "not picked")
    best = min(inside, key=lambda moment: moment.rank)
    if best.rank > places:
        return Finding(planted, False, f"picked only as {_named(best)}, behind a worse stretch")
    return Finding(planted, True, f"picked as {_named(best)}")


def _named(moment: Moment) -> str:
    return f"rank {moment.rank}, peak at {moment.peak_s:.1f} s"


def run_demo(
    folder: Path, *, overwrite: bool = False, progress: Progress = silent
) -> tuple[MomentsDocument, list[Finding]]:
    """Make the take in ``folder``, run the whole pipeline on it there, and check what it found.

    Raises:
        ConfigError: ``folder`` already holds a take or results and ``overwrite`` is False.
        ExportError: something cannot be encoded or written.
    """
    for name in (results.MOMENTS_JSON, TAKE):
        results.prepare(folder, name, overwrite=overwrite)
    make_take(folder / TAKE, progress)
    # The stretches are planted for what is measured without a model, and the demo must need no download.
    config = Config(analyze=AnalyzeConfig(model="none"))
    document = pipeline.run(folder / TAKE, config, folder, overwrite=overwrite, progress=progress)
    return document, check(document)
