from __future__ import annotations

import dataclasses
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

import bestshot_trt as bt
from bestshot_trt import decode, stills, track
from bestshot_trt.export import stills as files_of

FRAMES = [sys.executable, "-m", "bestshot_trt", "frames"]
QUICK = bt.Config(
    analyze=bt.AnalyzeConfig(score_height=64, model="none", fps=2.0), pick=bt.PickConfig(top=2, min_gap=3)
)
COLOURFUL = "-c:v libx264 -preset ultrafast -crf 10 -pix_fmt yuv420p"


def analysed(take, folder):
    track.write_track(bt.analyze(take, QUICK), folder / "track.parquet")
    return folder


@pytest.fixture(scope="module")
def results(clip, tmp_path_factory):
    """A folder with a track of a take that is in focus for half a second only, from 3.1 s on."""
    blurred = f"-vf gblur=sigma=6:enable='lt(t,3.1)+gt(t,3.6)' {COLOURFUL}"
    return analysed(clip(blurred, size="160x120", rate="20", seconds=6), tmp_path_factory.mktemp("results"))


def with_form(form, quality=95):
    return dataclasses.replace(QUICK, frames=bt.FramesConfig(format=form, quality=quality))


def frames(*arguments):
    return subprocess.run([*FRAMES, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=300)


def test_a_still_is_the_sharpest_frame_near_its_peak(results, tmp_path):
    document = bt.export_stills(results, tmp_path / "out", QUICK)
    best = document.stills[0]
    samples = track.read_track(results / "track.parquet")
    at = np.flatnonzero(samples.times == best.sample_s)
    assert 3.1 <= best.time_s < 3.65
    assert best.sharpness >= samples.sharpness[at] * (1 - 1e-4)
    assert (tmp_path / "out" / best.file).exists()


def test_the_pixels_are_those_of_the_frame_on_screen_then(results, tmp_path):
    document = bt.export_stills(results, tmp_path / "out", with_form("png"))
    for still in document.stills:
        picture = np.asarray(Image.open(tmp_path / "out" / still.file))
        info = decode.probe(Path(document.source.path))
        (frame,) = decode.frames_between(info, still.time_s, still.time_s + 0.001)
        assert frame.pts == still.pts
        assert (picture == decode.StillPicture(info).convert(frame)).all()


@pytest.mark.parametrize(
    ("form", "suffix", "kind"), [("jpeg", "jpg", "JPEG"), ("png", "png", "PNG"), ("avif", "avif", "AVIF")]
)
def test_every_format_is_tagged_srgb_and_says_nothing_else(results, tmp_path, form, suffix, kind):
    try:
        files_of.prove_format(form)
    except bt.ConfigError:
        pytest.skip(f"this Pillow cannot write {form}")
    document = bt.export_stills(results, tmp_path, with_form(form), top=1)
    (still,) = document.stills
    assert still.file.endswith(f".{suffix}")
    with Image.open(tmp_path / still.file) as image:
        assert image.format == kind
        assert image.size == (still.width, still.height) == (160, 120)
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        assert "sRGB" in ImageCms.getProfileName(profile)
        assert not image.getexif()
        assert "comment" not in image.info


def test_quality_costs_size(results, tmp_path):
    sizes = []
    for quality in (30, 95):
        (still,) = bt.export_stills(results, tmp_path / str(quality), with_form("jpeg", quality), top=1).stills
        sizes.append((tmp_path / str(quality) / still.file).stat().st_size)
    assert sizes[0] < sizes[1] / 2


def test_stills_are_upright_with_square_pixels(clip, clips, tmp_path):
    wide = clip(f"-vf setsar=2 {COLOURFUL}", size="64x48", rate="10", seconds=2)
    turned = tmp_path / "turned.mp4"
    clips.run_ffmpeg("-display_rotation", "90", "-i", wide, "-c", "copy", turned)
    (still,) = bt.export_stills(analysed(turned, tmp_path), tmp_path / "out", QUICK, top=1).stills
    assert (still.width, still.height) == (48, 128)


def test_interlaced_takes_give_stills_without_combs(clip, clips, tmp_path):
    """Bars that move sideways: woven fields disagree from row to row, which no real edge does there."""
    source = "-vf scroll=h=0.02,crop=160:120:0:0,interlace=lowpass=off -flags +ildct+ilme -c:v mpeg2video -q:v 2"
    take = clip(source, suffix=".ts", size="160x120", rate="50", seconds=3)
    info = decode.probe(take)
    assert info.interlaced
    document = bt.export_stills(analysed(take, tmp_path), tmp_path / "out", with_form("png"), top=1)
    (still,) = document.stills
    picture = np.asarray(Image.open(tmp_path / "out" / still.file)).astype(int)
    (frame, *_) = decode.frames_between(info, still.time_s, still.time_s + 0.001)
    woven = decode.StillPicture(info).convert(frame).astype(int)

    def combs(pixels):
        return np.abs(2 * pixels[1:-1] - pixels[:-2] - pixels[2:]).mean()

    assert combs(picture) < 0.6 * combs(woven)


def test_moments_without_their_track_compare_every_frame(results, tmp_path):
    document = bt.pick(results / "track.parquet", QUICK)
    (tmp_path / "moments.json").write_text(document.to_json())
    made = bt.export_stills(tmp_path / "moments.json", config=QUICK)
    assert [still.sample_s for still in made.stills] == [None] * len(document.moments)
    assert made.stills[0].time_s == bt.export_stills(results, tmp_path / "b", QUICK).stills[0].time_s


def test_stills_are_not_replaced_unasked_and_stale_ones_go(results, tmp_path):
    bt.export_stills(results, tmp_path, QUICK)
    with pytest.raises(bt.ConfigError, match="already holds stills; add --overwrite"):
        bt.export_stills(results, tmp_path, QUICK)
    mine = tmp_path / "mine.jpg"
    mine.write_bytes(b"x")
    (still,) = bt.export_stills(results, tmp_path, QUICK, top=1, overwrite=True).stills
    assert sorted(path.name for path in tmp_path.iterdir()) == [still.file, "mine.jpg", "stills.json"]


def test_the_command_writes_several_takes_apart(results, clip, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    analysed(clip(COLOURFUL, size="96x64", rate="10", seconds=3), other)
    done = frames(results, other, "-k", 1, "-o", tmp_path / "out", "--json", "-q")
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [len(take["stills"]) for take in told] == [1, 1]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([results.name, "other"])


def test_two_takes_that_would_share_a_folder_are_refused(results, tmp_path):
    done = frames(results, results / "track.parquet", "-o", tmp_path / "out")
    assert done.returncode == 2
    assert "both stills would go to" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("make", "code", "message"),
    [
        (lambda folder: folder / "none.json", 3, "no such file"),
        (lambda folder: folder, 3, "holds no moments.json and no track.parquet; run or pick first"),
        (lambda folder: _text(folder / "moments.json", "{}"), 3, "schema is None"),
        (lambda folder: _text(folder / "track.parquet", "PAR1 no"), 3, "cannot be read as a score track"),
    ],
    ids=["missing", "empty folder", "no moments", "no track"],
)
def test_what_is_neither_moments_nor_a_track_is_refused_in_one_line(tmp_path, make, code, message):
    done = frames(make(tmp_path))
    assert done.returncode == code
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def _text(path, text):
    path.write_text(text)
    return path


def test_a_format_that_pillow_lacks_is_refused_before_decoding(results, tmp_path, monkeypatch):
    Image.init()
    monkeypatch.delitem(Image.SAVE, "AVIF", raising=False)
    with pytest.raises(
        bt.ConfigError, match="format avif cannot be written by the Pillow that is here; take one of jpeg, png"
    ):
        bt.export_stills(results, tmp_path / "out", with_form("avif"))
    assert not (tmp_path / "out").exists()


def test_a_take_that_is_gone_is_named(clip, tmp_path):
    take = tmp_path / "take.mp4"
    take.write_bytes(clip(COLOURFUL, size="96x64", rate="10", seconds=3).read_bytes())
    analysed(take, tmp_path)
    take.unlink()
    with pytest.raises(bt.InputError, match=r"take\.mp4: no such file"):
        stills.export_stills(tmp_path / "track.parquet", config=QUICK)
    assert not (tmp_path / "frames").exists()
