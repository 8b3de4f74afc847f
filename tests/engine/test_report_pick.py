"""The page's port of scoring and selection, run by node on what the page carries, against Python's own answer."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import subprocess
from importlib import resources

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bestshot_trt import pipeline
from bestshot_trt.config import Config, PickConfig, Weights
from bestshot_trt.export.report import _facts
from bestshot_trt.track import scores

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")
LOOP = """
const api = new Function(process.argv[1] + "; return { unpack, select };")();
const lines = require("node:readline").createInterface({ input: process.stdin });
lines.on("line", async (line) => {
  const { facts, packed, settings } = JSON.parse(line);
  const track = await api.unpack(facts, packed);
  const plain = ({ score, smoothed, ...rest }) => ({ score: [...score], smoothed: [...smoothed], ...rest });
  console.log(JSON.stringify(settings.map((one) => plain(api.select(track, one)))));
});
"""


@pytest.fixture(scope="module")
def node():
    """A function that asks one node process for the page's answers."""
    folder = resources.files("bestshot_trt.export.report")
    source = "\n".join((folder / name).read_text("utf-8") for name in ("unpack.js", "pick.js"))
    process = subprocess.Popen(
        [NODE, "-e", LOOP, source], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )

    def ask(facts, packed, chosen):
        process.stdin.write(json.dumps({"facts": facts, "packed": packed, "settings": chosen}) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    yield ask
    process.stdin.close()
    process.wait(timeout=300)


NUMBERS = st.floats(0, 4000, width=32) | st.integers(0, 3).map(float)


@st.composite
def takes(draw, most=60):
    count = draw(st.integers(1, most))
    fps = draw(st.sampled_from([1.0, 2.0, 3.0, 5.0, 29.97]))
    skips = draw(st.lists(st.sampled_from([1, 1, 1, 2, 9]), min_size=count, max_size=count))
    times = (np.cumsum(skips) - 1) / fps
    column = st.lists(NUMBERS, min_size=count, max_size=count)
    if draw(st.booleans()):
        times = times + draw(st.floats(0, 1))
    seed = draw(st.integers(0, 99))
    few = np.random.default_rng(seed).standard_normal((5, 6))
    embedding = few[np.random.default_rng(seed).integers(0, 5, count)]
    embedding = embedding + 0.3 * np.random.default_rng(seed + 1).standard_normal(embedding.shape)
    if draw(st.booleans()):
        embedding[:: draw(st.integers(1, 5))] = draw(st.sampled_from([0.0, math.nan, math.inf]))
    return {
        "fps": fps,
        "prompt": draw(st.none() | column),
        "embedding": embedding,
        "times": times,
        "sharpness": draw(column),
        "exposure_penalty": draw(column),
        "aesthetic": draw(column),
    }


weight = st.sampled_from([0.0, 0.5, 1.0, -1.0, 0.3, 100.0]) | st.floats(-100, 100)
picks = st.builds(
    PickConfig,
    weights=st.builds(Weights, aesthetic=weight, sharpness=weight, exposure=weight, prompt=st.none() | weight),
    normalize=st.sampled_from(["track", "track", "none"]),
    window=st.sampled_from([0.0, 0.5, 1 / 3, 2.0, 100.0]),
    min_gap=st.sampled_from([0.0, 1.0, 5 / 3, 5.0]),
    top=st.integers(1, 9),
    diversity=st.sampled_from([0.0, 0.12, 0.7, 1.0, 2.0]) | st.floats(0, 2),
    pre=st.sampled_from([0.0, 1.0, 2.7]),
    post=st.sampled_from([0.01, 2.0, 4.1]),
    clip_length=st.none() | st.sampled_from([(0.5, 3.0), (3.0, 7.0), (1.0, 1.0)]),
)


def facts_of(track, config, taken=0):
    document = pipeline.pick(track, Config(pick=config))
    return _facts.facts_of(document, track, None, taken)


def asked(node, track, config, *others, taken=0):
    """What the page answers for ``config`` and ``others``, all of them asked of the page made for ``config``."""
    facts, packed = facts_of(track, config, taken)
    facts = json.loads(json.dumps(facts))
    has_prompt = "prompt_similarity" in facts["layers"]
    chosen = [_facts._settings(one, has_prompt=has_prompt) for one in (config, *others)]
    return node(facts, packed, chosen)


def assert_same(answer, track, config):
    document = pipeline.pick(track, Config(pick=config))
    score, smoothed = scores(track, config)
    assert answer["score"] == score.tolist()
    assert answer["smoothed"] == smoothed.tolist()
    found = [(p["rank"], track.times[p["index"]], p["start"], p["end"]) for p in answer["picks"]]
    assert found == [(m.rank, m.peak_s, m.start_s, m.end_s) for m in document.moments]
    refused = [(track.times[r["index"]], r["reason"]) for r in answer["rejections"]]
    assert refused == [(r.peak_s, r.reason) for r in document.rejected]


@given(takes(), picks, picks)
@settings(max_examples=300)
def test_the_page_picks_what_the_command_picks(node, made, take, config, other):
    track = made.track_of(**take)
    for answer, asked_for in zip(asked(node, track, config, other), (config, other), strict=True):
        if not answer["unsure"]:
            assert_same(answer, track, asked_for)


def test_a_take_of_twenty_minutes_is_picked_again_as_the_command_picks_it(node, made):
    track, config = made.long_track(20), PickConfig()
    others = [
        PickConfig(window=window, top=top, diversity=tau, weights=Weights(sharpness=sharpness))
        for window in (0.0, 1.3, 7.0)
        for top in (3, 20)
        for tau in (0.05, 0.3)
        for sharpness in (0.0, 1.7)
    ]
    answers = asked(node, track, config, *others)
    sure = [not answer["unsure"] for answer in answers]
    assert sure[0]
    assert sum(sure) > len(sure) / 2
    for answer, asked_for in zip(answers, (config, *others), strict=True):
        if not answer["unsure"]:
            assert_same(answer, track, asked_for)


def test_what_cannot_be_told_is_said_and_never_wrong(node, made, monkeypatch):
    """With hardly any room, most distances are told by a few coordinates, and tau is set among them."""
    monkeypatch.setattr(_facts, "_LEAST_ROOM", 50_000)
    track, config = made.long_track(20, spread=1.0), PickConfig()
    others = [
        dataclasses.replace(config, diversity=tau, window=window, top=30)
        for tau in np.linspace(0.02, 1.5, 12).tolist()
        for window in (0.0, 4.4)
    ]
    answers = asked(node, track, config, *others, taken=10_000_000)
    unsure = [bool(answer["unsure"]) for answer in answers]
    assert any(unsure)
    assert not all(unsure)
    for answer, asked_for in zip(answers, (config, *others), strict=True):
        if not answer["unsure"]:
            assert_same(answer, track, asked_for)


def test_every_distance_is_within_its_bound(node, made, monkeypatch):
    """Pairs of all kinds, through the page's own arithmetic: a tau at the bound's ends must be called open."""
    monkeypatch.setattr(_facts, "_LEAST_ROOM", 50_000)
    track, config = made.long_track(8, width=24, spread=2.0), PickConfig()
    facts, packed = facts_of(track, config, 10_000_000)
    assert len(facts["distances"]["planes"]) == 2
    rows = track.embedding.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    exact = 1 - rows @ rows.T
    script = "const t = await unpack(facts, packed); return pairs.map(([i, j]) => t.near(i, j));"
    source = "\n".join(
        (resources.files("bestshot_trt.export.report") / name).read_text("utf-8") for name in ("unpack.js", "pick.js")
    )
    pairs = np.random.default_rng(0).integers(0, len(track), (20000, 2)).tolist()
    body = (
        f"{source}; (async (facts, packed, pairs) => {{ {script} }})(...JSON.parse(require('fs').readFileSync(0)))"
        ".then((found) => console.log(JSON.stringify(found.map((f) => [f.distance, f.error]))))"
    )
    done = subprocess.run(
        [NODE, "-e", body], input=json.dumps([facts, packed, pairs]), capture_output=True, text=True, check=True
    )
    found = np.array(json.loads(done.stdout))
    off = np.abs(found[:, 0] - exact[tuple(np.array(pairs).T)])
    assert (off <= found[:, 1]).all()
    assert np.median(found[:, 1]) < 0.3
