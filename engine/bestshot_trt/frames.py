"""The data that stages hand to each other: what a video is, and batches of its pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Result = TypeVar("Result")

Later = Callable[[], Result]
"""A result on its way: calling it, once, waits for it. What raised on the way raises there."""


def finished(result: Result) -> Later[Result]:
    """A result that is here already."""
    return lambda: result


@dataclass(frozen=True, kw_only=True)
class ColorInfo:
    """How the decoded samples encode colour, with unspecified tags already resolved.

    ``matrix`` is ``bt601``, ``bt709``, ``bt2020`` or ``rgb``; ``transfer`` is ``sdr``, ``pq`` or ``hlg``.
    """

    matrix: str
    full_range: bool
    transfer: str

    @property
    def is_hdr(self) -> bool:
        """Whether the picture needs tone mapping before it is 8-bit RGB."""
        return self.transfer != "sdr"


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """One video track, as probed from its first decoded picture (never from the container's claims).

    Times inside are integer pts in ``time_base``; media time 0 is ``start_pts``.
    """

    path: Path
    container: str
    stream_index: int
    codec: str
    pix_fmt: str
    width: int
    """Coded picture width in pixels, before rotation."""
    height: int
    rotation: int
    """Clockwise degrees (0, 90, 180, 270) to turn the decoded picture for display."""
    pixel_aspect: Fraction
    time_base: Fraction
    start_pts: int
    """pts of the first displayed picture."""
    frame_rate: Fraction | None
    """Average frame rate the container claims; for display and estimates only."""
    duration_claim: float | None
    """Seconds the container claims; for progress estimates only."""
    color: ColorInfo
    interlaced: bool
    has_audio: bool

    @property
    def display_size(self) -> tuple[int, int]:
        """(width, height) in square pixels after pixel aspect ratio and rotation, not yet even."""
        width = max(1, round(self.width * self.pixel_aspect))
        return (self.height, width) if self.rotation % 180 else (width, self.height)

    def media_time(self, pts: int) -> Fraction:
        """Media time in seconds of ``pts``."""
        return (pts - self.start_pts) * self.time_base


@dataclass(frozen=True, kw_only=True)
class ModelView:
    """The square picture that a model wants of every sample, made from the decoded frame."""

    size: int
    """Its side in pixels."""
    framing: str
    """How the frame becomes square: ``crop``, ``squash`` or ``pad``, as in `bestshot_kernels.clip_resize`."""


@dataclass(frozen=True)
class FrameBatch:
    """Pictures and their times. ``pixels`` and ``views`` are valid until the next batch is read.

    ``pixels`` is uint8 RGB of shape (n, h, w, 3); ``times`` float64 (n,) are the sampling times in
    seconds of media time; ``pts`` int64 (n,) are those of the pictures on screen at those times;
    ``views`` is uint8 RGB (n, size, size, 3) when a `ModelView` was asked for.

    Raises:
        ValueError: dtype, rank or lengths do not fit.
    """

    pixels: npt.NDArray[np.uint8]
    times: npt.NDArray[np.float64]
    pts: npt.NDArray[np.int64]
    views: npt.NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        if self.pixels.dtype != "uint8" or self.pixels.ndim != 4 or self.pixels.shape[3] != 3:
            raise ValueError(f"pixels are {self.pixels.dtype} {self.pixels.shape}; need uint8 (n, h, w, 3)")
        if not len(self.pixels) == len(self.times) == len(self.pts):
            raise ValueError(
                f"{len(self.pixels)} pictures, {len(self.times)} times, {len(self.pts)} pts; need one each"
            )
        if self.views is not None and len(self.views) != len(self.times):
            raise ValueError(f"{len(self.views)} views of {len(self.times)} pictures; need one each")

    def __len__(self) -> int:
        return len(self.times)

    def part(self, which: slice) -> FrameBatch:
        """Some of the pictures, valid as long as all of them."""
        views = None if self.views is None else self.views[which]
        return FrameBatch(self.pixels[which], self.times[which], self.pts[which], views)


@dataclass(frozen=True, kw_only=True)
class LostStretch:
    """A stretch of media time that could not be decoded, in seconds, and the samples it cost."""

    start: float
    end: float
    samples: int


@dataclass(kw_only=True)
class DecodeReport:
    """What decoding one take did, filled in while it runs."""

    packets: int = 0
    packets_fed: int = 0
    duration: Fraction = Fraction(0)
    """End of the last frame in media time, known once decoding has ended."""
    lost: list[LostStretch] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Reasons, in words, for anything done another way than usual."""
    damaged: bool = False
    """Whether anything was lost or wrong so far; told while decoding runs, ahead of what was handed out."""


def score_size(display: tuple[int, int], score_height: int) -> tuple[int, int]:
    """(width, height) of the score picture: short side at most ``score_height``, both sides even.

    Never scaled up, except that a side shorter than 2 pixels becomes 2. The long side is the
    proportional one rounded to the nearest even number (halves up), as ffmpeg's ``scale=-2:H``.
    """
    width, height = display
    short, long = min(display), max(display)
    new_short = max(2, min(score_height, short) // 2 * 2)
    new_long = max(2, (long * new_short + short) // (2 * short) * 2)
    new_long = max(2, min(new_long, long // 2 * 2))
    return (new_short, new_long) if width <= height else (new_long, new_short)
