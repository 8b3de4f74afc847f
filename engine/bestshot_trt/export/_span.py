"""A stretch of a take in whole ticks."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ..frames import VideoInfo

_FINEST_TIMESCALE = 10_000
_LARGEST_TIMESCALE = 100_000_000
_NTSC_NEAR = 0.005
"""How far 23.976, 29.97 and 59.94 may stand from the rates they are short for."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """[start, end) of media time in whole ticks of ``timescale`` a second, from ``start_pts`` on."""

    timescale: int
    start: int
    end: int

    @classmethod
    def of(cls, info: VideoInfo, start: Fraction, end: Fraction, rate: Fraction | None = None) -> Span:
        """Ticks in which every pts of the take, or of a constant ``rate``, is whole; both ends go to the nearest."""
        scale = timescale_of(1 / rate if rate else info.time_base)
        return cls(timescale=scale, start=round(start * scale), end=round(end * scale))

    @property
    def ticks(self) -> int:
        """Its length."""
        return max(1, self.end - self.start)

    def seconds(self, tick: int) -> Fraction:
        """``tick`` in seconds."""
        return Fraction(tick, self.timescale)


def timescale_of(time_base: Fraction) -> int:
    """Ticks per second that hold every multiple of ``time_base``, at least ten thousand.

    Time bases finer than 10 ns, which no camera writes, are rounded to a microsecond.
    """
    scale = time_base.denominator
    while scale < _FINEST_TIMESCALE:
        scale *= 2
    return scale if scale <= _LARGEST_TIMESCALE else 1_000_000


def exact_rate(rate: float) -> Fraction:
    """``rate`` pictures per second as the fraction that it is short for: 29.97 is 30000/1001."""
    whole = round(rate * 1001 / 1000)
    ntsc = Fraction(whole * 1000, 1001)
    if rate != round(rate) and whole > 0 and abs(float(ntsc) - rate) < _NTSC_NEAR:
        return ntsc
    return Fraction(rate).limit_denominator(1001)
