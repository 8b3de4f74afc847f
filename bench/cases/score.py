"""From a take to scores, and to clips, against the plain recipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from bestshot_trt.decode import probe
from bestshot_trt.speed.timing import paired, wall_of
from bestshot_trt.track import open_track

from .. import gates
from ..figures import compared
from ..registry import Red, Request, Row, case

ROUNDING = 2
"""ffmpeg's fps filter rounds to the nearest picture, so it may give a sample more or less at either end."""


def _ours(request: Request, path: Path, verb: str, output: Path) -> list[str]:
    model = str(request.model) if request.model else "none"
    settings = ["--model", model, "--fps", f"{request.fps:g}", "--backend", "cpu"]
    return [sys.executable, "-m", "bestshot_trt", verb, str(path), "-q", "--overwrite", *settings, "-o", str(output)]


def _seed(request: Request, path: Path, *flags: str) -> list[str]:
    model = ("--model", str(request.model)) if request.model else ()
    module = [sys.executable, "-m", "bestshot_trt.speed.seed"]
    return [*module, str(path), str(request.folder / "seed"), "--fps", f"{request.fps:g}", *model, *flags]


def _settings(request: Request) -> dict[str, object]:
    return {"fps": request.fps, "model": request.model.name if request.model else "none", "precision": "fp32"}


@case("score", "analyze against the plain recipe's sampling and scoring (--model FOLDER for both with CLIP)")
def score(request: Request, path: Path) -> Iterator[Row]:
    """Whole processes; the gate is exact samples, exact measures, and as many samples as the recipe has."""
    gates.samples_identical(path, request.fps)
    gates.measures_match(path, request.fps)
    track = request.folder / "track.parquet"
    ours, seed = wall_of(_ours(request, path, "analyze", track)), wall_of(_seed(request, path, "--no-cut"))
    ours(), seed()
    _same_count(track, request.folder / "seed" / "frames")
    pairs = paired(ours, seed, request.runs, warm_up=False)
    yield {"settings": _settings(request), **compared(pairs, float(probe(path).duration_claim or 0))}


def _same_count(track: Path, frames: Path) -> None:
    samples, pictures = len(open_track(track)), len(list(frames.glob("f_*.jpg")))
    if abs(samples - pictures) > ROUNDING:
        raise Red(f"{samples} samples, but the recipe has {pictures} pictures")


@case("job", "run against the whole plain recipe, clips included")
def job(request: Request, path: Path) -> Iterator[Row]:
    """Whole processes; the gate is that of `score`, and a clip for every moment."""
    gates.samples_identical(path, request.fps)
    out = request.folder / "job"
    ours, seed = wall_of(_ours(request, path, "run", out)), wall_of(_seed(request, path))
    ours(), seed()
    for moment in json.loads((out / "moments.json").read_text(encoding="utf-8"))["moments"]:
        if not (out / moment["clip"]).stat().st_size:
            raise Red(f"{moment['clip']} is empty")
    pairs = paired(ours, seed, request.runs, warm_up=False)
    yield {"settings": _settings(request), **compared(pairs, float(probe(path).duration_claim or 0))}
