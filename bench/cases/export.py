"""Cutting: clips a second of a take that is analysed already, by encoder."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import bestshot_trt as bt
from bestshot_trt import Config
from bestshot_trt.config import AnalyzeConfig, ExportConfig, PickConfig
from bestshot_trt.decode import probe
from bestshot_trt.errors import ExportError
from bestshot_trt.export.encoders import choose_encoder
from bestshot_trt.speed.seed import cut_clip
from bestshot_trt.speed.timing import Seconds, paired, wall_of

from .. import gates
from ..figures import compared, spread, take_of
from ..registry import Request, Row, Skipped, case

CLIPS = PickConfig().top
ENCODERS = ("software", "nvenc")


@case("export", "clips a second by encoder, against a plain ffmpeg command for each (x264 -crf 18 -preset veryfast)")
def export(request: Request, path: Path) -> Iterator[Row]:
    """Whole processes; the gate is that every clip can be decoded and has a picture for each moment of its span.

    NVENC is measured where it has just encoded pictures on this machine, and else said not to.
    """
    config = Config(analyze=AnalyzeConfig(model="none", fps=request.fps), pick=PickConfig(diversity=0, min_gap=1))
    document = bt.pick(bt.analyze(path, config), config)
    # The take's path is in the moments: `export` finds it from there.
    moments = request.folder / "moments.json"
    moments.write_text(document.to_json(), encoding="utf-8")
    starts = [moment.start_s for moment in document.moments]
    for encoder in ENCODERS:
        try:
            name = _encoder(path, encoder)
        except Skipped as reason:
            yield {"settings": {"encoder": encoder}, "skipped": str(reason)}
            continue
        out = request.folder / f"clips-{encoder}"
        command = [sys.executable, "-m", "bestshot_trt", "export", str(moments), "-q", "--overwrite", "-o", str(out)]
        ours, plain = wall_of([*command, "--encoder", encoder, "--no-cut-lists"]), _plain(request, path, starts)
        ours()
        gates.whole_clips(out, path)
        pairs = paired(ours, plain, request.runs, warm_up=False)
        yield {
            "take": take_of(path),
            "settings": {"encoder": name, "clips": len(starts), "plain": "libx264"},
            **compared(pairs),
            "clips_per_s": spread([len(starts) / seconds for seconds in pairs.ours]),
        }


def _encoder(path: Path, encoder: str) -> str:
    try:
        return choose_encoder(ExportConfig(encoder=encoder), hdr=probe(path).color.is_hdr).name
    except ExportError as error:
        raise Skipped(str(error)) from error


def _plain(request: Request, path: Path, starts: list[float]) -> Seconds:
    def run() -> float:
        started = time.perf_counter()
        for rank, start in enumerate(starts):
            cut_clip(path, request.folder / f"plain-{rank}.mp4", start)
        return time.perf_counter() - started

    return run
