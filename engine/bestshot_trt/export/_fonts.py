"""Fonts that have the letters of a text: Pillow's own, or one of the system's."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

_WIDE_FONTS = (
    "NotoSans-Regular.ttf",
    "DejaVuSans.ttf",
    "NotoSansCJK-Regular.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "NotoSansArabic-Regular.ttf",
    "NotoSansHebrew-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf",
    "Arial Unicode.ttf",
    "Hiragino Sans GB.ttc",
    "arial.ttf",
    "msyh.ttc",
    "meiryo.ttc",
    "malgun.ttf",
    "Nirmala.ttf",
)
"""Names by which Linux, macOS and Windows have fonts of many scripts; Pillow looks in the system's folders."""
_NO_LETTER = "\U0010fffd"
"""A character that no font has, and so looks as all do that a font lacks."""


@cache
def plain_font(size: int) -> FreeTypeFont:
    """Pillow's own font, which has Latin letters, at ``size`` pixels."""
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType; install a usual Pillow wheel")
    return font


@cache
def font_for(text: str, size: int) -> FreeTypeFont:
    """The font of this system that lacks the fewest letters of ``text``; Pillow's own where it lacks none."""
    from PIL import ImageFont

    best, fewest = plain_font(size), _missing(plain_font(size), text)
    for name in _WIDE_FONTS:
        if not fewest:
            break
        try:
            font = ImageFont.truetype(name, size)
        except OSError:
            continue
        missing = _missing(font, text)
        if missing < fewest:
            best, fewest = font, missing
    return best


def _missing(font: FreeTypeFont, text: str) -> int:
    box = _looks(font, _NO_LETTER)
    return sum(_looks(font, character) == box for character in set(text) if not character.isspace())


def _looks(font: FreeTypeFont, character: str) -> bytes:
    mask = font.getmask(character)
    return repr(mask.size).encode() + bytes(mask)
