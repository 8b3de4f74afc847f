"""How much a clip shakes: one number, measured in the same way before and after it is stabilised."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

HALF_WINDOW_S = 0.5
"""Motion that is the same over a second is meant: a pan, a tilt."""
MEASURED_SIDE = 240
"""Short side of the luma that is measured, in pixels; smaller pictures are measured as they are."""
_FEATURES = 200
_QUALITY = 0.01
_APART = 8
"""`cv2.goodFeaturesToTrack`: how many corners, how strong to the strongest, how many pixels apart."""
_FEWEST = 8
_AGREEING = 0.3
"""A motion counts when so many corners, and such a share of them, move alike; after a cut they do not."""
_FEWEST_MOTIONS = 8

Luma = npt.NDArray[np.uint8]


class ShakeMeter:
    """Takes the pictures of a clip in order and keeps their motions, no picture but the last."""

    def __init__(self) -> None:
        self._last: Luma | None = None
        self._times: list[float] = []
        self._motions: list[tuple[float, float, float]] = []

    def add(self, time: float, luma: Luma) -> None:
        """``luma`` uint8 (h, w), all of one size, is on screen from ``time`` seconds on."""
        motion = None if self._last is None else motion_between(self._last, luma)
        self._last = luma
        if motion is not None:
            side = min(luma.shape)
            self._times.append(time)
            # The turn as the way of a point that is half the short side away from the centre.
            self._motions.append((motion[0] / side, motion[1] / side, motion[2] / 2))

    def shake(self) -> float | None:
        """The shake so far, in percent of the picture's short side a frame; None where too little could be followed."""
        if len(self._motions) < _FEWEST_MOTIONS:
            return None
        return shake_of(np.array(self._times), np.array(self._motions))


def shake_of(times: npt.NDArray[np.float64], motions: npt.NDArray[np.float64]) -> float:
    """``100 sqrt(mean_i |v_i - mean_{|t_j - t_i| <= 0.5 s} v_j|^2)``: what is left of motion without what is smooth.

    Args:
        times: seconds, increasing, (n,); n at least 1.
        motions: v, each frame's motion since the one before: across, down, and turn (n, 3), as shares of one length.

    Returns:
        The root mean square in percent of that length; 0 for a still camera and for one that moves evenly.
    """
    sums = np.concatenate([np.zeros((1, motions.shape[1])), np.cumsum(motions, axis=0)])
    first = np.searchsorted(times, times - HALF_WINDOW_S - 1e-6, side="left")
    last = np.searchsorted(times, times + HALF_WINDOW_S + 1e-6, side="right")
    smooth = (sums[last] - sums[first]) / (last - first)[:, None]
    return float(100 * np.sqrt(np.mean(np.sum((motions - smooth) ** 2, axis=1))))


def motion_between(before: Luma, after: Luma) -> tuple[float, float, float] | None:
    """How the picture moved: (pixels across, pixels down, radians turned) at its centre; None where nobody can say.

    Corners (Shi and Tomasi 1994) are followed by pyramidal Lucas-Kanade flow, and a similarity (shift, turn, scale) is
    fitted to them by RANSAC.
    """
    import cv2

    points = cv2.goodFeaturesToTrack(before, _FEATURES, _QUALITY, _APART)
    if points is None or len(points) < _FEWEST:
        return None
    guess = np.empty(0, np.float32)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(before, after, points, guess)
    kept = found[:, 0] == 1
    if kept.sum() < _FEWEST:
        return None
    cv2.setRNGSeed(0)
    fitted, inliers = cv2.estimateAffinePartial2D(points[kept], moved[kept], ransacReprojThreshold=1.0)
    if fitted is None or inliers.sum() < max(_FEWEST, _AGREEING * len(points)):
        return None
    height, width = before.shape
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    shift = fitted[:, :2] @ centre + fitted[:, 2] - centre
    return float(shift[0]), float(shift[1]), math.atan2(fitted[1, 0], fitted[0, 0])


def shake_of_frames(frames: Iterable[VideoFrame]) -> float | None:
    """The shake of small pictures in order, each with its time, as `ShakeMeter.shake`."""
    meter = ShakeMeter()
    for frame in frames:
        luma = np.asarray(frame.to_ndarray(format="gray"), np.uint8)
        meter.add(frame.time or 0.0, luma)
    return meter.shake()
