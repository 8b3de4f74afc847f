"""Y'CbCr codes to R'G'B', and turns by quarters, in plain NumPy: the oracle of what the GPU does to decoded samples."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FRACTION_BITS = 16

LUMA_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
"""Weights of red and of blue in luma: ITU-R BT.601, BT.709, BT.2020 (non-constant luminance)."""

MATRICES = (*LUMA_WEIGHTS, "rgb")


def to_signal(matrix: str, full_range: bool) -> npt.NDArray[np.float64]:
    """(3, 4): 8-bit codes to R'G'B' in [0, 1], a matrix beside an offset; ``rgb`` stands for R'G'B' codes.

    Limited range has black at 16, white at 235, and Cb, Cr of 224 steps about 128 (ITU-R BT.601, section 2.5.3).

    Raises:
        ValueError: no such matrix.
    """
    if matrix not in MATRICES:
        raise ValueError(f"matrix is {matrix!r}; it must be one of {', '.join(MATRICES)}")
    black, luma, chroma = (0.0, 255.0, 255.0) if full_range else (16.0, 219.0, 224.0)
    if matrix == "rgb":
        return np.hstack([np.eye(3) / luma, np.full((3, 1), -black / luma)])
    red, blue = LUMA_WEIGHTS[matrix]
    green = 1 - red - blue
    cr, cb = 2 * (1 - red), 2 * (1 - blue)
    linear = np.array([[1, 0, cr], [1, -cb * blue / green, -cr * red / green], [1, cb, 0]])
    linear /= [luma, chroma, chroma]
    return np.hstack([linear, -linear @ [[black], [128.0], [128.0]]])


def fixed_weights(matrix: str, full_range: bool) -> npt.NDArray[np.int32]:
    """(3, 4): `to_signal` to 8-bit R'G'B', scaled by 2**16, half a step added to the offset."""
    scaled = to_signal(matrix, full_range) * 255 * (1 << FRACTION_BITS)
    scaled[:, 3] += 1 << (FRACTION_BITS - 1)
    return np.rint(scaled).astype(np.int32)


class Made(NamedTuple):
    """How R'G'B' is, or was, made of 8-bit codes."""

    matrix: str
    full_range: bool


def recode_weights(was: Made, should_be: Made) -> npt.NDArray[np.int32]:
    """(3, 4): 8-bit R'G'B' that was made in one way to what another would have made, in fixed point.

    It cannot bring back what was cut off at 0 and 255.
    """
    before, after = to_signal(*was), to_signal(*should_be)
    product = after[:, :3] @ np.linalg.inv(before[:, :3])
    offset = 255 * (after[:, 3:] - product @ before[:, 3:]) + 0.5
    return np.asarray(np.rint(np.hstack([product, offset]) * (1 << FRACTION_BITS)), np.int32)


def recode(rgb: npt.NDArray[np.uint8], was: Made, should_be: Made) -> npt.NDArray[np.uint8]:
    """uint8 R'G'B' (n, h, w, 3) that was made in one way, as the other would have made it."""
    return _weighted(rgb, recode_weights(was, should_be))


def to_rgb(codes: npt.NDArray[np.uint8], matrix: str, full_range: bool) -> npt.NDArray[np.uint8]:
    """uint8 codes (n, h, w, 3) to uint8 R'G'B' (n, h, w, 3), rounded and clipped.

    In fixed point, within 0.501 of the real value: it rounds as that does but for ties.
    """
    return _weighted(codes, fixed_weights(matrix, full_range))


def _weighted(codes: npt.NDArray[np.uint8], weights: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
    wide = weights.astype(np.int64)
    rgb = (codes @ wide[:, :3].T + wide[:, 3]) >> FRACTION_BITS
    return np.asarray(np.clip(rgb, 0, 255), np.uint8)


def turned(pictures: npt.NDArray[np.uint8], rotation: int) -> npt.NDArray[np.uint8]:
    """(n, h, w, 3) turned clockwise by 0, 90, 180 or 270 degrees."""
    return np.rot90(pictures, -rotation // 90, axes=(1, 2))
