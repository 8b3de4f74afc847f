from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bestshot_trt.export import _shake

RATE = 25.0


def texture(height=240, width=320, seed=0):
    """Something with corners at several scales."""
    noise = np.random.default_rng(seed)
    layers = [
        cv2.resize(noise.uniform(0, 255, (height // s, width // s)).astype(np.float32), (width, height))
        for s in (6, 12, 30)
    ]
    return np.mean(layers, axis=0).astype(np.uint8)


def moved(luma, across, down, turn):
    height, width = luma.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -np.degrees(turn), 1)
    matrix[:, 2] += across, down
    return cv2.warpAffine(luma, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


@pytest.mark.parametrize("motion", [(3.0, -2.0, 0.0), (0.0, 0.0, 0.02), (-5.5, 4.25, -0.01)])
def test_a_known_motion_is_measured(motion):
    picture = texture()
    found = _shake.motion_between(picture, moved(picture, *motion))
    assert found[:2] == pytest.approx(motion[:2], abs=0.1)
    assert found[2] == pytest.approx(motion[2], abs=1e-3)


@pytest.mark.parametrize(
    ("before", "after"),
    [(np.full((240, 320), 90, np.uint8),) * 2, (texture(seed=1), texture(seed=2))],
    ids=["nothing to see", "a cut"],
)
def test_no_motion_is_made_up(before, after):
    assert _shake.motion_between(before, after) is None


@given(
    velocity=hnp.arrays(np.float64, 3, elements=st.floats(-0.1, 0.1)),
    count=st.integers(1, 80),
)
def test_an_even_motion_is_no_shake(velocity, count):
    times = np.arange(count) / RATE
    assert _shake.shake_of(times, np.tile(velocity, (count, 1))) == pytest.approx(0, abs=1e-9)


@given(
    motions=hnp.arrays(np.float64, (40, 3), elements=st.floats(-0.1, 0.1)),
    factor=st.floats(0.1, 10),
    pan=st.floats(-0.1, 0.1),
)
def test_shake_grows_with_the_motion_and_a_pan_adds_none(motions, factor, pan):
    times = np.arange(40) / RATE
    shake = _shake.shake_of(times, motions)
    assert _shake.shake_of(times, motions * factor + pan) == pytest.approx(shake * factor, rel=1e-6, abs=1e-9)


def test_the_formula_on_a_jitter_of_one_percent():
    """Every other frame jumps one percent of the short side there, and back: all of it is shake."""
    jumps = np.zeros((400, 3))
    jumps[:, 0] = 0.01 * (-1.0) ** np.arange(400)
    assert _shake.shake_of(np.arange(400) / RATE, jumps) == pytest.approx(1.0, rel=0.05)


def test_a_meter_needs_some_pictures():
    meter = _shake.ShakeMeter()
    for number in range(9):
        assert meter.shake() is None
        meter.add(number / RATE, texture())
    assert meter.shake() == pytest.approx(0, abs=1e-3)
