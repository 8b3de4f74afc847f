"""The score picture from full-size RGB in plain NumPy: the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..convert.ycbcr import turned
from .colour import RGB_BITS, SHARES, FromRgb, from_rgb, to_rgb
from .weights import ACROSS_BITS, DOWN_BITS, Taps, taps

Codes = npt.NDArray[np.uint8]
Whole = npt.NDArray[np.int64]

_UNIT = SHARES << RGB_BITS
_LARGEST = (1 << 15) - 1


def planes(rgb: Codes, full_range: bool) -> tuple[Codes, Codes]:
    """Luma (n, h, w) and chroma (n, 2, ceil(h/2), ceil(w/2)) of RGB that was made of them with BT.601.

    Chroma is the mean of a block of 2 x 2 pixels. Where channels were cut off at 0 or 255, the block's chroma is that
    of its other pixels, and a pixel's luma follows from that and its other channels.
    """
    weights = from_rgb(full_range)
    height, width = rgb.shape[1:3]
    pixels = np.pad(rgb, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge").astype(np.int64)
    free = (pixels > 0) & (pixels < 255)
    whole = free.all(axis=-1)
    chroma = np.stack([_block_mean(pixels @ np.array(row), whole) for row in (weights.blue, weights.red)], axis=1)
    grey = pixels @ np.array(weights.luma) * SHARES
    luma = np.where(whole, grey, _luma_of_free(pixels, free, chroma, grey, weights))
    codes = (luma * weights.scale + ((2 * weights.black + 1) * _UNIT << RGB_BITS) // 2) // (_UNIT << RGB_BITS)
    rounded = (chroma + 128 * _UNIT + _UNIT // 2) // _UNIT
    return np.clip(codes, 0, 255).astype(np.uint8)[:, :height, :width], np.clip(rounded, 0, 255).astype(np.uint8)


def _block_mean(values: Whole, whole: Any) -> Whole:
    """Twelve times the mean of every 2 x 2 block, of its whole pixels where it has one."""
    count = _block_sum(whole.astype(np.int64))
    some = _block_sum(values * whole) * (SHARES // np.maximum(count, 1))
    return np.asarray(np.where(count > 0, some, _block_sum(values) * (SHARES // 4)))


def _block_sum(values: Whole) -> Whole:
    n, height, width = values.shape
    return np.asarray(values.reshape(n, height // 2, 2, width // 2, 2).sum(axis=(2, 4)))


def _luma_of_free(pixels: Whole, free: npt.NDArray[np.bool_], chroma: Whole, grey: Whole, weights: FromRgb) -> Whole:
    """Luma by the channels that were not cut off; ``grey`` where all were."""
    wide = chroma.repeat(2, axis=2).repeat(2, axis=3)
    added = np.tensordot(wide, weights.shift.astype(np.int64), axes=(1, 1)) >> RGB_BITS
    shares = np.array(weights.luma) * free
    total = shares.sum(axis=-1)
    luma = ((pixels * _UNIT - added) * shares).sum(axis=-1)
    return np.asarray(np.where(total > 0, np.clip(luma // np.maximum(total, 1), 0, 255 * _UNIT), grey))


def _across(values: npt.NDArray[np.uint8], along: Taps) -> Whole:
    """8-bit rows to 15 bits."""
    out = np.zeros((*values.shape[:-1], len(along.first)), np.int64)
    for tap, weights in enumerate(along.weights):
        out += values[..., np.minimum(along.first + tap, values.shape[-1] - 1)] * weights.astype(np.int64)
    return np.asarray(np.minimum(out >> (ACROSS_BITS - 7), _LARGEST))


def _down(values: Whole, along: Taps) -> Whole:
    """15-bit columns to codes of 8 bits; those of luma may lie beyond them, as libswscale's do until they are RGB."""
    out = np.full((*values.shape[:-2], len(along.first), values.shape[-1]), 1 << (DOWN_BITS + 6), np.int64)
    for tap, weights in enumerate(along.weights):
        out += values[..., np.minimum(along.first + tap, values.shape[-2] - 1), :] * weights[:, None].astype(np.int64)
    return out >> (DOWN_BITS + 7)


def _resampled(plane: Codes, size: tuple[int, int]) -> Whole:
    across, down = taps(plane.shape[-1], size[0], ACROSS_BITS), taps(plane.shape[-2], size[1], DOWN_BITS)
    return _down(_across(plane, across), down)


def shown(luma: Codes, chroma: Codes, size: tuple[int, int], matrix: str, full_range: bool) -> Codes:
    """uint8 RGB (n, height, width, 3) of planes as `planes` gives them; ``size`` is (width, height)."""
    width, height = size
    scaled = luma.shape[1:] != (height, width)
    y = _resampled(luma, size) if scaled else luma.astype(np.int64)
    wide = chroma.repeat(2, axis=2)[:, :, :height]
    if scaled:
        wide = np.clip(_resampled(chroma, (-(-width // 2), height)), 0, 255).astype(np.uint8)
    cb, cr = np.moveaxis(wide.repeat(2, axis=3)[..., :width], 1, 0)
    rule = to_rgb(matrix, full_range, scaled)
    added = np.stack([rule.shifts[0][cr], rule.shifts[1][cb] + rule.shifts[2][cr], rule.shifts[3][cb]], axis=-1)
    if scaled:
        rgb = ((y[..., None] + added) * rule.luma + rule.offset) >> 16
    else:
        rgb = ((y[..., None] * rule.luma + rule.offset) >> 16) + added
    return np.asarray(np.clip(rgb, 0, 255), np.uint8)


def score_resize(
    rgb: Codes, size: tuple[int, int], matrix: str, full_range: bool, rotation: int, made_full_range: bool
) -> Codes:
    """Scale uint8 RGB of shape (n, h, w, 3), as the wrapper of the same name documents."""
    luma, chroma = planes(rgb, made_full_range)
    luma = turned(luma[..., None], rotation)[..., 0]
    chroma = np.moveaxis(turned(np.moveaxis(chroma, 1, -1), rotation), -1, 1)
    return shown(luma, chroma, size, matrix, full_range)
