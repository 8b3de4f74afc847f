"""DALI's decoder, one frame in ten of streams in memory, by the number of streams decoded at a time."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .rows import OK, Row, Wrong, guarded, spread
from .sampler import Sampler

EVERY = 10
"""3 fps of 30."""
MOST = 100
"""Frames asked of a stream: with eight at a time they and the decoder's own are a few GB of 1080p."""
STREAMS = (1, 2, 4, 7, 8)
_LEAST_RUNS, _LEAST_S = 3, 2.0


def run(options: argparse.Namespace) -> Iterator[Row]:
    """A row for each file and number of streams."""
    if not options.video:
        raise RuntimeError("no --video named")
    for path in options.video:
        for streams in STREAMS:
            what = f"{path.name}, {streams} at a time"
            yield from guarded(what, partial(_measure, what, path, streams, options.device))


def _measure(what: str, path: Path, streams: int, device: str) -> Iterator[Row]:
    encoded = np.frombuffer(path.read_bytes(), np.uint8)
    wanted = np.arange(0, _frame_count(path), EVERY, dtype=np.int32)[:MOST]
    pipeline = _pipeline(streams, device)
    seconds: list[float] = []
    with Sampler() as load:
        began = time.perf_counter()
        while len(seconds) <= _LEAST_RUNS or time.perf_counter() - began < _LEAST_S:
            started = time.perf_counter()
            (out,) = pipeline.run(encoded=[encoded] * streams, frames=[wanted] * streams)
            counts = {int(shape[0]) for shape in out.shape()}
            # Waits for the device: reading a picture is the only thing that does.
            np.asarray((out if device == "cpu" else out.as_cpu()).at(0))
            seconds.append(time.perf_counter() - started)
            if counts != {len(wanted)}:
                raise Wrong(f"asked for {len(wanted)} frames of each stream, got {sorted(counts)}")
    rate = spread([len(wanted) * EVERY * streams / each for each in seconds[1:]])
    value = f"{rate['median']:.0f} frames/s of footage covered; {load.words}"
    yield Row(what, OK, value, {"frames_per_s": rate, "streams": streams, "every": EVERY, "load": load.figures})


def _pipeline(streams: int, device: str) -> Any:
    from nvidia.dali import fn
    from nvidia.dali.pipeline import Pipeline

    pipeline = Pipeline(
        batch_size=streams,
        num_threads=streams,
        device_id=None if device == "cpu" else 0,
        # Needed to give inputs to run().
        prefetch_queue_depth=1,
    )
    with pipeline:
        encoded, frames = fn.external_source(name="encoded"), fn.external_source(name="frames")
        place = "cpu" if device == "cpu" else "mixed"
        pipeline.set_outputs(fn.decoders.video(encoded, frames=frames, device=place))
    pipeline.build()
    return pipeline


def _frame_count(path: Path) -> int:
    """Pictures of the video, by its packets; without PyAV, by the box ``stsz`` of an MP4 (ISO/IEC 14496-12, 8.7.3)."""
    try:
        import av
    except ImportError:
        content = path.read_bytes()
        counts = []
        place = content.find(b"stsz")
        while place >= 0:
            counts.append(int.from_bytes(content[place + 12 : place + 16], "big"))
            place = content.find(b"stsz", place + 4)
        if len(counts) != 1:
            raise RuntimeError(f"{path.name}: without PyAV, name an MP4 with one track and no sound") from None
        return counts[0]
    with av.open(str(path)) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size)
