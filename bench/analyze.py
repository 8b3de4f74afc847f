"""`analyze` without a model against `ffmpeg -f null -`: what scoring costs on top of decoding everything.

The gate: every sampled picture of the first minute is bit-identical to a full decode.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg

from bestshot_trt.decode import open_container, probe, stream_of
from bestshot_trt.decode._pyav import sampled_frames
from bestshot_trt.frames import DecodeReport
from bestshot_trt.plan import SampleGrid

GATE_S = 60
FPS = 3.0


def _picture(frame: av.VideoFrame) -> list[bytes]:
    """The visible pixels of the luma plane; line padding is noise."""
    plane = frame.planes[0]
    data = bytes(plane)
    width = plane.width * (2 if frame.format.components[0].bits > 8 else 1)
    return [data[y * plane.line_size : y * plane.line_size + width] for y in range(plane.height)]


def is_identical(path: Path) -> bool:
    """Whether the samples of the first minute are those of a full decode, pixel for pixel."""
    info = probe(path)
    grid = SampleGrid(FPS, info.time_base, info.start_pts)
    limit = info.start_pts + int(GATE_S / info.time_base)
    samples = sampled_frames(info, grid, DecodeReport())
    wanted = next(samples, None)
    with open_container(path) as container:
        stream = stream_of(container, info.stream_index)
        stream.thread_type = "AUTO"
        for frame in container.decode(stream):
            if wanted is None or frame.pts is None or frame.pts > limit:
                break
            if frame.pts == wanted.pts:
                if _picture(frame) != _picture(wanted.frame):
                    return False
                wanted = next(samples, None)
    samples.close()  # type: ignore[attr-defined]
    return wanted is None or wanted.pts > limit


def _timed(command: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of a whole process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu


def measure(path: Path, runs: int) -> dict[str, Any]:
    """One row: medians of both, in turn, and the median of their ratios.

    Raises:
        SystemExit: the gate is red; nothing is timed then.
    """
    if not is_identical(path):
        raise SystemExit(f"{path}: samples differ from a full decode; no time is reported")
    with tempfile.TemporaryDirectory() as folder:
        analyze = [sys.executable, "-m", "bestshot_trt", "analyze", str(path), "-q", "--model", "none", "--overwrite"]
        ours = _runner([*analyze, "-o", f"{folder}/track.parquet"])
        threads = str(os.cpu_count() or 1)
        decode = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "quiet", "-threads", threads, "-i", str(path)]
        full = _runner([*decode, "-map", "0:v:0", "-f", "null", "-"])
        ours(), full()
        pairs = [(ours(), full()) for _ in range(runs)]
    return {
        "case": "analyze-against-full-decode",
        "file": path.name,
        "duration_s": probe(path).duration_claim,
        "runs": runs,
        "analyze_wall_s": statistics.median(a[0] for a, _ in pairs),
        "decode_wall_s": statistics.median(b[0] for _, b in pairs),
        "wall_ratio": statistics.median(a[0] / b[0] for a, b in pairs),
        "cpu_ratio": statistics.median(a[1] / b[1] for a, b in pairs),
    }


def _runner(command: list[str]) -> Callable[[], tuple[float, float]]:
    return lambda: _timed(command)
