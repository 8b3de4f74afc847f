"""Takes made on the spot, whose pictures tell their number and whose sound tells the time; and clips read back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from bestshot_trt.config import ExportConfig
from bestshot_trt.decode import probe
from bestshot_trt.export import ClipResult, write_clip

BITS, CELL = 8, 16
SIZE = (BITS * CELL, 48)
# libavcodec conceals the damage of these by thread count and timing, so that two decodes of one differ.
CONCEALED = {"dec_corrupted.mp4", "ff_1903669.mp4"}
UNEVEN = [0, 3, 4, 7, 12, 13, 14, 19, 21, 26, 27, 28, 29, 35, 36, 41, 42, 43, 50, 51]
"""Times of a variable frame rate, in steps of 20 ms."""


def numbered(number: int, width: int = SIZE[0], height: int = SIZE[1]) -> np.ndarray:
    """A grey picture whose cells are the bits of ``number``, brighter from top to bottom."""
    bits = [60 + 120 * (number >> bit & 1) for bit in range(BITS)]
    row = np.repeat(bits, CELL)[:width]
    grey = row[None, :] + np.linspace(0, 30, height)[:, None]
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)


def number_of(picture: np.ndarray) -> int:
    cells = picture[:, : BITS * CELL].mean(axis=(0, 2)).reshape(BITS, CELL).mean(axis=1)
    return int(sum(1 << bit for bit in range(BITS) if cells[bit] > 135))


@dataclass(kw_only=True)
class Take:
    """The recipe of a generated take."""

    ticks: Sequence[int] = tuple(range(40))
    tick: Fraction = Fraction(1, 25)
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    rotation: int = 0
    aspect: Fraction | None = None
    options: dict[str, str] | None = None
    picture: Callable[[int], np.ndarray] = numbered
    color: dict[str, int] | None = None
    tone: Callable[[np.ndarray], np.ndarray] | None = None
    tone_start: float = 0.0


def make(path: Path, take: Take) -> Path:
    """Encode ``take`` with B-frames where the codec has them; sound is 48 kHz PCM or AAC."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(take.codec, rate=25, options=take.options or {})
        first = take.picture(0)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = take.pix_fmt
        stream.codec_context.time_base = Fraction(1, 12800)
        if take.aspect:
            stream.codec_context.sample_aspect_ratio = take.aspect
        for name, value in (take.color or {}).items():
            setattr(stream.codec_context, name, value)
        if take.rotation:
            stream.set_display_rotation(-take.rotation)
        sound = _add_sound(output, take) if take.tone else None
        for number, tick in enumerate(take.ticks):
            frame = av.VideoFrame.from_ndarray(take.picture(number), "rgb24")
            matrix = (take.color or {}).get("colorspace", 1)
            frame = frame.reformat(
                format=take.pix_fmt,
                dst_colorspace=None if take.pix_fmt.startswith("gbr") else matrix,
                dst_color_range=(take.color or {}).get("color_range", 0) or None,
            )
            frame.pts, frame.time_base = round(tick * take.tick * 12800), Fraction(1, 12800)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if sound is not None:
            output.mux(sound)
    return path


def _add_sound(output: av.container.OutputContainer, take: Take) -> list[av.Packet]:
    stream = output.add_stream("aac", rate=48000, layout="mono")
    seconds = float(take.ticks[-1] * take.tick) + 0.04 - take.tone_start
    wave = take.tone(take.tone_start + np.arange(int(seconds * 48000)) / 48000).astype(np.float32)
    packets = []
    for start in range(0, len(wave), 1024):
        frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], "fltp", "mono")
        frame.sample_rate, frame.time_base = 48000, Fraction(1, 48000)
        frame.pts = start + round(take.tone_start * 48000)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def beep_at(*times: float) -> Callable[[np.ndarray], np.ndarray]:
    """Silence with a tone of 60 ms from each of ``times`` on."""

    def wave(t: np.ndarray) -> np.ndarray:
        on = np.any([(t >= at) & (t < at + 0.06) for at in times], axis=0)
        return 0.5 * on * np.sin(2 * np.pi * 1000 * t)

    return wave


@dataclass
class Clip:
    """A decoded clip: its pictures as RGB, their times, and its sound as (seconds, samples)."""

    pictures: list[np.ndarray]
    frames: list[av.VideoFrame]
    times: list[Fraction]
    seconds: float
    aspect: Fraction
    sound: tuple[float, np.ndarray] | None

    @property
    def numbers(self) -> list[int]:
        return [number_of(picture) for picture in self.pictures]


def read(path: Path) -> Clip:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        clip = Clip(
            [frame.to_ndarray(format="rgb24") for frame in frames],
            frames,
            [frame.pts * stream.time_base for frame in frames],
            container.duration / 1e6,
            stream.sample_aspect_ratio or Fraction(1),
            None,
        )
    with av.open(str(path)) as container:
        if container.streams.audio:
            heard = list(container.decode(audio=0))
            samples = np.concatenate([frame.to_ndarray().mean(axis=0) for frame in heard])
            clip.sound = (float(heard[0].pts * heard[0].time_base), samples)
    return clip


def beeps(clip: Clip) -> list[float]:
    """Clip times at which a tone sets in."""
    assert clip.sound is not None
    start, samples = clip.sound
    envelope = np.convolve(np.abs(samples), np.ones(96) / 96, "same") > 0.1
    onsets = np.flatnonzero(envelope[1:] & ~envelope[:-1]) + 1
    return [start + onset / 48000 for onset in onsets]


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = np.mean((one.astype(float) - other.astype(float)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def cut(source: Path, start: float | Fraction, end: float | Fraction, **config: object) -> tuple[ClipResult, Clip]:
    result = write_clip(
        probe(source), start, end, source.with_name(f"clip of {source.stem}.mp4"), ExportConfig(**config)
    )
    return result, read(result.path)
