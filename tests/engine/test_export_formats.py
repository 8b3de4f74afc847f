"""Clips in every codec and container, copied clips and reels, compared with the takes they come from."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from takes import UNEVEN, Take, beep_at, beeps, cut, make, psnr, read

from bestshot_trt.config import ExportConfig
from bestshot_trt.decode import frames_between, probe
from bestshot_trt.errors import ConfigError, ExportError
from bestshot_trt.export import _hdr, choose_encoder, copy_clip, encoders, prove_encoder, write_clip, write_reel

FORMATS = [
    ("h264", "mp4"),
    ("h264", "mkv"),
    ("hevc", "mp4"),
    ("hevc", "mov"),
    ("av1", "mp4"),
    ("av1", "mkv"),
    ("auto", "webm"),
]
PQ = {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1}
HLG = PQ | {"color_trc": 18}
FASTEST = {"effort": "fastest"}


def written(source: Path, spans: tuple[float, float], suffix: str = ".mp4", **config: object):
    path = source.with_name(f"made of {source.stem}{suffix}")
    result = write_clip(probe(source), *spans, path, ExportConfig(**{**FASTEST, **config}))
    return result, read(path)


@pytest.mark.parametrize(("codec", "container"), FORMATS)
def test_every_format_keeps_pictures_times_and_sound(tmp_path: Path, codec: str, container: str) -> None:
    take = Take(ticks=[2 * n for n in UNEVEN], tick=Fraction(1, 50), options={"bf": "2"}, tone=beep_at(1.0))
    source = make(tmp_path / "a.mp4", take)
    start, end = 0.34, 1.42
    result, clip = written(source, (start, end), f".{container}", codec=codec, container=container)
    times = [n / 25 for n in UNEVEN]
    on_screen = [n for n, time in enumerate(times) if time < end and [*times, 9][n + 1] > start]
    assert clip.numbers == on_screen
    expected = [max(0.0, times[n] - start) for n in on_screen]
    tick = 0.001 if container in ("mkv", "webm") else 1e-4
    assert [float(time) for time in clip.times] == pytest.approx(expected, abs=tick)
    assert clip.seconds == pytest.approx(end - start, abs=0.03)
    assert beeps(clip) == [pytest.approx(1.0 - start, abs=0.011)]
    assert result.audio


@pytest.mark.parametrize("color", [PQ, HLG], ids=["PQ", "HLG"])
@pytest.mark.parametrize("codec", ["auto", "av1"])
def test_hdr_stays_hdr(tmp_path: Path, codec: str, color: dict[str, int]) -> None:
    source = make(tmp_path / "a.mp4", Take(ticks=range(8), codec="libx265", pix_fmt="yuv420p10le", color=color))
    result, clip = written(source, (0.08, 0.24), codec=codec)
    frame = clip.frames[0]
    assert frame.format.name == "yuv420p10le"
    tags = (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range)
    assert tags == (9, 9, color["color_trc"], 1)
    before = next(frames_between(probe(source), 0.08, 0.12)).to_ndarray().astype(float)
    assert np.abs(before - frame.to_ndarray().astype(float)).mean() < 12  # Of 1023.
    assert any("stays HDR" in note for note in result.notes)


@pytest.mark.parametrize("codec", ["hevc", "av1"])
def test_hdr_keeps_what_it_says_of_its_mastering(tmp_path: Path, codec: str) -> None:
    told = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400"
    options = {"x265-params": f"log-level=error:{told}"}
    take = Take(ticks=range(5), codec="libx265", pix_fmt="yuv420p10le", color=PQ, options=options)
    _, clip = written(make(tmp_path / "a.mp4", take), (0, 0.16), codec=codec)
    found = _hdr.mastering_of(clip.frames[0])
    assert found is not None
    assert found.light == (1000, 400)
    assert found.luminance is not None
    assert float(found.luminance[1]) == pytest.approx(1000)
    assert found.primaries is not None
    assert [float(x) for x, _ in found.primaries] == pytest.approx([0.68, 0.265, 0.15, 0.3127], abs=1e-4)


def test_hdr_in_h264_is_tone_mapped_and_says_so(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mp4", Take(ticks=range(5), codec="libx265", pix_fmt="yuv420p10le", color=PQ))
    result, clip = written(source, (0, 0.16), codec="h264")
    assert (clip.frames[0].format.name, clip.frames[0].color_trc) == ("yuv420p", 1)
    assert any("--codec hevc" in note for note in result.notes)


@pytest.mark.parametrize("rotation", [0, 90])
def test_height_is_the_short_side_and_never_larger(tmp_path: Path, rotation: int) -> None:
    source = make(tmp_path / "a.mp4", Take(ticks=range(4), rotation=rotation))
    _, small = written(source, (0, 0.12), height=24)
    _, same = written(source, (0, 0.12), height=480)
    assert sorted(small.pictures[0].shape[:2]) == [24, 64]
    assert sorted(same.pictures[0].shape[:2]) == [48, 128]
    assert (small.pictures[0].shape[0] > small.pictures[0].shape[1]) == (rotation == 90)


def test_a_constant_rate_shows_what_was_on_screen(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mp4", Take(ticks=UNEVEN, tick=Fraction(1, 25)))
    _, clip = written(source, (0.2, 1.2), fps=29.97)
    rate = Fraction(30000, 1001)
    assert clip.times == [n / rate for n in range(30)]
    shown = [max(n for n, tick in enumerate(UNEVEN) if tick / 25 <= 0.2 + float(time) + 1e-6) for time in clip.times]
    assert clip.numbers == shown


def test_sound_fades_in_and_out_within_10_ms(tmp_path: Path) -> None:
    def loud(t: np.ndarray) -> np.ndarray:
        return 0.5 * np.sin(2 * np.pi * 1000 * t)

    source = make(tmp_path / "a.mkv", Take(ticks=range(50), tone=loud))
    _, clip = written(source, (0.5, 1.5))
    assert clip.sound is not None
    start, samples = clip.sound
    first = round(-start * 48000)
    heard = np.abs(samples[first : first + 48000])
    assert heard[:48].max() < 0.1 < heard[480:1440].max()
    assert heard[-48:].max() < 0.1 < heard[-1440:-480].max()
    assert heard[720:-720].reshape(-1, 48).max(axis=1).min() > 0.3


def test_better_quality_is_a_smaller_quantizer_in_every_codec() -> None:
    assert encoders.quantizer_of("libx264", ExportConfig().quality) == 18
    for name, (worst, best) in encoders._QUANTIZERS.items():
        values = [encoders.quantizer_of(name, quality) for quality in range(101)]
        assert values == sorted(values, reverse=True)
        assert (values[0], values[-1]) == (worst, best)


@pytest.fixture
def nvenc(monkeypatch: pytest.MonkeyPatch):
    """Makes the proof of NVENC come out as asked; what it proves is then not run."""

    def pretend(reason: str | None) -> None:
        monkeypatch.setattr(
            encoders, "_proof", lambda name, pix_fmt: reason if "nvenc" in name else prove_encoder(name, pix_fmt)
        )

    return pretend


def test_nvenc_asked_for_and_not_working_is_an_error(nvenc, tmp_path: Path) -> None:
    nvenc("Cannot load libcuda.so.1")
    source = make(tmp_path / "a.mp4", Take(ticks=range(5)))
    with pytest.raises(ExportError, match=r"h264_nvenc does not work here: Cannot load libcuda\.so\.1; use --encoder"):
        written(source, (0, 0.16), encoder="nvenc")
    result, _ = written(source, (0, 0.16))
    assert result.encoder == "libx264; NVENC does not work here: Cannot load libcuda.so.1"
    assert result.notes == ()


@pytest.mark.parametrize(("codec", "hdr"), [("h264", False), ("hevc", True), ("av1", True)])
def test_nvenc_that_works_is_the_choice_of_auto(nvenc, codec: str, hdr: bool) -> None:
    nvenc(None)
    chosen = choose_encoder(ExportConfig(codec=codec), hdr=hdr)
    assert chosen.name == f"{codec}_nvenc"
    assert chosen.pix_fmt(hdr) == ("p010le" if hdr else "yuv420p")
    options = " ".join(chosen.options(ExportConfig(quality=100)))
    assert f"-c:v {codec}_nvenc -preset p4 -tune hq -rc vbr -cq " in options
    assert "-cq 0 " not in options  # CQ 0 lets the driver choose.
    assert options.endswith("-b:v 0 -bf 0")
    assert choose_encoder(ExportConfig(codec=codec, encoder="software"), hdr=hdr).name.startswith("lib")


def test_a_clip_that_nvenc_refuses_is_encoded_on_the_cpu(nvenc, tmp_path: Path) -> None:
    nvenc(None)  # No driver here: the encode itself fails.
    source = make(tmp_path / "a.mp4", Take(ticks=range(5)))
    if prove_encoder("h264_nvenc") is None:
        pytest.skip("NVENC works here")
    result, clip = written(source, (0, 0.16))
    assert clip.numbers == [0, 1, 2, 3]
    assert any(note.startswith("encoded by libx264, since NVENC failed: ") for note in result.notes)
    with pytest.raises(ExportError):
        written(source, (0, 0.16), encoder="nvenc")


def test_settings_that_contradict_each_other_are_refused() -> None:
    for wrong, told in (
        ({"container": "webm", "codec": "h264"}, "webm holds no h264"),
        ({"copy": True, "height": 720}, "height would change them"),
        ({"copy": True, "sdr": True}, "sdr would change them"),
    ):
        with pytest.raises(ConfigError, match=told):
            ExportConfig(**wrong)


GOPS = {
    "closed": {"g": "10", "bf": "2", "x264-params": "scenecut=0"},
    "open": {"g": "10", "bf": "2", "x264-params": "scenecut=0:open-gop=1"},
    "no B-frames": {"g": "10", "bf": "0", "x264-params": "scenecut=0"},
}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("gop", GOPS)
def test_a_copied_clip_is_the_take_from_a_keyframe_on(tmp_path: Path, gop: str, suffix: str) -> None:
    take = Take(ticks=range(100), options=GOPS[gop], tone=beep_at(1.6), rotation=90 if suffix == ".mp4" else 0)
    source = make(tmp_path / f"a{suffix}", take)
    info = probe(source)
    result = copy_clip(info, 1.3, 2.1, tmp_path / "clip.mp4", ExportConfig(copy=True))
    clip = read(result.path)
    assert 1.3 - 0.8 < result.start <= 1.3
    assert 2.1 <= result.end < 2.1 + 0.4
    wanted = list(frames_between(info, result.start, result.end))
    assert len(clip.frames) == len(wanted)
    assert result.encoder == "copy"
    for one, other in zip(clip.frames, wanted, strict=True):
        assert np.array_equal(one.to_ndarray(), other.to_ndarray())
    times = [float(info.media_time(frame.pts)) - result.start for frame in wanted]
    assert [float(time) for time in clip.times] == pytest.approx(times, abs=1e-3)
    assert beeps(clip) == [pytest.approx(1.6 - result.start, abs=0.011)]
    assert probe(result.path).rotation == info.rotation
    with av.open(str(source)) as old, av.open(str(result.path)) as new:
        assert old.streams.audio[0].codec.name == new.streams.audio[0].codec.name


def test_a_take_that_a_container_cannot_hold_is_not_copied_into_it(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mp4", Take())
    with pytest.raises(ExportError, match=r"webm cannot hold .* choose --container mkv, or leave out --copy"):
        copy_clip(probe(source), 0, 0.4, tmp_path / "clip.webm", ExportConfig(copy=True, container="webm"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_reel_joins_the_moments_to_the_picture(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mp4", Take(ticks=range(100), tone=beep_at(0.5, 2.5), options={"bf": "2"}))
    spans = [(2.2, 2.8), (0.4, 0.8), (3.2, 3.6)]
    result = write_reel(probe(source), spans, tmp_path / "reel.mp4", ExportConfig(**FASTEST))
    reel = read(result.path)
    assert reel.numbers == [*range(55, 70), *range(10, 20), *range(80, 90)]
    assert reel.times == [Fraction(n, 25) for n in range(35)]
    assert reel.seconds == pytest.approx(1.4, abs=0.03)
    assert beeps(reel) == [pytest.approx(0.3, abs=0.011), pytest.approx(0.7, abs=0.011)]


def test_a_cross_fade_goes_from_one_moment_to_the_next(tmp_path: Path) -> None:
    def flat(number: int) -> np.ndarray:
        return np.full((48, 64, 3), 60 if number < 50 else 180, np.uint8)

    source = make(tmp_path / "a.mp4", Take(ticks=range(100), picture=flat, tone=beep_at(0.2, 2.6)))
    config = ExportConfig(crossfade=0.4, quality=90, **FASTEST)
    result = write_reel(probe(source), [(0, 1.2), (2.2, 3.4)], tmp_path / "reel.mp4", config)
    reel = read(result.path)
    assert reel.seconds == pytest.approx(2.0, abs=0.03)
    assert reel.times == [Fraction(n, 25) for n in range(50)]
    levels = [picture.mean() for picture in reel.pictures]
    assert levels[:20] == pytest.approx([60] * 20, abs=2)
    assert levels[20:30] == pytest.approx(np.linspace(60, 180, 11)[:10], abs=3)
    assert levels[30:] == pytest.approx([180] * 20, abs=2)
    assert beeps(reel) == [pytest.approx(0.2, abs=0.011), pytest.approx(1.2, abs=0.011)]


def test_a_cross_fade_longer_than_the_moments_is_shortened_and_says_so(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mp4", Take(ticks=range(60)))
    spans = [(0, 0.4), (1.0, 2.0)]
    result = write_reel(probe(source), spans, tmp_path / "reel.mp4", ExportConfig(crossfade=3, **FASTEST))
    assert result.duration == pytest.approx(1.2)
    assert any("0.20 s" in note for note in result.notes)


def test_a_clip_can_be_stopped_from_another_thread(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mp4", Take())
    stop = threading.Event()
    stop.set()
    with pytest.raises(Exception) as caught:
        write_clip(probe(source), 0, 1, tmp_path / "clip.mp4", ExportConfig(), stop)
    assert type(caught.value).__name__ == "Stopped"
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_psnr_of_first_and_last_pictures_in_full_range(tmp_path: Path) -> None:
    take = Take(pix_fmt="yuvj420p", color={"colorspace": 6, "color_range": 2}, options={"crf": "4"})
    source = make(tmp_path / "a.mp4", take)
    _, clip = cut(source, 0.2, 0.8, codec="av1")
    wanted = list(frames_between(probe(source), 0.2, 0.8))
    for index in (0, -1):
        assert psnr(clip.pictures[index], wanted[index].to_ndarray(format="rgb24")) > 30
    assert clip.frames[0].color_range == 1
