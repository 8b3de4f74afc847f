"""Pillow's resampling in plain NumPy: the oracle.

The algorithm of ``ImagingResample`` in Pillow's libImaging/Resample.c: a cubic filter (a = -0.5) as wide as the
scale asks for, weights in fixed point, rows first, with 8-bit values between the two passes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .framing import place

PRECISION_BITS = 32 - 8 - 2
SUPPORT = 2.0

Weights = list[tuple[int, npt.NDArray[np.int64]]]


def bicubic(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Keys' cubic convolution with a = -0.5, in the order of operations that Pillow has."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * -0.5
    return np.where(x < 1, near, np.where(x < SUPPORT, far, 0.0))


def weights(source: int, target: int, seen: slice) -> Weights:
    """For each pixel of ``seen``, when a side of ``source`` pixels becomes ``target``: first input, weights * 2**22."""
    scale = source / target
    stretch = max(scale, 1.0)
    found: Weights = []
    for index in range(seen.start, seen.stop):
        center = (index + 0.5) * scale
        first = max(0, int(center - SUPPORT * stretch + 0.5))
        last = min(source, int(center + SUPPORT * stretch + 0.5))
        taps = bicubic((np.arange(first, last, dtype=np.float64) - center + 0.5) * (1 / stretch))
        # cumsum adds from left to right, as Pillow's loop; sum would not.
        taps /= np.cumsum(taps)[-1]
        found.append((first, np.trunc(taps * (1 << PRECISION_BITS) + np.copysign(0.5, taps)).astype(np.int64)))
    return found


def _filtered(pixels: npt.NDArray[np.uint8], along: int, taps: Weights) -> npt.NDArray[np.uint8]:
    """``pixels`` with axis ``along`` replaced by one value for each of ``taps``, rounded and clipped to 8 bits."""
    lines = np.moveaxis(pixels, along, -1)
    out = np.empty((len(taps), *lines.shape[:-1]), np.uint8)
    half = 1 << (PRECISION_BITS - 1)
    for row, (first, factors) in zip(out, taps, strict=True):
        total = lines[..., first : first + len(factors)].astype(np.int64) @ factors
        row[...] = np.clip((total + half) >> PRECISION_BITS, 0, 255)
    return np.moveaxis(out, 0, along)


def clip_resize(pixels: npt.NDArray[np.uint8], size: int, framing: str) -> npt.NDArray[np.uint8]:
    """Scale uint8 RGB of shape (n, h, w, 3), as the wrapper of the same name documents."""
    count, height, width, _ = pixels.shape
    placed = place(height, width, size, framing)
    rows, columns = placed.seen(size)
    vertical = weights(height, placed.height, rows)
    top = vertical[0][0]
    bottom = vertical[-1][0] + len(vertical[-1][1])
    narrow = _filtered(pixels[:, top:bottom], 2, weights(width, placed.width, columns))
    square = np.zeros((count, size, size, 3), np.uint8)
    shifted = [(first - top, factors) for first, factors in vertical]
    square[:, *placed.covered(size)] = _filtered(narrow, 1, shifted)
    return square
