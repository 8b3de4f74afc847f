"""The text of the CUDA kernels, run on the CPU, against the references and libswscale."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bestshot_kernels.convert import cuda, curves, reference, ycbcr

SHAPES = {
    "one-pixel": (1, 1, 1),
    "one-row": (2, 1, 37),
    "one-column": (2, 37, 1),
    "two-by-two": (3, 2, 2),
    "just-a-tile": (1, 32, 32),
    "odd-sides": (3, 33, 71),
}
ROTATIONS = [0, 90, 180, 270]
each_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
each_rotation = pytest.mark.parametrize("rotation", ROTATIONS)
each_order = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
each_transfer = pytest.mark.parametrize("transfer", ["pq", "hlg"])


def noise(*shape: int, dtype=np.uint8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, (*shape, 3), dtype=dtype, endpoint=True)


def assert_within_one_code(one, other):
    # float32 against float64: values that round at .5 may fall either way.
    assert one.shape == other.shape
    assert np.abs(one.astype(int) - other).max(initial=0) <= 1


# The oracle of Y'CbCr itself


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
def test_greys_and_primaries_are_where_the_standards_put_them(matrix, full_range):
    black, white, chroma = (0, 255, 255) if full_range else (16, 235, 224)
    greys = np.array([[[[black, 128, 128], [white, 128, 128], [255, 128, 128], [0, 128, 128]]]], np.uint8)
    assert ycbcr.to_rgb(greys, matrix, full_range)[0, 0].tolist() == [[0] * 3, [255] * 3, [255] * 3, [0] * 3]
    red_weight, blue_weight = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}[matrix]
    luma = black + (white - black) * red_weight
    cb = 128 - chroma * red_weight / (2 * (1 - blue_weight))
    red = np.rint([[[[luma, cb, min(128 + chroma / 2, 255)]]]]).astype(np.uint8)
    # Codes of red are rounded, and a step of chroma is up to 2.1 steps of blue.
    assert np.abs(ycbcr.to_rgb(red, matrix, full_range)[0, 0, 0].astype(int) - [255, 0, 0]).max() <= 2


def by_libswscale(codes: np.ndarray, matrix: str, full_range: bool) -> np.ndarray:
    """RGB (h, w, 3) of codes (h, w, 3), 4:4:4 so that no filter of chroma is between."""
    av = pytest.importorskip("av")
    graph = av.filter.Graph()
    height, width, _ = codes.shape
    source = graph.add_buffer(width=width, height=height, format="yuv444p", time_base=Fraction(1, 25))
    colour = f"in_color_matrix={matrix}:in_range={'full' if full_range else 'limited'}"
    scale = graph.add("scale", f"{colour}:flags=bicubic+accurate_rnd+full_chroma_int+bitexact")
    steps = [source, scale, graph.add("format", "pix_fmts=rgb24"), graph.add("buffersink")]
    for step, following in pairwise(steps):
        step.link_to(following)
    graph.configure()
    source.push(av.VideoFrame.from_ndarray(np.ascontiguousarray(codes.transpose(2, 0, 1)), format="yuv444p"))
    return steps[-1].pull().to_ndarray()


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
def test_the_conversion_is_libswscales(matrix, full_range):
    # Codes beyond the limited range overflow libswscale's sums at the corners, so that white turns black there.
    codes = noise(64, 96) if full_range else np.clip(noise(64, 96), 16, [235, 240, 240]).astype(np.uint8)
    difference = ycbcr.to_rgb(codes[None], matrix, full_range)[0].astype(int) - by_libswscale(codes, matrix, full_range)
    # Its fixed point is another: some 3 values in a thousand are one off.
    assert np.abs(difference).max() <= 1


def test_fixed_point_rounds_as_real_numbers_do():
    codes = noise(1, 200, 200)
    for matrix in ycbcr.MATRICES:
        weights = ycbcr.to_signal(matrix, False)
        real = np.clip(255 * (codes @ weights[:, :3].T + weights[:, 3]), 0, 255)
        assert np.abs(ycbcr.to_rgb(codes, matrix, False) - real).max() <= 0.505


# The kernels


@pytest.fixture(scope="module")
def rgb_of(on_cpu, shim):
    def run(codes, matrix="bt709", full_range=False, *, rotation=0, transfer="sdr", peak=1000.0, **how):
        runner = on_cpu("convert", **how)
        return cuda.queue_rgb(shim.guarded(codes, 0, 1), matrix, full_range, rotation, transfer, peak, runner)

    return run


@each_order
@each_rotation
@each_shape
def test_sdr_is_the_references(rgb_of, shape, rotation, reverse):
    codes = noise(*shape)
    expected = ycbcr.turned(ycbcr.to_rgb(codes, "bt709", False), rotation)
    np.testing.assert_array_equal(rgb_of(codes, rotation=rotation, reverse=reverse), expected)


@settings(max_examples=40)
@given(
    shape=st.tuples(st.integers(0, 3), st.integers(1, 70), st.integers(1, 70)),
    matrix=st.sampled_from(ycbcr.MATRICES),
    full_range=st.booleans(),
    rotation=st.sampled_from(ROTATIONS),
    seed=st.integers(0, 2**32 - 1),
    reverse=st.booleans(),
)
def test_any_picture_any_matrix_any_turn(rgb_of, shape, matrix, full_range, rotation, seed, reverse):
    codes = noise(*shape, seed=seed)
    expected = ycbcr.turned(ycbcr.to_rgb(codes, matrix, full_range), rotation)
    np.testing.assert_array_equal(rgb_of(codes, matrix, full_range, rotation=rotation, reverse=reverse), expected)


def test_full_range_rgb_passes_unchanged(rgb_of):
    codes = noise(2, 40, 50)
    np.testing.assert_array_equal(rgb_of(codes, "rgb", True), codes)


@each_order
@each_rotation
@each_transfer
@each_shape
def test_tone_map_is_within_one_code_of_the_reference(on_cpu, shape, transfer, rotation, reverse):
    pictures = noise(*shape, dtype=np.uint16) >> np.random.default_rng(1).integers(0, 6, (*shape, 1), dtype=np.uint16)
    found = cuda.queue_tone_map(pictures, transfer, 1000.0, rotation, on_cpu("convert", reverse=reverse))
    assert_within_one_code(found, ycbcr.turned(reference.tone_map(pictures, transfer), rotation))


@each_transfer
@pytest.mark.parametrize("peak", [400.0, 1000.0, 4000.0, 10000.0])
def test_every_level_of_grey_at_any_peak(on_cpu, transfer, peak):
    ramp = np.arange(65536, dtype=np.uint16).reshape(1, 256, 256, 1).repeat(3, axis=3)
    found = cuda.queue_tone_map(ramp, transfer, peak, 0, on_cpu("convert"))
    assert_within_one_code(found, reference.tone_map(ramp, transfer, peak_nits=peak))
    # Rounding to codes is at worst where a curve meets its knee, or 0.
    assert np.diff(found.reshape(-1, 3).astype(int), axis=0).min() >= -1


@each_transfer
def test_8_bit_hdr_is_that_of_the_same_signals_in_16(rgb_of, transfer):
    codes = noise(1, 60, 60)
    weights = ycbcr.to_signal("bt2020", False)
    signal = np.clip(codes @ weights[:, :3].T + weights[:, 3], 0, 1)
    expected = reference.tone_map(np.rint(65535 * signal).astype(np.uint16), transfer)
    assert_within_one_code(rgb_of(codes, "bt2020", transfer=transfer), expected)


def test_the_kernels_hlg_constants_are_those_of_curves_py():
    np.testing.assert_allclose([curves._HLG_B, curves._HLG_C], [0.28466892, 0.55991073], atol=5e-9)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"matrix": "bt470"}, "matrix is 'bt470'; it must be one of bt601, bt709, bt2020, rgb"),
        ({"rotation": 45}, "rotation is 45; it must be one of 0, 90, 180, 270"),
        ({"transfer": "log"}, "transfer is 'log'; it must be one of sdr, pq, hlg"),
        ({"peak_nits": 100.0}, "peak_nits is 100.0; it must be 400 to 10000"),
    ],
    ids=["matrix", "rotation", "transfer", "peak"],
)
def test_wrong_settings_say_so(settings_, message):
    with pytest.raises(ValueError, match=message):
        cuda.to_rgb(noise(1, 4, 4), **{"matrix": "bt709", "full_range": False, **settings_})
    with pytest.raises(ValueError, match="transfer is 'sdr'; it must be one of pq, hlg"):
        cuda.tone_map(noise(1, 4, 4, dtype=np.uint16), "sdr")


@pytest.mark.gpu
@each_rotation
def test_on_a_gpu_it_is_the_same(gpu_or_skip, rotation):
    codes, wide = noise(3, 361, 642), noise(2, 90, 70, dtype=np.uint16)
    found = gpu_or_skip.asnumpy(cuda.to_rgb(gpu_or_skip.asarray(codes), "bt709", False, rotation=rotation))
    np.testing.assert_array_equal(found, ycbcr.turned(ycbcr.to_rgb(codes, "bt709", False), rotation))
    toned = gpu_or_skip.asnumpy(cuda.tone_map(gpu_or_skip.asarray(wide), "pq", rotation=rotation))
    assert_within_one_code(toned, ycbcr.turned(reference.tone_map(wide, "pq"), rotation))


FULL_601 = ycbcr.Made("bt601", True)


@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
def test_rgb_made_in_another_way_is_as_its_own_would_have_made_it(matrix, full_range):
    # Moderate colours, so that nothing is cut off.
    codes = (noise(2, 20, 30) // 4 + 96).astype(np.uint8)
    should_be = ycbcr.Made(matrix, full_range)
    found = ycbcr.recode(ycbcr.to_rgb(codes, *FULL_601), FULL_601, should_be)
    # Rounded twice.
    assert np.abs(found.astype(int) - ycbcr.to_rgb(codes, *should_be)).max() <= 2
    greys = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None, None], (1, 256, 1, 3))
    recoded = ycbcr.recode(greys, FULL_601, should_be)
    assert (recoded == recoded[..., :1]).all()
    assert full_range == bool((recoded == greys).all())


@each_order
@each_rotation
def test_recoding_on_the_device_is_the_references(on_cpu, rotation, reverse):
    pictures, should_be = noise(2, 33, 71), ycbcr.Made("bt709", False)
    found = cuda.queue_recode(pictures, FULL_601, should_be, rotation, on_cpu("convert", reverse=reverse))
    np.testing.assert_array_equal(found, ycbcr.turned(ycbcr.recode(pictures, FULL_601, should_be), rotation))
