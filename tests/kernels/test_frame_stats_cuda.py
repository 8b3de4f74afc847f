"""The text of the CUDA kernel, run on the CPU: the reference's integers, in any order of threads and any grid."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bestshot_kernels.frame_stats import FrameStats, cuda, frame_stats, reference

SHAPES = {
    "one-pixel": (1, 1, 1),
    "one-row": (2, 1, 9),
    "one-row-of-two-tiles": (1, 1, 300),
    "one-column": (2, 40, 1),
    "two-by-two": (1, 2, 2),
    "two-columns": (1, 5, 2),
    "odd-sides": (3, 37, 53),
    "just-a-tile": (1, 30, 256),
    "a-pixel-more-than-a-tile": (1, 31, 257),
    "a-pixel-less-than-a-tile": (1, 29, 255),
    "two-by-two-tiles-and-some": (3, 62, 516),
    "aligned": (2, 61, 260),
}
MEASURES = [field.name for field in dataclasses.fields(FrameStats)]


def random_pictures(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def expected_sums(pictures: np.ndarray) -> np.ndarray:
    """By the reference's luma and Laplacian."""
    grey = reference.luma(pictures)
    red, green, blue = np.moveaxis(pictures.astype(np.int64), -1, 0)
    planes = [reference._laplacian(grey), red - green, red + green - 2 * blue]
    sums = [total for plane in planes for total in (plane.sum(axis=(1, 2)), (plane**2).sum(axis=(1, 2)))]
    counts = [np.bincount(picture.ravel(), minlength=256) for picture in grey]
    return np.concatenate([np.stack(sums, axis=1), np.array(counts)], axis=1)


@pytest.fixture(scope="module")
def sums_of(on_cpu, shim):
    """``sums_of(pictures, fill, shift, runner's options)``: what surrounds the pictures must not matter."""

    def run(pictures, fill=0, shift=0, **how):
        return cuda.queue_sums(shim.guarded(pictures, fill, shift), on_cpu("frame_stats", **how))

    return run


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_sums_are_the_references(sums_of, shape, reverse):
    pictures = random_pictures(*shape)
    np.testing.assert_array_equal(sums_of(pictures, reverse=reverse), expected_sums(pictures))


@settings(max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 70), st.integers(1, 70)),
    wide=st.sampled_from([0, 0, 200, 256]),
    step=st.sampled_from([1, 6, 128, 255]),
    seed=st.integers(0, 2**32 - 1),
    reverse=st.booleans(),
    multiprocessors=st.integers(1, 9),
    around=st.tuples(st.sampled_from([0, 255]), st.integers(0, 3)),
)
def test_any_picture_any_order_any_grid(sums_of, shape, wide, step, seed, reverse, multiprocessors, around):
    count, height, width = shape
    pictures = random_pictures(count, height, width + wide, seed=seed) // step
    found = sums_of(pictures, *around, reverse=reverse, multiprocessors=multiprocessors)
    np.testing.assert_array_equal(found, expected_sums(pictures))


def test_one_block_takes_all_tiles_of_all_pictures(on_cpu):
    pictures = random_pictures(3, 65, 300)
    runner = on_cpu("frame_stats", reverse=True)
    partials = runner.empty((3, 1, cuda.COLUMNS), np.int64)
    runner.launch("frame_stats_partials", (1, 1), (512,), pictures, 3, 65, 300, partials)
    np.testing.assert_array_equal(partials[:, 0], expected_sums(pictures))


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (255, 0, 255), (0, 0, 255)], ids=str)
def test_flat_pictures_have_one_level_and_no_edges(sums_of, colour):
    pictures = np.broadcast_to(np.array(colour, np.uint8), (1, 50, 70, 3))
    sums = sums_of(pictures)
    assert sums[0, :2].tolist() == [0, 0]
    assert sums[0, cuda.SUMS :].max() == 50 * 70
    np.testing.assert_array_equal(sums, expected_sums(pictures))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_measures_are_those_of_the_cpu(sums_of, shape):
    pictures = random_pictures(*shape)
    found, cpu, oracle = cuda.measures(sums_of(pictures)), frame_stats(pictures), reference.frame_stats(pictures)
    for field in MEASURES:
        ours = getattr(found, field)
        assert ours.dtype == getattr(oracle, field).dtype
        np.testing.assert_array_equal(ours, getattr(cpu, field))
        # The reference takes variances in float64, which may fall to the other side when rounded to float32.
        np.testing.assert_array_max_ulp(ours, getattr(oracle, field), 1)


def test_a_score_picture(sums_of):
    """720p of the highest contrast there is: the greatest sums."""
    picture = np.zeros((1, 720, 1280, 3), np.uint8)
    picture[:, ::2, ::2] = picture[:, 1::2, 1::2] = 255
    np.testing.assert_array_equal(sums_of(picture, multiprocessors=2), expected_sums(picture))


def test_pictures_are_kept(sums_of, shim, on_cpu):
    pictures = shim.guarded(random_pictures(2, 33, 21), 7)
    before = pictures.copy()
    cuda.queue_sums(pictures, on_cpu("frame_stats"))
    np.testing.assert_array_equal(pictures, before)


def test_no_pictures_and_wrong_sums():
    assert len(cuda.measures(np.empty((0, cuda.COLUMNS), np.int64))) == 0
    with pytest.raises(ValueError, match=r"sums has shape \(262,\); need \(n, 262\)"):
        cuda.measures(np.zeros(262, np.int64))


@pytest.mark.gpu
def test_on_a_gpu_it_is_the_same(gpu_or_skip):
    pictures = random_pictures(3, 361, 642)
    found = cuda.frame_stats(gpu_or_skip.asarray(pictures))
    for field in MEASURES:
        np.testing.assert_array_equal(getattr(found, field), getattr(frame_stats(pictures), field))
