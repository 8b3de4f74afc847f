"""From a take to scores, and to clips, against the plain recipe."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bestshot_trt.speed.timing import paired, wall_of
from bestshot_trt.track import open_track

from .. import gates
from ..figures import compared, footage_s, take_of
from ..registry import Red, Request, Row, Skipped, case

ROUNDING = 2
"""ffmpeg's fps filter rounds to the nearest picture, so it may give a sample more or less at either end."""
LEAST_COSINE = 0.99
"""Between embeddings of one picture by the recipe's two ways to run a model: they scale pictures by two libraries."""
_LACKING = 3
"""Exit code of the recipe where a library is missing."""


def _ours(request: Request, path: Path, verb: str, output: Path) -> list[str]:
    model = ["--model", str(request.model), "--precision", request.precision] if request.model else ["--model", "none"]
    settings = [*model, "--fps", f"{request.fps:g}", "--backend", "cpu"]
    return [sys.executable, "-m", "bestshot_trt", verb, str(path), "-q", "--overwrite", *settings, "-o", str(output)]


def _seed(request: Request, path: Path, *flags: str, clip: str | None = None) -> list[str]:
    clip = clip or request.clip
    module = "bench.torch_seed" if clip == "torch" else "bestshot_trt.speed.seed"
    model = ["--model", str(request.model), "--clip", clip] if request.model else []
    place = str(request.folder / "seed")
    return [sys.executable, "-m", module, str(path), place, "--fps", f"{request.fps:g}", *model, *flags]


def _rows(request: Request, path: Path, ours: list[str], seed: list[str]) -> Iterator[Row]:
    pairs = paired(wall_of(ours), wall_of(seed), request.runs, warm_up=False)
    yield {"take": take_of(path), "settings": request.settings, **compared(pairs, footage_s(path))}


@case("score", "analyze against the plain recipe's sampling and scoring (--model FOLDER for both with CLIP)")
def score(request: Request, path: Path) -> Iterator[Row]:
    """Whole processes; the gate is exact samples, pictures and measures, and as many samples as the recipe has.

    With the recipe on torch, also that its embeddings are those that it has on ONNX Runtime.
    """
    gates.samples_identical(path, request.fps)
    gates.measures_match(path, request.fps, request.view)
    track = request.folder / "track.parquet"
    ours, seed = _ours(request, path, "analyze", track), _seed(request, path, "--no-cut")
    if request.model and request.clip == "torch":
        _same_model(request, path)
    wall_of(ours)(), wall_of(seed)()
    _same_count(track, request.folder / "seed" / "frames")
    yield from _rows(request, path, ours, seed)


def _same_model(request: Request, path: Path) -> None:
    embeddings = []
    for clip in ("onnx", "torch"):
        done = subprocess.run(
            _seed(request, path, "--no-cut", "--first", "4", clip=clip), capture_output=True, text=True, check=False
        )
        words = done.stderr.strip().splitlines() or ["no message"]
        if done.returncode == _LACKING:
            raise Skipped(words[-1])
        if done.returncode:
            raise Red(f"the recipe on {clip} ended with {done.returncode}: {words[-1]}")
        embeddings.append(np.load(request.folder / "seed" / "embeddings.npy"))
    agree(*embeddings)


def agree(onnx: Any, torch: Any) -> None:
    """Unit embeddings, float32 (n, d), are of the same weights.

    Raises:
        Red: they are not.
    """
    least = float((onnx * torch).sum(axis=1).min())
    if not least >= LEAST_COSINE:
        raise Red(f"the recipe's embeddings on torch and on ONNX Runtime have a cosine of {least:.4f}")


def _same_count(track: Path, frames: Path) -> None:
    samples, pictures = len(open_track(track)), len(list(frames.glob("f_*.jpg")))
    if abs(samples - pictures) > ROUNDING:
        raise Red(f"{samples} samples, but the recipe has {pictures} pictures")


@case("job", "run against the whole plain recipe, clips included")
def job(request: Request, path: Path) -> Iterator[Row]:
    """Whole processes; the gate is exact samples, pictures and measures, and a whole clip for every moment."""
    gates.samples_identical(path, request.fps)
    gates.measures_match(path, request.fps, request.view)
    out = request.folder / "job"
    ours, seed = _ours(request, path, "run", out), _seed(request, path)
    wall_of(ours)(), wall_of(seed)()
    gates.whole_clips(out, path)
    yield from _rows(request, path, ours, seed)
