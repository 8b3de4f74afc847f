from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bestshot_trt import scoring
from bestshot_trt.config import Weights

MEASURES = hnp.arrays(np.float32, st.integers(0, 40), elements=st.floats(0, 1e6, width=32))


@given(MEASURES)
def test_normalized_values_lie_in_the_unit_interval_and_keep_their_order(values):
    mapped = scoring.normalize(values)
    assert mapped.dtype == np.float64
    assert mapped.shape == values.shape
    assert ((mapped >= 0) & (mapped <= 1)).all()
    assert (np.diff(mapped[np.argsort(values, kind="stable")]) >= 0).all()


def test_percentiles_five_and_ninety_five_become_zero_and_one():
    mapped = scoring.normalize(np.arange(101.0))
    assert mapped[5] == 0
    assert mapped[95] == 1
    assert mapped[50] == 0.5
    assert mapped[:5].max() == 0
    assert mapped[96:].min() == 1


@given(MEASURES.filter(lambda values: len(set(values)) > 1))
def test_the_percentiles_are_those_of_numpy_to_the_last_bit(values):
    series = values.astype(np.float64)
    low, high = np.percentile(series, (5, 95))
    assume(low < high)
    np.testing.assert_array_equal(scoring.normalize(values), np.clip((series - low) / (high - low), 0, 1))


@given(st.floats(-1e6, 1e6, width=32), st.integers(1, 50))
def test_a_constant_series_is_one_half(value, count):
    assert (scoring.normalize(np.full(count, value)) == 0.5).all()


def test_outliers_of_an_otherwise_constant_series_go_to_the_ends():
    values = np.full(100, 3.0)
    values[[10, 20]] = [1.0, 9.0]
    mapped = scoring.normalize(values)
    assert mapped[10] == 0
    assert mapped[20] == 1
    assert (np.delete(mapped, [10, 20]) == 0.5).all()


def test_mode_none_keeps_raw_values_in_a_new_array():
    values = np.array([3.0, -7.0, 20.0])
    raw = scoring.normalize(values, "none")
    raw[0] = 0
    assert values.tolist() == [3.0, -7.0, 20.0]
    assert raw[1:].tolist() == [-7.0, 20.0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="not finite"):
        scoring.normalize([1.0, bad])


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="'file'"):
        scoring.normalize([1.0], "file")


def test_score_is_the_weighted_sum_of_the_normalised_measures():
    sharpness, exposure = np.array([0.0, 10.0, 1000.0]), np.array([0.0, 0.5, 1.0])
    aesthetic, prompt = np.array([4.0, 6.0, 5.0]), np.array([0.1, 0.2, 0.4])
    weights = Weights(aesthetic=2, sharpness=3, exposure=4, prompt=5)

    def mapped(values):
        low, high = np.percentile(values, 5), np.percentile(values, 95)
        return np.clip((values - low) / (high - low), 0, 1)

    expected = 2 * mapped(aesthetic) + 3 * mapped(np.log1p(sharpness)) - 4 * exposure + 5 * mapped(prompt)
    got = scoring.score(sharpness, exposure, aesthetic, prompt, weights=weights)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_raw_mode_takes_the_logarithm_of_sharpness_and_nothing_else():
    got = scoring.score([np.e - 1], [0.25], [5.5], [0.3], mode="none")
    np.testing.assert_allclose(got, 1.0 * 5.5 + 0.5 * 1 - 0.5 * 0.25 + 0.5 * 0.3)


@pytest.mark.parametrize("absent", [None, np.full(3, np.nan, np.float32)], ids=["none", "all-nan"])
def test_without_a_prompt_there_is_no_prompt_term_even_when_weighted(absent):
    measures = [1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [3.0, 2.0, 1.0]
    plain = scoring.score(*measures)
    assert scoring.score(*measures, absent, weights=Weights(prompt=7)).tolist() == plain.tolist()


def test_the_prompt_weight_is_one_half_until_it_is_set():
    measures = [1.0, 1.0], [0.0, 0.0], [1.0, 1.0], [0.0, 1.0]
    assert np.ptp(scoring.score(*measures)) == 0.5
    assert np.ptp(scoring.score(*measures, weights=Weights(prompt=0))) == 0
    assert np.ptp(scoring.score(*measures, weights=Weights(prompt=2))) == 2


def test_an_empty_take_has_an_empty_score():
    assert scoring.score([], [], [], []).shape == (0,)
    assert scoring.stand_in_aesthetic([], []).shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], [0.0, 0.0], [1.0]), "exposure_penalty has 2 values; need 1"),
        (([1.0], [0.0], [np.nan]), "aesthetic holds a value that is not finite"),
        (([-1.0], [0.0], [1.0]), "sharpness holds a value below 0"),
        (([[1.0]], [0.0], [1.0]), "sharpness has shape"),
        (([1.0, 2.0], [0.0, 0.0], [1.0, 1.0], [np.nan, 0.1]), "prompt_similarity holds a value"),
    ],
)
def test_measures_that_do_not_fit_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        scoring.score(*arguments)


@given(MEASURES)
def test_the_stand_in_is_relative_to_its_take(contrast):
    stand_in = scoring.stand_in_aesthetic(contrast, contrast[::-1])
    assert ((stand_in >= 0) & (stand_in <= 1)).all()
    scaled = scoring.stand_in_aesthetic(contrast.astype(np.float64) * 8, contrast[::-1])
    np.testing.assert_allclose(scaled, stand_in, atol=1e-9)


def test_the_stand_in_weighs_contrast_and_colour_equally():
    assert scoring.stand_in_aesthetic([1.0, 2.0], [5.0, 5.0]).tolist() == [0.25, 0.75]
    assert scoring.stand_in_aesthetic([1.0, 2.0], [9.0, 5.0]).tolist() == [0.5, 0.5]
