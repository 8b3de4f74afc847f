"""One picture that shows every pick: its peak large, its neighbours beside it, its time and numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..clock import clock
from ..files import whole_file

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

_WIDTH = 1600
_MARGIN = 32
_GUTTER = 20
_PADDING = 14
_GAP = 6
_TALLEST_PICTURE = 640
_TALLEST_SHEET = 50_000
"""JPEG holds 65535 rows; Pillow warns of pictures above 89 million pixels."""
_QUALITY = 90

_PAGE, _CARD, _EDGE = (24, 25, 27), (36, 38, 41), (58, 61, 66)
_BRIGHT, _TEXT, _QUIET = (245, 246, 247), (214, 217, 221), (150, 155, 162)
_ACCENT, _ON_ACCENT = (240, 180, 60), (28, 24, 14)

Pictures = Sequence[npt.NDArray[np.uint8]]


@dataclass(frozen=True, kw_only=True)
class SheetEntry:
    """One pick. Times are seconds of media time.

    ``pictures`` are uint8 RGB (h, w, 3), in time order, ``times`` when each is on screen; the one
    nearest to ``peak_s`` is shown large. ``measures`` are shown in their order; None or NaN as n/a.
    """

    rank: int
    peak_s: float
    start_s: float
    end_s: float
    score: float
    pictures: Pictures
    times: Sequence[float]
    measures: Mapping[str, float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.pictures or len(self.pictures) != len(self.times):
            raise ValueError(f"{len(self.pictures)} pictures, {len(self.times)} times; need one each, and one at least")

    @property
    def main(self) -> int:
        """Index of the picture nearest to the peak."""
        return min(range(len(self.times)), key=lambda i: abs(self.times[i] - self.peak_s))


@dataclass(frozen=True)
class _Box:
    """Where a picture goes within a card, in pixels."""

    index: int
    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class _Card:
    """One entry laid out: its pictures, its measure lines and its whole height."""

    entry: SheetEntry
    boxes: list[_Box]
    lines: list[list[str]]
    pictures_height: int
    height: int


def write_contact_sheet(entries: Sequence[SheetEntry], path: Path, title: str) -> None:
    """Write a JPEG of 1600 pixels width with one card an entry, in the order given.

    Picks beyond what one JPEG can hold are left out, and the sheet says how many.

    Raises:
        ExportError: the file cannot be written.
    """
    columns = _columns(len(entries))
    width = (_WIDTH - 2 * _MARGIN - (columns - 1) * _GUTTER) // columns
    cards = [_lay_out(entry, width, _text_size(columns)) for entry in entries]
    rows = [cards[i : i + columns] for i in range(0, len(cards), columns)]
    heights = [max(card.height for card in row) for row in rows]
    shown = _rows_that_fit(heights)
    left_out = sum(len(row) for row in rows[shown:])
    sheet = _paint(
        rows[:shown],
        heights[:shown],
        width=width,
        size=_text_size(columns),
        title=title,
        count=len(entries),
        left_out=left_out,
    )
    with whole_file(path) as temporary:
        sheet.save(temporary, format="JPEG", quality=_QUALITY, subsampling=0, optimize=True)


def _columns(count: int) -> int:
    return 1 if count <= 1 else 2 if count <= 12 else 3 if count <= 30 else 4


def _text_size(columns: int) -> int:
    return {1: 22, 2: 18, 3: 16, 4: 15}[columns]


def _rows_that_fit(heights: list[int]) -> int:
    used = 0
    for count, height in enumerate(heights):
        used += height + _GUTTER
        if used > _TALLEST_SHEET:
            return max(1, count)
    return len(heights)


@cache
def _font(size: int) -> FreeTypeFont:
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType; install a usual Pillow wheel")
    return font


def _lay_out(entry: SheetEntry, width: int, size: int) -> _Card:
    inner = width - 2 * _PADDING
    boxes = _place_pictures(entry, inner)
    height = max(box.top + box.height for box in boxes)
    lines = _wrap([f"{name} {_number(value)}" for name, value in entry.measures.items()], inner, size)
    rows = len(lines) + 1
    return _Card(entry, boxes, lines, height, 2 * _PADDING + _head(size) + height + 10 + rows * _line(size))


def _head(size: int) -> int:
    return size * 2 + 12


def _line(size: int) -> int:
    return round(size * 1.5)


def _place_pictures(entry: SheetEntry, width: int) -> list[_Box]:
    """Wide pictures: the peak with its neighbours stacked on its right; tall ones: all side by side."""
    main = entry.main
    others = [i for i in range(len(entry.pictures)) if i != main][:2]
    rows, columns = entry.pictures[main].shape[:2]
    aspect = min(max(columns / rows, 0.2), 8.0)
    if not others:
        height = min(math.floor(width / aspect), _TALLEST_PICTURE)
        wide = min(round(height * aspect), width)
        return [_Box(main, (width - wide) // 2, 0, wide, height)]
    if aspect < 1:
        order = sorted([main, *others])
        height = min(math.floor((width - _GAP * len(others)) / (aspect * len(order))), _TALLEST_PICTURE)
        wide = math.floor(height * aspect)
        left = (width - wide * len(order) - _GAP * len(others)) // 2
        return [_Box(index, left + n * (wide + _GAP), 0, wide, height) for n, index in enumerate(order)]
    height = min(math.floor((width - _GAP + _GAP * aspect / 2) / (1.5 * aspect)), _TALLEST_PICTURE)
    wide, small = math.floor(height * aspect), (height - _GAP) // 2
    beside = math.floor(small * aspect)
    left = max(0, (width - wide - _GAP - beside) // 2)
    boxes = [_Box(main, left, 0, wide, height)]
    return boxes + [
        _Box(index, left + wide + _GAP, n * (height - small), min(beside, width - left - wide - _GAP), small)
        for n, index in enumerate(others)
    ]


def _number(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "n/a"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"


def _wrap(items: list[str], width: int, size: int) -> list[list[str]]:
    """Items in lines no wider than ``width``, with room between them."""
    lines: list[list[str]] = []
    used = 0.0
    for item in items:
        need = _font(size).getlength(item) + size * 1.5
        if not lines or used + need > width:
            lines.append([])
            used = 0.0
        lines[-1].append(item)
        used += need
    return lines


def _fitted(text: str, width: float, size: int) -> str:
    """``text``, its middle left out where it is wider than ``width`` pixels."""
    font, kept = _font(size), len(text)
    fitted = text
    while font.getlength(fitted) > width and kept > 2:
        kept -= 1
        fitted = f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
    return fitted


def _paint(
    rows: list[list[_Card]],
    heights: list[int],
    *,
    width: int,
    size: int,
    title: str,
    count: int,
    left_out: int,
) -> Image:
    from PIL import Image, ImageDraw

    top = 2 * _MARGIN + 40
    total = top + sum(heights) + _GUTTER * max(0, len(heights) - 1) + _MARGIN + (40 if left_out else 0)
    sheet = Image.new("RGB", (_WIDTH, total), _PAGE)
    draw = ImageDraw.Draw(sheet)
    counted = f"{count} pick" + ("" if count == 1 else "s")
    draw.text((_WIDTH - _MARGIN, _MARGIN + 20), counted, _QUIET, _font(24), anchor="rm")
    room = _WIDTH - 3 * _MARGIN - _font(24).getlength(counted)
    printable = "".join(c if c.isprintable() else " " for c in title)
    draw.text((_MARGIN, _MARGIN + 20), _fitted(printable, room, 32), _BRIGHT, _font(32), anchor="lm")
    for row, height in zip(rows, heights, strict=True):
        for column, card in enumerate(row):
            _paint_card(
                sheet,
                draw,
                card,
                at=(_MARGIN + column * (width + _GUTTER), top),
                extent=(width, height),
                size=size,
            )
        top += height + _GUTTER
    if left_out:
        draw.text((_MARGIN, total - _MARGIN), f"and {left_out} more", _QUIET, _font(24), anchor="lb")
    return sheet


def _paint_card(
    sheet: Image, draw: ImageDraw, card: _Card, *, at: tuple[int, int], extent: tuple[int, int], size: int
) -> None:
    entry = card.entry
    left, top = at
    draw.rounded_rectangle((left, top, left + extent[0] - 1, top + extent[1] - 1), 8, _CARD, _EDGE)
    left, right, top = left + _PADDING, left + extent[0] - _PADDING, top + _PADDING
    _paint_head(draw, entry, left=left, right=right, top=top, size=size)
    top += _head(size)
    for box in card.boxes:
        _paint_picture(sheet, draw, entry, box, origin=(left, top), size=size)
    top += card.pictures_height + 10
    span = f"clip {clock(entry.start_s)} to {clock(entry.end_s)}  ({entry.end_s - entry.start_s:.1f} s)"
    draw.text((left, top + _line(size) // 2), _fitted(span, right - left, size), _TEXT, _font(size), anchor="lm")
    for line in card.lines:
        top += _line(size)
        _paint_measures(draw, line, left, top + _line(size) // 2, size)


def _paint_head(draw: ImageDraw, entry: SheetEntry, *, left: int, right: int, top: int, size: int) -> None:
    middle, tall = top + size, size * 2
    rank = f"{entry.rank}"
    wide = max(tall, round(_font(size + 4).getlength(rank)) + size)
    draw.rounded_rectangle((left, top, left + wide, top + tall), 6, _ACCENT)
    draw.text((left + wide / 2, middle), rank, _ON_ACCENT, _font(size + 4), anchor="mm")
    draw.text((left + wide + size * 0.7, middle), clock(entry.peak_s), _BRIGHT, _font(size + 8), anchor="lm")
    score = _number(entry.score)
    draw.text((right, middle), score, _BRIGHT, _font(size + 4), anchor="rm")
    before = right - _font(size + 4).getlength(score) - size * 0.5
    draw.text((before, middle), "score", _QUIET, _font(size), anchor="rm")


def _paint_picture(
    sheet: Image, draw: ImageDraw, entry: SheetEntry, box: _Box, *, origin: tuple[int, int], size: int
) -> None:
    from PIL import Image

    left, top = origin[0] + box.left, origin[1] + box.top
    extent = (max(1, box.width), max(1, box.height))
    picture = Image.fromarray(np.ascontiguousarray(entry.pictures[box.index]))
    fitted = picture.resize(extent, Image.Resampling.LANCZOS, reducing_gap=3)
    sheet.paste(fitted, (left, top))
    right, bottom = left + extent[0] - 1, top + extent[1] - 1
    if box.index == entry.main:
        draw.rectangle((left, top, right, bottom), outline=_ACCENT, width=3)
        return
    caption = f"{entry.times[box.index] - entry.peak_s:+.1f} s"
    wide = round(_font(size - 2).getlength(caption)) + 12
    if wide < extent[0] and size + 8 < extent[1]:
        draw.rectangle((left, bottom - size - 7, left + wide, bottom), _PAGE)
        draw.text((left + 6, bottom - (size + 7) / 2), caption, _TEXT, _font(size - 2), anchor="lm")


def _paint_measures(draw: ImageDraw, line: list[str], left: float, middle: float, size: int) -> None:
    for item in line:
        name, _, value = item.rpartition(" ")
        draw.text((left, middle), name, _QUIET, _font(size), anchor="lm")
        draw.text((left + _font(size).getlength(name + " "), middle), value, _TEXT, _font(size), anchor="lm")
        left += _font(size).getlength(item) + size * 1.5
