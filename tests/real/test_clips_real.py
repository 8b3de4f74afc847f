"""Clips of all real footage: their first and last pictures are those of a full decode, their times and tags right."""

from __future__ import annotations

import bisect
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import av
import pytest
from takes import CONCEALED, psnr, read

from bestshot_trt.config import ExportConfig
from bestshot_trt.decode import ScorePicture, _probe, frames_between, probe
from bestshot_trt.errors import BestshotError, DecodeError, ExportError
from bestshot_trt.export import copy_clip, write_clip
from bestshot_trt.frames import VideoInfo

pytestmark = pytest.mark.real

START_S, LENGTH_S = Fraction(17, 10), Fraction(2, 5)
LOOK_AHEAD_S = 4


def opened(recording: Path) -> VideoInfo:
    try:
        return probe(recording)
    except BestshotError as error:
        pytest.skip(str(error))


def full_decode(clips: ModuleType, info: VideoInfo) -> list[tuple[int, av.VideoFrame]]:
    """The pictures of the first seconds as a plain loop gives them: the decoder's order, times sorted."""
    frames: dict[int, av.VideoFrame] = {}
    for frame in clips._plain_frames(info):
        pts = _probe.frame_pts(frame)
        if pts is not None:
            frames.setdefault(pts, frame)
            if info.media_time(pts) > LOOK_AHEAD_S or len(frames) > 300:
                break
    return list(zip(sorted(frames), frames.values(), strict=True))


def test_a_clip_is_what_a_full_decode_shows(clips: ModuleType, recording: Path, tmp_path: Path) -> None:
    info = opened(recording)
    pictures = full_decode(clips, info)
    times = [info.media_time(pts) for pts, _ in pictures]
    start = min(START_S, times[-1] / 2)
    end = min(start + LENGTH_S, max(times[-1], start + info.time_base))
    tick = info.time_base / 2
    first = max(0, bisect.bisect_right(times, start + tick) - 1)
    after = max(first + 1, bisect.bisect_left(times, end - tick))
    try:
        result = write_clip(info, start, end, tmp_path / "clip.mp4", ExportConfig(effort="fastest", quality=75))
    except DecodeError:
        assert recording.parent.name == "hostile"
        return
    clip, made = read(result.path), probe(result.path)
    assert len(clip.frames) == after - first
    assert clip.seconds == pytest.approx(float(end - start), abs=0.03)
    assert result.audio or not info.has_audio or result.notes
    size = made.width, made.height
    # A side that is odd loses a row or column, which a comparison by scaling blurs.
    least = 20 if info.width % 2 or info.height % 2 else 30
    before, now = ScorePicture(info, size), ScorePicture(made, size)
    for one, other in ((pictures[first], clip.frames[0]), (pictures[after - 1], clip.frames[-1])):
        assert psnr(before.convert(one[1]), now.convert(other)) > least
    assert made.rotation == 0
    assert made.color.transfer == info.color.transfer
    assert not made.color.full_range
    if info.color.is_hdr:
        assert (clip.frames[0].format.name, clip.frames[0].color_primaries) == ("yuv420p10le", 9)


def test_a_copy_is_the_take_bit_for_bit(clips: ModuleType, recording: Path, tmp_path: Path) -> None:
    info = opened(recording)
    start = min(START_S, Fraction(info.duration_claim or 1) / 2)
    try:
        result = copy_clip(info, start, start + LENGTH_S, tmp_path / "clip.mkv", ExportConfig(copy=True))
    except (DecodeError, ExportError) as error:
        # Said in one line; AVI's times are not known after a seek, and old x264's 4:4:4 needs its first packet.
        assert "\n" not in str(error)
        assert recording.parent.name == "hostile" or recording.suffix == ".avi", error
        return
    assert result.start <= float(start) + 1e-6
    wanted = [clips.digest(frame) for frame in frames_between(info, result.start, result.end)]
    made = probe(result.path)
    found = [clips.digest(frame) for frame in clips._plain_frames(made)]
    assert len(found) == len(wanted)
    assert found == wanted or recording.name in CONCEALED
    assert (made.rotation, made.color) == (info.rotation, info.color)
