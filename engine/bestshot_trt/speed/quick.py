"""A test of about two minutes: what this machine gives on a take, what limits it, and what the plain recipe gives."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..backends import Backend, open_backend
from ..config import AnalyzeConfig, Config
from ..decode import probe
from ..demo import make_take
from ..errors import BestshotError, InputError, shown
from ..export._ffmpeg import find_ffmpeg
from ..frames import DecodeReport, FrameBatch, VideoInfo
from ..pipeline import analyze
from ..progress import Progress, silent
from .timing import Summary, paired, summarise, wall_of

FOOTAGE_S = 30.0
"""So much of a take is used, from its start."""
RUNS = 3
_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class Stage:
    """One stage of an analysis, timed as what it adds to those before it."""

    name: str
    seconds: float
    """Of work for ``Speed.footage_s`` of footage."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """What a machine gives on one take."""

    take: str
    footage_s: float
    backend: str
    fallback_reason: str | None
    model: str
    fps: float
    stages: tuple[Stage, ...]
    whole_s: float
    """Median seconds of an analysis in a loaded process."""
    speedup: Summary | None
    """How many times faster the command ``analyze`` is than the plain recipe; None: the recipe failed on this take."""

    @property
    def times_real_time(self) -> float:
        """Seconds of footage a second, which is also hours of footage an hour."""
        return self.footage_s / self.whole_s

    @property
    def limit(self) -> Stage:
        """The stage that takes longest."""
        return max(self.stages, key=lambda stage: stage.seconds)


def test_speed(take: Path | None, config: AnalyzeConfig, progress: Progress = silent) -> Speed:
    """Measure this machine on the start of ``take``, or on a made one.

    Raises:
        InputError: not a video file. DecodeError: none of it can be decoded.
        BackendUnavailable, ModelUnavailable: what ``config`` names is not to be had here.
        ExportError: ffmpeg is missing, or there is no space for a temporary file.
    """
    with tempfile.TemporaryDirectory(prefix="bestshot-") as name, _used(take, Path(name), progress) as used:
        backend = open_backend(config, progress)
        progress("time each stage", 0, 2, "steps")
        whole, footage, stages = _in_turn(used, config, backend)
        progress("time the plain recipe", 1, 2, "steps")
        speedup = _against_recipe(used, Path(name), config, backend)
    return Speed(
        take=shown(take.name) if take else "made",
        footage_s=footage,
        backend=backend.name,
        fallback_reason=backend.fallback_reason,
        model=backend.embedder.model,
        fps=config.fps,
        stages=stages,
        whole_s=whole,
        speedup=speedup,
    )


@contextmanager
def _used(take: Path | None, folder: Path, progress: Progress) -> Iterator[Path]:
    """The part of ``take`` that is measured: itself where it is short, else its start, copied."""
    if take is None:
        make_take(folder / "made.mp4", progress)
        yield folder / "made.mp4"
        return
    info = probe(take)
    start = folder / f"start{take.suffix}"
    if info.duration_claim and info.duration_claim > 1.5 * FOOTAGE_S and _copied(take, info, start):
        yield start
    else:
        yield take


def _copied(take: Path, info: VideoInfo, start: Path) -> bool:
    """Whether the start could be copied and read again; some containers do not take it."""
    command = [find_ffmpeg(), "-v", "error", "-nostdin", "-i", f"file:{take.absolute()}", "-t", f"{FOOTAGE_S:g}"]
    command += ["-map", f"0:{info.stream_index}", "-c", "copy", "-y", f"file:{start}"]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        return False
    try:
        return probe(start).codec == info.codec
    except InputError:
        return False


def _in_turn(take: Path, config: AnalyzeConfig, backend: Backend) -> tuple[float, float, tuple[Stage, ...]]:
    """Median seconds of an analysis, seconds of footage, and each stage as what it adds.

    Stages overlap in an analysis, so that their sum may be more than its time.
    """
    info, embedder = probe(take), backend.embedder
    footage = 0.0

    def whole() -> None:
        nonlocal footage
        footage = float(analyze(take, Config(analyze=config)).meta.duration)

    def decoded(use: Callable[[FrameBatch], object]) -> Callable[[], None]:
        def run() -> None:
            for batch in backend.decoder.batches(info, config, DecodeReport(), embedder.view):
                use(batch)

        return run

    runs = {
        "whole": whole,
        "decode": decoded(lambda batch: None),
        "measure": decoded(lambda batch: backend.measure(batch.pixels)()),
        "embed": decoded(lambda batch: embedder.embed(embedder.prepare(batch))()),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(RUNS):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    took = {name: summarise(values).median for name, values in seconds.items()}
    stages = (
        Stage("read", _read(take)),
        Stage("decode and scale", took["decode"]),
        Stage("measure", max(0.0, took["measure"] - took["decode"])),
        Stage("embed", max(0.0, took["embed"] - took["decode"])),
    )
    return took["whole"], footage, stages


def _read(take: Path) -> float:
    """Seconds to read the file, from the disk where the system lets go of what it holds of it."""
    with take.open("rb", buffering=0) as file:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        started = time.perf_counter()
        while file.read(_READ_BYTES):
            pass
        return time.perf_counter() - started


def _against_recipe(take: Path, folder: Path, config: AnalyzeConfig, backend: Backend) -> Summary | None:
    clip = backend.embedder.clip_model
    model = clip.folder if clip else "none"
    ours = [sys.executable, "-m", "bestshot_trt", "analyze", str(take), "-q", "--overwrite", "--model", model]
    ours += ["--fps", f"{config.fps:g}", "--backend", config.backend, "-o", str(folder / "track.parquet")]
    seed = [sys.executable, "-m", "bestshot_trt.speed.seed", str(take), str(folder / "seed"), "--no-cut"]
    seed += ["--fps", f"{config.fps:g}", *(("--model", model) if clip else ())]
    try:
        return paired(wall_of(ours), wall_of(seed), RUNS, warm_up=False).speedup
    except BestshotError:
        return None
