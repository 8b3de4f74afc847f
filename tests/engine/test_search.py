from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bestshot_trt as bt
from bestshot_trt.embed._onnx import TextEncoder
from bestshot_trt.search import best_apart

TEXT = "the wide inn"


@pytest.fixture(scope="module")
def tracks(clip, tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tracks")
    config = bt.Config(analyze=bt.AnalyzeConfig(model=str(tiny_model.path), score_height=64))
    paths = []
    for seconds in (4, 5):
        take = clip("-c:v libx264 -preset ultrafast -g 10", size="96x64", rate="10", seconds=seconds)
        paths.append(folder / f"{seconds}.parquet")
        bt.write_track(bt.analyze(take, config), paths[-1])
    return paths


def test_the_best_moments_of_all_tracks_come_first(tracks, tiny_model):
    hits = bt.search(tracks, [TEXT], top=5, min_gap=0.5)
    (vector,) = TextEncoder(tiny_model).encode([TEXT])
    best = max(float((bt.read_track(path).embedding @ vector).max()) for path in tracks)
    assert hits[0].similarity == pytest.approx(best, abs=1e-5)
    assert [hit.similarity for hit in hits] == sorted((hit.similarity for hit in hits), reverse=True)
    assert len(hits) == 5


def test_moments_of_one_take_keep_their_distance(tracks):
    hits = bt.search(tracks, [TEXT], top=50, min_gap=1.5)
    for path in map(str, tracks):
        times = sorted(hit.time_s for hit in hits if hit.track == path)
        assert len(times) >= 2
        assert min(np.diff(times)) >= 1.5


@given(
    st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=40),
    st.integers(1, 6),
    st.floats(0, 5),
)
def test_best_apart_is_greedy_and_apart(values, top, gap):
    times = np.arange(len(values)) / 3
    kept = best_apart(times, np.array(values, np.float32), top, gap)
    assert kept[0] == int(np.argmax(np.array(values, np.float32)))
    assert len(kept) <= top
    assert all(abs(times[a] - times[b]) >= gap for a in kept for b in kept if a != b)
    left = [i for i in range(len(values)) if all(abs(times[i] - times[k]) >= gap for k in kept) and i not in kept]
    assert len(kept) == top or not left


def test_tracks_of_different_models_are_not_mixed(tracks, tmp_path):
    track = bt.read_track(tracks[0])
    other = dataclasses.replace(track.meta.clip_model, digest="0" * 64)
    path = tmp_path / "other.parquet"
    bt.write_track(dataclasses.replace(track, meta=dataclasses.replace(track.meta, clip_model=other)), path)
    with pytest.raises(bt.ConfigError, match="different models"):
        bt.search([tracks[0], path], [TEXT])


def test_a_track_without_a_model_is_named(tracks, tmp_path):
    track = bt.read_track(tracks[0])
    path = tmp_path / "plain.parquet"
    bt.write_track(dataclasses.replace(track, meta=dataclasses.replace(track.meta, clip_model=None)), path)
    with pytest.raises(bt.InputError, match=r"plain\.parquet: was analysed without a CLIP model"):
        bt.search([path], [TEXT])


def test_the_command_lists_them(tracks, cli):
    code, out, _ = cli("search", *tracks, TEXT, "-k", "3", "--min-gap", "1")
    assert code == 0
    assert len(out.splitlines()) == 4
    code, out, _ = cli("search", *tracks, TEXT, "-k", "3", "--min-gap", "1", "--json")
    assert code == 0
    assert [hit["track"] in map(str, tracks) for hit in json.loads(out)] == [True] * 3


def test_a_text_alone_is_not_enough(cli):
    code, _, err = cli("search", TEXT)
    assert code == 2
    assert "give one or more tracks, then the text" in err
