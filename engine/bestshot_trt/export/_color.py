"""Gentle correction of a clip's exposure, white balance and contrast: one set of curves for all of it, so no flicker.

Every step is monotone and bounded, and has a dead zone in which it does nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..frames import VideoInfo, score_size

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

SAMPLES = 12
"""Pictures of a clip that are looked at, spread evenly over it."""
SAMPLE_HEIGHT = 240
NODES = 1024

MID = 118 / 255
"""Luma of mid exposure: an 18 % grey card in sRGB."""
EXPOSURE_SPARED = 0.1
"""A mean luma so near to `MID` is left as it is."""
EXPOSURE_SHARE = 0.65
"""How much of the rest is made up for."""
BRIGHTEST_GAMMA, DARKEST_GAMMA = 1 / 1.7, 1.5
"""The exponents at most: 0.2 of full scale brighter, or 0.15 darker, where it is most."""
LEVEL_SPARED, LEVEL_SHARE, LARGEST_LEVEL = 0.03, 0.5, 0.04
"""The 0.5th and the 99.5th percentile of luma: so far from black and white they may be, so much of the rest goes,
and so far each end is moved at most."""
BALANCE_SHARE, LARGEST_BALANCE = 0.5, 0.04
"""How much of a cast is taken away, and how far a channel's encoded value is scaled at most."""
BALANCE_SPARED = 0.015
_NEUTRAL_SATURATION = 0.3
_ENOUGH_NEUTRALS = 0.1
"""Pixels of less saturation may be grey; where fewer than this share are, a colour is what the picture shows."""
_LUMA = np.array([0.299, 0.587, 0.114])

Pictures = npt.NDArray[np.uint8]
Curve = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Correction:
    """Curves for encoded RGB in [0, 1]: ``clip((x - black) / (white - black) * gains) ** gamma``."""

    black: float = 0.0
    white: float = 1.0
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Of red, green and blue; white balance, which keeps the luma of grey."""
    gamma: float = 1.0
    """Below 1 brightens."""

    @property
    def is_identity(self) -> bool:
        """Whether it leaves everything as it is."""
        return self == Correction()

    def __call__(self, rgb: Curve) -> Curve:
        """Corrected RGB in [0, 1] of ``rgb`` (..., 3) in [0, 1]."""
        levelled = (rgb - self.black) / (self.white - self.black) * np.array(self.gains)
        corrected: Curve = np.clip(levelled, 0, 1) ** self.gamma
        return corrected

    def __str__(self) -> str:
        parts = []
        if self.gamma != 1:
            parts.append(f"{'brightened' if self.gamma < 1 else 'darkened'} by a gamma of {self.gamma:.2f}")
        if (self.black, self.white) != (0, 1):
            parts.append(f"levels {self.black:.3f} to {self.white:.3f} stretched")
        if self.gains != (1, 1, 1):
            parts.append("white balance " + ":".join(f"{gain:.3f}" for gain in self.gains))
        return ", ".join(parts) or "nothing to correct"


def correction_of(pictures: Pictures) -> Correction:
    """What brings ``pictures``, uint8 RGB (n, h, w, 3), nearer to mid exposure, full contrast and grey greys.

    Exposure: a gamma that takes the mean luma towards `MID`, as far as the constants above allow. Contrast: black and
    white points towards the 0.5th and 99.5th percentile of luma. White balance: gains towards equal means of red, green
    and blue (grey world) over pixels that may be grey; less of it the fewer they are.
    """
    rgb = pictures.reshape(-1, 3) / 255.0
    black, white = _levels(rgb @ _LUMA)
    levelled = Correction(black=black, white=white)(rgb)
    gains = _gains(levelled)
    balanced = np.clip(levelled * np.array(gains), 0, 1)
    return Correction(black=black, white=white, gains=gains, gamma=_gamma(balanced @ _LUMA))


def _levels(luma: Curve) -> tuple[float, float]:
    low, high = (float(level) for level in np.percentile(luma, (0.5, 99.5)))
    black = min(LARGEST_LEVEL, LEVEL_SHARE * max(0.0, low - LEVEL_SPARED))
    white = min(LARGEST_LEVEL, LEVEL_SHARE * max(0.0, 1 - LEVEL_SPARED - high))
    return black, 1 - white


def _gains(rgb: Curve) -> tuple[float, float, float]:
    highest, lowest = rgb.max(axis=1), rgb.min(axis=1)
    told = (highest > 0.08) & (highest < 0.98)
    saturation = (highest - lowest) / np.maximum(highest, 1e-6)
    neutral = told & (saturation < _NEUTRAL_SATURATION)
    if not neutral.any():
        return (1.0, 1.0, 1.0)
    means = rgb[neutral].mean(axis=0)
    trust = min(1.0, float(neutral.mean()) / _ENOUGH_NEUTRALS)
    wanted = means.mean() / means - 1
    kept = np.sign(wanted) * np.maximum(np.abs(wanted) - BALANCE_SPARED, 0)
    gains = 1 + np.clip(kept * BALANCE_SHARE * trust, -LARGEST_BALANCE, LARGEST_BALANCE)
    if (gains == 1).all():
        return (1.0, 1.0, 1.0)
    red, green, blue = (gains / (gains @ _LUMA)).tolist()
    return red, green, blue


def _gamma(luma: Curve) -> float:
    mean = float(luma.mean())
    excess = max(0.0, abs(MID - mean) - EXPOSURE_SPARED)
    target = mean + math.copysign(EXPOSURE_SHARE * excess, MID - mean)
    if target == mean:
        return 1.0
    low, high = BRIGHTEST_GAMMA, DARKEST_GAMMA
    levels, counts = np.unique(np.round(luma * 1023), return_counts=True)
    for _ in range(24):
        middle = math.sqrt(low * high)
        # A higher exponent darkens.
        if float((levels / 1023) ** middle @ counts) / len(luma) > target:
            low = middle
        else:
            high = middle
    return round(math.sqrt(low * high), 4)


def sampled(info: VideoInfo, start: Fraction, end: Fraction) -> Pictures:
    """Small pictures spread evenly over [start, end) seconds of media time, uint8 RGB (n, h, w, 3); HDR tone-mapped.

    Raises:
        DecodeError: none of them can be decoded.
    """
    from ..decode import ScorePicture, frames_between

    convert = ScorePicture(info, score_size(info.display_size, SAMPLE_HEIGHT)).convert
    frames = frames_between(info, start, end)
    return np.stack([convert(frame).copy() for frame in _spread(info, frames, start, end)])


def _spread(info: VideoInfo, frames: Iterator[VideoFrame], start: Fraction, end: Fraction) -> Iterator[VideoFrame]:
    """The first frame of each of `SAMPLES` equal parts; one at least."""
    due = start
    for number, frame in enumerate(frames):
        at = info.media_time(frame.pts) if frame.pts is not None else start
        if number == 0 or at >= due:
            yield frame
            due = max(due, at) + (end - start) / SAMPLES


def write_curves(correction: Correction, path: Path) -> None:
    """Write ``correction`` as a 1D .cube table of `NODES` rows, for ffmpeg's ``lut1d``."""
    axis = np.repeat(np.linspace(0, 1, NODES)[:, None], 3, axis=1)
    rows = "\n".join(" ".join(f"{value:.6f}" for value in row) for row in correction(axis).tolist())
    path.write_text(f"LUT_1D_SIZE {NODES}\n{rows}\n", encoding="ascii")
