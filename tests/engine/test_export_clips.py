"""Clips are cut out of takes made on the spot, decoded again, and compared with what went in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type as SideData
from takes import SIZE, UNEVEN, Take, beep_at, beeps, cut, make, psnr, read

import bestshot_trt.decode
from bestshot_trt.config import ExportConfig
from bestshot_trt.decode import ScorePicture, frames_between, probe
from bestshot_trt.errors import ExportError
from bestshot_trt.export import prove_encoder, write_clip

CONFIG = ExportConfig()


def test_uneven_times_and_both_ends_are_exact(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mp4", Take(ticks=UNEVEN, tick=Fraction(1, 50), options={"bf": "2"}))
    start, end = Fraction(17, 100), Fraction(71, 100)
    result, clip = cut(source, start, end)
    on_screen = [n for n, t in enumerate(UNEVEN) if t / 50 < 0.71 and (UNEVEN[n + 1]) / 50 > 0.17]
    assert clip.numbers == on_screen
    assert clip.times == [max(Fraction(0), Fraction(UNEVEN[n], 50) - start) for n in on_screen]
    assert result.frames == len(on_screen)
    assert clip.seconds == pytest.approx(0.54, abs=0.02)
    assert result.duration == pytest.approx(0.54, abs=1e-4)


def test_end_pictures_are_the_source_pictures(tmp_path: Path) -> None:
    def drift(number: int) -> np.ndarray:
        rows, columns = np.mgrid[0:72, 0:128]
        wave = 128 + 60 * np.sin((columns + 5 * number) / 7) + 40 * np.sin((rows - 3 * number) / 5)
        return np.repeat(wave[..., None], 3, axis=2).astype(np.uint8)

    source = make(tmp_path / "a.mp4", Take(picture=drift, options={"crf": "5"}))
    _, clip = cut(source, 0.41, 1.19)
    for picture, number in ((clip.pictures[0], 10), (clip.pictures[-1], 29)):
        assert psnr(picture, drift(number)) > 30
        assert max(psnr(picture, drift(number + by)) for by in (-1, 1)) < 25


def test_a_start_that_is_a_pictures_time_rounded_shows_only_that_picture_on(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mp4", Take())
    for number in (7, 11, 23):
        _, clip = cut(source, float(number * Fraction(1, 25)) - 1e-9, number / 25 + 0.2)
        assert clip.numbers == list(range(number, number + 5))


def test_a_last_picture_far_shorter_than_a_millisecond_is_kept(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mp4", Take(tick=Fraction(1, 25)))
    _, clip = cut(source, 0, Fraction(12, 25) + Fraction(2, 12800))
    assert clip.numbers == list(range(13))


def test_whole_take_of_one_picture(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mp4", Take(ticks=[0]))
    result, clip = cut(source, 0, 0.04)
    assert (result.frames, clip.numbers) == (1, [0])


@pytest.mark.parametrize("suffix", [".mp4", ".ts", ".mkv"])
def test_sound_stays_with_the_pictures(tmp_path: Path, suffix: str) -> None:
    source = make(tmp_path / f"a{suffix}", Take(ticks=range(100), tone=beep_at(1.2, 2.0)))
    result, clip = cut(source, 0.73, 2.51)
    assert result.audio
    assert result.notes == ()
    for at in (1.2, 2.0):
        shown = clip.times[clip.numbers.index(round(at * 25))]
        heard = min(beeps(clip), key=lambda time: abs(time - float(shown)))
        assert heard == pytest.approx(float(shown), abs=0.01)


def test_pictures_of_a_take_that_starts_late_in_its_own_time(tmp_path: Path) -> None:
    source = make(tmp_path / "a.ts", Take(ticks=range(50, 90)))
    info = probe(source)
    assert info.start_pts * info.time_base > 1
    _, clip = cut(source, 0.4, 0.8)
    assert clip.numbers == list(range(10, 20))


def test_sound_that_begins_after_the_clip_does(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mkv", Take(ticks=range(75), tone=beep_at(1.6), tone_start=1.2))
    _, clip = cut(source, 0.5, 2.5)
    assert beeps(clip) == [pytest.approx(1.1, abs=0.01)]
    assert clip.sound is not None
    assert clip.sound[0] + len(clip.sound[1]) / 48000 == pytest.approx(2.0, abs=0.03)


def test_no_sound_where_there_is_none_or_none_is_wanted(tmp_path: Path) -> None:
    silent = make(tmp_path / "silent.mp4", Take())
    sounding = make(tmp_path / "sounding.mp4", Take(tone=beep_at(0.5)))
    for source, audio in ((silent, True), (sounding, False)):
        result, clip = cut(source, 0.2, 1.0, audio=audio)
        assert (result.audio, clip.sound, result.notes) == (False, None, ())


def test_broken_sound_costs_only_the_sound(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = make(tmp_path / "whole.mkv", Take(tone=beep_at(0.5)))
    broken = tmp_path / "broken.mkv"
    noise = np.random.default_rng(0)
    with av.open(str(whole)) as source, av.open(str(broken), "w") as output:
        copies = {stream.index: output.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if not packet.size:
                continue
            data = noise.bytes(packet.size) if packet.stream.type == "audio" else bytes(packet)
            copy = av.Packet(data)
            copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            copy.is_keyframe, copy.stream = packet.is_keyframe, copies[packet.stream.index]
            output.mux(copy)
    result, clip = cut(broken, 0.2, 1.0)
    assert clip.numbers == list(range(5, 25))
    assert any("audio" in note for note in result.notes)
    assert capfd.readouterr() == ("", "")


def corner(number: int) -> np.ndarray:
    """Dark, with a bright upper left corner."""
    picture = np.full((48, 96, 3), 40, np.uint8)
    picture[:16, :32] = 220
    return picture


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_turned_takes_come_out_upright(tmp_path: Path, rotation: int) -> None:
    source = make(tmp_path / "a.mp4", Take(ticks=range(5), picture=corner, rotation=rotation, aspect=Fraction(4, 3)))
    assert probe(source).rotation == rotation
    _, clip = cut(source, 0, 0.2)
    upright = np.rot90(corner(0), -rotation // 90)
    assert psnr(clip.pictures[0], upright) > 25
    assert clip.frames[0].rotation == 0
    assert SideData.DISPLAYMATRIX not in [data.type for data in clip.frames[0].side_data]
    assert clip.aspect == (Fraction(4, 3) if rotation == 180 else Fraction(3, 4))


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 1), (35, 33), (1, 16), (17, 2)])
def test_odd_and_tiny_sizes(tmp_path: Path, width: int, height: int) -> None:
    def plain(number: int) -> np.ndarray:
        return np.full((height, width, 3), 20 * number, np.uint8)

    source = make(tmp_path / "a.mov", Take(ticks=range(6), picture=plain, codec="png", pix_fmt="rgb24"))
    _, clip = cut(source, 0, 0.2)
    assert len(clip.pictures) == 5
    assert clip.pictures[0].shape[:2] == (max(2, height // 2 * 2), max(2, width // 2 * 2))
    assert clip.pictures[4].mean() == pytest.approx(80, abs=3)


def patches(number: int) -> np.ndarray:
    """Eight flat colours, far enough from the edges of the gamut for 4:2:0."""
    colors = [(190, 60, 60), (60, 180, 70), (60, 70, 190), (200, 190, 60)]
    colors += [(40, 40, 40), (220, 220, 220), (180, 80, 180), (90, 170, 180)]
    return np.repeat(np.array(colors, np.uint8)[None], 64, axis=0).repeat(32, axis=1)


BT601, BT709, FULL = {"colorspace": 6}, {"colorspace": 1}, {"color_range": 2}
SOURCES = {
    "4:4:4": Take(pix_fmt="yuv444p"),
    "4:2:2, 10 bit": Take(pix_fmt="yuv422p10le"),
    "10 bit": Take(pix_fmt="yuv420p10le", color=BT709),
    "full range": Take(pix_fmt="yuvj420p", color=BT601 | FULL),
    "BT.709": Take(color=BT709 | {"color_primaries": 1, "color_trc": 1, "color_range": 1}),
    "BT.601": Take(color=BT601 | {"color_primaries": 6, "color_trc": 6}),
    "RGB, 10 bit": Take(codec="ffv1", pix_fmt="gbrp10le"),
    "RGB with alpha": Take(codec="ffv1", pix_fmt="bgra"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_colours_survive(tmp_path: Path, name: str) -> None:
    take = SOURCES[name]
    take.picture, take.ticks = patches, range(5)
    source = make(tmp_path / "a.mkv", take)
    result, clip = cut(source, 0, 0.2, quality=84)
    info, made = probe(source), probe(result.path)
    before = ScorePicture(info, (256, 64)).convert(next(frames_between(info, 0, 0.04)))
    after = ScorePicture(made, (256, 64)).convert(next(frames_between(made, 0, 0.04)))
    middles = np.s_[8:56, 8::16]
    assert np.abs(before[middles].astype(int) - after[middles]).max() <= 6
    frame = clip.frames[0]
    assert frame.format.name == "yuv420p"
    assert frame.color_range == 1
    assert frame.colorspace == {"bt709": 1, "bt601": 6, "rgb": 1}[info.color.matrix]
    for tag in ("color_primaries", "color_trc"):
        assert getattr(frame, tag) == (take.color or {}).get(tag, 2)


def test_hdr_is_tone_mapped_as_the_score_picture_is(tmp_path: Path) -> None:
    pq = {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1}
    take = Take(ticks=range(3), picture=patches, pix_fmt="yuv420p10le", color=pq)
    source = make(tmp_path / "a.mkv", take)
    result, clip = cut(source, 0, 0.1, quality=84, sdr=True)
    info, made = probe(source), probe(result.path)
    assert info.color.transfer == "pq"
    before = ScorePicture(info, (256, 64)).convert(next(frames_between(info, 0, 0.04)))
    after = ScorePicture(made, (256, 64)).convert(next(frames_between(made, 0, 0.04)))
    assert np.abs(before[8:56, 16::32].astype(int) - after[8:56, 16::32]).mean() < 5
    frame = clip.frames[0]
    assert (frame.colorspace, frame.color_primaries, frame.color_trc) == (1, 1, 1)
    assert any("tone-mapped" in note for note in result.notes)


@pytest.mark.parametrize("top_first", [True, False])
def test_interlaced_stays_interlaced(tmp_path: Path, top_first: bool) -> None:
    options = {"flags": "+ildct+ilme", "x264-params": "tff=1" if top_first else "bff=1"}
    source = make(tmp_path / "a.mp4", Take(options=options))
    assert probe(source).interlaced
    result, clip = cut(source, 0.4, 0.8)
    assert clip.numbers == list(range(10, 20))
    assert all(frame.interlaced_frame for frame in clip.frames)
    assert any(("top" if top_first else "bottom") in note for note in result.notes)


def test_a_picture_size_that_changes_half_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make(tmp_path / "a.mp4", Take())

    def changing(*args: object) -> Iterator[av.VideoFrame]:
        for index, frame in enumerate(frames_between(*args)):
            if index > 5:
                smaller = frame.reformat(width=64, height=24)
                smaller.pts = frame.pts
                yield smaller
            else:
                yield frame

    monkeypatch.setattr(bestshot_trt.decode, "frames_between", changing)
    result, clip = cut(source, 0.4, 0.8)
    assert clip.numbers == list(range(10, 20))
    assert any("changes" in note for note in result.notes)


def test_a_clip_after_the_picture_size_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make(tmp_path / "a.mp4", Take())

    def other_size(*args: object) -> Iterator[av.VideoFrame]:
        for frame in frames_between(*args):
            taller = frame.reformat(width=SIZE[0] - 1, height=97)
            taller.pts = frame.pts
            yield taller

    monkeypatch.setattr(bestshot_trt.decode, "frames_between", other_size)
    _, clip = cut(source, 0.4, 0.8)
    assert clip.pictures[0].shape == (96, SIZE[0] - 2, 3)


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Every process started during the test."""
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def record(*args: object, **kwargs: object) -> subprocess.Popen[bytes]:
        started.append(popen(*args, **kwargs))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", record)
    return started


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupted_clip_leaves_nothing_behind(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    children: list[subprocess.Popen[bytes]],
    error: type[BaseException],
) -> None:
    source = make(tmp_path / "a.mp4", Take(tone=beep_at(0.5)))
    target = tmp_path / "out" / "clip.mp4"
    target.parent.mkdir()
    target.write_bytes(b"older")

    def interrupted(*args: object) -> Iterator[av.VideoFrame]:
        for index, frame in enumerate(frames_between(*args)):
            if index == 3:
                raise error
            yield frame

    monkeypatch.setattr(bestshot_trt.decode, "frames_between", interrupted)
    with pytest.raises(error):
        write_clip(probe(source), 0, 1, target, CONFIG)
    assert [child.returncode is not None for child in children] == [True]
    assert [entry.name for entry in target.parent.iterdir()] == ["clip.mp4"]
    assert target.read_bytes() == b"older"


FAILURES = {
    "[libx264 @ 0x5] broken model\nConversion failed!": "could not encode the clip: broken model",
    "av_interleaved_write_frame(): No space left on device\nConversion failed!": "no space left on the disk",
    "": "exit status 3",
}


@pytest.mark.parametrize("log", FAILURES)
def test_a_failing_ffmpeg_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: str) -> None:
    source = make(tmp_path / "a.mp4", Take())
    fake = tmp_path / "ffmpeg"
    fake.write_text(f"#!{sys.executable}\nimport sys\nsys.stderr.write({log!r})\nsys.exit(3)\n")
    fake.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(fake))
    target = tmp_path / "out" / "clip.mp4"
    with pytest.raises(ExportError) as caught:
        write_clip(probe(source), 0, 1, target, CONFIG)
    assert FAILURES[log] in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(target.parent.iterdir()) == []


def test_a_clip_that_lost_pictures_on_the_way_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make(tmp_path / "a.mp4", Take())
    real = tmp_path / "other.mp4"
    write_clip(probe(source), 0, 0.2, real, CONFIG)
    fake = tmp_path / "ffmpeg"
    fake.write_text(
        f"#!{sys.executable}\nimport shutil, sys\nsys.stdin.buffer.read()\n"
        f"shutil.copy({str(real)!r}, sys.argv[-1].removeprefix('file:'))\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(fake))
    with pytest.raises(ExportError, match="5 of 25 pictures"):
        write_clip(probe(source), 0, 1, tmp_path / "clip.mp4", CONFIG)


@pytest.mark.parametrize(("start", "end"), [(1.0, 1.0), (2.0, 1.0), (-1.0, 1.0)])
def test_an_empty_span_is_refused(tmp_path: Path, start: float, end: float) -> None:
    source = make(tmp_path / "a.mp4", Take())
    with pytest.raises(ExportError, match=f"from {start:g} s to {end:g} s"):
        write_clip(probe(source), start, end, tmp_path / "clip.mp4", CONFIG)


def test_a_folder_that_takes_no_file(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mp4", Take())
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match=r"clip\.mp4"):
        write_clip(probe(source), 0, 1, tmp_path / "file" / "clip.mp4", CONFIG)


def test_names_that_mean_something_to_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make(tmp_path / "a.mp4", Take())
    monkeypatch.chdir(tmp_path)
    for name in ("-y.mp4", "a:b %03d.mp4", "päivä 日.mp4"):
        write_clip(probe(source), 0, 0.2, Path(name), CONFIG)
        assert read(tmp_path / name).numbers == list(range(5))


def test_encoders_are_proved_by_encoding() -> None:
    assert prove_encoder() is None
    assert "no_such_encoder" in (prove_encoder("no_such_encoder") or "")


def test_a_machine_without_ffmpeg_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", os.devnull)
    assert prove_encoder() is not None


REAL = {
    "phone_fire_dog_rot180_vfr.mp4": (0.51, 1.6),
    "phone_portrait_rot90.mp4": (0.2, 1.1),
    "sony_a7m3_1080i_avchd.mts": (0.1, 0.4),
    "tc_test_non_zero_start.mp4": (0.1, 0.3),
    "gopro_hero7_walk.mp4": (9.3, 10.3),
}


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_real_footage(media: Path, tmp_path: Path, name: str) -> None:
    info = probe(media / "fixtures" / name)
    start, end = REAL[name]
    result = write_clip(info, start, end, tmp_path / "clip.mp4", CONFIG)
    made = probe(result.path)
    wanted = list(frames_between(info, start, end))
    times = [max(0.0, float(info.media_time(frame.pts)) - start) for frame in wanted]
    clip = read(result.path)
    assert [float(time) for time in clip.times] == pytest.approx(times, abs=1e-4)
    assert made.rotation == 0
    size = (made.width, made.height)
    before, after = ScorePicture(info, size), ScorePicture(made, size)
    for index in (0, -1):
        assert psnr(before.convert(wanted[index]), after.convert(clip.frames[index])) > 30
    assert result.audio == info.has_audio
