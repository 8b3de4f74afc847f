"""A take sampled in stretches gives the very samples of one pass."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest

from bestshot_trt import decode, plan
from bestshot_trt.decode import _pyav, _section
from bestshot_trt.frames import DecodeReport

H264 = "-c:v libx264 -preset veryfast -threads 1"
TAKES = {
    "b-frames": {"options": f"{H264} -bf 3 -g 25"},
    "b-pyramid, long gop": {"options": f"{H264} -bf 5 -b_strategy 0 -x264-params b-pyramid=normal -g 1000"},
    "open gop": {"options": f"{H264} -bf 3 -g 20 -x264-params open-gop=1"},
    "variable rate": {"options": f"-vf select='not(mod(n,3))+lt(mod(n,40),17)' -fps_mode vfr {H264} -bf 2 -g 30"},
    "ts": {"options": f"{H264} -bf 3 -g 25", "suffix": ".ts"},
    "hevc": {"options": "-c:v libx265 -preset ultrafast -x265-params log-level=error:keyint=30:bframes=3"},
    "hevc open gop": {"options": "-c:v libx265 -preset ultrafast -x265-params log-level=error:keyint=20:open-gop=1"},
    "vp9": {"options": "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 30", "suffix": ".webm"},
    "mpeg2": {"options": "-c:v mpeg2video -bf 2 -g 12", "suffix": ".mpg"},
    "mjpeg": {"options": "-c:v mjpeg", "suffix": ".avi"},
}


def sampled(clips: Any, info: Any, within: range, fps: float) -> tuple[dict[int, Any], DecodeReport]:
    grid = plan.SampleGrid(fps, info.time_base, info.start_pts)
    report = DecodeReport()
    samples: dict[int, Any] = {}
    for item in _pyav.sampled_frames(info, grid, report, within):
        for index in item.samples:
            assert index > max(samples, default=-1)
            samples[index] = (item.pts, clips.digest(item.frame))
    return samples, report


@pytest.mark.parametrize("fps", [3.0, 7.3])
@pytest.mark.parametrize("name", TAKES)
def test_stretches_join_to_one_pass(clips: Any, clip: Any, name: str, fps: float) -> None:
    info = decode.probe(clip(**TAKES[name], seconds=6))
    whole, all_of_it = sampled(clips, info, _section.WHOLE, fps)
    count = math.ceil(all_of_it.duration * all_of_it_fps(info, fps))
    assert sorted(whole) == list(range(count))
    for parts in (2, 3, 7):
        edges = [count * part // parts for part in range(parts)] + [_section.WHOLE.stop]
        joined: dict[int, Any] = {}
        for start, stop in itertools.pairwise(edges):
            stretch, report = sampled(clips, info, range(start, stop), fps)
            assert not report.damaged
            assert all(start <= index < stop for index in stretch)
            joined.update(stretch)
        assert joined == whole
        # The last one saw the end.
        assert report.duration == all_of_it.duration
        assert report.notes == all_of_it.notes


def all_of_it_fps(info: Any, fps: float) -> Any:
    return plan.SampleGrid(fps, info.time_base, info.start_pts).fps


def test_a_stretch_late_in_a_take_decodes_little_of_it(clips: Any, clip: Any) -> None:
    info = decode.probe(clip(f"{H264} -bf 3 -g 25", seconds=12))
    _, whole = sampled(clips, info, _section.WHOLE, 3.0)
    late, report = sampled(clips, info, range(30, 33), 3.0)
    assert sorted(late) == [30, 31, 32]
    assert report.packets_fed < whole.packets_fed / 4


def test_a_stretch_beyond_the_end_is_empty(clips: Any, clip: Any) -> None:
    info = decode.probe(clip(f"{H264} -g 25", seconds=2))
    late, report = sampled(clips, info, range(1000, 1100), 3.0)
    assert (late, report.duration) == ({}, 2)
