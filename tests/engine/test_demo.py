"""The demo finds what it planted, and its check would say so if it did not."""

import dataclasses
import itertools

import av
import numpy as np
import pytest

from bestshot_trt import demo
from bestshot_trt.config import Config
from bestshot_trt.demo import PLANTED, _scenes, _shots, _take, check, make_take, run_demo
from bestshot_trt.errors import ConfigError, ExportError
from bestshot_trt.moments import Measures, Moment, MomentsDocument, Rejection
from bestshot_trt.provenance import Backend, Decode, Machine, Program, Settings, Source, Video

GOOD = [planted for planted in PLANTED if planted.expect == "picked"]
BAD = [planted for planted in PLANTED if planted.expect == "avoided"]
REPEAT = next(planted for planted in PLANTED if planted.expect == "duplicate")
MEASURES = Measures(sharpness=1, exposure_penalty=0, aesthetic=1, prompt_similarity=None, contrast=1, colourfulness=1)


def middle(planted):
    return (planted.start_s + planted.end_s) / 2


def moment(rank, peak_s):
    return Moment(
        rank=rank,
        peak_s=peak_s,
        peak_pts=0,
        start_s=max(0, peak_s - 1),
        end_s=peak_s + 2,
        score=1,
        score_smooth=1,
        measures=MEASURES,
        clip=None,
    )


def duplicate(peak_s):
    return Rejection(peak_s=peak_s, score_smooth=1, reason="duplicate", detail="cosine distance 0.01")


def document(peaks, rejected=()):
    return MomentsDocument(
        created_by=Program(name="test", version="0"),
        source=Source(
            path="take.mp4",
            fingerprint="0",
            size_bytes=1,
            duration_s=40,
            video=Video(
                codec="h264",
                width=1280,
                height=720,
                rotation=0,
                time_base=1,
                start_pts=0,
                frame_rate=None,
                stream_index=0,
            ),
        ),
        settings=Settings.from_config(Config()),
        model="none",
        model_note=None,
        clip_model=None,
        backend=Backend(name="cpu", fallback_reason=None),
        machine=Machine.here(),
        decode=Decode(lost=(), notes=()),
        moments=tuple(moment(rank, peak) for rank, peak in enumerate(peaks, 1)),
        rejected=tuple(rejected),
    )


def missed(findings):
    return [finding.planted.name for finding in findings if not finding.found]


GOOD_PEAKS = [middle(planted) for planted in GOOD]
REPEATED = [duplicate(middle(REPEAT))]


def test_planted_stretches_fill_the_take_and_hold_every_kind():
    assert PLANTED[0].start_s == 0
    assert PLANTED[-1].end_s == demo.DURATION_S
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(PLANTED))
    assert len(GOOD) >= 2
    assert {"out of focus", "over-exposed", "under-exposed"} <= {planted.name for planted in BAD}


def test_everything_is_found_when_only_the_good_views_are_picked():
    assert missed(check(document(GOOD_PEAKS, REPEATED))) == []


@pytest.mark.parametrize("bad", BAD, ids=lambda planted: planted.name)
def test_a_pick_in_a_bad_stretch_is_reported(bad):
    findings = check(document([*GOOD_PEAKS, middle(bad)], REPEATED))
    assert missed(findings) == [bad.name]
    assert f"rank {len(GOOD) + 1}" in next(f.detail for f in findings if f.planted is bad)


def test_a_good_view_that_is_not_picked_is_reported():
    assert missed(check(document(GOOD_PEAKS[1:], REPEATED))) == [GOOD[0].name]


def test_a_good_view_behind_a_bad_stretch_is_reported():
    peaks = [*GOOD_PEAKS[:-1], middle(BAD[0]), GOOD_PEAKS[-1]]
    assert set(missed(check(document(peaks, REPEATED)))) == {BAD[0].name, GOOD[-1].name}


def test_a_picked_repeat_is_reported():
    assert missed(check(document([*GOOD_PEAKS, middle(REPEAT)]))) == [REPEAT.name]


def test_a_repeat_left_out_for_another_reason_is_reported():
    crowded = dataclasses.replace(REPEATED[0], reason="min_gap")
    assert missed(check(document(GOOD_PEAKS, [crowded]))) == [REPEAT.name]


def test_a_scene_is_the_same_picture_every_time():
    np.testing.assert_array_equal(_scenes.paint("harbour"), _scenes.paint("harbour"))


def test_somebody_elses_take_is_not_overwritten(tmp_path):
    take = tmp_path / demo.TAKE
    take.write_bytes(b"mine")
    with pytest.raises(ConfigError, match="overwrite"):
        run_demo(tmp_path)
    assert take.read_bytes() == b"mine"


def blank(_shot, _scene, _time):
    return np.zeros((_shots.HEIGHT, _shots.WIDTH, 3), np.uint8)


def test_an_interrupted_take_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(_scenes, "paint", lambda name: None)
    monkeypatch.setattr(_take, "_film", blank)

    def interrupt(stage, done, total, unit="s"):
        if done > 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_take(tmp_path / "take.mp4", interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_take_that_cannot_be_encoded_is_an_export_error(tmp_path, monkeypatch):
    monkeypatch.setattr(_scenes, "paint", lambda name: None)
    monkeypatch.setattr(_take, "_film", blank)
    monkeypatch.setattr(_take, "VIDEO_ENCODER", "no_such_encoder")
    with pytest.raises(ExportError, match=r"take\.mp4.*no_such_encoder"):
        make_take(tmp_path / "take.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_demo_finds_every_planted_stretch(tmp_path):
    stages = []
    found, findings = run_demo(tmp_path, progress=lambda stage, *_: stages.append(stage))
    assert {finding.planted.name: finding.detail for finding in findings if not finding.found} == {}
    assert len(found.moments) == len(GOOD)
    assert list(dict.fromkeys(stages)) == ["render", "analyze", "export", "pictures"]
    assert all((tmp_path / picked.clip).is_file() for picked in found.moments)
    assert (tmp_path / "contact_sheet.jpg").is_file()
    with av.open(str(tmp_path / demo.TAKE)) as take:
        video = take.streams.video[0]
        assert (video.codec_context.name, video.width, video.height) == ("h264", 1280, 720)
        assert video.codec_context.has_b_frames
        assert video.frames == demo.DURATION_S * 30
        assert take.duration == demo.DURATION_S * av.time_base
        sound = np.concatenate([frame.to_ndarray() for frame in take.decode(audio=0)], axis=1)
    assert 0.01 < np.abs(sound).max() < 0.99
