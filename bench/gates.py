"""What must hold before anything is timed."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from bestshot_trt.decode import PyAVDecoder, open_container, probe, stream_of
from bestshot_trt.decode._pyav import sampled_frames
from bestshot_trt.frames import DecodeReport
from bestshot_trt.plan import SampleGrid

from .registry import Red

GATE_S = 60


def samples_identical(path: Path, fps: float) -> None:
    """The samples of the first minute are those of a full decode, pixel for pixel.

    Raises:
        Red: they are not.
    """
    info = probe(path)
    grid = SampleGrid(fps, info.time_base, info.start_pts)
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
                    raise Red(f"the picture at pts {frame.pts} differs from that of a full decode")
                wanted = next(samples, None)
    samples.close()  # type: ignore[attr-defined]
    if wanted is not None and wanted.pts <= limit:
        raise Red(f"a full decode shows no picture at pts {wanted.pts}, which was sampled")


def _picture(frame: av.VideoFrame) -> list[bytes]:
    """The visible pixels of the luma plane; line padding is noise."""
    plane = frame.planes[0]
    data = bytes(plane)
    width = plane.width * (2 if frame.format.components[0].bits > 8 else 1)
    return [data[y * plane.line_size : y * plane.line_size + width] for y in range(plane.height)]


def measures_match(path: Path, fps: float) -> None:
    """The measures of the first samples are the reference's, from the same pictures.

    Raises:
        Red: they are not.
    """
    from bestshot_kernels.frame_stats import frame_stats, reference
    from bestshot_trt.config import AnalyzeConfig

    batch = next(PyAVDecoder().batches(probe(path), AnalyzeConfig(fps=fps), DecodeReport()))
    ours, wanted = frame_stats(batch.pixels), reference.frame_stats(batch.pixels)
    if not np.array_equal(ours.exposure_penalty, wanted.exposure_penalty):
        raise Red("exposure_penalty differs from the reference's")
    for name in ("laplacian_variance", "contrast", "colourfulness"):
        if not np.allclose(getattr(ours, name), getattr(wanted, name), rtol=1e-4):
            raise Red(f"{name} differs from the reference's by more than 1e-4")


def whole_clips(folder: Path) -> None:
    """Every moment in ``folder`` has a clip with as many pictures as its span holds, give or take one.

    Raises:
        Red: one has not.
    """
    document: Any = json.loads((folder / "moments.json").read_text(encoding="utf-8"))
    for moment in document["moments"]:
        with av.open(str(folder / moment["clip"])) as container:
            stream = container.streams.video[0]
            shown = [frame.time for frame in container.decode(stream) if frame.time is not None]
            tick = 1 / float(stream.average_rate or Fraction(30))
        wanted = moment["end_s"] - moment["start_s"]
        spanned = shown[-1] - shown[0] + tick if shown else 0.0
        if abs(spanned - wanted) > 2 * tick:
            raise Red(f"{moment['clip']} shows {spanned:.2f} s; its moment is {wanted:.2f} s long")
