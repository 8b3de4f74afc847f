from __future__ import annotations

import dataclasses
import threading

import av
import numpy as np
import pytest

import bestshot_trt as bt
from bestshot_trt import analysis, results

FAST = bt.Config(
    analyze=bt.AnalyzeConfig(score_height=64),
    pick=bt.PickConfig(top=2, min_gap=2.0, diversity=0.0, pre=0.4, post=0.4),
    export=bt.ExportConfig(effort="fastest"),
)
RESULTS = [
    *("clips", "contact_sheet.jpg", "cuts", "moments.csv", "moments.json"),
    *("report.html", "timeline.svg", "track.parquet"),
]


@pytest.fixture(scope="module")
def take(clip):
    return clip("-c:v libx264 -preset ultrafast -g 10", size="96x64", rate="10", seconds=8)


@pytest.fixture(scope="module")
def track(take):
    return bt.analyze(take, FAST)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_three_steps_make_what_run_makes(take, track, tmp_path):
    whole = bt.run(take, FAST, tmp_path / "run")
    document = bt.export(bt.pick(track, FAST), tmp_path / "steps", FAST)
    assert document.moments == whole.moments
    assert document.rejected == whole.rejected
    assert names(tmp_path / "run") == RESULTS
    assert names(tmp_path / "steps") == [
        name for name in RESULTS if name not in (results.REPORT, results.TIMELINE, results.TRACK)
    ]


def test_a_take_is_decoded_far_ahead_while_a_model_is_loaded(clip, monkeypatch):
    take = clip("-c:v libx264 -preset ultrafast -g 10", size="96x64", rate="10", seconds=30)
    opened, decoded = analysis.backend_for, threading.Semaphore(0)

    def slow_to_load(*arguments):
        backend = opened(*arguments)

        def measure(pixels):
            decoded.release()
            return backend.measure(pixels)

        def load(_pictures):
            # Of 23 batches in all.
            assert all(decoded.acquire(timeout=60) for _ in range(16))

        return dataclasses.replace(backend, measure=measure, load=load)

    monkeypatch.setattr(analysis, "backend_for", slow_to_load)
    assert len(bt.analyze(take, FAST)) == 90


def test_what_run_returns_is_what_is_on_disk(take, tmp_path):
    document = bt.run(str(take), FAST, str(tmp_path / "out"))
    assert (tmp_path / "out" / "moments.json").read_text() == document.to_json()
    track = bt.read_track(tmp_path / "out" / "track.parquet")
    best = document.moments[0]
    index = int(np.flatnonzero(track.times == best.peak_s)[0])
    assert best.score_smooth == pytest.approx(track.score_smooth[index], rel=1e-6)
    assert len(document.moments) == 2
    for moment in document.moments:
        with av.open(str(tmp_path / "out" / moment.clip)) as container:
            assert container.streams.video[0].frames == 8


def test_run_without_a_folder_writes_below_bestshot(take, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bt.run(take, FAST)
    assert names(tmp_path / "bestshot" / take.stem) == RESULTS


def test_pick_takes_a_track_or_its_path(track, tmp_path):
    bt.write_track(track, tmp_path / "track.parquet")
    assert bt.pick(str(tmp_path / "track.parquet"), FAST) == bt.pick(track, FAST)


def test_pick_again_with_other_weights_needs_no_footage(track):
    other = dataclasses.replace(
        FAST, pick=dataclasses.replace(FAST.pick, weights=bt.Weights(aesthetic=0, sharpness=-1))
    )
    source = dataclasses.replace(track.meta.source, path="/nowhere/take.mp4")
    gone = dataclasses.replace(track, meta=dataclasses.replace(track.meta, source=source))
    sharpest, blurriest = bt.pick(track, FAST), bt.pick(gone, other)
    assert blurriest.moments
    assert [m.score for m in sharpest.moments] != [m.score for m in blurriest.moments]


def test_analyze_reports_progress_in_seconds_of_media_time(take):
    seen = []
    bt.analyze(take, FAST, lambda stage, done, total: seen.append((stage, done, total)))
    assert {stage for stage, _, _ in seen} == {"analyze"}
    assert seen[-1][1] == pytest.approx(8.0, abs=0.5)
    assert seen[-1][2] == pytest.approx(8.0, abs=0.1)


def test_export_reports_progress_up_to_its_end(track, tmp_path):
    seen = []
    document = bt.pick(track, FAST)
    bt.export(document, tmp_path, FAST, progress=lambda stage, done, total, unit="s": seen.append((stage, done, total)))
    total = sum(moment.end_s - moment.start_s for moment in document.moments)
    clips = [said for said in seen if said[0] == "export"]
    assert clips[0] == ("export", 0.0, pytest.approx(total))
    assert clips[-1] == ("export", pytest.approx(total), pytest.approx(total))
    pictures = [said for said in seen if said[0] == "pictures"]
    assert pictures[-1][1] <= pictures[-1][2]


@pytest.mark.parametrize("step", [bt.run, bt.analyze, bt.pick, bt.export])
def test_a_missing_file_is_an_input_error_and_leaves_nothing(step, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(bt.InputError, match=r"gone\.x: no such file; check the path"):
        step("gone.x")
    assert names(tmp_path) == []


@pytest.mark.parametrize("wrong", [{"model": "nonesuch"}, {"backend": "gpu"}])
def test_a_backend_or_model_not_to_be_had_leaves_no_folder(take, tmp_path, wrong):
    config = bt.Config(analyze=bt.AnalyzeConfig(**wrong))
    with pytest.raises((bt.ModelUnavailable, bt.BackendUnavailable)):
        bt.run(take, config, tmp_path / "a" / "b")
    assert names(tmp_path) == []


def test_a_file_cut_short_says_so(take, clip, tmp_path):
    whole = clip("-c:v libx264 -preset ultrafast -g 10 -movflags +faststart", size="96x64", rate="10", seconds=8)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    track = analysis.analyze(cut, FAST)
    assert 2 < float(track.times[-1]) < 7
    assert track.meta.decode.lost or any("cut short" in note for note in track.meta.decode.notes)


@pytest.mark.real
def test_a_whip_pan_that_ends_sharp_is_picked_at_its_end(media):
    take = media / "fixtures" / "phone_fire_dog_rot180_vfr.mp4"
    best = bt.pick(bt.analyze(take)).moments[0]
    assert best.peak_s > 1.6
    assert best.measures.sharpness > 110
