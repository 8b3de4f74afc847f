from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bestshot_trt.export.cutlists.timecode import STANDARD_RATES, Rate, nearest_rate

DROP_30, DROP_60 = Rate(Fraction(30000, 1001), drop=True), Rate(Fraction(60000, 1001), drop=True)
RATES = [*map(Rate, STANDARD_RATES), DROP_30, DROP_60]
rates = st.sampled_from(RATES)

# Where drop-frame labels jump and come round, as tables of SMPTE timecode give them.
DROP_30_TABLE = {
    0: "00:00:00;00",
    29: "00:00:00;29",
    30: "00:00:01;00",
    1799: "00:00:59;29",
    1800: "00:01:00;02",
    1801: "00:01:00;03",
    3597: "00:01:59;29",
    3598: "00:02:00;02",
    17981: "00:09:59;29",
    17982: "00:10:00;00",
    17983: "00:10:00;01",
    19781: "00:10:59;29",
    19782: "00:11:00;02",
    107891: "00:59:59;29",
    107892: "01:00:00;00",
    1078920: "10:00:00;00",
    2589407: "23:59:59;29",
    2589408: "00:00:00;00",
}
DROP_60_TABLE = {
    0: "00:00:00;00",
    3599: "00:00:59;59",
    3600: "00:01:00;04",
    7195: "00:01:59;59",
    7196: "00:02:00;04",
    35963: "00:09:59;59",
    35964: "00:10:00;00",
    215784: "01:00:00;00",
    5178816: "00:00:00;00",
}


@pytest.mark.parametrize(("rate", "table"), [(DROP_30, DROP_30_TABLE), (DROP_60, DROP_60_TABLE)], ids=["30", "60"])
def test_drop_frame_timecode_is_that_of_known_tables(rate, table):
    assert {frames: rate.timecode(frames) for frames in table} == table


@pytest.mark.parametrize(
    ("fps", "frames", "timecode"),
    [
        (Fraction(24000, 1001), 86400, "01:00:00:00"),
        (Fraction(24), 47, "00:00:01:23"),
        (Fraction(25), 90000, "01:00:00:00"),
        (Fraction(30000, 1001), 1800, "00:01:00:00"),
        (Fraction(50), 99, "00:00:01:49"),
        (Fraction(60), 5184000, "00:00:00:00"),
    ],
)
def test_timecode_without_drop_counts_every_label(fps, frames, timecode):
    assert Rate(fps).timecode(frames) == timecode


@pytest.mark.parametrize("rate", [DROP_30, DROP_60])
def test_an_hour_of_drop_frame_labels_is_an_hour_of_time(rate):
    for hour in range(1, 24):
        drift = rate.seconds(rate.frame_number(f"{hour:02d}:00:00;00")) - 3600 * hour
        assert abs(drift) <= Fraction(36, 10000) * hour
    plain = Rate(rate.fps)
    assert plain.seconds(plain.frame_number("01:00:00:00")) == Fraction(36036, 10)


@given(rates, st.integers(0, 10**8))
def test_a_frame_number_survives_the_round_trip_but_for_whole_days(rate, frames):
    assert rate.frame_number(rate.timecode(frames)) == frames % rate.frames_a_day


@given(rates, st.integers(0, 10**8))
def test_timecode_only_ever_advances_by_one_label_or_jumps_over_dropped_ones(rate, frames):
    frames %= rate.frames_a_day - 1
    before, after = rate.timecode(frames), rate.timecode(frames + 1)
    assert before < after
    if before[:8] == after[:8]:
        assert int(after[-2:]) == int(before[-2:]) + 1
    else:
        drops = rate.drop and after[6:8] == "00" and int(after[3:5]) % 10
        assert (int(before[-2:]), int(after[-2:])) == (rate.nominal - 1, rate.nominal // 15 if drops else 0)


@given(rates, st.floats(0, 1e6))
def test_seconds_go_to_the_nearest_frame(rate, seconds):
    assert abs(rate.seconds(rate.frames(seconds)) - Fraction(seconds)) <= Fraction(1, 2) / rate.fps


@given(rates, st.integers(0, 10**8))
def test_the_time_of_a_frame_is_that_frame(rate, frames):
    assert rate.frames(rate.seconds(frames)) == frames


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (DROP_30, "00:01:00;00"),
        (DROP_30, "00:59:00;01"),
        (DROP_60, "00:01:00;03"),
        (DROP_30, "00:00:00:00"),
        (Rate(Fraction(25)), "00:00:00;00"),
        (Rate(Fraction(25)), "00:00:00:25"),
        (Rate(Fraction(25)), "24:00:00:00"),
        (Rate(Fraction(25)), "00:60:00:00"),
        (Rate(Fraction(25)), "00:00:60:00"),
        (Rate(Fraction(25)), "0:00:00:00"),
        (Rate(Fraction(25)), "00:00:00:00\n"),
        (Rate(Fraction(25)), ""),
    ],
)
def test_what_is_no_timecode_is_refused(rate, text):
    with pytest.raises(ValueError, match="timecode"):
        rate.frame_number(text)


def test_rates_that_are_none_are_refused():
    with pytest.raises(ValueError, match="no standard rate"):
        Rate(Fraction(2997, 100))
    with pytest.raises(ValueError, match="no drop-frame timecode at 25 frames"):
        Rate(Fraction(25), drop=True)
    with pytest.raises(ValueError, match="above 0"):
        nearest_rate(Fraction(0))
    with pytest.raises(ValueError, match="0 or more"):
        DROP_30.timecode(-1)
    assert not Rate.of(Fraction(25), drop=True).drop


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        ("2997/100", "30000/1001"),
        ("23.98", "24000/1001"),
        ("24", "24"),
        ("29.4", "30000/1001"),
        ("59.9", "60000/1001"),
        ("240", "60"),
        ("1", "24000/1001"),
        ("41", "50"),
    ],
)
def test_the_nearest_standard_rate(fps, rate):
    assert nearest_rate(Fraction(fps)) == Fraction(rate)
