"""Four painted views for the demo take: a lake, balloons over lavender, a harbour at dusk, a reef."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from . import _paint as p
from ._paint import COLUMNS, HEIGHT, ROWS, WIDTH, Plane, Rng

# Outlines around (0, 0), in units of what they are drawn at: x to the right, y down.
_BASKET = ((-0.13, 1.54), (0.13, 1.54), (0.11, 1.74), (-0.11, 1.74))
_MAINSAIL = ((0, -1.5), (0, -0.14), (0.62, -0.14))
_JIB = ((-0.06, -1.3), (-0.06, -0.14), (-0.5, -0.14))
_HULL = ((-0.62, -0.1), (0.72, -0.1), (0.5, 0.12), (-0.45, 0.12))
_SHADOW = ((-0.5, 0.03), (0.6, 0.03), (0.1, 0.75))
_TAIL = ((-0.8, 0), (-1.5, -0.48), (-1.35, 0), (-1.5, 0.48))


def paint(name: str) -> npt.NDArray[np.uint8]:
    """One of `SCENES` as uint8 RGB (HEIGHT, WIDTH, 3); the same picture every time."""
    rng = np.random.default_rng([2024, list(SCENES).index(name)])
    canvas = SCENES[name](rng)
    return np.asarray(np.clip(canvas * 255 + 0.5, 0, 255), np.uint8)


def _lake(rng: Rng) -> Plane:
    horizon, sun_x, sun_y = 640, 1240, 425
    canvas = p.gradient([(0, "24476f"), (0.22, "5f84a6"), (0.42, "e9b48a"), (0.56, "ffd98c"), (1, "ffd98c")])
    p.clouds(canvas, rng, across=3, down=9, cover=0.52, lit="ffd2a0", shade="9a6f86")
    p.glow(canvas, sun_x, sun_y, 430, "ff9a3c", 0.2)
    p.glow(canvas, sun_x, sun_y, 130, "ffd070", 0.3)
    p.dot(canvas, sun_x, sun_y, 40, "fffbe6")
    ranges = (
        (600, 330, 2.3, "7d6c98", 8.0, 0.9),
        (630, 215, 3.1, "55557e", 11.0, 0.6),
        (640, 120, 4.5, "33485a", 16.0, 0.0),
    )
    for base, height, across, colour, grain, snow in ranges:
        _range(canvas, rng, p.ridge_line(rng, base, height, across), colour, grain, snow)
        p.blend(canvas, p.rgb("ffc98a"), 0.28 * np.exp(-(((ROWS - 640) / 70) ** 2)) * np.ones((1, WIDTH)))
    _conifers(canvas, rng, horizon + 2, 170, (26, 74), "15292b")
    ripples = p.mirror_in_water(canvas, rng, horizon, "17405a", 0.38)
    _glitter(canvas, ripples, horizon, sun_x, "ffd489")
    _conifers(canvas, rng, HEIGHT + 40, 26, (150, 420), "0d1a1c", edges_only=True)
    return canvas


def _range(canvas: Plane, rng: Rng, line: Plane, colour: str, grain: float, snow: float) -> None:
    light = p.relief(rng, 2 * grain, grain, 8)[..., None]
    rock = p.rgb(colour) * light
    if snow:
        depth = (ROWS - line[None, :]) / 260 + 0.9 * (p.noise(rng, 24, 12) - 0.5)
        white = snow * (1 - p.smoothstep(0.12, 0.3, depth))[..., None]
        rock = rock + white * (np.clip(p.rgb("ffe3d0") * light, 0, 1) - rock)
    p.blend(canvas, rock, p.below(line))


def _conifers(
    canvas: Plane,
    rng: Rng,
    base: float,
    count: int,
    heights: tuple[int, int],
    colour: str,
    *,
    edges_only: bool = False,
) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    for _ in range(count):
        x, height = rng.uniform(0, WIDTH), rng.uniform(*heights)
        if edges_only:
            x = (x / WIDTH) ** 2 * 380 if x < WIDTH / 2 else WIDTH - (1 - x / WIDTH) ** 2 * 700
        _conifer(mask, x, base, height)
    if not edges_only:
        mask = np.maximum(mask, p.below(p.ridge_line(rng, base + 2, 26, 6)) * (base + 2 > ROWS))
    p.blend(canvas, p.rgb(colour) * p.relief(rng, 160, 90, 2.5)[..., None], mask)


def _conifer(mask: Plane, x: float, base: float, height: float) -> None:
    tiers = 7
    for tier in range(tiers):
        top = base - height * (1 - tier / tiers * 0.9)
        half = height * 0.19 * (tier + 1.3) / tiers
        foot = top + height * 0.26
        p.polygon(mask, [(x, top), (x - half, foot), (x, foot - height * 0.035), (x + half, foot)])


def _glitter(canvas: Plane, ripples: Plane, horizon: int, x: float, colour: str) -> None:
    ground = np.maximum(ROWS - horizon, 0)
    beam = np.exp(-(((COLUMNS - x) / (46 + 0.5 * ground)) ** 2)) * (horizon <= ROWS)
    sparks = p.smoothstep(0.5, 0.68, ripples)
    p.blend(canvas, p.rgb(colour), np.clip(beam * (0.22 + 0.85 * sparks), 0, 0.95))


def _lavender(rng: Rng) -> Plane:
    horizon = 590
    canvas = p.gradient([(0, "1f74d1"), (0.3, "58a6ea"), (0.56, "d3ecfa"), (1, "d3ecfa")])
    p.clouds(canvas, rng, across=4, down=5, cover=0.53, lit="ffffff", shade="b4c6dc")
    for base, height, colour in ((585, 120, "7f9fb8"), (592, 70, "5d8a6a"), (598, 36, "3f7440")):
        line = p.ridge_line(rng, base, height, 2.5, 5)
        p.blend(canvas, p.rgb(colour) * p.relief(rng, 40, 60, 2.0)[..., None], p.below(line))
    p.blend(canvas, _rows_of_lavender(rng, horizon), np.broadcast_to(horizon <= ROWS, (HEIGHT, WIDTH)))
    for x, y, radius, colours in (
        (560, 330, 175, ("e63946", "ffd166")),
        (1340, 250, 125, ("118ab2", "f8f9fa", "ef476f")),
        (1010, 400, 62, ("f3722c", "f9c74f")),
        (1660, 420, 74, ("7b2cbf", "ff9e00")),
        (250, 470, 44, ("06a77d", "f1f7b5")),
    ):
        _balloon(canvas, x, y, radius, colours)
    return canvas


def _rows_of_lavender(rng: Rng, horizon: int) -> Plane:
    ground = np.maximum(ROWS - horizon, 1) / (HEIGHT - horizon)
    across = (COLUMNS - WIDTH * 0.52) / (ground + 0.03) / 560
    fine, coarse = p.noise(rng, 420, 260, 3), p.noise(rng, 110, 60, 4)
    bushes = fine + (coarse - fine) * np.clip(ground * 1.3, 0, 1)
    rows = 0.5 + 0.5 * np.cos(across * 2 * math.pi)
    bloom = p.smoothstep(0.34, 0.62, rows + 0.7 * (bushes - 0.5))
    colour = p.rgb("4a7a2e") * (0.45 + 1.1 * bushes[..., None])
    flowers = p.rgb("4b2a8f") + p.smoothstep(0.3, 0.78, bushes)[..., None] * (p.rgb("c79bff") - p.rgb("4b2a8f"))
    colour = colour + bloom[..., None] * (flowers * (0.55 + 0.5 * rows[..., None]) - colour)
    haze = 0.5 * (1 - p.smoothstep(0, 0.22, ground))[..., None]
    return np.asarray(colour + haze * (p.rgb("b8a8e0") - colour), np.float32)


def _balloon(canvas: Plane, x: float, y: float, radius: float, colours: tuple[str, ...]) -> None:
    """An envelope of gores: a ball above its middle, tapered to the burner below, lit from the upper left."""
    sky, x, y = p.around(canvas, x, y, 1.9 * radius)
    down = (np.arange(sky.shape[0])[:, None] - y) / radius
    half = np.where(down < 0.35, np.sqrt(np.clip(1 - down**2, 0, 1)), np.clip(0.937 - 0.85 * (down - 0.35), 0, 1))
    half = half * (np.abs(down - 0.14) < 1.14)
    across = (np.arange(sky.shape[1]) - x) / radius / np.maximum(half, 1e-3)
    angle = np.arcsin(np.clip(across, -1, 1))
    gore = (angle / math.pi + 0.5) * 14
    palette = np.array([p.rgb(code) for code in colours])[gore.astype(int) % len(colours)]
    light = 0.62 + 0.48 * np.cos(angle + 0.6) * np.cos(np.clip(down, -1, 1) * 1.1 + 0.5)
    light = light * (0.86 + 0.14 * np.abs(np.sin(gore * math.pi))) * np.where(np.abs(down - 0.12) < 0.1, 0.82, 1)
    p.blend(sky, np.clip(palette * light[..., None], 0, 0.97), np.clip((1 - np.abs(across)) * radius * half, 0, 1))
    for side in (-1, 1):
        p.stroke(sky, p.placed([(0.14 * side, 1.28), (0.13 * side, 1.56)], x, y, radius), "3a2a20", 2)
    basket = np.zeros(sky.shape[:2], np.float32)
    p.polygon(basket, p.placed(_BASKET, x, y, radius))
    p.blend(sky, p.rgb("7a4b2a"), basket)


def _harbour(rng: Rng) -> Plane:
    horizon = 690
    canvas = p.gradient([(0, "1b2a63"), (0.25, "4b3f8f"), (0.45, "c65a92"), (0.6, "ff9b73"), (1, "ff9b73")])
    p.clouds(canvas, rng, across=3, down=12, cover=0.55, lit="ff9fa8", shade="53408a")
    p.glow(canvas, 620, 690, 520, "ffb35c", 0.35)
    for count, tallest, colour, lit in ((34, 250, "6d5a96", 0.25), (26, 380, "3d3c70", 0.45), (22, 210, "23284f", 0.6)):
        for _ in range(count):
            width = rng.uniform(46, 110)
            middle = rng.uniform(0, WIDTH)
            tall = tallest * (0.35 + 0.65 * rng.random() * math.exp(-(((middle - 1050) / 700) ** 2)))
            _building(canvas, rng, middle - width / 2, horizon, width, tall, colour, lit)
    ripples = p.mirror_in_water(canvas, rng, horizon, "1d2560", 0.3)
    _glitter(canvas, ripples, horizon, 620, "ffb27a")
    for x, y, size, sail in ((470, 800, 120, "fff1dc"), (1420, 860, 170, "ff6f59"), (980, 752, 64, "ffe8b0")):
        _boat(canvas, x, y, size, sail)
    return canvas


def _building(
    canvas: Plane, rng: Rng, left: float, base: int, width: float, tall: float, colour: str, lit: float
) -> None:
    x0, x1 = max(0, round(left)), min(WIDTH, round(left + width))
    top = round(base - tall)
    if x1 - x0 < 12:
        return
    wall = p.rgb(colour) * rng.uniform(0.8, 1.2)
    sides = np.linspace(1.25, 0.8, x1 - x0, dtype=np.float32)[None, :, None]
    canvas[top:base, x0:x1] = wall * sides
    if rng.random() < 0.3:
        p.stroke(canvas, [((x0 + x1) / 2, top), ((x0 + x1) / 2, top - 0.22 * tall)], colour, 3)
    warm = ("ffd37a", "ffb64f", "fff0c0", "ff8f5a")
    for y in range(top + 10, base - 10, 14):
        for x in range(x0 + 7, x1 - 9, 12):
            if rng.random() < lit:
                canvas[y : y + 7, x : x + 5] = p.rgb(warm[rng.integers(len(warm))]) * rng.uniform(0.7, 1)


def _boat(canvas: Plane, x: float, y: float, size: float, sail: str) -> None:
    water, x, y = p.around(canvas, x, y, 1.6 * size)
    for shape, colour, cover in (
        (_SHADOW, "1a1c45", 0.45),
        (_MAINSAIL, sail, 1.0),
        (_JIB, sail, 0.85),
        (_HULL, "5a2a3c", 1.0),
    ):
        mask = np.zeros(water.shape[:2], np.float32)
        p.polygon(mask, p.placed(shape, x, y, size), cover)
        light = 0.9 + 0.2 * (np.arange(water.shape[1])[:, None] - x) / size
        p.blend(water, p.rgb(colour) * light, mask)


def _reef(rng: Rng) -> Plane:
    canvas = p.gradient([(0, "8eeee0"), (0.14, "3fd0d6"), (0.5, "0f8fb8"), (0.85, "0a4f86"), (1, "0a3a66")])
    angle = np.arctan2(COLUMNS - 800, ROWS + 260)
    shafts = p.noise(rng, 26, 1, 4)[HEIGHT // 2]
    beams = np.interp(angle, np.linspace(-1.4, 1.4, WIDTH), shafts)
    canvas += (0.4 * p.smoothstep(0.5, 0.85, beams) * np.exp(-ROWS / 420))[..., None] * p.rgb("d8fff4")
    for base, height, colour in ((900, 150, "14709a"), (980, 190, "125a7c"), (1060, 150, "c9b98a")):
        line = p.ridge_line(rng, base, height, 3, 6)
        p.blend(canvas, p.rgb(colour) * p.relief(rng, 60, 40, 1.8)[..., None], p.below(line))
    palette = ("ff5d73", "ff9f43", "c86bff", "ffd84d", "ff7ac6", "4de0a8")
    for i in range(34):
        foot = (rng.uniform(0, WIDTH), rng.uniform(1030, 1090))
        size = rng.uniform(70, 190) * (0.6 + abs(foot[0] - 960) / 1200)
        _coral(canvas, rng, foot, size, -math.pi / 2, palette[i % len(palette)], 13)
    for _ in range(46):
        turn, reach = rng.uniform(0, 2 * math.pi), rng.random() ** 0.5
        middle = (980 + 520 * reach * math.cos(turn), 430 + 190 * reach * math.sin(turn))
        _fish(canvas, *middle, rng.uniform(17, 30), "ffcf33", "1b2340")
    for x, y, size in ((420, 620, 88), (1500, 560, 104), (1180, 760, 66)):
        _fish(canvas, x, y, size, "ff7a29", "fff6ea")
    return canvas


def _coral(
    canvas: Plane, rng: Rng, root: tuple[float, float], length: float, angle: float, colour: str, width: int
) -> None:
    tip = (root[0] + length * math.cos(angle), root[1] + length * math.sin(angle))
    p.stroke(canvas, [root, tip], colour, width)
    if width <= 4:
        return
    for turn in (-0.5, 0.05, 0.5):
        _coral(
            canvas, rng, tip, length * rng.uniform(0.55, 0.75), angle + turn + rng.uniform(-0.2, 0.2), colour, width - 3
        )


def _fish(canvas: Plane, x: float, y: float, size: float, body: str, mark: str) -> None:
    water, x, y = p.around(canvas, x, y, 1.6 * size)
    mask = np.zeros(water.shape[:2], np.float32)
    turns = np.linspace(0, 2 * math.pi, 40)
    p.polygon(mask, [(x + size * math.cos(turn), y + 0.5 * size * math.sin(turn)) for turn in turns])
    p.polygon(mask, p.placed(_TAIL, x, y, size))
    along = (np.arange(water.shape[1]) - x) / size
    down = (np.arange(water.shape[0])[:, None] - y) / size
    stripes = ((np.abs(along - 0.45) < 0.1) | (np.abs(along + 0.25) < 0.12))[None, :, None]
    light = 1.08 - 0.45 * np.clip(down + 0.3, 0, 1)[..., None]
    p.blend(water, np.where(stripes, p.rgb(mark), p.rgb(body)) * light, mask)
    p.dot(water, x + size * 0.7, y - size * 0.1, max(2, round(size * 0.08)), "10131f")


SCENES: dict[str, Callable[[Rng], Plane]] = {
    "lake": _lake,
    "balloons": _lavender,
    "harbour": _harbour,
    "reef": _reef,
}
