"""Decoding alone, and what comes on top of it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg

from bestshot_trt.decode import PyAVDecoder, probe
from bestshot_trt.decode._pyav import sampled_frames
from bestshot_trt.frames import DecodeReport
from bestshot_trt.plan import SampleGrid
from bestshot_trt.speed.quick import embed_all
from bestshot_trt.speed.timing import Seconds, paired, process, summarise, wall_of

from .. import gates
from ..figures import compared, footage_s, take_of
from ..registry import Request, Row, case


def full_decode(path: Path) -> list[str]:
    """ffmpeg decodes every picture, on as many threads as there are cores, and throws them away."""
    threads = str(os.cpu_count() or 1)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "quiet", "-nostdin", "-threads", threads, "-i", str(path)]
    return [*command, "-map", "0:v:0", "-f", "null", "-"]


@case("decode", "the decode stage against a full decode by ffmpeg")
def decode(request: Request, path: Path) -> Iterator[Row]:
    """The stage in this process, which is loaded already; ffmpeg starts in some milliseconds."""
    gates.samples_identical(path, request.fps)
    report = DecodeReport()
    pairs = paired(_stage(path, request.fps, report), wall_of(full_decode(path)), request.runs)
    yield {
        "take": take_of(path),
        "settings": {"fps": request.fps},
        "packets_fed": round(report.packets_fed / max(report.packets, 1), 3),
        **compared(pairs, footage_s(path)),
    }


def _stage(path: Path, fps: float, kept: DecodeReport) -> Seconds:
    def run() -> float:
        report = DecodeReport()
        started = time.perf_counter()
        info = probe(path)
        for _ in sampled_frames(info, SampleGrid(fps, info.time_base, info.start_pts), report):
            pass
        kept.packets, kept.packets_fed = report.packets, report.packets_fed
        return time.perf_counter() - started

    return run


@case("analyze", "analyze without a model against a full decode by ffmpeg")
def analyze(request: Request, path: Path) -> Iterator[Row]:
    """Whole processes: what scoring costs on top of decoding everything."""
    gates.samples_identical(path, request.fps)
    track = request.folder / "track.parquet"
    command = [sys.executable, "-m", "bestshot_trt", "analyze", str(path), "-q", "--model", "none", "--overwrite"]
    ours = [*command, "--fps", f"{request.fps:g}", "-o", str(track)]
    pairs = paired(wall_of(ours), wall_of(full_decode(path)), request.runs)
    cpu = [process(ours).cpu / process(full_decode(path)).cpu for _ in range(request.runs)]
    yield {
        "take": take_of(path),
        "settings": {"fps": request.fps, "model": "none"},
        **compared(pairs, footage_s(path)),
        "cpu_ratio": round(summarise(cpu).median, 3),
    }


@case("outside", "share of analyze that is neither decoding (with scaling to the score picture) nor embedding")
def outside(request: Request, path: Path) -> Iterator[Row]:
    """CPU seconds of a whole analysis, and of its decoder and embedder alone, in this process and in turn.

    Opening the model counts as embedding, and learning from its first picture what the take holds as decoding.
    """
    from bestshot_trt import Config, analyze
    from bestshot_trt.backends import open_backend
    from bestshot_trt.config import AnalyzeConfig

    gates.samples_identical(path, request.fps)
    model, precision = str(request.model or "none"), request.precision if request.model else "auto"
    settings = AnalyzeConfig(fps=request.fps, model=model, backend="cpu", precision=precision)

    def parts() -> float:
        started = time.process_time()
        info = probe(path)
        backend = open_backend(settings)
        embed_all(backend, PyAVDecoder().batches(info, settings, DecodeReport(), backend.embedder.view))
        return time.process_time() - started

    def whole() -> float:
        started = time.process_time()
        analyze(path, Config(analyze=settings))
        return time.process_time() - started

    pairs = paired(whole, parts, request.runs)
    yield {
        "take": take_of(path),
        "settings": {
            "fps": request.fps,
            "model": request.model_name,
            **({"precision": precision} if request.model else {}),
        },
        **compared(pairs),
        "outside_share": round(1 - pairs.speedup.median, 3),
    }
