"""Many takes at once, by the number of worker processes."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bestshot_trt.speed.timing import Pairs, process

from ..figures import compared, footage_s, take_of
from ..inputs import looped
from ..registry import Red, Request, Row, case

TAKES = 4
TAKE_S = 30.0
MOST_WORKERS = 8


@case("batch", "batch by workers (1, 2, 4, ... up to the cores), against one worker, on takes looped from one")
def batch(request: Request, path: Path) -> Iterator[Row]:
    """Takes differ in length, so that none counts as a copy; the gate is that workers never change their picks."""
    footage = request.folder / f"batch-{path.stem}"
    footage.mkdir(exist_ok=True)
    takes = [looped(path, TAKE_S + number, footage) for number in range(TAKES)]
    total = sum(footage_s(take) for take in takes)
    counts = [1, *workers_to_try(os.cpu_count() or 1)]
    seconds: dict[int, list[float]] = {count: [] for count in counts}
    wanted: dict[str, Any] = {}
    for _ in range(request.runs):
        for count in counts:
            out = request.folder / "batch-out"
            shutil.rmtree(out, ignore_errors=True)
            seconds[count].append(_run(request, footage, out, count))
            same_picks(out, wanted)
    for count in counts:
        settings = {"workers": count, "takes": TAKES, "fps": request.fps, "model": request.model_name}
        pairs = Pairs(tuple(seconds[count]), tuple(seconds[1]))
        yield {"take": take_of(path), "settings": settings, **compared(pairs, total)}


def workers_to_try(cores: int) -> list[int]:
    """Powers of two above one, up to the cores."""
    return [count for count in (2, 4, 8) if count <= min(cores, MOST_WORKERS)]


def _run(request: Request, footage: Path, out: Path, workers: int) -> float:
    command = [sys.executable, "-m", "bestshot_trt", "batch", str(footage), "-o", str(out), "-q"]
    command += ["--workers", str(workers), "--model", str(request.model or "none"), "--fps", f"{request.fps:g}"]
    started = time.perf_counter()
    process([*command, "--backend", "cpu"])
    return time.perf_counter() - started


def same_picks(out: Path, wanted: dict[str, Any]) -> None:
    """Picks of every take in ``out`` are those in ``wanted``, which is filled by the first call.

    Raises:
        Red: they are not, or a take is missing.
    """
    found = {}
    for path in sorted(out.glob("takes/*/moments.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        found[path.parent.name] = [moment["peak_s"] for moment in document["moments"]]
    if len(found) != TAKES:
        raise Red(f"{len(found)} of {TAKES} takes have moments")
    if wanted and found != wanted:
        raise Red(f"another number of workers picks {found}; one picks {wanted}")
    wanted.update(found)
