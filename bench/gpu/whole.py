"""The whole product on the GPU against itself on the CPU, one file at a time."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .rows import NEWS, OK, Row, Wrong, guarded, same, spread
from .sampler import Sampler

RUNS = 3
SHARPNESS, EXPOSURE = 0.01, 0.005
"""How far the tracks may differ: relative, and as a share of the picture."""


def run(options: argparse.Namespace) -> Iterator[Row]:
    """A row for each file."""
    if not options.video:
        raise RuntimeError("no --video named")
    for path in options.video:
        yield from guarded(path.name, partial(_compare, path, options.model))


def _compare(path: Path, model: Path | None) -> Iterator[Row]:
    import bestshot_trt as bt

    def analyzed(backend: str) -> tuple[Any, Any, float]:
        analyze = bt.AnalyzeConfig(backend=backend, model=str(model) if model else "none")
        config = bt.Config(analyze=analyze)
        started = time.perf_counter()
        track = bt.analyze(path, config)
        return track, bt.pick(track, config), time.perf_counter() - started

    # First, so that nothing is timed on the CPU for a GPU that is not there.
    analyzed("gpu")
    with Sampler() as load:
        timed = [analyzed("gpu") for _ in range(RUNS)]
    gpu, gpu_picks, _ = timed[-1]
    footage = gpu.meta.source.duration_s
    rate = spread([footage / seconds for _, _, seconds in timed])
    # The CPU may take minutes more, with a large model: whoever is stopped then has this.
    words = f"{rate['median']:.1f} x real time; {load.words}; not compared with the CPU yet"
    yield Row(path.name, NEWS, words, {"unproven_times_real_time": rate, "load": load.figures})
    cpu, cpu_picks, cpu_s = analyzed("cpu")
    _agree(gpu, cpu)
    gpu_s = footage / rate["median"]
    speed = f"{rate['median']:.1f} x real time, {cpu_s / gpu_s:.2f} x the CPU"
    value = f"same times, measures and picks; {speed}; {load.words}"
    figures = {
        "times_real_time": rate,
        "footage_s": footage,
        "gpu_s": gpu_s,
        "cpu_s": cpu_s,
        "load": load.figures,
        "least_cosine": float((np.asarray(gpu.embedding) * np.asarray(cpu.embedding)).sum(axis=1).min()),
        "notes": gpu.meta.decode.notes,
    }
    picks = [[moment.peak_s for moment in document.moments] for document in (gpu_picks, cpu_picks)]
    if picks[0] != picks[1]:
        # Two peaks of almost one height may change places, which only the figures tell from a fault.
        raise Wrong(f"the GPU picks {picks[0]}, the CPU {picks[1]}", figures)
    yield Row(path.name, OK, value, figures)


def _agree(gpu: Any, cpu: Any) -> None:
    same(gpu.times, cpu.times, "sampling times")
    same(gpu.pts, cpu.pts, "times of the pictures")
    scale = np.maximum(np.abs(cpu.sharpness), 1e-6)
    same(gpu.sharpness / scale, cpu.sharpness / scale, "sharpness", within=SHARPNESS)
    same(gpu.exposure_penalty, cpu.exposure_penalty, "exposure penalty", within=EXPOSURE)
