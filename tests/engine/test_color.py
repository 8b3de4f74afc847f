from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bestshot_trt.errors import ConfigError
from bestshot_trt.export import _color, _cube

LUMA = np.array([0.299, 0.587, 0.114])
AXIS = np.repeat(np.linspace(0, 1, 256)[:, None], 3, axis=1)
SOUND = "LUT_3D_SIZE 2\n" + "\n".join(f"{r} {g} {b}" for b in (0, 1) for g in (0, 1) for r in (0, 1)) + "\n"


def scene(mean=0.46, spread=0.2, cast=(1.0, 1.0, 1.0), seed=0):
    """Grey pixels of this mean and spread, under a light of this colour."""
    grey = np.random.default_rng(seed).normal(mean, spread, (1, 60, 80, 1))
    return (np.clip(grey * np.array(cast), 0, 1) * 255).round().astype(np.uint8)


def mean_luma(pictures):
    return float((pictures.reshape(-1, 3) / 255.0 @ LUMA).mean())


@pytest.mark.parametrize("mean", [0.12, 0.25, 0.7, 0.85])
def test_a_scene_that_is_too_dark_or_bright_comes_nearer_to_mid_exposure(mean):
    pictures = scene(mean, 0.1)
    corrected = _color.correction_of(pictures)(pictures / 255.0) * 255
    before, after = abs(mean_luma(pictures) - _color.MID), abs(mean_luma(corrected) - _color.MID)
    assert after < 0.85 * before


def test_a_cast_is_lessened_and_not_turned_round():
    pictures = scene(cast=(1.08, 1.0, 0.92))
    red, green, blue = (_color.correction_of(pictures)(pictures / 255.0)).reshape(-1, 3).mean(axis=0)
    then_red, _, then_blue = (pictures / 255.0).reshape(-1, 3).mean(axis=0)
    assert red > green > blue
    assert red - blue < 0.75 * (then_red - then_blue)


def test_a_picture_of_one_colour_keeps_it():
    pictures = np.tile(np.array([200, 40, 30], np.uint8), (1, 40, 40, 1))
    assert _color.correction_of(pictures).gains == (1, 1, 1)


def test_a_well_exposed_scene_is_nearly_left_alone():
    pictures = scene(0.46, 0.22)
    change = np.abs(_color.correction_of(pictures)(pictures / 255.0) * 255 - pictures)
    assert change.mean() < 2


@given(st.floats(0, 1), st.floats(0, 0.4), st.tuples(*[st.floats(0.3, 1.0)] * 3), st.integers(0, 5))
def test_every_correction_is_bounded_and_monotone(mean, spread, cast, seed):
    correction = _color.correction_of(scene(mean, spread, cast, seed))
    curves = correction(AXIS)
    assert (np.diff(curves, axis=0) >= 0).all()
    assert np.abs(curves - AXIS).max() < 0.34
    assert 0 <= correction.black <= _color.LARGEST_LEVEL
    assert 1 - _color.LARGEST_LEVEL <= correction.white <= 1
    assert _color.BRIGHTEST_GAMMA - 1e-4 <= correction.gamma <= _color.DARKEST_GAMMA + 1e-4


@given(st.floats(_color.MID - 0.08, _color.MID + 0.08), st.integers(0, 5))
def test_exposure_near_mid_is_left_as_it_is(mean, seed):
    assert _color.correction_of(scene(mean, 0.08, seed=seed)).gamma == 1


@pytest.mark.real
def test_auto_brings_badly_exposed_photos_nearer_to_mid_exposure(media):
    distances = []
    for path in sorted((media / "images" / "expo_shift").iterdir()):
        picture = _photo(path)
        corrected = _color.correction_of(picture)(picture / 255.0) * 255
        distances.append((abs(mean_luma(picture) - _color.MID), abs(mean_luma(corrected) - _color.MID)))
    before, after = np.array(distances).T
    assert len(before) == 14
    assert (after < before).all()
    assert after.mean() < 0.67 * before.mean()


@pytest.mark.real
def test_auto_leaves_well_exposed_photos_nearly_alone(media):
    """Sharp photos and those of AVA whose mean luma is within 0.1 of mid exposure: 4 levels of 255 on average."""
    seen = 0
    for path in [*(media / "images" / "blur_indyka").glob("good_*"), *(media / "images" / "ava3").iterdir()]:
        picture = _photo(path)
        if abs(mean_luma(picture) - _color.MID) > _color.EXPOSURE_SPARED:
            continue
        change = np.abs((_color.correction_of(picture)(picture / 255.0) * 255 - picture) @ LUMA)
        assert change.mean() < 4, path.name
        seen += 1
    assert seen >= 8


def _photo(path):
    image = Image.open(path).convert("RGB")
    image.thumbnail((360, 240))
    return np.asarray(image)[None]


def cube(tmp_path, text):
    path = tmp_path / "look.cube"
    path.write_text(text)
    return path


def test_a_cube_survives_with_all_that_editors_write_in_it(tmp_path):
    text = '# made by hand\nTITLE "A look"\nDOMAIN_MIN 0 0 0\nDOMAIN_MAX 1.0 1.0 1.0\n\n' + SOUND.replace("\n", "\r\n")
    read = _cube.read_cube(cube(tmp_path, text))
    read.write(tmp_path / "again.cube")
    assert (read.nodes == _cube.read_cube(tmp_path / "again.cube").nodes).all()
    assert read.nodes[1].tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no LUT_3D_SIZE in it; give a 3D table in .cube form"),
        ("LUT_3D_SIZE 2\n0 0 0\n", "1 rows of colours, but LUT_3D_SIZE 2 needs 8; save the table again"),
        (SOUND + "1 1 1\n", "9 rows of colours, but LUT_3D_SIZE 2 needs 8; save the table again"),
        ("LUT_3D_SIZE 1\n0 0 0\n", "line 1: LUT_3D_SIZE must be a whole number from 2 to 129"),
        ("LUT_3D_SIZE 99999999999\n", "line 1: LUT_3D_SIZE must be a whole number from 2 to 129"),
        ("LUT_1D_SIZE 2\n", "line 1: a 1D table; give a 3D table alone (LUT_3D_SIZE)"),
        ("LUT_3D_SIZE 2\n0 0\n", "line 2: must be three numbers, red, green and blue"),
        ("LUT_3D_SIZE 2\n0 0 0,5\n", "line 2: must be three numbers, red, green and blue"),
        ("LUT_3D_SIZE 2\n0 0 -1e99\n", "line 2: holds a number that is no colour"),
        ("DOMAIN_MAX 2 2 2\n" + SOUND, "line 1: DOMAIN_MAX must be 1 for all three; give a table of 0 to 1"),
        ("<html>\n", "line 1: must be three numbers, red, green and blue"),
        ("PNG\x01\n", "line 1: PNG\\x01 is no word of a .cube table"),
    ],
)
def test_a_malformed_cube_is_refused_with_its_line(tmp_path, text, message):
    with pytest.raises(ConfigError) as caught:
        _cube.read_cube(cube(tmp_path, text))
    assert str(caught.value).endswith(message)
    assert "look.cube" in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"), [(Path.mkdir, "is a folder"), (os.mkfifo, "pipe"), (lambda p: None, "no such")]
)
def test_what_is_no_file_is_refused_as_a_setting(tmp_path, make, message):
    make(tmp_path / "look.cube")
    with pytest.raises(ConfigError, match=message):
        _cube.read_cube(tmp_path / "look.cube")
