from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bestshot_trt import timeline
from bestshot_trt.config import PickConfig
from bestshot_trt.peaks import find_peaks, smooth

EPSILON = 1e-6
SCORES = st.one_of(
    st.lists(st.integers(0, 3).map(float), max_size=60),
    st.lists(st.floats(-5, 5, width=32), max_size=60),
)


@st.composite
def takes(draw, low=0, high=60):
    """(times, scores, duration): a grid at some rate with some samples missing."""
    scores = draw(SCORES.filter(lambda s: low <= len(s) <= high))
    fps = draw(st.sampled_from([1.0, 2.0, 3.0, 29.97]))
    skips = draw(st.lists(st.integers(1, 4), min_size=len(scores), max_size=len(scores)))
    grid = np.cumsum(skips) - skips[0] if skips else np.empty(0)
    times = grid / fps
    return times, np.array(scores), float(times[-1] + 1 / fps) if len(times) else 1.0


def directions(count, seed=0, dimensions=3):
    return np.random.default_rng(seed).standard_normal((count, dimensions)).astype(np.float32)


def mean_by_definition(times, scores, window):
    return [np.mean([s for u, s in zip(times, scores, strict=True) if abs(u - t) <= window + EPSILON]) for t in times]


@given(takes(), st.sampled_from([0.0, 0.5, 1 / 3, 2.0, 100.0]))
def test_smoothing_is_the_mean_over_the_window_by_time(take, window):
    times, scores, _ = take
    smoothed = smooth(times, scores, window)
    np.testing.assert_allclose(smoothed, mean_by_definition(times, scores, window), atol=1e-9)


@given(takes(low=1), st.floats(0, 10))
def test_smoothing_stays_within_the_values(take, window):
    times, scores, _ = take
    smoothed = smooth(times, scores, window)
    assert scores.min() <= smoothed.min()
    assert smoothed.max() <= scores.max()


@given(st.floats(-1e6, 1e6), st.integers(1, 50), st.floats(0, 10))
def test_a_constant_score_stays_exactly_constant(value, count, window):
    assert set(smooth(np.arange(count) / 3, np.full(count, value), window)) == {value}


def test_window_ends_on_the_grid_belong_to_the_window():
    for at in range(50, 90):
        smoothed = smooth(np.arange(200) / 3, np.arange(200) == at, 2.0)
        assert np.flatnonzero(smoothed).tolist() == list(range(at - 6, at + 7))


def test_missing_samples_are_absent_rather_than_zero():
    assert smooth([0.0, 0.5, 9.0], [1.0, 3.0, 5.0], 2.0).tolist() == [2.0, 2.0, 5.0]


@given(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=8), st.integers(3, 30))
def test_windows_with_the_same_values_form_an_exact_plateau(pattern, repeats):
    count = len(pattern) * repeats
    times = np.arange(count, dtype=np.float64)
    window = (len(pattern) * 2 - 1) / 2
    smoothed = smooth(times, np.tile(pattern, repeats), window)
    odd = 2 * math.floor(window) + 1
    inner = smoothed[odd : count - odd]
    periods = [tuple(sorted(np.tile(pattern, repeats)[i - odd // 2 : i + odd // 2 + 1])) for i in range(count)]
    for value, content in zip(inner, periods[odd : count - odd], strict=True):
        assert all(
            value == other for other, same in zip(inner, periods[odd : count - odd], strict=True) if content == same
        )


@pytest.mark.parametrize(
    ("times", "values", "window", "message"),
    [
        ([0.0, 1.0], [1.0], 2.0, "need"),
        ([0.0, 0.0], [1.0, 2.0], 2.0, "increase"),
        ([0.0, 1.0], [1.0, np.nan], 2.0, "finite"),
        ([0.0, 1.0], [1.0, 2.0], -1.0, "window"),
        ([0.0, 1.0], [1.0, 2.0], np.inf, "window"),
    ],
)
def test_series_that_do_not_fit_are_refused(times, values, window, message):
    with pytest.raises(ValueError, match=message):
        smooth(times, values, window)


def peaks_by_definition(values):
    peaks, start = [], 0
    for _, run in itertools.groupby(values):
        end = start + len(list(run)) - 1
        left_lower = start == 0 or values[start - 1] < values[start]
        right_lower = end == len(values) - 1 or values[end + 1] < values[end]
        if left_lower and right_lower:
            peaks.append((start + end) // 2)
        start = end + 1
    return peaks


@given(SCORES)
def test_peaks_are_the_middles_of_runs_higher_than_both_sides(scores):
    assert find_peaks(np.array(scores)).tolist() == peaks_by_definition(scores)


@pytest.mark.parametrize(
    ("scores", "peaks"),
    [
        ([], []),
        ([4.0], [0]),
        ([1.0, 1.0, 1.0, 1.0], [1]),
        ([3.0, 2.0, 1.0], [0]),
        ([1.0, 2.0, 3.0], [2]),
        ([0.0, 2.0, 2.0, 2.0, 0.0], [2]),
        ([2.0, 2.0, 1.0, 3.0, 3.0], [0, 3]),
        ([0.0, 1.0, 1.0, 2.0, 0.0], [3]),
    ],
    ids=["empty", "single", "constant", "falling", "rising", "plateau", "both-ends", "shoulder"],
)
def test_peaks_of_simple_shapes(scores, peaks):
    assert find_peaks(scores).tolist() == peaks


CONFIGS = st.builds(
    PickConfig,
    min_gap=st.sampled_from([0.0, 1.0, 3.0, 5.0]),
    top=st.integers(1, 6),
    pre=st.sampled_from([0.0, 0.7, 1.0, 4.0]),
    post=st.sampled_from([0.5, 2.0, 6.0]),
    clip_length=st.sampled_from([None, None, (0.2, 0.9), (3.0, 7.0), (2.0, 2.0)]),
    diversity=st.sampled_from([0.0, 0.12, 0.8, 2.0]),
)


def distance(a, b):
    return 1 - float(np.dot(a, b)) / float(np.linalg.norm(a) * np.linalg.norm(b))


@settings(max_examples=300)
@given(takes(low=1), CONFIGS, st.integers(0, 5))
def test_every_selection_keeps_its_promises(take, config, seed):
    times, scores, duration = take
    embedding = directions(len(times), seed).astype(np.float64)
    chosen = timeline.select(times, scores, embedding, duration, config)

    peaks = find_peaks(scores)
    seen = [times[p.index] for p in chosen.picks] + [r.peak_s for r in chosen.rejections]
    assert sorted(seen) == times[peaks].tolist()
    assert 1 <= len(chosen.picks) <= config.top
    assert [p.rank for p in chosen.picks] == list(range(1, len(chosen.picks) + 1))
    ranked = [(-scores[p.index], p.index) for p in chosen.picks]
    assert ranked == sorted(ranked)
    for pick in chosen.picks:
        assert 0 <= pick.start <= times[pick.index] <= pick.end + 1e-9
        assert pick.end <= duration
        length = pick.end - pick.start
        if config.clip_length is None:
            assert length == pytest.approx(min(config.pre + config.post, duration))
        else:
            shortest, longest = config.clip_length
            assert min(shortest, duration) - 1e-9 <= length <= longest + 1e-9
    for a, b in itertools.combinations(chosen.picks, 2):
        assert abs(times[a.index] - times[b.index]) >= config.min_gap - EPSILON
        assert config.diversity == 0 or distance(embedding[a.index], embedding[b.index]) > config.diversity
        assert a.end <= b.start or b.end <= a.start
    if any(r.reason == "top_k" for r in chosen.rejections):
        assert len(chosen.picks) == config.top


def greedy_by_definition(times, scores, embedding, config):
    order = sorted(peaks_by_definition(list(scores)), key=lambda i: (-scores[i], i))
    apart = []
    for i in order:
        if all(abs(times[i] - times[j]) >= config.min_gap - EPSILON for j in apart):
            apart.append(i)
    kept = []
    for i in apart:
        if len(kept) < config.top and all(distance(embedding[i], embedding[j]) > config.diversity for j in kept):
            kept.append(i)
    return kept


@given(takes(low=1), st.integers(1, 4), st.sampled_from([0.12, 0.6]), st.integers(0, 5))
def test_picks_are_those_of_the_two_greedy_passes_when_clips_leave_room(take, top, tau, seed):
    times, scores, duration = take
    embedding = directions(len(times), seed).astype(np.float64)
    config = PickConfig(top=top, diversity=tau, pre=0.001, post=0.001, min_gap=2)
    picks = timeline.select(times, scores, embedding, duration, config).picks
    assert [p.index for p in picks] == greedy_by_definition(times, scores, embedding, config)


def bumps(count, heights):
    """A flat score of ``count`` seconds at 1 Hz with a bump at each key of ``heights``."""
    scores = np.zeros(count)
    for time, height in heights.items():
        scores[time] = height
    return np.arange(count, dtype=np.float64), scores


def pick(heights, duration=60, embedding=None, **options):
    times, scores = bumps(duration, heights)
    embedding = np.eye(duration, dtype=np.float32) if embedding is None else embedding
    return timeline.select(times, scores, embedding, duration, PickConfig(**options))


def spans(selection):
    return [(p.start, p.end) for p in selection.picks]


def reasons(selection):
    return {r.peak_s: (r.reason, r.detail) for r in selection.rejections if r.score_smooth > 0}


def test_clips_reach_from_pre_before_to_post_after_the_peak():
    assert spans(pick({10: 2.0, 30: 1.0}, top=2)) == [(9.0, 12.0), (29.0, 32.0)]


def test_clips_at_the_ends_of_the_take_are_moved_not_shortened():
    assert spans(pick({0: 2.0, 59: 1.0}, top=2)) == [(0.0, 3.0), (57.0, 60.0)]


def test_a_take_shorter_than_the_clip_is_taken_whole():
    assert spans(pick({1: 1.0}, duration=2)) == [(0.0, 2.0)]
    assert spans(pick({1: 1.0}, duration=2, clip_length=(3.0, 7.0))) == [(0.0, 2.0)]


def test_a_later_clip_moves_aside_for_a_better_one():
    assert spans(pick({10: 3.0, 13: 2.0}, top=2, min_gap=2, pre=2)) == [(8.0, 12.0), (12.0, 16.0)]


def test_a_peak_without_room_is_an_overlap_and_costs_no_place():
    chosen = pick({10: 4.0, 17: 3.0, 13: 2.0, 40: 1.0}, top=3, min_gap=2)
    assert spans(chosen) == [(9.0, 12.0), (16.0, 19.0), (12.0, 15.0)]
    chosen = pick({10: 4.0, 15: 3.0, 13: 2.0, 40: 1.0}, top=3, min_gap=2)
    assert spans(chosen) == [(9.0, 12.0), (14.0, 17.0), (39.0, 42.0)]
    reason, detail = reasons(chosen)[13]
    assert reason == "overlap"
    assert "3.000 s" in detail
    assert "2.000 s" in detail


def test_a_peak_inside_a_better_clip_is_an_overlap():
    chosen = pick({40: 4.0, 10: 3.0, 42: 2.0, 12: 1.0}, min_gap=1, post=3)
    assert {time: reason for time, (reason, _) in reasons(chosen).items()} == {42: "overlap", 12: "overlap"}


def test_a_peak_too_near_names_the_better_one_and_the_gap():
    reason, detail = reasons(pick({10: 4.0, 13: 3.0}))[13]
    assert reason == "min_gap"
    assert "3.000 s" in detail
    assert "10.000 s" in detail
    assert "5 s" in detail


def test_a_gap_of_exactly_delta_on_the_sampling_grid_is_enough():
    times = np.arange(60) / 3
    for first in range(40):
        scores = np.zeros(60)
        scores[[first, first + 15]] = 1.0
        chosen = timeline.select(times, scores, np.eye(60), 20.0, PickConfig(top=2))
        assert [p.index for p in chosen.picks] == [first, first + 15]


def test_equal_peaks_go_to_the_earlier_one():
    assert [p.index for p in pick({20: 1.0, 10: 1.0, 13: 1.0}, top=2).picks] == [10, 20]


def test_a_near_duplicate_costs_no_place_and_names_its_twin():
    embedding = np.eye(60, dtype=np.float32)
    embedding[20] = embedding[10] * 3
    chosen = pick({10: 4.0, 20: 3.0, 30: 2.0}, top=2, embedding=embedding)
    assert [p.index for p in chosen.picks] == [10, 30]
    reason, detail = reasons(chosen)[20]
    assert reason == "duplicate"
    assert "0.0000 to rank 1" in detail


def test_a_distance_of_exactly_tau_is_still_a_duplicate():
    chosen = pick({10: 4.0, 20: 3.0}, diversity=1.0, top=2)
    assert [p.index for p in chosen.picks] == [10]


def test_tau_zero_lets_exact_duplicates_pass():
    chosen = pick({10: 4.0, 20: 3.0}, embedding=np.ones((60, 4), np.float32), diversity=0, top=2)
    assert [p.index for p in chosen.picks] == [10, 20]


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_embeddings_without_a_direction_are_never_duplicates(value):
    chosen = pick({10: 4.0, 20: 3.0}, embedding=np.full((60, 4), value, np.float32), top=2)
    assert [p.index for p in chosen.picks] == [10, 20]


def test_what_comes_after_k_is_rejected_as_such():
    assert reasons(pick({10: 4.0, 20: 3.0, 30: 2.0}, top=1)) == {
        20: ("top_k", "1 better moment was already kept"),
        30: ("top_k", "1 better moment was already kept"),
    }


def hill(values, duration=60):
    scores = np.zeros(duration)
    scores[20 : 20 + len(values)] = values
    return np.arange(duration, dtype=np.float64), scores


def grown(values, lengths, fps=1.0):
    times, scores = hill(values)
    config = PickConfig(clip_length=lengths, top=1)
    return spans(timeline.select(times / fps, scores, np.eye(60), 60 / fps, config))[0]


def test_a_clip_grows_over_the_samples_above_the_level():
    assert grown([0.5, 0.9, 0.85, 1.0, 0.9, 0.8], (2.0, 9.0)) == (21.0, 25.0)


def test_a_grown_clip_stops_at_the_longest_on_the_better_side():
    assert grown([0.9, 0.91, 0.97, 1.0, 0.95, 0.92], (1.0, 3.0)) == (22.0, 25.0)


def test_a_clip_that_cannot_grow_is_widened_to_the_shortest():
    assert grown([1.0], (3.0, 7.0)) == (19.0, 22.0)


def test_a_constant_score_gives_the_shortest_clip_in_the_middle():
    chosen = timeline.select(np.arange(61.0), np.ones(61), np.eye(61), 61.0, PickConfig(clip_length=(3.0, 7.0)))
    assert spans(chosen) == [(29.0, 32.0)]


def test_a_clip_does_not_grow_over_missing_samples():
    times, scores = hill([0.9, 0.9, 0.9, 1.0, 0.9, 0.9, 0.9])
    there = times != 25
    config = PickConfig(clip_length=(1.0, 20.0), top=1)
    chosen = timeline.select(times[there], scores[there], np.eye(60)[there], 60.0, config)
    assert spans(chosen) == [(20.0, 25.0)]


def test_an_empty_take_has_no_moments():
    assert timeline.select([], [], np.empty((0, 3)), 0.0) == timeline.Selection(picks=(), rejections=())


@pytest.mark.parametrize(
    ("times", "embedding", "duration", "message"),
    [
        ([0.0, 1.0], np.eye(3), 2.0, r"embedding has shape \(3, 3\); need \(2, d\)"),
        ([0.0, 1.0], np.ones(2), 2.0, "embedding"),
        ([0.0, 1.0], np.eye(2), 0.5, "they must lie in 0 to 0.5 s"),
        ([-1.0, 1.0], np.eye(2), 2.0, "they must lie in 0 to 2"),
        ([0.0, 1.0], np.eye(2), np.inf, "they must lie"),
    ],
)
def test_takes_that_do_not_fit_are_refused(times, embedding, duration, message):
    with pytest.raises(ValueError, match=message):
        timeline.select(times, [1.0, 2.0], embedding, duration)


def test_a_take_shorter_than_the_window_is_decided_by_its_raw_score() -> None:
    times = np.arange(8) / 3
    score = np.array([1.29, 0.99, 0.76, -0.08, 0.09, 0.87, 1.14, 1.28])
    smoothed = smooth(times, score, 2.0)
    chosen = timeline.select(times, smoothed, np.eye(8, dtype=np.float32), 2.38, score=score)
    # Samples 1 to 6 all have the whole take in their window; of these, 6 has the best score.
    assert [pick.index for pick in chosen.picks] == [6]


def test_raw_scores_do_not_move_peaks_of_windows_that_differ() -> None:
    times = np.arange(300) / 3
    score = np.random.default_rng(5).random(300)
    smoothed = smooth(times, score, 2.0)
    embedding = np.eye(300, dtype=np.float32)
    with_score = timeline.select(times, smoothed, embedding, 100.0, score=score)
    assert with_score == timeline.select(times, smoothed, embedding, 100.0)
