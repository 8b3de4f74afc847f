"""Frames, seconds and SMPTE timecode at the frame rates that editors know, all in exact arithmetic.

Drop-frame timecode (SMPTE ST 12-1) leaves out labels, never frames: at 30000/1001 the labels 00 and 01 (at 60000/1001
00 to 03) of every minute but each tenth, so that an hour of labels is an hour of time to within 3.6 ms.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction

STANDARD_RATES = (
    Fraction(24000, 1001),
    Fraction(24),
    Fraction(25),
    Fraction(30000, 1001),
    Fraction(30),
    Fraction(50),
    Fraction(60000, 1001),
    Fraction(60),
)
"""Frames per second that every editor takes, in ascending order."""
_CAN_DROP = (Fraction(30000, 1001), Fraction(60000, 1001))
_TIMECODE = re.compile(r"(\d\d):(\d\d):(\d\d)([:;])(\d\d)", re.ASCII)


def nearest_rate(fps: Fraction) -> Fraction:
    """The standard rate whose ratio to ``fps`` is nearest to 1.

    Raises:
        ValueError: ``fps`` is not above 0.
    """
    if fps <= 0:
        raise ValueError(f"a frame rate of {fps} Hz is none; it must be above 0")
    return min(STANDARD_RATES, key=lambda rate: max(rate / fps, fps / rate))


@dataclass(frozen=True)
class Rate:
    """Exactly ``fps`` frames a second, counted in drop-frame timecode or not.

    Raises:
        ValueError: ``fps`` is no standard rate, or none that can drop labels though ``drop`` is True.
    """

    fps: Fraction
    drop: bool = False

    def __post_init__(self) -> None:
        if self.fps not in STANDARD_RATES:
            raise ValueError(f"{self.fps} frames a second is no standard rate")
        if self.drop and self.fps not in _CAN_DROP:
            raise ValueError(f"there is no drop-frame timecode at {self.fps} frames a second")

    @classmethod
    def of(cls, fps: Fraction, *, drop: bool) -> Rate:
        """The rate ``fps``, with drop-frame timecode if asked for and there is one."""
        return cls(fps, drop and fps in _CAN_DROP)

    @property
    def nominal(self) -> int:
        """Labels in a second of timecode: 30 at 30000/1001."""
        return math.ceil(self.fps)

    @property
    def is_ntsc(self) -> bool:
        """Whether it runs at 1000/1001 of its labels."""
        return self.fps.denominator != 1

    @property
    def frames_a_day(self) -> int:
        """Frames after which timecode begins again at 00:00:00:00."""
        return 86400 * self.nominal - self._dropped * 24 * 54

    @property
    def _dropped(self) -> int:
        """Labels left out at the start of a minute."""
        return self.nominal // 15 if self.drop else 0

    def frames(self, seconds: float | Fraction) -> int:
        """The whole number of frames nearest to ``seconds``, halves up."""
        return math.floor(Fraction(seconds) * self.fps + Fraction(1, 2))

    def seconds(self, frames: int) -> Fraction:
        """The time at which frame number ``frames`` begins."""
        return frames / self.fps

    def timecode(self, frames: int) -> str:
        """``HH:MM:SS:FF`` of frame number ``frames``, ``HH:MM:SS;FF`` with drop-frame; it wraps after 24 hours.

        Raises:
            ValueError: ``frames`` is negative.
        """
        if frames < 0:
            raise ValueError(f"frame {frames} has no timecode; it must be 0 or more")
        label = self._label(frames % self.frames_a_day)
        seconds, frame = divmod(label, self.nominal)
        minutes, second = divmod(seconds, 60)
        hour, minute = divmod(minutes, 60)
        return f"{hour:02d}:{minute:02d}:{second:02d}{';' if self.drop else ':'}{frame:02d}"

    def _label(self, frames: int) -> int:
        """``frames`` plus all labels left out before it."""
        dropped = self._dropped
        short_minute = 60 * self.nominal - dropped
        tens, rest = divmod(frames, 10 * short_minute + dropped)
        # The first of ten minutes is longer, for it drops nothing.
        minutes = max(0, rest - dropped) // short_minute
        return frames + dropped * (9 * tens + minutes)

    def frame_number(self, timecode: str) -> int:
        """The frame number that `timecode` writes so.

        Raises:
            ValueError: it is no timecode at this rate, or a label that drop-frame leaves out.
        """
        parts = _TIMECODE.fullmatch(timecode)
        if parts is None or (parts[4] == ";") != self.drop:
            raise ValueError(f"{timecode!r} is no timecode HH:MM:SS{';' if self.drop else ':'}FF")
        hour, minute, second, frame = (int(parts[group]) for group in (1, 2, 3, 5))
        if hour > 23 or minute > 59 or second > 59 or frame >= self.nominal:
            raise ValueError(f"{timecode!r} is no timecode at {self.fps} frames a second")
        if minute % 10 and not second and frame < self._dropped:
            raise ValueError(f"{timecode!r} is a label that drop-frame timecode leaves out")
        minutes = 60 * hour + minute
        return (60 * minutes + second) * self.nominal + frame - self._dropped * (minutes - minutes // 10)
