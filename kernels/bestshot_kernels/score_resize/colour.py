"""A score picture's colours in fixed point: RGB back to Y'CbCr, and Y'CbCr as libswscale shows it."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..convert.ycbcr import LUMA_WEIGHTS

RGB_BITS = 12
"""Bits of the weights of `from_rgb`."""
SHARES = 12
"""What is summed over a block is in units of a twelfth, so that one to four pixels have a whole mean."""

_SIMD_BITS = 13
_TABLE_ZERO = 326
"""Where libswscale's table of limited range has its zero: its black is code 17.5, not 16."""


class FromRgb(NamedTuple):
    """Weights that give Y', Cb and Cr back of R'G'B' that was made with BT.601, scaled by ``2**RGB_BITS``."""

    luma: tuple[int, int, int]
    """Of R, G and B in luma, over the range of RGB."""
    blue: tuple[int, int, int]
    """In Cb, over its own range."""
    red: tuple[int, int, int]
    """In Cr, over its own range."""
    scale: int
    """Of luma to its own range."""
    black: int
    """Luma's code for black."""
    shift: npt.NDArray[np.int32]
    """(3, 2): what Cb and Cr add to R, G and B."""


@lru_cache(maxsize=2)
def from_rgb(full_range: bool) -> FromRgb:
    """How Y'CbCr codes follow from RGB that a decoder made of them with BT.601 and rounded."""
    red, blue = LUMA_WEIGHTS["bt601"]
    green = 1 - red - blue
    luma, chroma, black = (1.0, 1.0, 0) if full_range else (219 / 255, 224 / 255, 16)
    of_blue = np.array([-red, -green, 1 - blue]) / (2 * (1 - blue)) * chroma
    of_red = np.array([1 - red, -green, -blue]) / (2 * (1 - red)) * chroma
    cb, cr = 2 * (1 - blue) / chroma, 2 * (1 - red) / chroma
    shift = np.array([[0, cr], [-cb * blue / green, -cr * red / green], [cb, 0]])
    return FromRgb(
        _fixed([red, green, blue]),
        _fixed(of_blue),
        _fixed(of_red),
        round(luma * (1 << RGB_BITS)),
        black,
        np.rint(shift * (1 << RGB_BITS)).astype(np.int32),
    )


def _fixed(weights: npt.ArrayLike) -> tuple[int, int, int]:
    """Three weights in fixed point; the second takes up the rounding, so that grey stays grey."""
    scaled = np.asarray(weights) * (1 << RGB_BITS)
    first, _, last = (round(float(value)) for value in scaled)
    return first, round(float(scaled.sum())) - first - last, last


class ToRgb(NamedTuple):
    """How libswscale makes 8-bit RGB of 8-bit Y'CbCr, all scaled by ``2**16``."""

    luma: int
    offset: int
    """Added to luma times its weight; with the half that rounds where it does."""
    shifts: npt.NDArray[np.int32]
    """(4, 256): what each code adds: Cr to R, Cb to G, Cr to G, Cb to B. Steps of luma where `scaled`, else of RGB."""


@lru_cache(maxsize=16)
def to_rgb(matrix: str, full_range: bool, scaled: bool) -> ToRgb:
    """The conversion of pictures that were scaled, or of those that were not: libswscale has one for each.

    Scaled pictures go through its tables: R = table[Y + shift]. Others through its vector code, which cuts instead of
    rounding: R = part of Y + shift.
    """
    red, blue = LUMA_WEIGHTS[matrix]
    green = 1 - red - blue
    range_ = 1.0 if full_range else 255 / 224
    cb, cr = 2 * (1 - blue) * range_, 2 * (1 - red) * range_
    chroma = (cr, -cb * blue / green, -cr * red / green, cb)
    if scaled:
        luma = (1 << 16) * 255 // (255 if full_range else 219)
        offset = 0 if full_range else _TABLE_ZERO * luma - (400 << 16)
        return ToRgb(luma, offset + (1 << 15), np.stack([_table(weight, luma) for weight in chroma]))
    luma = round((1 << _SIMD_BITS) * (1.0 if full_range else 255 / 219)) * 8
    offset = 0 if full_range else -16 * luma
    codes = np.arange(256) - 128
    shifts = [(codes * 8 * round(weight * (1 << _SIMD_BITS))) >> 16 for weight in chroma]
    return ToRgb(luma, offset, np.stack(shifts).astype(np.int32))


def _table(weight: float, luma: int) -> npt.NDArray[np.int32]:
    """What a chroma code adds to luma, in its steps."""
    exact = round(weight * (1 << 16)) * (1 << 16)
    # Divided towards 0, as C does.
    step = int((exact + (1 << 15)) / luma)
    return (((np.arange(256, dtype=np.int64) * step) >> 16) - (step >> 9)).astype(np.int32)
