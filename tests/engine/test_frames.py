from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bestshot_trt.frames import ColorInfo, FrameBatch, VideoInfo, score_size


def info(**changes):
    facts = {
        "path": Path("a.mp4"),
        "container": "mov",
        "stream_index": 0,
        "codec": "h264",
        "pix_fmt": "yuv420p",
        "width": 1920,
        "height": 1080,
        "rotation": 0,
        "pixel_aspect": Fraction(1),
        "time_base": Fraction(1, 90000),
        "start_pts": 0,
        "frame_rate": None,
        "duration_claim": None,
        "color": ColorInfo(matrix="bt709", full_range=False, transfer="sdr"),
        "interlaced": False,
        "has_audio": False,
    }
    return VideoInfo(**{**facts, **changes})


@pytest.mark.parametrize(
    ("display", "height", "size"),
    [
        ((1920, 1080), 720, (1280, 720)),
        ((1080, 1920), 720, (720, 1280)),
        ((3840, 2160), 720, (1280, 720)),
        ((640, 480), 720, (640, 480)),
        ((854, 480), 480, (854, 480)),
        ((853, 481), 480, (852, 480)),
        ((1440, 1080), 720, (960, 720)),
        ((2048, 858), 720, (1718, 720)),
        ((720, 720), 720, (720, 720)),
        ((721, 721), 720, (720, 720)),
        ((1001, 1000), 720, (720, 720)),
        ((1, 1), 720, (2, 2)),
        ((1, 1000), 720, (2, 1000)),
        ((3, 3), 720, (2, 2)),
        ((1920, 1080), 64, (114, 64)),
        ((1920, 1080), 65, (114, 64)),
    ],
)
def test_score_size_of_known_pictures(display, height, size):
    assert score_size(display, height) == size


@given(st.integers(1, 9000), st.integers(1, 9000), st.integers(16, 2160))
def test_score_size_is_even_never_larger_and_keeps_the_shape(width, height, score_height):
    new_width, new_height = score_size((width, height), score_height)
    assert new_width % 2 == new_height % 2 == 0
    assert 2 <= min(new_width, new_height) <= max(2, score_height)
    assert new_width <= max(2, width)
    assert new_height <= max(2, height)
    assert (new_width - new_height) * (width - height) >= 0
    long, short = max(new_width, new_height), min(new_width, new_height)
    if min(width, height) > 1:
        assert abs(long - short * max(width, height) / min(width, height)) <= max(
            2, max(width, height) / min(width, height)
        )
    assert score_size((height, width), score_height) == (
        (new_height, new_width) if width != height else (new_width, new_height)
    )


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({}, (1920, 1080)),
        ({"rotation": 90}, (1080, 1920)),
        ({"rotation": 180}, (1920, 1080)),
        ({"rotation": 270}, (1080, 1920)),
        ({"width": 1440, "pixel_aspect": Fraction(4, 3)}, (1920, 1080)),
        ({"width": 720, "height": 576, "pixel_aspect": Fraction(16, 15)}, (768, 576)),
        ({"width": 720, "height": 576, "pixel_aspect": Fraction(16, 15), "rotation": 270}, (576, 768)),
        ({"width": 1, "height": 1, "pixel_aspect": Fraction(1, 9)}, (1, 1)),
    ],
)
def test_display_size_has_square_pixels_and_is_upright(changes, size):
    assert info(**changes).display_size == size


def test_media_time_is_exact_and_starts_at_the_first_picture():
    video = info(time_base=Fraction(1001, 30000), start_pts=7)
    assert video.media_time(7) == 0
    assert video.media_time(7 + 30000 * 12) == 1001 * 12


@pytest.mark.parametrize("transfer", ["pq", "hlg"])
def test_pq_and_hlg_are_hdr(transfer):
    assert ColorInfo(matrix="bt2020", full_range=False, transfer=transfer).is_hdr
    assert not ColorInfo(matrix="bt2020", full_range=False, transfer="sdr").is_hdr


@pytest.mark.parametrize(
    ("pixels", "times", "message"),
    [
        (np.zeros((1, 2, 2, 3), np.float32), 1, "float32"),
        (np.zeros((2, 2, 3), np.uint8), 2, r"\(2, 2, 3\)"),
        (np.zeros((1, 2, 2, 4), np.uint8), 1, r"\(1, 2, 2, 4\)"),
        (np.zeros((3, 2, 2, 3), np.uint8), 2, "3 pictures, 2 times"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(pixels, times, message):
    with pytest.raises(ValueError, match=message):
        FrameBatch(pixels, np.zeros(times), np.zeros(times, np.int64))


def test_a_batch_is_as_long_as_its_times():
    assert len(FrameBatch(np.zeros((3, 2, 2, 3), np.uint8), np.zeros(3), np.zeros(3, np.int64))) == 3
