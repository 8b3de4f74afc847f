"""Score pictures from a decoder's RGB: the reference against libswscale itself, the kernels against the reference."""

from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bestshot_kernels.convert import ycbcr
from bestshot_kernels.score_resize import cuda, reference, score_resize

SIZES = {
    "one-pixel": ((1, 1), (1, 1)),
    "one-row": ((1, 60), (30, 1)),
    "one-column": ((60, 1), (1, 20)),
    "odd": ((37, 53), (40, 28)),
    "same": ((24, 36), (36, 24)),
    "same-odd": ((23, 35), (35, 23)),
    "wider": ((24, 36), (72, 24)),
    "larger": ((18, 26), (52, 36)),
    "much-smaller": ((180, 320), (32, 18)),
}
"""(height, width) of the decoded picture and (width, height) of the score picture."""
MATRICES = ("bt601", "bt709", "bt2020")


def noise(*shape, seed=0, low=0, high=256):
    return np.random.default_rng(seed).integers(low, high, (*shape, 3), dtype=np.uint8)


def smooth(height, width, seed=0):
    """Luma with detail and soft chroma, as planes of 4:2:0 in which no channel leaves 0 to 255."""
    random = np.random.default_rng(seed)
    luma = random.integers(60, 180, (height, width), dtype=np.uint8)
    side = (2, -(-height // 2), -(-width // 2))
    return luma, (118 + 20 * random.random((2, 1, 1)) + np.zeros(side)).astype(np.uint8)


def swscale(luma, chroma, size, matrix, full_range):
    """What libswscale makes of the planes by default."""
    height, width = luma.shape
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, values in zip(frame.planes, (luma, *chroma), strict=True):
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        rows[:, : plane.width] = values
        plane.update(rows)
    graph = av.filter.Graph()
    source = graph.add_buffer(width=width, height=height, format=frame.format, time_base=1)
    colours = f"in_color_matrix={matrix}:in_range={'full' if full_range else 'limited'}"
    steps = [graph.add("scale", f"{size[0]}:{size[1]}:{colours}"), graph.add("format", "pix_fmts=rgb24")]
    for before, after in zip([source, *steps], [*steps, graph.add("buffersink")], strict=True):
        before.link_to(after)
    graph.configure()
    graph.push(frame)
    return graph.pull().to_ndarray()


def shown(luma, chroma, size, matrix, full_range):
    return reference.shown(luma[None], chroma[None], size, matrix, full_range)[0]


@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("size", [(160, 120), (80, 60), (106, 80), (64, 48), (240, 180), (160, 96)])
def test_planes_are_shown_as_libswscale_shows_them(size, matrix, full_range):
    random = np.random.default_rng(1)
    luma = random.integers(0, 256, (120, 160), dtype=np.uint8)
    chroma = random.integers(0, 256, (2, 60, 80), dtype=np.uint8)
    found, expected = (show(luma, chroma, size, matrix, full_range) for show in (shown, swscale))
    if size == (160, 120):
        np.testing.assert_array_equal(found, expected)
    else:
        # A weight that lies between two whole numbers may fall to either side; a step of chroma is two of RGB.
        error = np.abs(found.astype(int) - expected)
        assert (error > 0).mean() < 0.03
        assert error.max() <= 8


@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
def test_planes_are_won_back_from_rgb(full_range):
    luma, chroma = smooth(40, 60)
    codes = np.stack([luma, *chroma.repeat(2, axis=1).repeat(2, axis=2)], axis=-1)
    rgb = ycbcr.to_rgb(codes[None], "bt601", full_range)
    found_luma, found_chroma = reference.planes(rgb, full_range)
    np.testing.assert_array_equal(found_luma[0], luma)
    np.testing.assert_array_equal(found_chroma[0], chroma)


def test_a_channel_that_was_cut_off_does_not_move_luma():
    # A strong red whose blue would be below 0.
    codes = np.zeros((1, 8, 8, 3), np.uint8) + np.array([60, 90, 200], np.uint8)
    codes[0, ..., 0] += np.random.default_rng(0).integers(0, 12, (8, 8), dtype=np.uint8)
    rgb = ycbcr.to_rgb(codes, "bt601", True)
    assert (rgb[..., 2] == 0).any()
    luma, chroma = reference.planes(rgb, True)
    moved = luma[0].astype(int) - codes[0, ..., 0]
    assert np.ptp(moved) <= 1
    again = reference.shown(luma, chroma, (8, 8), "bt601", True)
    assert np.abs(again[..., :2].astype(int) - rgb[..., :2]).max() <= 2


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_turning_comes_before_scaling(rotation):
    pictures = noise(2, 24, 36, low=40, high=216)
    turned = ycbcr.turned(pictures, rotation)
    size = (20, 28)
    found = score_resize(pictures, size, "bt709", False, rotation=rotation)
    np.testing.assert_array_equal(found, score_resize(np.ascontiguousarray(turned), size, "bt709", False))


def test_rgb_made_as_of_full_range_loses_less():
    # Luma below black, which as of limited range is 0 like black; the filter sees it beside brighter pixels.
    luma, chroma = smooth(40, 60)
    luma = np.where(luma > 120, 60, 2).astype(np.uint8)
    codes = np.stack([luma, *chroma.repeat(2, axis=1).repeat(2, axis=2)], axis=-1)
    expected = swscale(luma, chroma, (30, 20), "bt601", False)
    off = []
    for made in (False, True):
        found = score_resize(ycbcr.to_rgb(codes[None], "bt601", made), (30, 20), "bt601", False, made_full_range=made)
        off.append(np.abs(found[0].astype(int) - expected).mean())
    assert off[1] < 0.2
    assert off[0] > 1


@pytest.fixture(scope="module")
def resized(on_cpu, shim):
    """``resized(pictures, size, matrix, full_range, rotation, ...)``: what surrounds the pictures must not matter."""

    def run(pictures, size, matrix="bt709", full_range=False, rotation=0, fill=0, shift=0, **how):
        runner = on_cpu("score_resize", **how)
        arguments = (size, matrix, full_range, rotation, full_range)
        return cuda.queue_resize(shim.guarded(pictures, fill, shift), *arguments, runner)

    return run


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("sides", SIZES.values(), ids=SIZES.keys())
def test_the_kernels_give_the_references_pictures(resized, sides, reverse):
    (height, width), size = sides
    pictures = noise(2, height, width)
    expected = reference.score_resize(pictures, size, "bt709", False, 0, False)
    np.testing.assert_array_equal(resized(pictures, size, reverse=reverse), expected)


@settings(max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 60), st.integers(1, 60)),
    size=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    matrix=st.sampled_from(MATRICES),
    full_range=st.booleans(),
    rotation=st.sampled_from([0, 90, 180, 270]),
    seed=st.integers(0, 2**32 - 1),
    cut=st.booleans(),
    how=st.tuples(st.sampled_from([0, 255]), st.integers(0, 3), st.booleans(), st.integers(1, 3)),
)
def test_any_picture_any_order(resized, shape, size, matrix, full_range, rotation, seed, cut, how):
    pictures = noise(*shape, seed=seed)
    pictures = np.where(pictures > 200, 255, np.where(pictures < 50, 0, pictures)).astype(np.uint8) if cut else pictures
    fill, shift, reverse, processors = how
    found = resized(
        pictures, size, matrix, full_range, rotation, fill, shift, reverse=reverse, multiprocessors=processors
    )
    np.testing.assert_array_equal(
        found, reference.score_resize(pictures, size, matrix, full_range, rotation, full_range)
    )


def test_rows_too_long_for_shared_memory(resized):
    pictures = noise(1, 2, 16500)
    expected = reference.score_resize(pictures, (800, 2), "bt601", True, 0, True)
    np.testing.assert_array_equal(resized(pictures, (800, 2), "bt601", True), expected)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": (0, 4)}, "size is .0, 4."),
        ({"matrix": "rgb"}, "matrix is 'rgb'; it must be one of bt601, bt709, bt2020"),
        ({"rotation": 45}, "rotation is 45; it must be one of 0, 90, 180, 270"),
    ],
)
def test_settings_out_of_bounds_are_named(change, words):
    arguments = {"size": (4, 4), "matrix": "bt601", "full_range": False, **change}
    with pytest.raises(ValueError, match=words):
        score_resize(noise(1, 4, 4), **arguments)


@pytest.mark.gpu
def test_on_a_gpu(gpu_or_skip):
    pictures = noise(3, 181, 321)
    found = cuda.score_resize(gpu_or_skip.asarray(pictures), (160, 90), "bt709", False, rotation=90)
    expected = reference.score_resize(pictures, (160, 90), "bt709", False, 90, False)
    np.testing.assert_array_equal(gpu_or_skip.asnumpy(found), expected)
