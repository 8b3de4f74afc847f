"""One picture that shows every pick: its peak large, its neighbours, time and numbers, and what is too like it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..files import whole_file

if TYPE_CHECKING:
    from PIL.Image import Image

WIDTH, WIDE = 1600, 3840
"""Pixels across, and with more than `_MANY` picks."""
MARGIN, GUTTER, PADDING, GAP = 32, 20, 14, 6
_MANY = 60
_TALLEST_PICTURE = 640
_TALLEST_SHEET = 50_000
_MOST_PIXELS = 79_000_000
"""JPEG holds 65535 rows; Pillow warns of pictures above 89 million pixels."""
_QUALITIES = (90, 80, 70, 60)
_LARGEST_FILE = 16_000_000
"""Bytes; a sheet that would be larger is compressed more."""

Pictures = Sequence[npt.NDArray[np.uint8]]


@dataclass(frozen=True, kw_only=True)
class Duplicate:
    """A peak that looks like a pick and was left out; ``picture`` is as those of the pick, or None."""

    peak_s: float
    picture: npt.NDArray[np.uint8] | None


@dataclass(frozen=True, kw_only=True)
class SheetEntry:
    """One pick. Times are seconds of media time.

    ``pictures`` are uint8 RGB (h, w, 3), in time order, ``times`` when each is on screen; the one
    nearest to ``peak_s`` is shown large. ``measures`` are shown in their order; None or NaN as n/a; those
    that have a ``standing`` of 0 to 1, with a bar of that length. ``duplicates`` are shown small, best first.
    """

    rank: int
    peak_s: float
    start_s: float
    end_s: float
    score: float
    pictures: Pictures
    times: Sequence[float]
    measures: Mapping[str, float | None] = field(default_factory=dict)
    standing: Mapping[str, float] = field(default_factory=dict)
    duplicates: Sequence[Duplicate] = ()

    def __post_init__(self) -> None:
        if not self.pictures or len(self.pictures) != len(self.times):
            raise ValueError(f"{len(self.pictures)} pictures, {len(self.times)} times; need one each, and one at least")

    @property
    def main(self) -> int:
        """Index of the picture nearest to the peak."""
        return min(range(len(self.times)), key=lambda i: abs(self.times[i] - self.peak_s))


@dataclass(frozen=True)
class Box:
    """Where a picture goes within a card, in pixels."""

    index: int
    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Card:
    """One entry laid out in pixels; ``size`` is that of its text."""

    entry: SheetEntry
    size: int
    boxes: list[Box]
    pictures_height: int
    cells: int
    """Measures beside one another."""
    beside: list[tuple[int, int]]
    """(left, width) of the places of the near duplicates that are shown."""
    beside_height: int

    @property
    def head(self) -> int:
        """Height of the line of rank, time and score."""
        return self.size * 2 + 12

    @property
    def line(self) -> int:
        """Height of a line of text."""
        return round(self.size * 1.5)

    @property
    def cell(self) -> int:
        """Height of a measure with its bar."""
        return self.line + self.size // 2

    @property
    def height(self) -> int:
        """Of the whole card."""
        rows = math.ceil(len(self.entry.measures) / self.cells)
        alike = self.line + self.beside_height + 8 if self.entry.duplicates else 0
        return 2 * PADDING + self.head + self.pictures_height + 10 + self.line + rows * self.cell + alike


def write_contact_sheet(entries: Sequence[SheetEntry], path: Path, title: str) -> None:
    """Write a JPEG with one card an entry, in the order given: 1600 pixels across, of many picks 3840.

    Picks beyond about 80 million pixels are left out, and the sheet says how many. It stays below about 16 MB.

    Raises:
        ExportError: the file cannot be written.
    """
    from ._sheet_paint import paint_sheet

    across = WIDE if len(entries) > _MANY else WIDTH
    columns = _columns(len(entries))
    width = (across - 2 * MARGIN - (columns - 1) * GUTTER) // columns
    cards = [_lay_out(entry, width, _text_size(columns)) for entry in entries]
    rows = [cards[i : i + columns] for i in range(0, len(cards), columns)]
    heights = [max(card.height for card in row) for row in rows]
    shown = _rows_that_fit(heights, min(_TALLEST_SHEET, _MOST_PIXELS // across))
    left_out = sum(len(row) for row in rows[shown:])
    sheet = paint_sheet(
        rows[:shown],
        heights[:shown],
        across=across,
        width=width,
        title=title,
        count=len(entries),
        left_out=left_out,
    )
    with whole_file(path) as temporary:
        temporary.write_bytes(_compressed(sheet))


def _compressed(sheet: Image) -> bytes:
    """``sheet`` as a JPEG of the best quality that keeps it small enough."""
    for quality in _QUALITIES:
        file = BytesIO()
        sheet.save(
            file, format="JPEG", quality=quality, subsampling=0 if quality == _QUALITIES[0] else 2, optimize=True
        )
        if file.tell() <= _LARGEST_FILE:
            break
    return file.getvalue()


def _columns(count: int) -> int:
    steps = ((1, 1), (12, 2), (30, 3), (_MANY, 4))
    return next((columns for most, columns in steps if count <= most), 10)


def _text_size(columns: int) -> int:
    return {1: 22, 2: 18, 3: 16, 4: 15, 10: 15}[columns]


def _rows_that_fit(heights: list[int], tallest: int) -> int:
    used = 0
    for count, height in enumerate(heights):
        used += height + GUTTER
        if used > tallest:
            return max(1, count)
    return len(heights)


def _lay_out(entry: SheetEntry, width: int, size: int) -> Card:
    inner = width - 2 * PADDING
    boxes = _place_pictures(entry, inner)
    small = max(round(size * 4.5), 68)
    return Card(
        entry=entry,
        size=size,
        boxes=boxes,
        pictures_height=max(box.top + box.height for box in boxes),
        cells=max(1, min(len(entry.measures), inner // (size * 12))),
        beside=_place_duplicates(entry, inner, small),
        beside_height=small,
    )


def _place_duplicates(entry: SheetEntry, width: int, height: int) -> list[tuple[int, int]]:
    """(left, width) of the first near duplicates, as many as have pictures and fit beside one another; one at least."""
    places: list[tuple[int, int]] = []
    left = 0
    for alike in entry.duplicates:
        rows, columns = (9, 16) if alike.picture is None else alike.picture.shape[:2]
        # Of a tall picture the place is wider than the picture, for its time.
        wide = round(height * min(max(columns / rows, 1.25), 3.0))
        if places and (alike.picture is None or left + wide > width):
            break
        places.append((left, min(wide, width)))
        left += wide + GAP
    return places


def _place_pictures(entry: SheetEntry, width: int) -> list[Box]:
    """Wide pictures: the peak with its neighbours stacked on its right; tall ones: all side by side."""
    main = entry.main
    others = [i for i in range(len(entry.pictures)) if i != main][:2]
    rows, columns = entry.pictures[main].shape[:2]
    aspect = min(max(columns / rows, 0.2), 8.0)
    if not others:
        height = min(math.floor(width / aspect), _TALLEST_PICTURE)
        wide = min(round(height * aspect), width)
        return [Box(main, (width - wide) // 2, 0, wide, height)]
    if aspect < 1:
        order = sorted([main, *others])
        height = min(math.floor((width - GAP * len(others)) / (aspect * len(order))), _TALLEST_PICTURE)
        wide = math.floor(height * aspect)
        left = (width - wide * len(order) - GAP * len(others)) // 2
        return [Box(index, left + n * (wide + GAP), 0, wide, height) for n, index in enumerate(order)]
    height = min(math.floor((width - GAP + GAP * aspect / 2) / (1.5 * aspect)), _TALLEST_PICTURE)
    wide, small = math.floor(height * aspect), (height - GAP) // 2
    beside = math.floor(small * aspect)
    left = max(0, (width - wide - GAP - beside) // 2)
    boxes = [Box(main, left, 0, wide, height)]
    return boxes + [
        Box(index, left + wide + GAP, n * (height - small), min(beside, width - left - wide - GAP), small)
        for n, index in enumerate(others)
    ]
