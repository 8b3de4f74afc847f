"""The score picture is what ffmpeg's own command line makes of the same frame."""

from __future__ import annotations

import av
import numpy as np
import pytest

from bestshot_trt.decode import ScorePicture, probe
from bestshot_trt.frames import score_size

X264 = "-c:v libx264 -x264-params keyint=25:bframes=2"


def first_frames(info, count):
    with av.open(str(info.path)) as container:
        frames = []
        for frame in container.decode(container.streams.video[info.stream_index]):
            frames.append(frame)
            if len(frames) == count:
                return frames
    return frames


def by_ffmpeg(clips, info, size, count):
    """The first pictures as the bundled ffmpeg scales them; it turns them upright itself."""
    scale = f"scale={size[0]}:{size[1]}"
    if info.color.matrix != "rgb":
        scale += f":in_color_matrix={info.color.matrix}:in_range={'full' if info.color.full_range else 'limited'}"
    raw = clips.run_ffmpeg(
        "-i", info.path, "-frames:v", str(count), "-vf", scale, "-fps_mode", "passthrough",
        "-pix_fmt", "rgb24", "-f", "rawvideo", "-",
    )  # fmt: skip
    return np.frombuffer(raw, np.uint8).reshape(-1, size[1], size[0], 3)


def assert_as_ffmpeg(clips, info, score_height, count=3):
    size = score_size(info.display_size, score_height)
    picture = ScorePicture(info, size)
    ours = np.stack([picture.convert(frame) for frame in first_frames(info, count)])
    np.testing.assert_array_equal(ours, by_ffmpeg(clips, info, size, count))


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (f"-pix_fmt yuv420p {X264}", "160x96"),
        (f"-pix_fmt yuv420p {X264}", "96x160"),
        (f"-pix_fmt yuv420p -colorspace bt709 {X264}", "160x96"),
        (f"-pix_fmt yuv420p -colorspace bt2020nc {X264}", "160x96"),
        (f"-pix_fmt yuv420p -color_range pc {X264}", "160x96"),
        (f"-pix_fmt yuv422p {X264}", "160x96"),
        (f"-pix_fmt yuv444p {X264}", "161x97"),
        (f"-pix_fmt yuv420p10 {X264}", "160x96"),
        ("-pix_fmt yuv422p10 -c:v prores_ks", "160x96"),
        ("-pix_fmt yuv420p12 -c:v libx265 -x265-params log-level=none", "160x96"),
        ("-pix_fmt yuvj420p -c:v mjpeg", "161x97"),
        ("-pix_fmt gray -c:v libx264", "160x96"),
        ("-c:v libx264rgb", "160x96"),
        (f"-vf setsar=4/3 -pix_fmt yuv420p {X264}", "160x96"),
        (f"-vf setsar=3/4 -pix_fmt yuv420p {X264}", "160x96"),
        (f"-pix_fmt yuv420p {X264}", "128x720"),
        (f"-vf hue=s=0.3,lutyuv=y=60+val/3 -pix_fmt yuv420p {X264}", "160x96"),
        (f"-vf hue=s=0.3,lutyuv=y=60+val/3 -pix_fmt yuv420p -color_range pc {X264}", "97x161"),
        (f"-vf noise=alls=100:allf=t,lutyuv=y='gt(val,128)*255' -pix_fmt yuv420p -color_range pc {X264}", "160x96"),
    ],
)
@pytest.mark.parametrize("score_height", [64, 720])
def test_the_score_picture_is_ffmpegs(clips, clip, options, size, score_height):
    assert_as_ffmpeg(clips, probe(clip(options, ".mov", size=size, seconds=0.2)), score_height)


@pytest.mark.parametrize("angle", ["90", "180", "270"])
@pytest.mark.parametrize("score_height", [64, 720])
def test_turned_pictures_are_upright_as_ffmpeg_turns_them(clips, clip, tmp_path, angle, score_height):
    source = clip(f"-pix_fmt yuv420p {X264}", size="160x96", seconds=0.2)
    path = tmp_path / "turned.mp4"
    clips.run_ffmpeg("-display_rotation", angle, "-i", source, "-c", "copy", path)
    info = probe(path)
    assert info.rotation
    assert_as_ffmpeg(clips, info, score_height)


@pytest.mark.parametrize("size", ["1:1", "2:2", "3:5", "2:40"])
def test_tiny_pictures(clips, clip, size):
    info = probe(clip(f"-vf format=yuv444p,crop={size} -c:v ffv1", ".mkv", seconds=0.2))
    assert_as_ffmpeg(clips, info, 720)


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_hdr_becomes_a_picture_for_sdr_screens(clip, transfer):
    tagged = f"format=yuv420p10,setparams=colorspace=bt2020nc:color_trc={transfer}:color_primaries=bt2020:range=tv"
    info = probe(clip(f"-vf {tagged} -c:v libx265 -x265-params log-level=none", size="160x96", seconds=0.2))
    picture = ScorePicture(info, score_size(info.display_size, 720)).convert(first_frames(info, 1)[0])
    assert (picture.shape, picture.dtype) == ((96, 160, 3), np.uint8)
    # The test picture has a black and a bright half; neither may be crushed nor blown out.
    assert picture.min() < 40
    assert 60 < picture.mean() < 200
    assert picture.max() > 150


def test_a_stream_that_changes_its_size_half_way_keeps_the_takes_size(clip):
    info = probe(clip(f"-pix_fmt yuv420p {X264}", size="160x96", seconds=0.2))
    other = probe(clip("-pix_fmt yuv444p -c:v libx264", size="120x80", seconds=0.2))
    picture = ScorePicture(info, (80, 48))
    before = picture.convert(first_frames(info, 1)[0]).copy()
    assert picture.convert(first_frames(other, 1)[0]).shape == (48, 80, 3)
    np.testing.assert_array_equal(picture.convert(first_frames(info, 1)[0]), before)


@pytest.mark.real
@pytest.mark.parametrize(
    "name",
    [
        "fixtures/phone_portrait_rot90.mp4",
        "fixtures/phone_fire_dog_rot180_vfr.mp4",
        "hostile/dec_video_270.mov",
        "fixtures/tc_bt709_full_range.mp4",
        "fixtures/tc_h264_10bits.mp4",
        "fixtures/tc_testsrc2_odd_height_and_width_vp9.mp4",
        "fixtures/sony_a7m3_1080i_avchd.mts",
        "hostile/ff_pixel_aspect_ratio.mp4",
        "hostile/cockatoo_444_badseek.mp4",
    ],
)
def test_the_score_picture_of_real_footage_is_ffmpegs(clips, media, name):
    path = media / name
    if not path.is_file():
        pytest.skip(f"no {name} in {media}")
    assert_as_ffmpeg(clips, probe(path), 360, count=1)
