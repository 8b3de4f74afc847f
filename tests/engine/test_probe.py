"""What is found in a file, and what is said of files that hold no video."""

from __future__ import annotations

import os
import shutil
from fractions import Fraction
from pathlib import Path

import pytest

from bestshot_trt.decode import probe
from bestshot_trt.errors import DecodeError, InputError

X264 = "-c:v libx264 -x264-params keyint=25:bframes=2"


def colored(matrix="", value_range=""):
    tags = {"-colorspace": matrix, "-color_range": value_range}
    return " ".join(f"{option} {value}" for option, value in tags.items() if value)


def test_facts_of_a_plain_clip(clip):
    path = clip(f"{X264} -output_ts_offset 8.33", ".ts", size="98x66")
    info = probe(path)
    assert (info.path, info.container, info.codec, info.pix_fmt) == (path, "mpegts", "h264", "yuv420p")
    assert (info.width, info.height, info.rotation, info.pixel_aspect) == (98, 66, 0, 1)
    assert (info.time_base, info.frame_rate) == (Fraction(1, 90000), 25)
    assert info.duration_claim == pytest.approx(4.0, abs=0.05)
    assert (info.interlaced, info.has_audio) == (False, False)
    # ffmpeg's muxer adds 1.4 s of its own.
    assert info.start_pts == (8.33 + 1.4) * 90000


@pytest.mark.parametrize(
    "options", [f"{X264}", "-c:v libx265 -x265-params log-level=none:open-gop=0:radl=2", "-c:v vp9"]
)
def test_media_time_zero_is_the_first_picture_on_screen(clips, clip, options):
    info = probe(clip(options, ".mkv" if "vp9" in options else ".mp4", seconds=1))
    assert info.start_pts == min(picture.pts for picture in clips.full_decode(info))


@pytest.mark.parametrize(("angle", "clockwise"), [(0, 0), (90, 270), (180, 180), (270, 90), (-90, 90)])
def test_rotation_is_clockwise(clips, clip, tmp_path, angle, clockwise):
    path = tmp_path / "turned.mp4"
    clips.run_ffmpeg("-display_rotation", str(angle), "-i", clip(X264, size="96x64"), "-c", "copy", path)
    info = probe(path)
    assert info.rotation == clockwise
    assert info.display_size == ((64, 96) if clockwise % 180 else (96, 64))


def test_pixel_aspect(clip):
    info = probe(clip(f"-vf setsar=4/3 {X264}"))
    assert info.pixel_aspect == Fraction(4, 3)
    assert info.display_size == (128, 64)


def test_a_pixel_aspect_that_no_picture_has_is_a_lie(clip):
    info = probe(clip(f"-vf setsar=64/1 {X264}"))
    assert (info.pixel_aspect, info.display_size) == (1, (96, 64))


def test_interlaced_and_sound(clip):
    assert probe(clip("-c:v libx264 -x264-params interlaced=1:keyint=25", ".ts")).interlaced
    sound = "-f lavfi -i sine=duration=1 -map 0:v -map 1:a -c:a aac"
    assert probe(clip(f"{sound} {X264}", seconds=1)).has_audio


@pytest.mark.parametrize(
    ("tags", "size", "matrix"),
    [
        ("", "96x64", "bt601"),
        ("", "96x718", "bt601"),
        ("", "96x720", "bt709"),
        (colored("bt709"), "96x64", "bt709"),
        (colored("smpte170m"), "96x720", "bt601"),
        (colored("bt470bg"), "96x720", "bt601"),
        (colored("bt2020nc"), "96x64", "bt2020"),
    ],
)
def test_matrix_by_tag_or_else_by_height(clip, tags, size, matrix):
    assert probe(clip(f"-pix_fmt yuv420p {tags} {X264}", size=size, seconds=0.2)).color.matrix == matrix


@pytest.mark.parametrize(
    ("options", "matrix", "full_range"),
    [
        (f"-pix_fmt yuv420p {colored(value_range='tv')} {X264}", "bt601", False),
        (f"-pix_fmt yuv420p {X264}", "bt601", False),
        (f"-pix_fmt yuv420p {colored(value_range='pc')} {X264}", "bt601", True),
        ("-pix_fmt yuvj420p -c:v mjpeg", "bt601", True),
        ("-c:v libx264rgb", "rgb", True),
    ],
)
def test_range_and_rgb(clip, options, matrix, full_range):
    color = probe(clip(options, ".mov", seconds=0.2)).color
    assert (color.matrix, color.full_range) == (matrix, full_range)


@pytest.mark.parametrize(("tag", "transfer"), [("smpte2084", "pq"), ("arib-std-b67", "hlg"), ("bt709", "sdr")])
def test_transfer(clip, tag, transfer):
    tagged = f"format=yuv420p10,setparams=colorspace=bt2020nc:color_trc={tag}"
    options = f"-vf {tagged} -c:v libx265 -x265-params log-level=none"
    assert probe(clip(options, seconds=0.2)).color.transfer == transfer


TWO = "-f lavfi -i testsrc2=size=192x128:duration=1 -map 0:v -map 1:v -c:v libx264"


@pytest.mark.parametrize(
    ("options", "index"),
    [
        (f"{TWO} -disposition:v:0 0 -disposition:v:1 0", 1),
        (f"{TWO} -disposition:v:0 default -disposition:v:1 0", 0),
        (f"{TWO} -disposition:v:0 0 -disposition:v:1 default", 1),
    ],
)
def test_the_default_or_else_the_largest_track_is_taken(clip, options, index):
    info = probe(clip(options, ".mkv", seconds=1))
    assert info.stream_index == index
    assert info.width == (96, 192)[index]


def test_cover_art_is_no_video(clips, clip, tmp_path):
    cover = "-f lavfi -i testsrc2=size=600x600:duration=0.04:rate=25 -map 1:v -map 0:v"
    path = clip(f"{cover} -c:v:0 mjpeg -c:v:1 libx264 -disposition:v:0 attached_pic", ".mp4", seconds=1)
    assert probe(path).width == 96
    song = tmp_path / "song.mp4"
    sine = ("-f", "lavfi", "-i", "sine=duration=1")
    clips.run_ffmpeg(
        "-i", path, *sine, "-map", "0:v:1", "-map", "1:a", "-c:v", "copy", "-disposition:v:0", "attached_pic", song
    )
    with pytest.raises(InputError, match="holds no video"):
        probe(song)


def test_sound_alone_is_no_video(clips, tmp_path):
    path = tmp_path / "song.m4a"
    clips.run_ffmpeg("-f", "lavfi", "-i", "sine=duration=1", path)
    with pytest.raises(InputError, match=r"song\.m4a: holds no video \(only audio\)"):
        probe(path)


@pytest.fixture
def named(tmp_path, clip):
    """A folder that holds a good clip under the name ``good.mp4``."""
    shutil.copy(clip(X264), tmp_path / "good.mp4")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.mp4", b"Just words.\n" * 100),
        ("list.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\ngood.mp4\n#EXT-X-ENDLIST\n"),
        ("list.mp4", b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\ngood.mp4\n#EXT-X-ENDLIST\n"),
        ("script.ffconcat", b"ffconcat version 1.0\nfile good.mp4\n"),
        ("script.mp4", b"ffconcat version 1.0\nfile good.mp4\n"),
        ("all.mpd", b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>'),
        ("take.sdp", b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"),
        ("zeros.mp4", bytes(5000)),
        ("short.mp4", b"\x00\x00\x00\x20ftypisom"),
        ("page.mp4", b"<!doctype html><html><body>404</body></html>"),
    ],
)
def test_files_that_are_no_video_and_files_that_name_others_are_refused(named, name, content):
    (named / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        probe(named / name)
    assert str(caught.value).startswith(f"{named / name}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".bmp"])
def test_a_still_picture_is_refused(clips, tmp_path, suffix):
    path = tmp_path / f"still{suffix}"
    clips.run_ffmpeg("-f", "lavfi", "-i", "testsrc2=size=96x64", "-frames:v", "1", path)
    with pytest.raises(InputError, match="not a video that can be read"):
        probe(path)


def test_what_is_no_regular_file_is_refused(tmp_path):
    (tmp_path / "empty.mp4").touch()
    os.mkfifo(tmp_path / "pipe.mp4")
    for name, message in [
        ("gone.mp4", "no such file"),
        ("empty.mp4", "is empty"),
        ("pipe.mp4", "is a pipe or device"),
        ("", "is a folder"),
        ("empty.mp4/inside.mp4", "cannot be opened"),
    ]:
        with pytest.raises(InputError, match=message):
            probe(tmp_path / name)
    with pytest.raises(InputError, match="cannot be opened"):
        probe(Path("a\x00b.mp4"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(named):
    (named / "good.mp4").chmod(0)
    with pytest.raises(InputError, match="may not be read"):
        probe(named / "good.mp4")


NAMES = [
    b"with space.mp4",
    b"line\nbreak.mp4",
    b'it\'s "quoted".mp4',
    b"-y.mp4",
    b"50%d.mp4",
    b"a:b.mp4",
    b"http:.mp4",
    b"back\\slash.mp4",
    "été 東京.mp4".encode(),
    b"caf\xe9.mp4",
    b"no suffix",
    b"wrong.txt",
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
@pytest.mark.parametrize("relative", [False, True])
def test_any_file_name_will_do(clips, named, monkeypatch, name, relative):
    try:
        (named / "good.mp4").rename(named / os.fsdecode(name))
    except OSError:
        pytest.skip("this file system does not take the name")
    monkeypatch.chdir(named)
    info = probe(Path(os.fsdecode(name)) if relative else named / os.fsdecode(name))
    assert len(clips.sample(info, 3.0).samples) == 12


def test_an_odd_name_is_shown_on_one_line(tmp_path):
    path = tmp_path / os.fsdecode(b"line\nbreak \xe9.mp4")
    path.write_bytes(b"Just words.\n" * 100)
    with pytest.raises(InputError) as caught:
        probe(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("suffix", [".h264", ".hevc"])
def test_a_raw_stream_has_no_times(clip, suffix):
    codec = {".h264": X264, ".hevc": "-c:v libx265 -x265-params log-level=none"}[suffix]
    with pytest.raises(DecodeError, match="carry no times; remux it to mp4"):
        probe(clip(codec, suffix))


def test_a_video_of_which_nothing_decodes_is_damaged(clip, tmp_path):
    data = clip(X264).read_bytes()
    start = data.index(b"mdat") + 4
    path = tmp_path / "wiped.mp4"
    path.write_bytes(data[:start] + bytes(data.index(b"moov") - 4 - start) + data[data.index(b"moov") - 4 :])
    with pytest.raises(DecodeError, match="no picture of its h264 video can be decoded"):
        probe(path)
