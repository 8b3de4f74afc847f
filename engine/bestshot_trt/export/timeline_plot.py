"""The whole take in one SVG: score and measures over time, what was picked, and what was not and why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..clock import clock
from ..files import write_text
from ._curves import Series, drawable_runs, nice_values

Pick = tuple[int, float, float, float]
"""Rank, peak, start and end in seconds."""

_WIDTH, _LEFT, _RIGHT = 1600, 96, 28
_HEADER, _LABEL_ROW, _LABEL_ROWS = 88, 24, 6
_SCORE_HEIGHT, _MEASURE_HEIGHT, _SPACE, _FOOTER = 300, 96, 32, 56
_PLOT = _WIDTH - _LEFT - _RIGHT
_MOST_TICKS = 12
_MANY_REJECTED = 150
_STEPS = (
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    14400,
    21600,
    43200,
    86400,
)

_INK, _QUIET, _GRID, _PAGE, _PANEL = "#23262b", "#6a7078", "#e3e5e8", "#ffffff", "#f7f8f9"
_RAW, _SMOOTH, _PICK, _MEASURES = (
    "#9db4cc",
    "#1f5f9f",
    "#d9820f",
    ("#2f8f6b", "#a8487a", "#6a5fb0", "#8a6d2f"),
)


@dataclass(frozen=True)
class _Panel:
    """One strip of the plot: its rows on the page and the values they stand for."""

    top: float
    height: float
    low: float
    high: float

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.top + self.height * (1 - min(max(share, 0.0), 1.0))


def write_timeline(
    path: Path,
    *,
    times: npt.ArrayLike,
    score: npt.ArrayLike,
    score_smooth: npt.ArrayLike,
    measures: Mapping[str, npt.ArrayLike],
    picks: Sequence[Pick],
    rejections: Sequence[tuple[float, str]],
    duration: float,
    title: str,
) -> None:
    """Write the plot; under 1 MB however long the take is.

    Args:
        path: the ``.svg`` to write.
        times: (n,) seconds of media time, ascending; n may be 0.
        score: (n,) raw score; NaN is not drawn.
        score_smooth: (n,) smoothed score.
        measures: (n,) values by name, one panel each, in order; ``sharpness`` is drawn as log1p.
        picks: (rank, peak, start, end) each, in seconds.
        rejections: (peak in seconds, reason in words), shown as tooltips.
        duration: length of the take in seconds.
        title: usually the file's name.

    Raises:
        ExportError: the file cannot be written.
        ValueError: the arrays differ in length.
    """
    at = np.asarray(times, np.float64)
    raw, smooth = _series(at, score, "score"), _series(at, score_smooth, "score_smooth")
    plot = _Plot(at, max(duration, float(at[-1]) if len(at) else 0.0, 1e-3), picks)
    parts = [plot.header(title), plot.score(raw, smooth)]
    for index, (name, values) in enumerate(measures.items()):
        parts.append(plot.measure(name, _series(at, values, name), _MEASURES[index % len(_MEASURES)]))
    parts += [plot.spans(), plot.rejected(rejections, smooth), plot.picked(smooth), plot.axis()]
    write_text(path, plot.page(parts, title))


def _series(times: Series, values: npt.ArrayLike, name: str) -> Series:
    array = np.asarray(values, np.float64)
    if array.shape != times.shape:
        raise ValueError(f"{name} is of shape {array.shape}, the times of {times.shape}; they must be the same")
    return array


class _Plot:
    """Lays panels out from top to bottom and draws on them."""

    def __init__(self, times: Series, duration: float, picks: Sequence[Pick]) -> None:
        self._times, self._duration = times, duration
        self._picks = self._in_rows(picks)
        rows = max((row for _, row in self._picks), default=0) + 1
        self._top = float(_HEADER + _LABEL_ROW * rows)
        self._first_top = self._top
        self._score: _Panel | None = None

    def x(self, time: float) -> float:
        return _LEFT + _PLOT * min(max(time / self._duration, 0.0), 1.0)

    def header(self, title: str) -> str:
        entries = (
            (f'<path d="M0 0h26" stroke="{_RAW}" stroke-width="1.5"/>', "score"),
            (f'<path d="M0 0h26" stroke="{_SMOOTH}" stroke-width="3"/>', "smoothed score"),
            (f'<circle cx="13" r="6" fill="{_PICK}"/>', "pick"),
            ('<rect y="-7" width="26" height="14" class="c"/>', "its clip"),
            ('<circle cx="13" r="4" class="r"/>', "rejected peak"),
        )
        left, drawn = _LEFT, []
        for symbol, text in entries:
            drawn.append(f'<g transform="translate({left} 66)">{symbol}<text x="34" y="5">{text}</text></g>')
            left += 34 + 8 * len(text) + 24
        return (
            f'<text x="{_LEFT}" y="38" font-size="24" fill="{_INK}">{_xml(_shortened(title, 60))}</text>'
            f'<text x="{_WIDTH - _RIGHT}" y="71" text-anchor="end">{clock(self._duration)}</text>' + "".join(drawn)
        )

    def score(self, raw: Series, smooth: Series) -> str:
        panel = self._score = self._panel(_SCORE_HEIGHT, np.concatenate((raw, smooth)))
        return self._frame(panel, "") + self._line(panel, raw, _RAW, 1) + self._line(panel, smooth, _SMOOTH, 2.5)

    def measure(self, name: str, values: Series, color: str) -> str:
        if name == "sharpness":
            name, values = "sharpness (log1p)", np.log1p(np.maximum(values, 0))
        panel = self._panel(_MEASURE_HEIGHT, values)
        return self._frame(panel, name.replace("_", " ")) + self._line(panel, values, color, 1.25)

    def _in_rows(self, picks: Sequence[Pick]) -> list[tuple[Pick, int]]:
        """Picks by time, each with the lowest row in which its label touches no other."""
        row_ends = [-math.inf] * _LABEL_ROWS
        placed = []
        for pick in sorted(picks, key=lambda pick: pick[1]):
            x, half = self.x(pick[1]), _half_label(pick[0])
            row = next((r for r in range(_LABEL_ROWS) if row_ends[r] < x - half), int(np.argmin(row_ends)))
            row_ends[row] = x + half
            placed.append((pick, row))
        return placed

    def spans(self) -> str:
        height = self._bottom - self._first_top
        return "".join(
            f'<rect x="{self.x(start):.1f}" y="{self._first_top:g}" height="{height:g}" class="c" '
            f'width="{max(self.x(end) - self.x(start), 1.5):.1f}"/>'
            for (_, _, start, end), _ in self._picks
        )

    def picked(self, smooth: Series) -> str:
        """A dot on the curve for every pick, and its rank above the panel."""
        drawn = []
        for (rank, peak, start, end), row in self._picks:
            x, y, half = self.x(peak), self._at(peak, smooth), _half_label(rank) - 2
            base = self._first_top - 14 - row * _LABEL_ROW
            drawn.append(
                f"<g><title>pick {rank}: peak {clock(peak)}, clip {clock(start)} to {clock(end)}</title>"
                f'<path d="M{x:.1f} {base + 9:g}V{y:.1f}" stroke="{_PICK}" stroke-width="1"/>'
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" class="p"/>'
                f'<rect x="{x - half:.1f}" y="{base - 10:g}" width="{2 * half}" height="20" class="p"/>'
                f'<text x="{x:.1f}" y="{base + 5:g}" class="n">{rank}</text></g>'
            )
        return "".join(drawn)

    def rejected(self, rejections: Sequence[tuple[float, str]], smooth: Series) -> str:
        """Hollow dots; of several in one pixel column, the highest, which tells of the others."""
        columns: dict[int, list[tuple[float, float, str]]] = {}
        for peak, reason in rejections:
            columns.setdefault(round(self.x(peak)), []).append((self._at(peak, smooth), peak, reason))
        drawn, radius = [], 4 if len(columns) < _MANY_REJECTED else 2.5
        for found in columns.values():
            y, peak, reason = min(found)
            more = f" (and {len(found) - 1} more here)" if len(found) > 1 else ""
            drawn.append(
                f'<circle cx="{self.x(peak):.1f}" cy="{y:.1f}" r="{radius:g}" class="r">'
                f"<title>rejected peak at {clock(peak)}: {_xml(_shortened(reason))}{more}</title></circle>"
            )
        return "".join(drawn)

    def axis(self) -> str:
        step = next((s for s in _STEPS if self._duration / s <= _MOST_TICKS), 86400 * math.ceil(self._duration / 1e6))
        digits = 1 if step < 1 else 0
        drawn = []
        for index in range(math.floor(self._duration / step + 1e-9) + 1):
            x = self.x(index * step)
            anchor = "end" if x > _WIDTH - 1.5 * _RIGHT else "middle"
            drawn.append(
                f'<path d="M{x:.1f} {self._bottom:g}v6" stroke="{_QUIET}"/>'
                f'<text x="{x:.1f}" y="{self._bottom + 24:g}" text-anchor="{anchor}">'
                f"{clock(index * step, digits)}</text>"
            )
        return "".join(drawn)

    def page(self, parts: Sequence[str], title: str) -> str:
        height = round(self._bottom + _FOOTER)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
            f'viewBox="0 0 {_WIDTH} {height}" role="img" font-size="14" '
            f'font-family="system-ui, Helvetica, Arial, sans-serif" fill="{_QUIET}">'
            f"<title>{_xml(title)}</title>"
            f"<style>.r{{fill:{_PAGE};stroke:{_QUIET};stroke-width:1.5}}.c{{fill:{_PICK};opacity:.2}}"
            f".p{{fill:{_PICK};stroke:{_PAGE}}}.n{{fill:{_PAGE};font-weight:700;text-anchor:middle}}</style>"
            f'<rect width="100%" height="100%" fill="{_PAGE}"/>' + "\n".join(parts) + "</svg>\n"
        )

    @property
    def _bottom(self) -> float:
        return self._top - _SPACE

    def _panel(self, height: float, values: Series) -> _Panel:
        finite = values[np.isfinite(values)]
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
        room = (high - low) * 0.06 or max(abs(high) * 0.1, 0.1)
        panel = _Panel(self._top, height, low - room, high + room)
        self._top += height + _SPACE
        return panel

    def _frame(self, panel: _Panel, name: str) -> str:
        drawn = [f'<rect x="{_LEFT}" y="{panel.top:g}" width="{_PLOT}" height="{panel.height:g}" fill="{_PANEL}"/>']
        for value in nice_values(panel.low, panel.high, 5 if panel.height > 150 else 3):
            y = panel.y(value)
            drawn.append(
                f'<path d="M{_LEFT} {y:.1f}h{_PLOT}" stroke="{_GRID}"/>'
                f'<text x="{_LEFT - 8}" y="{y + 5:.1f}" text-anchor="end">{value:.6g}</text>'
            )
        drawn.append(f'<text x="{_LEFT}" y="{panel.top - 8:g}" fill="{_INK}">{_xml(name)}</text>')
        return "".join(drawn)

    def _line(self, panel: _Panel, values: Series, color: str, width: float) -> str:
        drawn = []
        for run in drawable_runs(self._times, values, self._duration, _PLOT):
            pairs = zip(*(series.tolist() for series in run), strict=True)
            points = [f"{self.x(t):.1f} {panel.y(v):.1f}" for t, v in pairs]
            # One sample alone is no line yet; a short dash shows it.
            drawn.append("M" + "L".join(points) + ("h3" if len(points) == 1 else ""))
        return (
            f'<path d="{"".join(drawn)}" fill="none" stroke="{color}" stroke-width="{width:g}" '
            'stroke-linejoin="round" stroke-linecap="round"/>'
            if drawn
            else ""
        )

    def _at(self, time: float, smooth: Series) -> float:
        """Height on the page of the smoothed score at ``time``."""
        assert self._score is not None
        known = np.isfinite(smooth)
        if not known.any():
            return self._score.top + self._score.height / 2
        return self._score.y(float(np.interp(time, self._times[known], smooth[known])))


def _half_label(rank: int) -> int:
    """Half the width that a rank needs above the plot."""
    return 9 + 4 * len(str(rank))


def _shortened(text: str, most: int = 110) -> str:
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-most // 2 + 1 :]}"


def _xml(text: str) -> str:
    """``text`` for XML: markup escaped, and characters that XML 1.0 does not allow replaced."""
    return escape("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text))
