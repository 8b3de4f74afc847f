"""Takes to measure on, named by how they are made: ``loop:FILE:600``, ``start:FILE:30``, ``made:h264:1080p:60``."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from bestshot_trt.decode import probe
from bestshot_trt.errors import BestshotError
from bestshot_trt.export._ffmpeg import find_ffmpeg

HEIGHTS = {"720p": (1280, 720), "1080p": (1920, 1080), "4k": (3840, 2160)}
ENCODERS = {
    "h264": ("libx264", "-preset", "veryfast"),
    "hevc": ("libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"),
    "vp9": ("libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"),
    "av1": ("libsvtav1", "-preset", "12"),
}
RATE = 30
_SECONDS = r"(?=[\d.]*[1-9])\d*\.?\d*"
"""A number above 0."""


def resolve(name: str, folder: Path) -> Path:
    """The file that ``name`` stands for, made in ``folder`` unless it is a file already.

    Raises:
        ValueError: a recipe that cannot be read.
        BestshotError: its file is missing or no video, or ffmpeg cannot make it.
    """
    kind, *rest = split(name)
    if kind in ("loop", "start"):
        file = probe(Path(rest[0])).path
        return (looped if kind == "loop" else begun)(file, float(rest[1]), folder)
    if kind == "made":
        codec, size, seconds, *options = rest
        return made(codec, size, float(seconds), dict(part.split("=", 1) for part in options), folder)
    return Path(name)


def split(name: str) -> list[str]:
    """The parts of a recipe; of a file only itself. A file's name in a recipe may hold colons.

    Raises:
        ValueError: a recipe that cannot be read.
    """
    kind, _, rest = name.partition(":")
    if kind in ("loop", "start") and (match := re.fullmatch(rf"(.+):({_SECONDS})", rest, re.DOTALL)):
        return [kind, match[1], match[2]]
    if kind == "made" and re.fullmatch(rf"\w+:\w+:{_SECONDS}(:(gop|b)=\d+)*", rest):
        return [kind, *rest.split(":")]
    if kind in ("loop", "start", "made") and rest:
        raise ValueError(f"{name}: need loop:FILE:SECONDS, start:FILE:SECONDS or made:CODEC:SIZE:SECONDS[:gop=N][:b=N]")
    return [name]


def looped(path: Path, seconds: float, folder: Path) -> Path:
    """``path`` repeated to ``seconds`` without encoding it again."""
    out = folder / f"{path.stem}-loop-{seconds:g}s.mp4"
    return _copied(path, seconds, out, "-stream_loop", "-1")


def begun(path: Path, seconds: float, folder: Path) -> Path:
    """The first ``seconds`` of ``path`` without encoding it again."""
    out = folder / f"{path.stem}-start-{seconds:g}s{path.suffix}"
    return _copied(path, seconds, out)


def _copied(path: Path, seconds: float, out: Path, *reading: str) -> Path:
    """``seconds`` of the video of ``path``, read with options, as ``out``, which is not made again."""
    if not out.exists():
        source = (*reading, "-i", f"file:{path.absolute()}")
        _ffmpeg(*source, "-map", "0:v:0", "-c", "copy", "-t", f"{seconds:g}", str(out))
    return out


def made(codec: str, size: str, seconds: float, options: dict[str, str], folder: Path) -> Path:
    """A moving test picture with grain, encoded as asked."""
    if codec not in ENCODERS or size not in HEIGHTS or set(options) - {"gop", "b"}:
        raise ValueError(f"made:{codec}:{size}: need one of {', '.join(ENCODERS)}, of {', '.join(HEIGHTS)}; gop=N, b=N")
    width, height = HEIGHTS[size]
    suffix = "".join(f"-{key}{value}" for key, value in sorted(options.items()))
    out = folder / f"made-{codec}-{size}-{seconds:g}s{suffix}.{'mkv' if codec in ('vp9', 'av1') else 'mp4'}"
    if not out.exists():
        picture = f"mandelbrot=size={width}x{height}:rate={RATE},noise=alls=6:allf=t"
        flags = [
            *(("-g", options["gop"]) if "gop" in options else ()),
            *(("-bf", options["b"]) if "b" in options else ()),
        ]
        encoder, *rest = ENCODERS[codec]
        source = ("-f", "lavfi", "-i", picture, "-t", f"{seconds:g}", "-pix_fmt", "yuv420p")
        _ffmpeg(*source, "-c:v", encoder, *rest, *flags, str(out))
    return out


def _ffmpeg(*arguments: str) -> None:
    # SVT-AV1 speaks past ffmpeg's own settings.
    quiet = {**os.environ, "SVT_LOG": "1"}
    command = [find_ffmpeg(), "-v", "error", "-nostdin", *arguments]
    done = subprocess.run(command, check=False, env=quiet, capture_output=True, text=True, errors="replace")
    if done.returncode:
        words = done.stderr.strip().splitlines() or ["no message"]
        # Rows are kept and shown: where files lie is nobody's business.
        said = re.sub(r"(file:)?/\S*/", "", words[-1])
        raise BestshotError(f"{Path(arguments[-1]).name}: ffmpeg cannot make it: {said}")


def label(name: str) -> str:
    """``name`` without the folders of its file."""
    kind, *rest = split(name)
    if kind in ("loop", "start"):
        return f"{kind}:{Path(rest[0]).name}:{rest[1]}"
    return name if kind == "made" else Path(name).name


def file_of(name: str) -> Path | None:
    """The file that ``name`` is or is made of; None for a made take."""
    kind, *rest = split(name)
    if kind == "made":
        return None
    return Path(rest[0]) if kind in ("loop", "start") else Path(name)
