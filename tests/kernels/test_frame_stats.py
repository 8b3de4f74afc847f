"""Sharpness, exposure, contrast and colourfulness: OpenCV's numbers, on the fast path and in the reference."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bestshot_kernels.frame_stats import frame_stats, reference

SHAPES = {
    "one-pixel": (1, 1, 1),
    "one-row": (2, 1, 9),
    "one-column": (2, 9, 1),
    "two-by-two": (1, 2, 2),
    "odd-width": (3, 8, 7),
    "single-frame": (1, 24, 32),
    "n-plus-one-frames": (5, 12, 10),
    "wide-enough-for-one-row-bands": (1, 3, 600_000),
    "band-edge-inside": (2, 700, 1000),
    "one-row-past-a-band": (1, 525, 1000),
    "two-rows-past-a-band": (1, 526, 1000),
}
PATHS = {"cpu": frame_stats, "reference": reference.frame_stats}


def random_pictures(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def assert_same(one, other):
    np.testing.assert_array_equal(one.exposure_penalty, other.exposure_penalty)
    # Both sum exact integers and round once to float32.
    np.testing.assert_allclose(one.laplacian_variance, other.laplacian_variance, rtol=1e-6)
    np.testing.assert_allclose(one.contrast, other.contrast, rtol=1e-6)
    np.testing.assert_allclose(one.colourfulness, other.colourfulness, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_fast_path_equals_reference(shape):
    pictures = random_pictures(*shape)
    assert_same(frame_stats(pictures), reference.frame_stats(pictures))


@settings(max_examples=40)
@given(
    count=st.integers(0, 3),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    step=st.sampled_from([1, 6, 128, 255]),
    seed=st.integers(0, 2**32 - 1),
)
def test_fast_path_equals_reference_on_any_picture(count, height, width, step, seed):
    pictures = random_pictures(count, height, width, seed=seed) // step
    assert_same(frame_stats(pictures), reference.frame_stats(pictures))


@pytest.mark.parametrize(
    "view",
    [lambda p: p[:, ::2, ::3], lambda p: p[..., ::-1], lambda p: p[::-1], lambda p: p.transpose(0, 2, 1, 3)],
    ids=["strided", "bgr-flip", "backwards", "transposed"],
)
def test_strides_do_not_matter(view):
    pictures = view(random_pictures(3, 30, 44))
    assert_same(frame_stats(pictures), frame_stats(np.ascontiguousarray(pictures)))


@pytest.mark.parametrize("measure", PATHS.values(), ids=PATHS.keys())
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (37, 53)], ids=str)
def test_sharpness_is_opencvs_number(measure, shape):
    picture = random_pictures(*shape)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    expected = cv2.Laplacian(grey, cv2.CV_32F, ksize=1).astype(np.float64).var()
    # The documented tolerance; other OpenCV builds may sum in another order.
    np.testing.assert_allclose(measure(picture[None]).laplacian_variance, [expected], rtol=1e-4)


def test_luma_is_opencvs_bit_for_bit():
    picture = random_pictures(1500, 1500)
    greys = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    for rgb in (picture, greys):
        np.testing.assert_array_equal(reference.luma(rgb), cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))


def test_luma_is_the_rounded_rec601_sum():
    weights = np.array([0.299, 0.587, 0.114])
    rgb = random_pictures(300, 300)
    assert np.abs(reference.luma(rgb) - rgb @ weights).max() <= 0.51


@pytest.mark.parametrize("measure", PATHS.values(), ids=PATHS.keys())
def test_colourfulness_of_known_pictures(measure):
    grey = np.full((4, 6, 3), 90, np.uint8)
    red = np.zeros((4, 6, 3), np.uint8)
    red[..., 0] = 255
    # Even red: no spread, means rg = 255 and yb = 127.5.
    expected = [0.0, 0.3 * np.hypot(255, 127.5)]
    np.testing.assert_allclose(measure(np.stack([grey, red])).colourfulness, expected, rtol=1e-6)


def test_blur_lowers_sharpness():
    sharp = random_pictures(64, 64)
    pair = np.stack([sharp, cv2.GaussianBlur(sharp, (0, 0), 2)])
    variance = frame_stats(pair).laplacian_variance
    assert variance[1] < variance[0] / 10


def test_exposure_penalty_counts_from_luma_253_and_up_to_2():
    levels = np.array([0, 2, 3, 128, 252, 253, 255], dtype=np.uint8)
    pictures = np.broadcast_to(levels[:, None, None, None], (len(levels), 5, 4, 3))
    assert frame_stats(pictures).exposure_penalty.tolist() == [1, 1, 0, 0, 0, 1, 1]


def test_exposure_penalty_is_a_share():
    picture = np.full((1, 10, 10, 3), 100, np.uint8)
    picture[0, :3] = 255
    picture[0, 9] = 0
    np.testing.assert_allclose(frame_stats(picture).exposure_penalty, [0.4], rtol=1e-6)


def test_contrast_is_the_deviation_of_luma():
    pictures = random_pictures(3, 20, 31)
    expected = reference.luma(pictures).std(axis=(1, 2), dtype=np.float64)
    np.testing.assert_allclose(frame_stats(pictures).contrast, expected, rtol=1e-6)


def test_threads_measure_at_once_as_one_alone():
    takes = [random_pictures(40, 300, 400, seed=seed) for seed in range(2)]
    with ThreadPoolExecutor(len(takes)) as threads:
        together = list(threads.map(frame_stats, takes))
    for found, take in zip(together, takes, strict=True):
        alone = frame_stats(take)
        for name, values in vars(found).items():
            np.testing.assert_array_equal(values, getattr(alone, name))


def test_pictures_of_other_sizes_in_between_change_nothing():
    sizes = [(700, 1000), (24, 32), (32, 24), (700, 1000), (24, 32)]
    for seed, size in enumerate(sizes):
        pictures = random_pictures(1, *size, seed=seed)
        assert_same(frame_stats(pictures), reference.frame_stats(pictures))


def test_no_pictures_give_no_rows():
    stats = frame_stats(np.empty((0, 8, 8, 3), np.uint8))
    assert len(stats) == 0
    assert stats.exposure_penalty.shape == (0,)


@pytest.mark.parametrize(
    ("pictures", "arrived", "advice"),
    [
        (np.zeros((2, 4, 4, 3), np.float32), r"float32 of shape \(2, 4, 4, 3\)", "astype"),
        (np.zeros((4, 4, 3), np.uint8), r"uint8 of shape \(4, 4, 3\)", r"rgb\[None\]"),
        (np.zeros((2, 3, 4, 4), np.uint8), r"\(2, 3, 4, 4\)", "channels last"),
        (np.zeros((2, 0, 4, 3), np.uint8), r"\(2, 0, 4, 3\)", "without pixels"),
        ([[1, 2, 3]], "list", "asarray"),
    ],
    ids=["float", "no-batch-axis", "channels-first", "empty", "list"],
)
def test_wrong_input_says_what_arrived_and_what_to_do(pictures, arrived, advice):
    with pytest.raises(ValueError, match=f"{arrived}.*need uint8.*{advice}"):
        frame_stats(pictures)
