"""Brushes for the demo's painted scenes: noise, gradients, ridges, clouds, mirrors of water.

Canvases are float32 RGB (HEIGHT, WIDTH, 3) in [0, 1], painted in place; masks are float32 (HEIGHT, WIDTH).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT = 1920, 1080
_SUBPIXEL = 4
"""Binary digits after the point in coordinates given to OpenCV's drawing calls."""

Plane = npt.NDArray[np.float32]
Rng = np.random.Generator
Points = Sequence[tuple[float, float]]

ROWS: Plane = np.arange(HEIGHT, dtype=np.float32)[:, None]
COLUMNS: Plane = np.arange(WIDTH, dtype=np.float32)[None, :]


def rgb(code: str) -> Plane:
    """``"rrggbb"`` as three values in [0, 1]."""
    return np.array([int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)], np.float32)


def noise(rng: Rng, across: float, down: float, octaves: int = 5) -> Plane:
    """Fractal noise in [0, 1]: cubic value noise of ``across`` by ``down`` cells, halved per octave."""
    total = np.zeros((HEIGHT, WIDTH), np.float32)
    for octave in range(octaves):
        cells = rng.random((int(down * 2**octave) + 3, int(across * 2**octave) + 3), np.float32)
        total += cv2.resize(cells, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) / 2**octave
    return np.asarray((total - total.min()) / np.ptp(total), np.float32)


def smoothstep(low: float, high: float, values: npt.NDArray[Any]) -> Plane:
    """0 below ``low``, 1 above ``high``, a smooth step between."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def gradient(stops: Sequence[tuple[float, str]]) -> Plane:
    """A canvas that runs from top to bottom through (share of the height, colour) stops."""
    places = [stop[0] * HEIGHT for stop in stops]
    colours = np.array([rgb(stop[1]) for stop in stops])
    column = np.stack([np.interp(ROWS[:, 0], places, colours[:, c]) for c in range(3)], axis=1)
    return np.repeat(column[:, None].astype(np.float32), WIDTH, axis=1)


def blend(canvas: Plane, colour: npt.NDArray[Any], mask: npt.NDArray[Any]) -> None:
    """Lay ``colour`` (three values, or a canvas) over ``canvas`` where ``mask`` is 1."""
    canvas += np.asarray(mask, np.float32)[..., None] * (colour - canvas)


def glow(canvas: Plane, x: float, y: float, radius: float, colour: str, strength: float = 1.0) -> None:
    """Add a soft light around (x, y)."""
    squared = ((COLUMNS - x) ** 2 + (ROWS - y) ** 2) / radius**2
    canvas += (strength * np.exp(-squared))[..., None] * rgb(colour)


def ridge_line(rng: Rng, base: float, height: float, across: float, octaves: int = 7) -> Plane:
    """The outline (WIDTH,) of a mountain range that rises up to ``height`` pixels above row ``base``."""
    line = np.zeros(WIDTH, np.float32)
    for octave in range(octaves):
        cells = rng.random((1, int(across * 2**octave) + 3), np.float32)
        line += cv2.resize(cells, (WIDTH, 1), interpolation=cv2.INTER_CUBIC)[0] / 2.0**octave
    return np.asarray(base - height * (line - line.min()) / np.ptp(line), np.float32)


def below(line: Plane, softness: float = 1.5) -> Plane:
    """Mask of everything under an outline."""
    return np.asarray(np.clip((ROWS - line[None, :]) / softness + 0.5, 0, 1), np.float32)


def relief(rng: Rng, across: float, down: float, strength: float) -> Plane:
    """Light and shade around 1 on a rough surface that is lit from the right."""
    heights = noise(rng, across, down, 6)
    slope = np.roll(heights, -3, axis=1) - np.roll(heights, 3, axis=1)
    return np.asarray(np.clip(1 - strength * slope, 0.35, 1.9), np.float32)


def clouds(canvas: Plane, rng: Rng, *, across: float, down: float, cover: float, lit: str, shade: str) -> None:
    """Lay clouds over the whole canvas; ``cover`` in [0, 1] is the noise level they begin at."""
    depth = noise(rng, across, down, 7)
    above = np.roll(depth, 14, axis=0)
    light = smoothstep(-0.12, 0.12, depth - above)[..., None]
    colour = rgb(shade) + light * (rgb(lit) - rgb(shade))
    blend(canvas, colour, 0.92 * smoothstep(cover, cover + 0.22, depth))


def polygon(mask: Plane, points: Points, value: float = 1.0) -> None:
    """Fill a polygon of (x, y) corners, edges smoothed."""
    corners = np.rint(np.array(points) * 2**_SUBPIXEL).astype(np.int32)
    cv2.fillPoly(mask, [corners], value, cv2.LINE_AA, _SUBPIXEL)


def placed(shape: Points, x: float, y: float, size: float) -> Points:
    """``shape`` drawn around (0, 0) in units of ``size``, moved to (x, y)."""
    return [(x + size * across, y + size * down) for across, down in shape]


def stroke(canvas: Plane, points: Points, colour: str, width: int) -> None:
    """Draw a line through (x, y) points."""
    corners = np.rint(np.array(points) * 2**_SUBPIXEL).astype(np.int32)
    cv2.polylines(canvas, [corners], False, rgb(colour).tolist(), width, cv2.LINE_AA, _SUBPIXEL)


def around(canvas: Plane, x: float, y: float, reach: float) -> tuple[Plane, float, float]:
    """The part of ``canvas`` within ``reach`` of (x, y), as a view, and where (x, y) is in it."""
    left, top = max(0, math.floor(x - reach)), max(0, math.floor(y - reach))
    return canvas[top : math.ceil(y + reach), left : math.ceil(x + reach)], x - left, y - top


def dot(canvas: Plane, x: float, y: float, radius: int, colour: str) -> None:
    """Draw a filled circle."""
    cv2.circle(canvas, (round(x), round(y)), radius, rgb(colour).tolist(), -1, cv2.LINE_AA)


def mirror_in_water(canvas: Plane, rng: Rng, horizon: int, tint: str, strength: float) -> Plane:
    """Turn everything under row ``horizon`` to water that mirrors what is above; returns its ripples.

    Ripples are noise in [0, 1], seen in perspective: long and thin far away, broader at the bottom.
    """
    ground = np.maximum(ROWS - horizon, 0) / (HEIGHT - horizon)
    flat = noise(rng, 30, 160, 3)
    rows = np.broadcast_to(HEIGHT * ground**0.4, flat.shape).astype(np.float32)
    columns = ((COLUMNS - WIDTH / 2) / (0.35 + ground) * 0.6 + WIDTH / 2).astype(np.float32)
    ripples = cv2.remap(flat, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    swing = (ripples - 0.5) * ground**0.7
    source_rows = np.clip(horizon - (ROWS - horizon) - 130 * swing, 0, horizon - 1).astype(np.float32)
    source_columns = (COLUMNS + 46 * swing).astype(np.float32)
    water = cv2.remap(canvas, source_columns, source_rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    mirrored: Plane = np.asarray(water, np.float32)
    blend(mirrored, rgb(tint), strength * (0.45 + 0.55 * np.broadcast_to(ground, flat.shape)))
    blend(canvas, mirrored, np.broadcast_to(horizon <= ROWS, flat.shape))
    return np.asarray(ripples, np.float32)
