"""Peak memory of `analyze` on a short and a long version of one take: it must not grow with length."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import imageio_ffmpeg

_PEAK = (
    "import resource, runpy, sys; sys.argv[0] = 'bestshot-trt'\n"
    "try: runpy.run_module('bestshot_trt', run_name='__main__')\n"
    "except SystemExit: pass\n"
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
)


def looped(path: Path, seconds: float, folder: Path) -> Path:
    """``path`` repeated to ``seconds`` without encoding it again."""
    out = folder / f"{path.stem}-{seconds:.0f}s.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-stream_loop", "-1", "-i", str(path)]
    subprocess.run([*command, "-map", "0:v:0", "-c", "copy", "-t", str(seconds), str(out)], check=True)
    return out


def peak_mib(path: Path, folder: Path) -> float:
    """Peak resident memory of one `analyze`, in MiB."""
    track = folder / "track.parquet"
    track.unlink(missing_ok=True)
    arguments = ["analyze", str(path), "-q", "--model", "none", "-o", str(track)]
    done = subprocess.run([sys.executable, "-c", _PEAK, *arguments], check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1]) / (1024 if sys.platform != "darwin" else 1024 * 1024)


def measure(path: Path, short_s: float, long_s: float) -> dict[str, Any]:
    """One row: both peaks and their ratio."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        short = peak_mib(looped(path, short_s, folder), folder)
        long = peak_mib(looped(path, long_s, folder), folder)
    return {
        "case": "memory-against-length",
        "file": path.name,
        "short_s": short_s,
        "long_s": long_s,
        "short_mib": round(short, 1),
        "long_mib": round(long, 1),
        "ratio": round(long / short, 3),
        "page_kib": resource.getpagesize() // 1024,
    }
