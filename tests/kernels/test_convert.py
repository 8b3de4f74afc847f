"""HDR to SDR: known points of the curves, greys, and the fast path against the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bestshot_kernels.convert import curves, reference, tone_map

PATHS = {"cpu": tone_map, "reference": reference.tone_map}
SHAPES = {
    "one-pixel": (1, 1, 1),
    "one-row": (1, 1, 17),
    "odd-width": (2, 5, 7),
    "n-plus-one-frames": (4, 6, 6),
    "several-bands": (1, 90, 1001),
}

each_path = pytest.mark.parametrize("convert", PATHS.values(), ids=PATHS.keys())
each_transfer = pytest.mark.parametrize("transfer", ["pq", "hlg"])


def signals(*shape: int, seed: int = 0) -> np.ndarray:
    """Random signals, half of them dark."""
    rng = np.random.default_rng(seed)
    bright = rng.integers(0, 65536, (*shape, 3), dtype=np.uint16)
    return bright >> rng.integers(0, 2, (*shape, 1), dtype=np.uint16) * np.uint16(4)


def greys(values) -> np.ndarray:
    codes = np.rint(65535 * np.asarray(values)).astype(np.uint16)
    return codes[None, None, :, None].repeat(3, axis=3)


def assert_within_one_code(one, other):
    # The fast path works in float32 with tables: values that round at .5 may fall either way.
    assert np.abs(one.astype(int) - other).max(initial=0) <= 1


@pytest.mark.parametrize(("nits", "signal"), [(0.1, 0.0623), (100, 0.5081), (203, 0.5807), (1000, 0.7518)])
def test_pq_has_its_published_points(nits, signal):
    assert curves.nits_to_pq(nits) == pytest.approx(signal, abs=5e-5)
    assert curves.pq_to_nits(curves.nits_to_pq(nits)) == pytest.approx(nits, rel=1e-9)


def test_pq_ends_at_black_and_10000_nits():
    assert curves.pq_to_nits([0.0, 1.0]).tolist() == pytest.approx([0, 10000])


def test_hlg_has_its_published_points():
    # BT.2408: reference white is 75 % HLG and 203 nits on a 1000-nit display of gamma 1.2.
    scene = curves.hlg_to_scene([0.0, 0.5, 0.75, 1.0])
    assert scene.tolist() == pytest.approx([0, 1 / 12, 0.265, 1], abs=1e-3)
    assert 1000 * scene[2] ** curves.hlg_gamma(1000) == pytest.approx(203, rel=0.005)


def test_hlg_gamma_follows_bt2100():
    # BT.2100's formula for 400 to 2000 nits; the extended model used here meets it at 1000 only.
    for peak in (400, 1000, 2000):
        assert curves.hlg_gamma(peak) == pytest.approx(1.2 + 0.42 * np.log10(peak / 1000), abs=0.012)


def test_tone_curve_keeps_the_dark_and_ends_at_white():
    assert curves.tone_curve([0.0, 1.0, 80.0], 1000).tolist() == pytest.approx([0, 1, 80], abs=1e-6)
    assert curves.tone_curve([1000.0, 4000.0], 1000).tolist() == pytest.approx([203, 203])


@pytest.mark.parametrize("peak", [400, 1000, 4000, 10000])
def test_tone_curve_rises_and_never_brightens(peak):
    nits = np.linspace(0, peak, 2000)
    toned = curves.tone_curve(nits, peak)
    assert np.all(np.diff(toned) >= -1e-9)
    assert np.all(toned <= nits + 1e-6)


@each_path
def test_pq_levels_look_like_sdr(convert):
    nits = [0, 26, 203, 1000, 4000]
    codes = convert(greys(curves.nits_to_pq(nits)), "pq")[0, 0, :, 0].tolist()
    black, mid_grey, white, peak, beyond = codes
    assert black == 0
    # 18 % grey under 203-nit white; an SDR camera puts it at 40 to 45 %.
    assert 100 <= mid_grey <= 116
    assert 225 <= white <= 240
    assert peak == beyond == 255


@each_path
def test_both_transfers_show_reference_white_alike(convert):
    pq = convert(greys(curves.nits_to_pq([203])), "pq")
    hlg = convert(greys([0.75]), "hlg")
    assert_within_one_code(pq, hlg)


@each_path
@each_transfer
def test_greys_stay_grey_and_rise(convert, transfer):
    ramp = convert(greys(np.arange(1024) / 1023), transfer)[0, 0].astype(int)
    # Float32 may round a channel at .5 another way.
    assert np.ptp(ramp, axis=1).max() <= 1
    assert np.all(np.diff(ramp[:, 1]) >= 0)
    assert ramp[0].tolist() == [0, 0, 0]
    assert ramp[-1].tolist() == [255, 255, 255]


@each_path
def test_bt709_red_keeps_its_hue(convert):
    to_2020 = np.linalg.inv(curves.TO_BT709)
    red = to_2020 @ np.array([150.0, 0.0, 0.0])
    signal = np.rint(65535 * curves.nits_to_pq(np.maximum(red, 0))).astype(np.uint16)
    code = convert(signal[None, None, None], "pq")[0, 0, 0]
    assert code[0] > 200
    assert code[1:].max() <= 5


@each_transfer
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_fast_path_is_within_one_code_of_reference(transfer, shape):
    pictures = signals(*shape)
    assert_within_one_code(tone_map(pictures, transfer), reference.tone_map(pictures, transfer))


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    transfer=st.sampled_from(["pq", "hlg"]),
    peak=st.floats(400, 10000),
)
def test_fast_path_is_within_one_code_at_any_peak(seed, transfer, peak):
    pictures = signals(1, 16, 16, seed=seed)
    one = tone_map(pictures, transfer, peak_nits=peak)
    assert_within_one_code(one, reference.tone_map(pictures, transfer, peak_nits=peak))


@each_transfer
def test_strides_do_not_matter(transfer):
    pictures = signals(2, 20, 30)[:, ::2, ::-3]
    np.testing.assert_array_equal(tone_map(pictures, transfer), tone_map(np.ascontiguousarray(pictures), transfer))


def test_no_pictures_give_none():
    assert tone_map(np.empty((0, 4, 4, 3), np.uint16), "pq").shape == (0, 4, 4, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((1, 4, 4, 3), np.uint8), "pq"), r"rgb16 is uint8 of shape \(1, 4, 4, 3\); need uint16"),
        ((np.zeros((4, 4, 3), np.uint16), "pq"), r"rgb16\[None\]"),
        ((np.zeros((1, 4, 4, 3), np.uint16), "sdr"), "'sdr'; it must be 'pq' or 'hlg'"),
    ],
    ids=["8-bit", "no-batch-axis", "sdr"],
)
def test_wrong_input_says_what_arrived_and_what_to_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        tone_map(*arguments)


@pytest.mark.parametrize("peak", [0, 203, 20000, float("nan")])
def test_peak_out_of_bounds_is_refused(peak):
    with pytest.raises(ValueError, match=r"peak_nits is .* 400 to 10000"):
        tone_map(np.zeros((1, 2, 2, 3), np.uint16), "pq", peak_nits=peak)
