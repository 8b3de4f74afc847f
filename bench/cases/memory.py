"""Peak memory of `analyze` on a short and a long version of one take: it must not grow with length."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ..inputs import looped
from ..registry import Request, Row, case

SHORT_S, LONG_S = 600, 7200

# Linux counts into ru_maxrss what the process was before it became this program: a copy of whoever started it.
_PEAK = """
import pathlib, resource, runpy, sys
sys.argv[0] = "bestshot-trt"
try:
    runpy.run_module("bestshot_trt", run_name="__main__")
except SystemExit:
    pass
status = pathlib.Path("/proc/self/status")
if status.exists():
    print(next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:")))
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_mib(path: Path, folder: Path) -> float:
    """Peak resident memory of one `analyze`, in MiB."""
    track = folder / "track.parquet"
    track.unlink(missing_ok=True)
    arguments = ["analyze", str(path), "-q", "--model", "none", "-o", str(track)]
    done = subprocess.run([sys.executable, "-c", _PEAK, *arguments], check=True, capture_output=True, text=True)
    if not track.is_file():
        raise subprocess.SubprocessError(f"{path}: analyze wrote no track")
    return int(done.stdout.split()[-1]) / (1024 if sys.platform != "darwin" else 1024 * 1024)


@case("memory", "peak memory of analyze on two hours against ten minutes of a take")
def memory(request: Request, path: Path) -> Iterator[Row]:
    """Both peaks and their ratio."""
    short = peak_mib(looped(path, SHORT_S, request.folder), request.folder)
    long = peak_mib(looped(path, LONG_S, request.folder), request.folder)
    settings = {"short_s": SHORT_S, "long_s": LONG_S, "model": "none"}
    yield {"settings": settings, "unit": "MiB", "short": round(short, 1), "long": round(long, 1), "ratio": long / short}
