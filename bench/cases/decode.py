"""Decoding alone, and what comes on top of it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av

from bestshot_trt.decode import PyAVDecoder, open_container, packets_of, probe, stream_of
from bestshot_trt.decode._open import described, parser_of
from bestshot_trt.decode._pyav import sampled_frames
from bestshot_trt.export._ffmpeg import find_ffmpeg
from bestshot_trt.frames import DecodeReport
from bestshot_trt.plan import Group, Planner, SampleGrid
from bestshot_trt.speed.quick import embed_all
from bestshot_trt.speed.timing import Seconds, paired, process, summarise, wall_of

from .. import gates
from ..figures import compared, footage_s, take_of
from ..registry import Red, Request, Row, Skipped, case

_NO_GUESS = ("-fpsprobesize", "0")


def full_decode(path: Path, *options: str) -> list[str]:
    """ffmpeg decodes every picture, on as many threads as there are cores, and throws them away."""
    threads = str(os.cpu_count() or 1)
    command = [find_ffmpeg(), "-v", "quiet", "-nostdin", "-threads", threads, *options]
    return [*command, "-i", str(path), "-map", "0:v:0", "-f", "null", "-"]


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


@case("limit", "ffmpeg with nothing but the packets that samples depend on, against a full decode by ffmpeg")
def limit(request: Request, path: Path) -> Iterator[Row]:
    """What the decode stage could reach if all but decoding were free: by ffmpeg's threads, and in one's CPU time."""
    gates.samples_identical(path, request.fps)
    needed = request.folder / f"{path.stem}-needed.mkv"
    share = write_needed(path, request.fps, needed)
    # What is left out makes times uneven, and a frame rate to guess from them is twenty pictures decoded first.
    ours, single = full_decode(needed, *_NO_GUESS), full_decode(needed, *_NO_GUESS, "-threads", "1")
    pairs = paired(wall_of(ours), wall_of(full_decode(path)), request.runs)
    cpu = [process(single).cpu / process(full_decode(path)).cpu for _ in range(request.runs)]
    yield {
        "take": take_of(path),
        "settings": {"fps": request.fps},
        "packets_fed": share,
        **compared(pairs, footage_s(path)),
        "cpu_ratio": round(summarise(cpu).median, 3),
    }


def write_needed(path: Path, fps: float, out: Path) -> float:
    """Write the packets that samples depend on into ``out``, and give their share of all.

    Raises:
        Red: they are not as many as the decode stage feeds.
        Skipped: a stream of which every packet is decoded.
    """
    info, report = probe(path), DecodeReport()
    grid = SampleGrid(fps, info.time_base, info.start_pts)
    for _ in sampled_frames(info, grid, report):
        pass
    with open_container(path) as take, av.open(str(out), "w") as written:
        stream = stream_of(take, info.stream_index)
        parser = parser_of(stream, info.codec)
        if parser is None:
            raise Skipped(f"{info.codec}: every packet is decoded")
        planner: Planner[av.Packet[av.VideoStream]] = Planner(grid, drop=True)
        groups: list[Group[av.Packet[av.VideoStream]]] = []
        for packet in packets_of(take, stream):
            groups.extend(planner.push(described(packet, parser.classify(bytes(packet))), packet))
        groups.extend(planner.flush())
        track = written.add_stream_from_template(stream)
        needed = [packet for group in groups for packet in group.fed()]
        for packet in needed:
            packet.stream = track
            written.mux_one(packet)
    if len(needed) != report.packets_fed:
        raise Red(f"{len(needed)} packets are needed, but {report.packets_fed} were fed")
    return round(len(needed) / report.packets, 3)


@case("analyze", "analyze without a model against a full decode by ffmpeg")
def analyze(request: Request, path: Path) -> Iterator[Row]:
    """Whole processes: what scoring costs on top of decoding everything."""
    gates.samples_identical(path, request.fps)
    gates.measures_match(path, request.fps)
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
    gates.measures_match(path, request.fps, request.view)
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
