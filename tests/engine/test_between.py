"""A stretch of a take is the slice of a full decode, wherever it starts and however the file seeks."""

from __future__ import annotations

import random

import pytest

from bestshot_trt.decode import frames_between, probe
from bestshot_trt.errors import BestshotError, DecodeError, InputError

X264 = "-c:v libx264 -x264-params keyint=25:"
X265 = "-c:v libx265 -x265-params log-level=none:min-keyint=25:keyint=25:bframes=4:"
GAPS = "-vf select='not(between(n,20,60)+between(n,62,64))' -fps_mode vfr -enc_time_base 1/90000"
STRUCTURES = {
    "h264 closed groups": (f"{X264}bframes=3", ".mp4"),
    "h264 open groups": (f"{X264}min-keyint=25:bframes=3:open-gop=1", ".mp4"),
    "h264 one group": ("-c:v libx264 -x264-params keyint=infinite:bframes=3", ".mp4"),
    "h264 MBAFF in MPEG-TS": (f"{X264}tff=1:bframes=2", ".ts"),
    "h264 4:4:4": (f"-pix_fmt yuv444p {X264}bframes=3", ".mp4"),
    "h264 start at 8.33 s": (f"{X264}bframes=3 -output_ts_offset 8.33", ".ts"),
    "h264 gaps": (f"{GAPS} {X264}bframes=3", ".mp4"),
    "h264 times in decoding order": (f"{X264}bframes=3", ".avi"),
    "hevc closed groups": (f"{X265}open-gop=0", ".mp4"),
    "hevc leading pictures (RADL)": (f"{X265}open-gop=0:radl=2", ".mp4"),
    "hevc open groups": (f"{X265}open-gop=1", ".mkv"),
    "mjpeg, one tick a picture": ("-c:v mjpeg", ".avi"),
    "mpeg4 B-frames in AVI": ("-c:v mpeg4 -bf 2 -g 12", ".avi"),
    "mpeg2 in MPEG-TS": ("-c:v mpeg2video -bf 2 -g 12", ".ts"),
    "prores": ("-c:v prores_ks", ".mov"),
    "vp9": ("-c:v libvpx-vp9 -b:v 100k -deadline realtime -cpu-used 8", ".webm"),
    "av1": ("-c:v libsvtav1 -preset 12 -g 25", ".mkv"),
}
END_S = 4.0


def stretches():
    chance = random.Random(7)
    random_ones = [
        (start, start + chance.choice([0.0, 0.02, 0.5, 2.0])) for start in (chance.uniform(0, 3.9) for _ in range(6))
    ]
    return [(0.0, 0.3), (0.0, END_S), (3.98, END_S), (3.95, 3.95), (1.0, 1.04), (0.96, 1.0), *random_ones]


@pytest.mark.parametrize("structure", STRUCTURES)
def test_any_stretch_is_the_slice_of_a_full_decode(clips, clip, structure):
    clips.assert_as_slice(probe(clip(*STRUCTURES[structure])), stretches())


def test_a_stretch_holds_as_many_pictures_as_its_length_says(clip):
    info = probe(clip(*STRUCTURES["h264 closed groups"]))
    assert [len(list(frames_between(info, 1.0, 1.0 + n / 25))) for n in (1, 2, 25)] == [1, 2, 25]


def test_pictures_whose_times_are_in_decoding_order_are_all_there_with_rising_times(clip):
    info = probe(clip(*STRUCTURES["h264 times in decoding order"]))
    times = [frame.pts for frame in frames_between(info, 0, 5)]
    assert times == list(range(info.start_pts, info.start_pts + 100))


@pytest.mark.parametrize("structure", ["h264 closed groups", "h264 gaps", "mjpeg, one tick a picture", "vp9"])
@pytest.mark.parametrize("start", [4.5, 100.0])
def test_a_stretch_after_the_end_is_refused(clip, structure, start):
    info = probe(clip(*STRUCTURES[structure]))
    with pytest.raises(DecodeError, match=rf"{start:.3f} s to"):
        list(frames_between(info, start, start + 1))


def test_a_file_that_is_gone_is_named(clip, tmp_path):
    moved = tmp_path / "take.mp4"
    moved.write_bytes(clip(*STRUCTURES["h264 closed groups"]).read_bytes())
    info = probe(moved)
    moved.unlink()
    with pytest.raises(InputError, match=r"take\.mp4: no such file"):
        list(frames_between(info, 0, 1))


@pytest.mark.parametrize("structure", ["h264 closed groups", "hevc open groups", "h264 start at 8.33 s"])
@pytest.mark.parametrize("seed", range(4))
def test_damage_ends_in_pictures_or_a_plain_error(clip, tmp_path, structure, seed):
    source = clip(*STRUCTURES[structure])
    data, chance = bytearray(source.read_bytes()), random.Random(seed)
    for _ in range(12):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path = tmp_path / f"damaged{source.suffix}"
    path.write_bytes(data)
    try:
        times = [frame.pts for frame in frames_between(probe(path), 1.0, 2.0)]
    except BestshotError:
        return
    assert times == sorted(set(times))


def test_a_file_that_cannot_be_seeked_is_decoded_from_its_start(clips, clip, monkeypatch):
    monkeypatch.setattr("bestshot_trt.decode._between.seek", lambda *_: False)
    clips.assert_as_slice(probe(clip(*STRUCTURES["h264 closed groups"])), [(2.5, 3.0), (3.98, END_S)])
