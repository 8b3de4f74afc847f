"""Paints the contact sheet that `contact_sheet` lays out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..clock import clock
from ._fonts import font_for, plain_font
from .contact_sheet import GUTTER, MARGIN, PADDING, Box, Card, SheetEntry

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

_PAGE, _CARD, _EDGE, _TROUGH = (24, 25, 27), (36, 38, 41), (58, 61, 66), (54, 57, 62)
_BRIGHT, _TEXT, _QUIET = (245, 246, 247), (214, 217, 221), (150, 155, 162)
_ACCENT, _ON_ACCENT, _GOOD, _BAD = (240, 180, 60), (28, 24, 14), (94, 160, 224), (214, 112, 128)
_PENALTY = "exposure penalty"


def paint_sheet(
    rows: list[list[Card]],
    heights: list[int],
    *,
    across: int,
    width: int,
    title: str,
    count: int,
    left_out: int,
) -> Image:
    """The sheet of ``rows`` of cards, each ``width`` pixels wide and ``heights`` tall, ``across`` pixels in all."""
    from PIL import Image, ImageDraw

    top = 2 * MARGIN + 40
    total = top + sum(heights) + GUTTER * max(0, len(heights) - 1) + MARGIN + (40 if left_out else 0)
    sheet = Image.new("RGB", (across, total), _PAGE)
    draw = ImageDraw.Draw(sheet)
    counted = f"{count} pick" + ("" if count == 1 else "s")
    draw.text((across - MARGIN, MARGIN + 20), counted, _QUIET, plain_font(24), anchor="rm")
    room = across - 3 * MARGIN - plain_font(24).getlength(counted)
    printable = _fitted("".join(c if c.isprintable() else " " for c in title), room, 32)
    draw.text((MARGIN, MARGIN + 20), printable, _BRIGHT, font_for(printable, 32), anchor="lm")
    for row, height in zip(rows, heights, strict=True):
        for column, card in enumerate(row):
            _paint_card(sheet, draw, card, at=(MARGIN + column * (width + GUTTER), top), extent=(width, height))
        top += height + GUTTER
    if left_out:
        draw.text((MARGIN, total - MARGIN), f"and {left_out} more", _QUIET, plain_font(24), anchor="lb")
    return sheet


def _paint_card(sheet: Image, draw: ImageDraw, card: Card, *, at: tuple[int, int], extent: tuple[int, int]) -> None:
    entry, size = card.entry, card.size
    left, top = at
    draw.rounded_rectangle((left, top, left + extent[0] - 1, top + extent[1] - 1), 8, _CARD, _EDGE)
    left, right, top = left + PADDING, left + extent[0] - PADDING, top + PADDING
    _paint_head(draw, entry, left=left, right=right, top=top, size=size)
    top += card.head
    for box in card.boxes:
        _paint_picture(sheet, draw, entry, box, origin=(left, top), size=size)
    top += card.pictures_height + 10
    span = f"clip {clock(entry.start_s)} to {clock(entry.end_s)}  ({entry.end_s - entry.start_s:.1f} s)"
    draw.text((left, top + card.line // 2), _fitted(span, right - left, size), _TEXT, plain_font(size), anchor="lm")
    top = _paint_measures(draw, card, left=left, right=right, top=top + card.line)
    if entry.duplicates:
        _paint_duplicates(sheet, draw, card, left, right, top)


def _paint_measures(draw: ImageDraw, card: Card, *, left: int, right: int, top: int) -> int:
    """Each measure's name and value, under them a bar of where it stands in the take; returns where they end."""
    step = (right - left) / card.cells
    for number, (name, value) in enumerate(card.entry.measures.items()):
        row, column = divmod(number, card.cells)
        start, end = left + column * step, left + (column + 1) * step - card.size
        middle = top + row * card.cell + card.line // 2
        told = _number(value)
        room = end - start - plain_font(card.size).getlength(told + "  ")
        draw.text((start, middle), _fitted(name, room, card.size), _QUIET, plain_font(card.size), anchor="lm")
        draw.text((end, middle), told, _TEXT, plain_font(card.size), anchor="rm")
        share = card.entry.standing.get(name)
        if share is not None:
            bar = top + row * card.cell + card.line - 1
            draw.rectangle((start, bar, end, bar + 4), _TROUGH)
            full = start + (end - start) * min(max(share, 0.0), 1.0)
            if full - start >= 1:
                draw.rectangle((start, bar, full, bar + 4), _BAD if name == _PENALTY else _GOOD)
    return top + math.ceil(len(card.entry.measures) / card.cells) * card.cell


def _paint_duplicates(sheet: Image, draw: ImageDraw, card: Card, left: int, right: int, top: int) -> None:
    from PIL import Image

    count, shown = len(card.entry.duplicates), len(card.beside)
    words = f"left out, too like it: {count}" + ("" if shown == count else f", {shown} of them here")
    draw.text(
        (left, top + card.line // 2),
        _fitted(words, right - left, card.size),
        _QUIET,
        plain_font(card.size),
        anchor="lm",
    )
    top += card.line
    for alike, (offset, wide) in zip(card.entry.duplicates, card.beside, strict=False):
        box = (left + offset, top, left + offset + wide - 1, top + card.beside_height - 1)
        draw.rectangle(box, _TROUGH)
        if alike.picture is not None:
            picture = Image.fromarray(np.ascontiguousarray(alike.picture))
            across = max(1, min(wide, round(card.beside_height * picture.width / picture.height)))
            fitted = picture.resize((across, card.beside_height), Image.Resampling.LANCZOS, reducing_gap=3)
            dimmed = Image.blend(fitted, Image.new("RGB", fitted.size, _CARD), 0.25)
            sheet.paste(dimmed, (box[0] + (wide - across) // 2, top))
        _paint_caption(draw, clock(alike.peak_s), box, card.size - 3)


def _paint_caption(draw: ImageDraw, caption: str, box: tuple[int, int, int, int], size: int) -> None:
    """``caption`` in the lower left corner of ``box``, if it has the room."""
    left, top, right, bottom = box
    wide = round(plain_font(size).getlength(caption)) + 12
    if wide < right - left and size + 10 < bottom - top:
        draw.rectangle((left, bottom - size - 9, left + wide, bottom), _PAGE)
        draw.text((left + 6, bottom - (size + 9) / 2), caption, _TEXT, plain_font(size), anchor="lm")


def _paint_head(draw: ImageDraw, entry: SheetEntry, *, left: int, right: int, top: int, size: int) -> None:
    middle, tall = top + size, size * 2
    rank = f"{entry.rank}"
    wide = max(tall, round(plain_font(size + 4).getlength(rank)) + size)
    draw.rounded_rectangle((left, top, left + wide, top + tall), 6, _ACCENT)
    draw.text((left + wide / 2, middle), rank, _ON_ACCENT, plain_font(size + 4), anchor="mm")
    draw.text((left + wide + size * 0.7, middle), clock(entry.peak_s), _BRIGHT, plain_font(size + 8), anchor="lm")
    score = _number(entry.score)
    draw.text((right, middle), score, _BRIGHT, plain_font(size + 4), anchor="rm")
    before = right - plain_font(size + 4).getlength(score) - size * 0.5
    draw.text((before, middle), "score", _QUIET, plain_font(size), anchor="rm")


def _paint_picture(
    sheet: Image, draw: ImageDraw, entry: SheetEntry, box: Box, *, origin: tuple[int, int], size: int
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
    wide = round(plain_font(size - 2).getlength(caption)) + 12
    if wide < extent[0] and size + 8 < extent[1]:
        draw.rectangle((left, bottom - size - 7, left + wide, bottom), _PAGE)
        draw.text((left + 6, bottom - (size + 7) / 2), caption, _TEXT, plain_font(size - 2), anchor="lm")


def _number(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "n/a"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"


def _fitted(text: str, width: float, size: int) -> str:
    """``text``, its middle left out where it is wider than ``width`` pixels."""
    font, kept = font_for(text, size), len(text)
    fitted = text
    while font.getlength(fitted) > width and kept > 2:
        kept -= 1
        fitted = f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
    return fitted
