"""One command, one table: what this machine's GPU gives, piece by piece.

    python bench/gpu_check.py
    python bench/gpu_check.py --video take.mp4 --model path/to/ViT-B-32 --save

Pieces: cards with driver, NVDEC and NVENC; packages; every kernel compiled, compared with its reference and timed
against the bandwidth of a copy; DALI's decoder by streams at a time, with the load of NVDEC; CLIP; the whole product
on the GPU against itself on the CPU. A piece that cannot run says why and the others go on, so this is of use on any
machine, also one with no GPU. Each has a process of its own, so that a crash or a dead device costs only that piece,
and is ended after --limit seconds. What ran and gave a wrong result is WRONG, and makes the exit code 1.

Nothing of this checkout need be installed. Needed by the kernels: NumPy, CuPy, NVRTC; by decode: DALI and NVDEC's
library; by the stand-in for CLIP: PyTorch; by the whole: what pip install "bestshot-trt[gpu]" brings
(docs/gpu-install.md).
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "engine"), str(ROOT / "kernels")]

from bench.gpu.rows import NOT_RUN, WRONG, Row, guarded  # noqa: E402

EPILOG = """
A machine without a network: packages travel as wheels. On a machine with one,

  pip download --only-binary=:all: --python-version 3.12 --platform manylinux_2_28_x86_64 \\
      --platform manylinux_2_27_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \\
      --platform manylinux1_x86_64 -d wheels nvidia-dali-cuda130 cupy-cuda13x nvidia-cuda-nvrtc nvidia-ml-py av

and there, pip install --no-index --find-links wheels NAME. Where single files may not be as large as DALI's wheel (200
MB and more), carry it in pieces, and compare with sha256sum:

  split -b 60M -d WHEEL dali.         # makes dali.00, dali.01, ...
  cat dali.?? > WHEEL                 # there, under the very name it had

A clip to decode is an MP4 with H.264 and no other track; without PyAV its frames are counted in its index:

  ffmpeg -f lavfi -i testsrc2=s=1920x1080:r=30:d=10 -c:v libx264 -g 60 -pix_fmt yuv420p clip.mp4
"""

LIMIT_S = 240.0
SAVED = ROOT / "bench" / "results" / "gpu"
Piece = Callable[[argparse.Namespace], Iterator[Row]]


def _pieces() -> dict[str, Piece]:
    """Each imports what it needs when it is run."""

    def late(module: str, function: str) -> Piece:
        def piece(options: argparse.Namespace) -> Iterator[Row]:
            import importlib

            yield from getattr(importlib.import_module(f"bench.gpu.{module}"), function)(options)

        return piece

    return {
        "machine": late("machine", "cards"),
        "packages": late("machine", "packages"),
        "kernels": late("kernels", "run"),
        "decode": late("decode", "run"),
        "embed": late("embed", "run"),
        "whole": late("whole", "run"),
    }


def check(options: argparse.Namespace) -> dict[str, list[Row]]:
    """Run the pieces that were asked for, printing and keeping each row as it comes: who is stopped has the rest."""
    table: dict[str, list[Row]] = {}
    for name, piece in _pieces().items():
        if options.only and name not in options.only:
            continue
        table[name] = []
        found = guarded("all of it", partial(piece, options)) if options.here else apart(name, options.limit)
        for row in found:
            table[name].append(row)
            print(f"{name:9}  {row.status:7}  {row.what:28}  {row.value}", flush=True)
            if options.save:
                _save(table, options.save)
    return table


def apart(name: str, limit: float) -> Iterator[Row]:
    """The rows of one piece from a process of its own, and one more where that crashes or takes too many seconds."""
    reading, writing = os.pipe()
    command = [sys.executable, *sys.argv, "--only", name, "--rows-to", str(writing)]
    running = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[writing], start_new_session=True)
    os.close(writing)
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(reading, lines), daemon=True).start()
    until = time.monotonic() + limit
    try:
        while line := lines.get(timeout=max(0.0, until - time.monotonic())):
            yield Row(**json.loads(line))
        code = running.wait(timeout=max(1.0, until - time.monotonic()))
        if code:
            yield Row("all of it", NOT_RUN, f"its process ended with {code}")
    except (queue.Empty, subprocess.TimeoutExpired):
        yield Row("all of it", NOT_RUN, f"took over {limit:g} s and was ended")
    finally:
        # Not waited for: it may be in the kernel, with a dead card.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)


def _read(reading: int, lines: queue.Queue[str]) -> None:
    with os.fdopen(reading, encoding="utf-8") as pipe:
        for line in pipe:
            lines.put(line)
    lines.put("")


def _tell(options: argparse.Namespace) -> int:
    """Write the rows of the piece in ``options.only`` to the pipe ``options.rows_to``."""
    piece = _pieces()[options.only[0]]
    with os.fdopen(options.rows_to, "w", encoding="utf-8", buffering=1) as pipe:
        for row in guarded("all of it", partial(piece, options)):
            pipe.write(json.dumps(vars(row), default=str) + "\n")
    return 0


def _save(table: dict[str, list[Row]], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any] = {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "commit": _commit(),
        "table": {name: [vars(row) for row in rows] for name, rows in table.items()},
    }
    path.write_text(json.dumps(document, indent=2, default=str) + "\n", encoding="utf-8")


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT).stdout.strip()
    except OSError:
        return ""


def main() -> int:
    """Run, print, keep on request; 1 when something gave a wrong result."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--video", type=Path, nargs="+", default=[], help="files to decode and to compare tracks of")
    parser.add_argument("--model", type=Path, help="model folder for CLIP; without, a stand-in and --model none")
    parser.add_argument("--only", nargs="+", choices=list(_pieces()), help="pieces to run")
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu", help="where DALI decodes (cpu: VP9, MJPEG)")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for each piece (default %(default)g)")
    parser.add_argument("--here", action="store_true", help="all pieces in this process, and no limit")
    parser.add_argument(
        "--save",
        type=Path,
        nargs="?",
        const=SAVED,
        metavar="FOLDER",
        help="keep the table here (default bench/results/gpu)",
    )
    parser.add_argument("--rows-to", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rows_to is not None:
        return _tell(options)
    if options.save:
        options.save /= f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d-%H%M}.json"
    table = check(options)
    rows = [row for some in table.values() for row in some]
    wrong, missing = (sum(row.status == status for row in rows) for status in (WRONG, NOT_RUN))
    print(f"{len(rows)} rows: {wrong} wrong, {missing} not run")
    if options.save:
        print(options.save)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
