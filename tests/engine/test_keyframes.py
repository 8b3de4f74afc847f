from __future__ import annotations

import pytest

from bestshot_trt.decode import keyframes_near, probe


@pytest.mark.parametrize(
    "options",
    [
        "-c:v libx264 -preset ultrafast -g 10",
        "-c:v libx264 -preset medium -bf 3 -g 10 -x264-params scenecut=0:open-gop=1",
    ],
    ids=["closed", "open with B-frames"],
)
def test_each_time_gives_the_keyframe_before_it_once(clips, clip, options):
    info = probe(clip(options, size="96x64", rate="10", seconds=4))
    shown = {picture.pts: picture.digest for picture in clips.full_decode(info)}
    found = list(keyframes_near(info, [0.0, 0.3, 1.4, 1.5, 3.9]))
    assert [time for time, _ in found] == pytest.approx([0.0, 1.0, 3.0])
    for _, frame in found:
        assert clips.digest(frame) == shown[frame.pts]


def test_times_beyond_the_take_and_streams_without_an_index_do_no_harm(clip):
    info = probe(clip("-c:v libx264 -preset ultrafast -g 10", size="96x64", rate="10", seconds=4))
    assert len(list(keyframes_near(info, [99.0, 1e6]))) <= 1
    raw = probe(clip("-c:v libx264 -preset ultrafast -g 10", ".ts", size="96x64", rate="10", seconds=4))
    assert len(list(keyframes_near(raw, [0.0, 2.0]))) <= 2
