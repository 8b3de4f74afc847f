"""The planner against the definition in plain words, on streams of every shape."""

from __future__ import annotations

import math
from fractions import Fraction
from unittest import mock

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from bestshot_trt import plan
from bestshot_trt.bitstream import PacketKind
from bestshot_trt.plan import PacketInfo, Planner, SampleGrid, sample_pictures, time_on_screen

RATES = [29.97, 3.0, 1 / 3, 24000 / 1001, 59.94, 0.1, 60.0, 2.7]
TIME_BASES = [Fraction(1, 90000), Fraction(1001, 30000), Fraction(1, 25), Fraction(1, 1000), Fraction(1, 10_000_000)]
TWELVE_HOURS = 43200


def exact_rate(fps):
    return Fraction(fps).limit_denominator(1_000_000)


@given(st.sampled_from(RATES), st.sampled_from(TIME_BASES), st.integers(-(2**33), 2**33), st.data())
def test_the_grid_is_exact_over_twelve_hours(fps, time_base, start_pts, data):
    grid = SampleGrid(fps, time_base, start_pts)
    ticks = data.draw(st.integers(0, int(TWELVE_HOURS / time_base)))
    index = grid.first_at(start_pts + ticks)
    # The first k with ticks <= t_k + half a tick.
    limit = (ticks - Fraction(1, 2)) * time_base * exact_rate(fps)
    assert index == max(0, math.ceil(limit))
    # The number of k with t_k < the end.
    assert grid.count_before(start_pts + ticks) == math.ceil(ticks * time_base * exact_rate(fps))
    assert grid.media_time(start_pts + ticks) == ticks * time_base
    assert grid.time(index) == float(index / exact_rate(fps))


def test_the_grid_of_ntsc_rates_has_no_drift():
    grid = SampleGrid(29.97, Fraction(1001, 30000), 5)
    assert grid.fps == Fraction(2997, 100)
    last = 30000 * TWELVE_HOURS // 1001
    assert grid.count_before(5 + last) == math.ceil(last * Fraction(1001, 30000) * Fraction(2997, 100))
    # 90 kHz holds 3 samples a second exactly: every sample is on its own tick.
    exact = SampleGrid(3.0, Fraction(1, 90000), 0)
    assert [exact.first_at(30000 * k) for k in (0, 1, 2, 129_600)] == [0, 1, 2, 129_600]


def test_half_a_tick_late_is_still_on_time():
    # 1/3 s is 33.33 ticks of 1/100 s: the picture at tick 33 serves it, and so does none at 34.
    grid = SampleGrid(3.0, Fraction(1, 100), 0)
    assert grid.first_at(33) == 1
    assert grid.first_at(34) == 2
    # 2/3 s is 66.67 ticks: within half a tick of the picture at 67.
    assert grid.first_at(67) == 2
    assert grid.first_at(68) == 3


def test_pictures_before_the_start_count_as_the_start():
    grid = SampleGrid(3.0, Fraction(1, 25), 100)
    assert grid.first_at(40) == 0
    assert grid.count_before(40) == 0


@st.composite
def streams(draw):
    """Packets in decode order of a take with random groups, steps and reordering; ``start`` is its first pts."""
    start = draw(st.sampled_from([0, -40, 750_000]))
    steps = st.one_of(st.just(4), st.integers(1, 9), st.integers(40, 90))
    sizes = draw(st.lists(st.tuples(st.integers(1, 14), st.booleans(), st.booleans()), min_size=1, max_size=6))
    packets, pts = [], start
    for number, (size, closed, leading) in enumerate(sizes):
        times = []
        for _ in range(size):
            times.append(pts)
            pts += draw(steps)
        packets += draw(group(times, closed=closed or number == 0, leading=leading and number > 0))
    discarded = draw(st.integers(0, 3))
    untimed = draw(st.sets(st.integers(0, len(packets) - 1), max_size=2))
    shown_from = sorted(info.pts for info in packets)[min(discarded, len(packets) - 1)]
    changed = []
    for index, info in enumerate(packets):
        hidden = info.pts < shown_from
        time = None if index in untimed and info.kind.disposable else info.pts
        changed.append(PacketInfo(time, info.duration, info.size, hidden, info.kind))
    return changed, shown_from


@st.composite
def group(draw, times, *, closed, leading):
    """One group in decode order: a keyframe (after its leading pictures in display), then mini-groups."""
    duration = draw(st.sampled_from([0, 4, 4]))

    def packet(pts, *, disposable=False, key=False):
        parameters = (key and draw(st.booleans())) or draw(st.integers(0, 40)) == 0
        return PacketInfo(
            pts, duration, draw(st.integers(1, 50)), False, PacketKind(disposable, key and closed, parameters)
        )

    ahead = min(len(times) - 1, draw(st.integers(1, 3))) if leading else 0
    packets = [packet(times[ahead], key=True)]
    packets += [packet(pts, disposable=draw(st.booleans())) for pts in times[:ahead]]
    rest = times[ahead + 1 :]
    while rest:
        size = draw(st.integers(1, 4))
        mini, rest = rest[:size], rest[size:]
        packets.append(packet(mini[-1], disposable=size == 1 and draw(st.booleans())))
        packets += [packet(pts, disposable=draw(st.booleans())) for pts in draw(st.permutations(mini[:-1]))]
    return packets


def by_definition(infos, grid):
    """{pts: [k, ...]}: sample k belongs to the last picture shown with pts <= start + t_k + half a tick."""
    shown = sorted({info.pts for info in infos if info.pts is not None and not info.discard})
    if not shown:
        return {}
    last = [info for info in infos if info.pts == shown[-1] and not info.discard][-1]
    end = shown[-1] + last.duration
    wanted = {}
    for k in range(math.ceil((end - grid.start_pts) * grid.time_base * grid.fps)):
        limit = grid.start_pts + k / grid.fps / grid.time_base + Fraction(1, 2)
        fitting = [pts for pts in shown if pts <= limit]
        if fitting:
            wanted.setdefault(fitting[-1], []).append(k)
    return wanted


def planned(infos, grid, *, drop=True):
    planner = Planner(grid, drop=drop)
    groups = []
    for index, info in enumerate(infos):
        groups += planner.push(info, index)
    groups += planner.flush()
    return groups, planner


def cut_before_the_end():
    """A take whose last group, cut off by its size, holds no more than a packet without a time."""
    times = [0, 4, 8, 12, 16, 20, 24, 32, 28, 33, 35, 34, None]
    kinds = [PacketKind(disposable=pts is None, closed=pts == 0, parameters=False) for pts in times]
    return [PacketInfo(pts, 4, 1, False, kind) for pts, kind in zip(times, kinds, strict=True)], 0


@settings(max_examples=300)
@given(streams(), st.sampled_from([0.7, 3.0, 11.3, 25.0]), st.sampled_from([6, 9, 1024]))
@example(cut_before_the_end(), 11.3, 6)
def test_plans_are_what_the_definition_asks_for(stream, fps, limit):
    infos, start = stream
    shown = [info for info in infos if info.pts is not None and not info.discard]
    assume(shown and max(shown, key=lambda info: info.pts).duration)
    grid = SampleGrid(fps, Fraction(1, 100), start)
    with mock.patch.object(plan, "GROUP_PACKETS", limit):
        groups, planner = planned(infos, grid)
    assert [index for g in groups for index in g.payloads] == list(range(len(infos)))
    wanted = [(pts, list(samples)) for g in groups for pts, samples in g.wanted.items()]
    assert dict(wanted) == by_definition(infos, grid)
    assert wanted == sorted(wanted)
    assert planner.end_pts == max(info.pts for info in shown) + max(shown, key=lambda info: info.pts).duration
    for number, each in enumerate(groups):
        check_feed(each, groups[number + 1] if number + 1 < len(groups) else None)


def check_feed(current, following):
    """What is dropped is either unwanted and disposable, or after the last wanted one of a closed group."""
    picked = [i for i, info in enumerate(current.infos) if info.pts in current.wanted and not info.discard]
    tail_is_free = following is None or following.infos[0].kind.closed
    for index, (info, fed) in enumerate(zip(current.infos, current.feed, strict=True)):
        if fed:
            continue
        assert index not in picked
        assert current.infos[0].kind.closed
        assert not info.kind.parameters
        assert info.kind.disposable or (tail_is_free and index > max(picked, default=-1))


@settings(max_examples=60)
@given(streams())
def test_without_dropping_every_packet_is_fed_and_the_samples_are_the_same(stream):
    infos, start = stream
    grid = SampleGrid(3.0, Fraction(1, 100), start)
    dropping, _ = planned(infos, grid)
    whole, _ = planned(infos, grid, drop=False)
    assert all(all(g.feed) for g in whole)
    assert [g.wanted for g in whole] == [g.wanted for g in dropping]


@settings(max_examples=100)
@given(
    st.lists(st.one_of(st.none(), st.integers(-50, 400)), max_size=40),
    st.lists(st.booleans(), min_size=40, max_size=40),
)
@example([100, 0, 100], [True] * 40)
def test_times_that_make_no_sense_never_give_a_sample_twice_or_out_of_order(times, closed):
    infos = [
        PacketInfo(pts, 4, 10, False, PacketKind(False, key, False)) for pts, key in zip(times, closed, strict=False)
    ]
    groups, _ = planned(infos, SampleGrid(3.0, Fraction(1, 100), 0))
    samples = [k for g in groups for taken in g.wanted.values() for k in taken]
    assert samples == sorted(set(samples))


def test_memory_is_bounded_by_groups_of_so_many_bytes():
    kind = PacketKind(disposable=False, closed=False, parameters=False)
    planner = Planner(SampleGrid(3.0, Fraction(1, 25), 0), drop=True)
    held, most = 0, 0
    for index in range(3000):
        held += 1
        held -= sum(len(g.payloads) for g in planner.push(PacketInfo(index, 1, 1 << 20, False, kind), index))
        most = max(most, held)
    assert most <= 3 * (plan.GROUP_BYTES >> 20)


def test_a_picture_on_screen_for_long_serves_every_sample_in_it():
    kind = PacketKind(disposable=False, closed=True, parameters=False)
    infos = [PacketInfo(pts, 10, 1, False, kind) for pts in (0, 10, 300)]
    groups, _ = planned(infos, SampleGrid(3.0, Fraction(1, 100), 0))
    assert [list(s) for g in groups for s in g.wanted.values()] == [[0], list(range(1, 9)), [9]]


steps = st.lists(st.integers(1, 80), min_size=1, max_size=40)


@given(steps, st.sampled_from([0.7, 3.0, 25.0]), st.integers(1, 30))
def test_pictures_that_are_all_decoded_serve_the_samples_of_the_definition(gaps, fps, last_duration):
    grid = SampleGrid(fps, Fraction(1, 100), 50)
    times = [50 + sum(gaps[:n]) for n in range(len(gaps))]
    assume(len(gaps) < 2 or last_duration != gaps[-2] // 2)
    pictures = [(pts, last_duration, str(pts)) for pts in times]
    infos = [PacketInfo(pts, last_duration, 1, False, PacketKind(False, True, False)) for pts in times]
    found = {pts: list(samples) for samples, pts, picture in sample_pictures(pictures, grid) if picture == str(pts)}
    assert found == by_definition(infos, grid)


def test_pictures_whose_times_stand_still_are_passed_over():
    grid = SampleGrid(25.0, Fraction(1, 25), 0)
    pictures = [(0, 1, "a"), (0, 1, "b"), (1, 1, "c"), (1, 1, "d"), (0, 1, "e"), (2, 1, "f")]
    assert [picture for _, _, picture in sample_pictures(pictures, grid)] == ["a", "c", "f"]


@pytest.mark.parametrize(
    ("duration", "step", "ticks"),
    [(3600, 3600, 3600), (1800, 3600, 3600), (0, 3600, 3600), (0, 0, 1), (40, 0, 40), (40, 1000, 40)],
)
def test_how_long_the_last_picture_is_on_screen(duration, step, ticks):
    assert time_on_screen(duration, step) == ticks
