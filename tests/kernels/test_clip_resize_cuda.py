"""The text of the CUDA kernels, run on the CPU: the reference bit for bit, in any order of threads and any grid."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bestshot_kernels.clip_resize import FRAMINGS, cuda, reference

SHAPES = {
    "one-pixel": (1, 1, 1),
    "one-row": (2, 1, 60),
    "one-column": (1, 60, 1),
    "two-by-two": (3, 2, 2),
    "odd-sides": (3, 37, 53),
    "already-square": (1, 32, 32),
    "wide": (1, 50, 333),
    "tall": (2, 333, 50),
}


def noise(*shape: int, seed: int = 0, hard: bool = True) -> np.ndarray:
    """Black and white overshoot at every edge, so clipping shows."""
    pictures = np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)
    return np.where(pictures > 127, np.uint8(255), np.uint8(0)) if hard else pictures


@pytest.fixture(scope="module")
def squares_of(on_cpu, shim):
    """``squares_of(pictures, size, framing, fill, shift, ...)``: what surrounds the pictures must not matter."""

    def run(pictures, size, framing, fill=0, shift=0, **how):
        runner = on_cpu("clip_resize", **how)
        return cuda.queue_resize(shim.guarded(pictures, fill, shift), size, framing, runner)

    return run


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_squares_are_the_references(squares_of, shape, framing, reverse):
    pictures = noise(*shape)
    found = squares_of(pictures, 32, framing, reverse=reverse)
    np.testing.assert_array_equal(found, reference.clip_resize(pictures, 32, framing))


@settings(max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 90), st.integers(1, 90)),
    size=st.sampled_from([1, 2, 7, 32]),
    framing=st.sampled_from(FRAMINGS),
    seed=st.integers(0, 2**32 - 1),
    hard=st.booleans(),
    reverse=st.booleans(),
    around=st.tuples(st.sampled_from([0, 255]), st.integers(0, 3)),
)
def test_any_picture_any_order(squares_of, shape, size, framing, seed, hard, reverse, around):
    pictures = noise(*shape, seed=seed, hard=hard)
    found = squares_of(pictures, size, framing, *around, reverse=reverse)
    np.testing.assert_array_equal(found, reference.clip_resize(pictures, size, framing))


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("width", [8192, 8193], ids=["fits-shared-memory", "does-not"])
def test_long_rows(squares_of, framing, width):
    pictures = noise(2, 3, width)
    for reverse in (False, True):
        found = squares_of(pictures, 5, framing, reverse=reverse, shift=1)
        np.testing.assert_array_equal(found, reference.clip_resize(pictures, 5, framing))


def test_a_score_picture(squares_of):
    picture = noise(1, 720, 1280, hard=False)
    np.testing.assert_array_equal(squares_of(picture, 224, "crop"), reference.clip_resize(picture, 224, "crop"))


def test_weights_cannot_overflow_32_bits():
    """Magnitudes add up to less than 2 at every scale, and 255 * 2 * 2**22 fits."""
    for source, target in [(1, 224), (223, 224), (225, 224), (720, 224), (4320, 224), (9999, 224), (20_000, 1)]:
        taps = reference.weights(source, target, slice(0, target))
        assert max(np.abs(weights).sum() for _, weights in taps) * 255 + (1 << 21) < 1 << 31


@pytest.mark.parametrize(
    ("size", "framing", "message"),
    [(0, "crop", "size is 0; it must be at least 1"), (8, "stretch", "framing is 'stretch'; it must be one of crop")],
)
def test_wrong_settings_say_so(size, framing, message):
    with pytest.raises(ValueError, match=message):
        cuda.clip_resize(noise(1, 4, 4), size, framing)


@pytest.mark.gpu
@pytest.mark.parametrize("framing", FRAMINGS)
def test_on_a_gpu_it_is_the_same(gpu_or_skip, framing):
    pictures = noise(3, 361, 642)
    found = gpu_or_skip.asnumpy(cuda.clip_resize(gpu_or_skip.asarray(pictures), 224, framing))
    np.testing.assert_array_equal(found, reference.clip_resize(pictures, 224, framing))
