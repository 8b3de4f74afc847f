"""A test of about two minutes: what this machine gives on a take, what limits it, and what the plain recipe gives."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..analysis import backend_for, measurements
from ..backends import Backend
from ..config import AnalyzeConfig
from ..decode import probe
from ..demo import make_take
from ..errors import BestshotError, InputError, shown
from ..export._ffmpeg import find_ffmpeg
from ..frames import DecodeReport, FrameBatch, VideoInfo
from ..gather import meta_of, no_pictures
from ..measuring import Measured
from ..progress import Progress, silent
from ..samples import Samples
from .timing import Summary, paired, summarise, wall_of

FOOTAGE_S = 30.0
"""So much of a take is used, from its start."""
LEAST_S = 4.0
"""So much of it even where an analysis is slow."""
ONE_S = 5.0
"""So long an analysis may take; on a slow machine, or with a large model, less footage is used."""
RUNS = 3
PATIENCE_S = 45.0
"""After so long no further run is begun, of the stages as of the recipe."""
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
    """How many times faster the command ``analyze`` is than the plain recipe; None: one of them failed on this take."""
    fault: str | None = None
    """What was said then."""

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
    with tempfile.TemporaryDirectory(prefix="bestshot-") as name:
        folder = Path(name)
        source = take or _made(folder, progress)
        used = _start_of(source, FOOTAGE_S, folder)
        backend = backend_for(probe(used), config, progress)
        progress("time each stage", 0, 2, "steps")
        used = _short_enough(source, used, folder, config, backend)
        whole, footage, stages = _in_turn(source, used, config, backend)
        progress("time the plain recipe", 1, 2, "steps")
        speedup, fault = _against_recipe(used, folder, config, backend)
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
        fault=fault,
    )


def _made(folder: Path, progress: Progress) -> Path:
    make_take(folder / "made.mp4", progress)
    return folder / "made.mp4"


def _start_of(take: Path, seconds: float, folder: Path) -> Path:
    """The start of ``take``, copied; or ``take`` itself where it is short, or where no container takes it."""
    info = probe(take)
    if info.duration_claim and info.duration_claim <= 1.5 * seconds:
        return take
    for suffix in (take.suffix, ".mkv"):
        start = folder / f"start-{seconds:.0f}{suffix}"
        if _copied(take, info, start, seconds):
            return start
    return take


def _copied(take: Path, info: VideoInfo, start: Path, seconds: float) -> bool:
    """Whether the start could be copied and read again; some containers do not take it."""
    command = [find_ffmpeg(), "-v", "error", "-nostdin", "-i", f"file:{take.absolute()}", "-t", f"{seconds:g}"]
    command += ["-map", f"0:{info.stream_index}", "-c", "copy", "-y", f"file:{start}"]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        return False
    try:
        return probe(start).codec == info.codec
    except InputError:
        return False


def _short_enough(take: Path, used: Path, folder: Path, config: AnalyzeConfig, backend: Backend) -> Path:
    """As much of ``take`` as is gone through in `ONE_S`, found by a few seconds of it; the very first run is slower."""
    trial = _start_of(take, LEAST_S, folder)
    _go_through(trial, config, backend)
    started = time.perf_counter()
    footage = _go_through(trial, config, backend)
    seconds = footage * ONE_S / max(time.perf_counter() - started, 1e-3)
    return used if seconds >= FOOTAGE_S else _start_of(used, max(LEAST_S, seconds), folder)


def _go_through(take: Path, config: AnalyzeConfig, backend: Backend) -> float:
    """Analyse ``take`` as `analyze` does, with what is opened already; seconds of footage."""
    info, report, samples = probe(take), DecodeReport(), Samples(backend)
    with closing(measurements(info, config, backend, report)) as batches:
        for batch in batches:
            samples.add(batch)
    if not len(samples):
        raise no_pictures(info)
    # The last pictures are embedded only now.
    samples.track(meta_of(info, config, backend, report))
    return float(report.duration)


def _in_turn(
    source: Path, take: Path, config: AnalyzeConfig, backend: Backend
) -> tuple[float, float, tuple[Stage, ...]]:
    """Median seconds of an analysis, seconds of footage, and each stage as what it adds.

    ``take`` is ``source`` or its start; what is read is read from ``source``, whose disk is the one that matters.
    Stages overlap in an analysis, so that their sum may be more than its time.
    """
    info, embedder = probe(take), backend.embedder
    footage = 0.0

    def whole() -> None:
        nonlocal footage
        footage = _go_through(take, config, backend)

    def decoded(use: Callable[[FrameBatch], object]) -> Callable[[], None]:
        def run() -> None:
            for batch in backend.decoder.batches(info, config, DecodeReport(), embedder.view):
                use(batch)

        return run

    runs: dict[str, Callable[[], None]] = {
        "whole": whole,
        "decode": decoded(lambda batch: None),
        "measure": decoded(lambda batch: backend.measure(batch.pixels)()),
        "embed": lambda: embed_all(backend, backend.decoder.batches(info, config, DecodeReport(), embedder.view)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in _rounds():
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    took = {name: summarise(values).median for name, values in seconds.items()}
    stages = (
        Stage("read", _read(source, take.stat().st_size)),
        Stage("decode and scale", took["decode"]),
        Stage("measure", max(0.0, took["measure"] - took["decode"])),
        Stage("embed", max(0.0, took["embed"] - took["decode"])),
    )
    return took["whole"], footage, stages


def embed_all(backend: Backend, batches: Iterable[FrameBatch]) -> None:
    """Embed ``batches`` as an analysis does, so many pictures at a time and as many on their way; measure nothing."""
    samples = Samples(backend)
    for batch in batches:
        nothing = np.zeros((len(batch), 4), np.float32)
        with backend.working():
            prepared = backend.embedder.prepare(batch)
        samples.add(Measured(batch.times, batch.pts, nothing, prepared))
    samples.settle()


def _rounds() -> Iterator[int]:
    """`RUNS` of them, fewer when they take long."""
    began = time.perf_counter()
    for number in range(RUNS):
        if number and time.perf_counter() - began > PATIENCE_S:
            return
        yield number


def _read(source: Path, size: int) -> float:
    """Seconds to read the first ``size`` bytes, from the disk where the system lets go of what it holds of them."""
    with source.open("rb", buffering=0) as file:
        if hasattr(os, "posix_fadvise"):
            # What was just written stays in memory until it is on the disk.
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        started = time.perf_counter()
        while size > 0 and (chunk := file.read(min(size, _READ_BYTES))):
            size -= len(chunk)
        return time.perf_counter() - started


def _against_recipe(
    take: Path, folder: Path, config: AnalyzeConfig, backend: Backend
) -> tuple[Summary | None, str | None]:
    """How many times faster, or else what the one that failed said."""
    # A name may begin as an option does.
    take = take.absolute()
    clip = backend.embedder.clip_model
    model = clip.folder if clip else "none"
    ours = [sys.executable, "-m", "bestshot_trt", "analyze", str(take), "-q", "--overwrite", "--model", model]
    ours += ["--fps", f"{config.fps:g}", "--backend", config.backend, "-o", str(folder / "track.parquet")]
    seed = [sys.executable, "-m", "bestshot_trt.speed.seed", str(take), str(folder / "seed"), "--no-cut"]
    seed += ["--fps", f"{config.fps:g}", *(("--model", model) if clip else ())]
    try:
        pairs = [paired(wall_of(ours), wall_of(seed), 1, warm_up=False) for _ in _rounds()]
        return summarise([pair.speedup.median for pair in pairs]), None
    except BestshotError as error:
        return None, str(error)
