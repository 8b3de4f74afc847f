"""Rows as charts: one bar a row with its spread and, where there is one, its target."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

WIDTH, LABELS, VALUES = 960, 380, 130
"""Pixels: of all, of the words on the left and of those on the right."""
ROW, AXIS = 26, 44
_LOG_FROM = 50
"""Values that differ by more than this factor are shown on a logarithmic axis, as dots."""


@dataclass(frozen=True)
class Point:
    """One row of a chart."""

    label: str
    value: float
    low: float
    high: float
    """20th and 80th percentile; the value itself where it was taken once."""
    text: str
    """The value in words."""
    target: float | None = None


@dataclass(frozen=True)
class Chart:
    """What is shown together, on one axis."""

    title: str
    axis: str
    """What the axis counts, with its unit."""
    points: tuple[Point, ...]

    def svg(self) -> str:
        """The chart as an ``svg`` element, which takes its colours from the page."""
        axis = _Axis.over(self.points)
        height = ROW * len(self.points) + AXIS
        parts = [
            f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html.escape(self.title, quote=True)}">',
            *self._grid(axis),
        ]
        for number, point in enumerate(self.points):
            parts += _row(point, ROW * number, axis)
        return "".join([*parts, "</svg>"])

    def _grid(self, axis: _Axis) -> Iterator[str]:
        bottom = ROW * len(self.points)
        for value in axis.ticks():
            x = axis.x(value)
            yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{bottom}"/>'
            yield f'<text class="tick" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{value:g}</text>'
        middle = (LABELS + WIDTH - VALUES) / 2
        yield f'<text class="tick" x="{middle}" y="{bottom + 34}" text-anchor="middle">{html.escape(self.axis)}</text>'


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    is_log: bool

    @classmethod
    def over(cls, points: Sequence[Point]) -> _Axis:
        values = [value for point in points for value in (point.low, point.value, point.high, point.target) if value]
        most, least = max(values, default=1.0), min(values, default=1.0)
        if least > 0 and most / least > _LOG_FROM:
            return cls(10 ** math.floor(math.log10(least)), 10 ** math.ceil(math.log10(most * 1.01)), True)
        step = _step(most)
        return cls(min(0.0, math.floor(least / step) * step), math.ceil(most * 1.01 / step) * step, False)

    def x(self, value: float) -> float:
        if self.is_log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return LABELS + share * (WIDTH - LABELS - VALUES)

    def ticks(self) -> Iterator[float]:
        if self.is_log:
            yield from (10.0**power for power in range(round(math.log10(self.low)), round(math.log10(self.high)) + 1))
            return
        step = _step(self.high - self.low)
        yield from (self.low + step * number for number in range(round((self.high - self.low) / step) + 1))


def _step(most: float) -> float:
    """A round number that fits about five times."""
    power = 10.0 ** math.floor(math.log10(most / 5))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor * 6 >= most)


def _row(point: Point, top: int, axis: _Axis) -> Iterator[str]:
    middle, zero, end = top + ROW / 2, axis.x(max(0.0, axis.low)), axis.x(point.value)
    label = point.label if len(point.label) <= 58 else f"{point.label[:56]}..."
    yield f'<text x="{LABELS - 8}" y="{middle + 4}" text-anchor="end">{html.escape(label)}'
    yield f"<title>{html.escape(point.label)}</title></text>"
    if axis.is_log:
        yield f'<circle class="bar" cx="{end:.1f}" cy="{middle}" r="5"/>'
    else:
        left, width = min(zero, end), max(1.0, abs(end - zero))
        yield f'<rect class="bar" x="{left:.1f}" y="{top + 6}" width="{width:.1f}" height="{ROW - 12}" rx="2"/>'
    low, high = axis.x(point.low), axis.x(point.high)
    ends = "".join(f"M{x:.1f} {middle - 4}v8" for x in (low, high))
    yield f'<path class="spread" d="M{low:.1f} {middle}H{high:.1f}{ends}"/>'
    target = axis.x(point.target) if point.target is not None else 0.0
    if target:
        yield f'<line class="target" x1="{target:.1f}" x2="{target:.1f}" y1="{top}" y2="{top + ROW}"/>'
    # Beside everything that is drawn in the row, so that nothing runs through the figure.
    after = max(end, high, target) + 8
    yield f'<text class="figure" x="{after:.1f}" y="{middle + 4}">{html.escape(point.text)}</text>'
