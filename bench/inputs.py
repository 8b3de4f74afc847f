"""Takes to measure on, named by how they are made: ``loop:FILE:600``, ``start:FILE:30``, ``made:h264:1080p:60``."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import imageio_ffmpeg

HEIGHTS = {"720p": (1280, 720), "1080p": (1920, 1080), "4k": (3840, 2160)}
ENCODERS = {
    "h264": ("libx264", "-preset", "veryfast"),
    "hevc": ("libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"),
    "vp9": ("libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"),
    "av1": ("libsvtav1", "-preset", "12"),
}
RATE = 30


def resolve(name: str, folder: Path) -> Path:
    """The file that ``name`` stands for, made in ``folder`` unless it is a file already.

    Raises:
        ValueError: a recipe that cannot be read.
    """
    kind, *rest = name.split(":")
    if kind == "loop" and len(rest) == 2:
        return looped(Path(rest[0]), float(rest[1]), folder)
    if kind == "start" and len(rest) == 2:
        return begun(Path(rest[0]), float(rest[1]), folder)
    if kind == "made" and len(rest) >= 3:
        codec, size, seconds, *options = rest
        return made(codec, size, float(seconds), dict(part.split("=", 1) for part in options), folder)
    if kind in ("loop", "start", "made"):
        raise ValueError(f"{name}: need loop:FILE:SECONDS, start:FILE:SECONDS or made:CODEC:SIZE:SECONDS[:gop=N][:b=N]")
    return Path(name)


def looped(path: Path, seconds: float, folder: Path) -> Path:
    """``path`` repeated to ``seconds`` without encoding it again."""
    out = folder / f"{path.stem}-loop-{seconds:g}s.mp4"
    if not out.exists():
        _ffmpeg("-stream_loop", "-1", "-i", str(path), "-map", "0:v:0", "-c", "copy", "-t", f"{seconds:g}", str(out))
    return out


def begun(path: Path, seconds: float, folder: Path) -> Path:
    """The first ``seconds`` of ``path`` without encoding it again."""
    out = folder / f"{path.stem}-start-{seconds:g}s{path.suffix}"
    if not out.exists():
        _ffmpeg("-i", str(path), "-map", "0:v:0", "-c", "copy", "-t", f"{seconds:g}", str(out))
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
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", *arguments], check=True, env=quiet)


def label(name: str) -> str:
    """``name`` without the folders of its file."""
    kind, *rest = name.split(":")
    if kind in ("loop", "start") and len(rest) == 2:
        return f"{kind}:{Path(rest[0]).name}:{rest[1]}"
    return name if kind == "made" else Path(name).name


def file_of(name: str) -> Path | None:
    """The file that ``name`` is or is made of; None for a made take."""
    kind, *rest = name.split(":")
    if kind == "made":
        return None
    return Path(rest[0]) if kind in ("loop", "start") and len(rest) == 2 else Path(name)
