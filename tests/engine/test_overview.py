from __future__ import annotations

import itertools
import json
import os
import pty
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bestshot_trt as bt
from bestshot_trt import overview, track
from bestshot_trt.cli.showing import ASCII_BLOCKS, BLOCKS

SHOW = [sys.executable, "-m", "bestshot_trt", "show"]


@pytest.fixture(scope="module")
def folder(clip, tmp_path_factory):
    """A folder of results with nothing in it but a track."""
    take = clip("-c:v libx264 -preset ultrafast -g 10", size="96x64", rate="10", seconds=12)
    folder = tmp_path_factory.mktemp("results")
    made = bt.analyze(take, bt.Config(analyze=bt.AnalyzeConfig(score_height=64, model="none")))
    track.write_track(made, folder / "track.parquet")
    return folder


def shown(*arguments, **environment):
    names = {"COLUMNS": "61", "PYTHONIOENCODING": "utf-8", **environment}
    done = subprocess.run(
        [*SHOW, *map(str, arguments)], capture_output=True, check=False, env={**os.environ, **names}, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode(names["PYTHONIOENCODING"])


def graph(text):
    """The lines between the first and the second empty line: bars, ranks, times."""
    lines = text.split("\n")
    first = lines.index("")
    return lines[first + 1 : lines.index("", first + 1)]


def test_it_shows_the_take_its_curve_its_picks_and_why(folder):
    text = shown(folder)
    assert "0:00:12.0, h264 96x64, 36 samples at 3 Hz, model none" in text
    *bars, ranks, times = graph(text)
    assert set("".join(bars)) <= set(BLOCKS)
    assert max(map(len, bars)) <= 60
    assert times.startswith("0:00:00.0")
    assert times.endswith("0:00:12.0")
    assert "1" in ranks
    assert "why" in text
    assert "mean score" in text


def test_the_picks_are_those_of_pick(folder):
    document = bt.pick(folder / "track.parquet", bt.Config(pick=bt.PickConfig(top=2, min_gap=3.0)))
    told = json.loads(shown(folder, "-k", 2, "--min-gap", 3, "--json"))
    assert [moment["peak_s"] for moment in told["moments"]] == [moment.peak_s for moment in document.moments]


def test_lifts_add_up_to_what_a_moment_has_above_the_mean(folder):
    told = json.loads(shown(folder, "--json"))
    for moment in told["moments"]:
        assert sum(moment["lifts"].values()) == pytest.approx(moment["score"] - told["mean_score"], abs=1e-6)


def test_an_encoding_without_blocks_gets_ascii(folder):
    *bars, _, _ = graph(shown(folder, PYTHONIOENCODING="ascii"))
    assert set("".join(bars)) <= set(ASCII_BLOCKS)


def test_a_pipe_gets_no_colour(folder):
    assert "\x1b" not in shown(folder)


@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_a_terminal_gets_colour_unless_it_asks_not_to(folder, environment, coloured):
    master, slave = pty.openpty()
    names = {**os.environ, "COLUMNS": "61", "TERM": "xterm", **environment}
    subprocess.run([*SHOW, str(folder)], stdout=slave, stderr=subprocess.DEVNULL, env=names, check=True, timeout=300)
    os.close(slave)
    text = b""
    with os.fdopen(master, "rb", buffering=0) as terminal:
        while b"mean score" not in text:
            text += terminal.read(65536)
    assert (b"\x1b[" in text) is coloured


def test_a_folder_without_a_track_says_what_to_name(tmp_path):
    done = subprocess.run([*SHOW, str(tmp_path)], capture_output=True, check=False, text=True)
    assert done.returncode == 3
    assert done.stderr == f"error: {tmp_path}: holds no track.parquet; name a folder that run wrote, or a track\n"


@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40),
    blocks=st.sampled_from([BLOCKS, ASCII_BLOCKS]),
    rows=st.integers(1, 4),
)
def test_bars_are_as_high_as_their_values(values, blocks, rows):
    lines = overview.bars(np.array(values), blocks, rows)
    heights = [sum(blocks.index(line[column]) for line in lines) for column in range(len(values))]
    assert min(heights) >= 1
    assert max(heights) <= rows * (len(blocks) - 1)
    for one, other in itertools.pairwise(values):
        at, then = values.index(one), values.index(other)
        assert (heights[at] - heights[then]) * (one - other) >= 0


def test_a_hole_in_the_track_is_left_blank():
    times = np.array([0.0, 1.0, 2.0, 7.0, 8.0, 9.0])
    high = overview.columns(times, np.arange(6.0), 10.0, 10)
    assert np.isnan(high).tolist() == [False] * 3 + [False, True, True, True] + [False] * 3
    assert high[3] == 2.0


def test_a_short_track_fills_a_wide_terminal():
    high = overview.columns(np.array([0.0, 1.0]), np.array([1.0, 2.0]), 2.0, 8)
    assert high.tolist() == [1.0] * 4 + [2.0] * 4
