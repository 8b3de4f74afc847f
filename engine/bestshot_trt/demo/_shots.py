"""What is filmed for the demo take: its views and moves of the camera, with faults where they are known to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

DURATION_S = 40
WIDTH, HEIGHT = 1280, 720

Picture = npt.NDArray[np.uint8]
Expect = Literal["picked", "avoided", "duplicate"]


@dataclass(frozen=True)
class Planted:
    """A stretch [``start_s``, ``end_s``) of the take, and what a run must make of it.

    ``picked``: a moment's peak lies inside, before those of all other stretches. ``avoided``: none
    does. ``duplicate``: none does, and a peak inside was turned down as a near duplicate.
    """

    name: str
    start_s: float
    end_s: float
    expect: Expect
    why: str

    def holds(self, time: float) -> bool:
        """Whether ``time`` in seconds lies in the stretch."""
        return self.start_s <= time < self.end_s


@dataclass(frozen=True)
class _View:
    """A framing of a scene: its middle as shares of the canvas, and its width as a share of it."""

    x: float
    y: float
    width: float


@dataclass(frozen=True)
class Shot:
    """How one planted stretch is filmed: the scene, the move of the camera, the fault added."""

    planted: Planted
    scene: str
    first: _View
    last: _View
    fault: Callable[[Picture], Picture]


def _faultless(picture: Picture) -> Picture:
    return picture


def _out_of_focus(picture: Picture) -> Picture:
    import cv2

    small = cv2.resize(picture, (WIDTH // 8, HEIGHT // 8), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), 2.5)
    return np.asarray(cv2.resize(soft, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8)


def _levels(gain: float, offset: float) -> Callable[[Picture], Picture]:
    """A fault that maps every value to ``gain`` times it plus ``offset``, clipped."""
    table = np.clip(np.arange(256) * gain + offset, 0, 255).astype(np.uint8)

    def fault(picture: Picture) -> Picture:
        import cv2

        return np.asarray(cv2.LUT(picture, table), np.uint8)

    return fault


def _hazy(picture: Picture) -> Picture:
    import cv2

    grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    pale = cv2.addWeighted(picture, 0.06, grey, 0.18, 128)
    return np.asarray(cv2.GaussianBlur(pale, (0, 0), 1.5), np.uint8)


_GOOD = "sharp, colourful, well exposed"
_LAKE = _View(0.51, 0.50, 0.80)

# Every moment of a bad stretch is within min_gap (5 s) of a good peak: no ripple on the bottom of a
# valley can take one of the K places.
SHOTS = (
    Shot(
        Planted("camera raised", 0, 1.5, "avoided", "not yet in focus"),
        "lake",
        _View(0.40, 0.70, 0.60),
        _View(0.49, 0.50, 0.82),
        _out_of_focus,
    ),
    Shot(
        Planted("lake", 1.5, 6, "picked", f"{_GOOD}: the first view"),
        "lake",
        _View(0.49, 0.50, 0.82),
        _View(0.53, 0.50, 0.78),
        _faultless,
    ),
    Shot(
        Planted("out of focus", 6, 9, "avoided", "the focus hunts"),
        "lake",
        _View(0.53, 0.50, 0.78),
        _View(0.44, 0.46, 0.70),
        _out_of_focus,
    ),
    Shot(
        Planted("balloons", 9, 13.5, "picked", f"{_GOOD}: a second view"),
        "balloons",
        _View(0.48, 0.50, 0.92),
        _View(0.52, 0.47, 0.80),
        _faultless,
    ),
    Shot(
        Planted("over-exposed", 13.5, 17, "avoided", "most of it is burnt out"),
        "balloons",
        _View(0.52, 0.47, 0.80),
        _View(0.46, 0.55, 0.80),
        _levels(2.0, 90),
    ),
    Shot(
        Planted("lake again", 17, 21, "duplicate", "the first view once more, the camera at rest"),
        "lake",
        _LAKE,
        _LAKE,
        _levels(0.9, 12),
    ),
    Shot(
        Planted("under-exposed", 21, 24.5, "avoided", "nearly black"),
        "harbour",
        _View(0.40, 0.56, 0.70),
        _View(0.44, 0.55, 0.78),
        _levels(0.07, 0),
    ),
    Shot(
        Planted("harbour", 24.5, 29, "picked", f"{_GOOD}: a third view"),
        "harbour",
        _View(0.44, 0.55, 0.78),
        _View(0.54, 0.55, 0.82),
        _faultless,
    ),
    Shot(
        Planted("haze", 29, 32.5, "avoided", "flat and grey"),
        "harbour",
        _View(0.54, 0.55, 0.82),
        _View(0.50, 0.50, 0.80),
        _hazy,
    ),
    Shot(
        Planted("reef", 32.5, 37.5, "picked", f"{_GOOD}: a fourth view"),
        "reef",
        _View(0.46, 0.52, 0.80),
        _View(0.54, 0.52, 0.86),
        _faultless,
    ),
    Shot(
        Planted("camera lowered", 37.5, 40, "avoided", "out of focus, on its way down"),
        "reef",
        _View(0.54, 0.52, 0.86),
        _View(0.40, 0.84, 0.32),
        _out_of_focus,
    ),
)

PLANTED: tuple[Planted, ...] = tuple(shot.planted for shot in SHOTS)
"""What is planted in the take, in order; together they fill it."""
