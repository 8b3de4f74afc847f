"""Clips are steadied and coloured, decoded again, and compared with what went in."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise

import av
import cv2
import numpy as np
import pytest

from bestshot_trt.config import ExportConfig
from bestshot_trt.decode import probe
from bestshot_trt.errors import ConfigError
from bestshot_trt.export import _shake, write_clip, write_reel

RATE = 25
WIDTH, HEIGHT = 320, 240
ROOM = 40
"""Pixels of scene around the picture, for the camera to move in."""
PLAIN = ExportConfig(audio=False, effort="fastest")


def scene(seed=0):
    """Grey, with corners at several scales, nowhere near black."""
    noise = np.random.default_rng(seed)
    height, width = HEIGHT + 2 * ROOM, WIDTH + 2 * ROOM
    layers = [cv2.resize(noise.uniform(0, 1, (height // s, width // s)), (width, height)) for s in (5, 11, 25)]
    return (90 + 120 * np.clip(np.mean(layers, axis=0), 0, 1)).astype(np.uint8)


def write(path, pictures, *options):
    """Encode ``pictures``, uint8 grey (h, w) or RGB (h, w, 3), at 25 a second."""
    import imageio_ffmpeg

    first = pictures[0]
    pixels = "gray" if first.ndim == 2 else "rgb24"
    size = f"{first.shape[1]}x{first.shape[0]}"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", pixels, "-s", size]
    command += ["-r", str(RATE), "-i", "-", "-pix_fmt", "yuv420p", "-crf", "12", "-preset", "ultrafast", *options]
    subprocess.run([*command, str(path)], input=b"".join(p.tobytes() for p in pictures), check=True)
    return path


def handheld(count, jitter, pan=0.0, turn=0.0):
    """A camera that pans evenly over the `scene` and shakes by ``jitter`` pixels and ``turn`` radians a frame."""
    still, noise = scene(), np.random.default_rng(1)
    pictures = []
    for number in range(count):
        across, down = noise.normal(0, jitter, 2).clip(-2.5 * jitter, 2.5 * jitter)
        centre = (WIDTH / 2 + ROOM, HEIGHT / 2 + ROOM)
        matrix = cv2.getRotationMatrix2D(centre, np.degrees(noise.normal(0, turn)), 1)
        matrix[:, 2] -= ROOM + across + pan * (number - count / 2), ROOM + down
        pictures.append(cv2.warpAffine(still, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC))
    return pictures


@pytest.fixture(scope="module")
def shaky(tmp_path_factory):
    return write(tmp_path_factory.mktemp("shaky") / "take.mp4", handheld(100, 2.5, pan=0.1, turn=0.004))


@pytest.fixture(scope="module")
def tripod(tmp_path_factory):
    pictures = handheld(75, 0)
    noise = np.random.default_rng(2)
    grainy = [np.clip(p + noise.normal(0, 2, p.shape), 0, 255).astype(np.uint8) for p in pictures]
    return write(tmp_path_factory.mktemp("tripod") / "take.mp4", grainy)


def cut(take, path, start=1.0, end=3.0, **settings):
    return write_clip(probe(take), Fraction(start), Fraction(end), path, dataclasses.replace(PLAIN, **settings))


def decoded(path, pixels="gray"):
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray(format=pixels)) for frame in container.decode(video=0)]


def shake_of(path):
    meter = _shake.ShakeMeter()
    for time, luma in decoded(path):
        meter.add(time, luma)
    return meter.shake()


@pytest.fixture(scope="module")
def pair(shaky, tmp_path_factory):
    """The same two seconds as they are, and steadied."""
    folder = tmp_path_factory.mktemp("pair")
    return cut(shaky, folder / "plain.mp4"), cut(shaky, folder / "steady.mp4", stabilize="vidstab")


def test_vidstab_makes_a_shaky_clip_steadier(pair):
    plain, steady = pair
    assert steady.shake.kept
    assert shake_of(steady.path) < shake_of(plain.path) / 4
    assert steady.shake.before == pytest.approx(shake_of(plain.path), rel=0.1)
    assert steady.shake.after == pytest.approx(shake_of(steady.path), rel=0.3)
    assert (plain.shake, plain.notes) == (None, ())


def test_its_pictures_are_as_many_and_on_screen_as_long(pair):
    plain, steady = (decoded(clip.path) for clip in pair)
    assert [time for time, _ in steady] == [time for time, _ in plain]
    assert steady[0][1].shape == plain[0][1].shape


@pytest.mark.parametrize(("start", "end"), [(0.0, 1.0), (3.0, 4.0)], ids=["first pictures", "last pictures"])
def test_a_clip_at_an_end_of_the_take_is_steadied_too(shaky, tmp_path, start, end):
    steady = cut(shaky, tmp_path / "steady.mp4", start, end, stabilize="vidstab")
    assert (steady.frames, steady.shake.kept) == (25, True)


def test_a_steadied_clip_has_no_black_borders(pair):
    for _, luma in decoded(pair[1].path):
        edges = np.concatenate([luma[0], luma[-1], luma[:, 0], luma[:, -1]])
        assert edges.min() > 60


def test_its_ends_are_as_steady_as_its_middle(pair):
    """The margin is what vid.stab smooths over: without it the first pictures would jump."""
    steady = [luma for _, luma in decoded(pair[1].path)]
    moves = [np.hypot(*_shake.motion_between(a, b)[:2]) for a, b in pairwise(steady)]
    assert max(*moves[:5], *moves[-5:]) < 2 * max(moves[5:-5]) + 0.2


@pytest.mark.parametrize("method", ["vidstab", "deshake"])
def test_a_clip_from_a_tripod_stays_as_it_is(tripod, tmp_path, method):
    plain = cut(tripod, tmp_path / "plain.mp4", 0.5, 2.5)
    steady = cut(tripod, tmp_path / "steady.mp4", 0.5, 2.5, stabilize=method)
    assert not steady.shake.kept
    for (_, one), (_, other) in zip(decoded(plain.path), decoded(steady.path), strict=True):
        assert (one == other).all()


def test_what_a_method_makes_worse_stays_as_it_is(shaky, pair, tmp_path):
    """deshake lets a slow pan drift and catches up in jumps; whatever it does, nothing worse is kept."""
    steady = cut(shaky, tmp_path / "steady.mp4", stabilize="deshake")
    assert shake_of(steady.path) <= shake_of(pair[0].path) * 1.01
    assert steady.shake.kept is (steady.shake.after <= 0.9 * steady.shake.before)


def test_a_clip_with_nothing_to_follow_says_so(tmp_path):
    grey = write(tmp_path / "take.mp4", [np.full((HEIGHT, WIDTH), 120, np.uint8)] * 50)
    steady = cut(grey, tmp_path / "steady.mp4", 0, 2, stabilize="vidstab")
    assert (steady.frames, steady.shake) == (50, None)
    assert steady.notes == ("not stabilised: too little detail, or too few pictures, to measure its shake",)


def test_a_clip_of_few_pictures_is_cut_all_the_same(shaky, tmp_path):
    assert cut(shaky, tmp_path / "steady.mp4", 1, 1.1, stabilize="vidstab").frames == 3


def test_interlaced_pictures_are_made_whole_to_be_steadied(shaky, tmp_path):
    woven = tmp_path / "take.ts"
    convert = ["-vf", "tinterlace=interleave_top,fieldorder=tff", "-flags", "+ildct+ilme", "-c:v", "mpeg2video"]
    pictures = [luma for _, luma in decoded(shaky)]
    write(woven, pictures, *convert, "-q:v", "2")
    steady = cut(woven, tmp_path / "steady.mp4", 0.5, 2, stabilize="vidstab")
    assert any(note.startswith("deinterlaced") for note in steady.notes)
    with av.open(str(steady.path)) as container:
        assert not any(frame.interlaced_frame for frame in container.decode(video=0))


def test_interlaced_pictures_stay_so_when_only_coloured(tmp_path):
    """A red and a blue field: a conversion that mixed their rows would blur their chroma."""
    rows = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    rows[::2], rows[1::2] = (120, 40, 40), (40, 40, 120)
    weave = ["-vf", "setfield=tff,scale=interl=1,format=yuv420p", "-flags", "+ildct+ilme"]
    woven = write(tmp_path / "take.ts", [rows] * 50, *weave, "-c:v", "mpeg2video", "-q:v", "2")
    same = table(tmp_path / "same.cube", lambda rgb: rgb)
    plain, coloured = (
        cut(woven, tmp_path / f"{n}.mp4", 0, 1, quality=95, color=c) for n, c in enumerate(("off", same))
    )
    assert "stays interlaced, top field first" in coloured.notes
    one, other = (decoded(clip.path, "yuv420p")[0][1][HEIGHT:].astype(int) for clip in (plain, coloured))
    assert np.abs(one - other).mean() < 2


PATCHES = [(40, 44, 48), (70, 60, 52), (30, 60, 40), (90, 90, 92)]


def flashing(count=50):
    """Dark patches that do not change, and a light that comes and goes."""
    pictures = []
    for number in range(count):
        picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        for patch, colour in enumerate(PATCHES):
            picture[:, patch * 60 : patch * 60 + 60] = colour
        picture[:, 240:] = 60 + 2 * number
        pictures.append(picture)
    return pictures


@pytest.fixture(scope="module")
def dark(tmp_path_factory):
    return write(tmp_path_factory.mktemp("dark") / "take.mp4", flashing(), *tagged("bt709", "bt709", "bt709"))


def tagged(matrix, primaries, transfer):
    """Options for RGB pictures encoded by ``matrix``, whose tags the file then has."""
    tags = f"setparams=range=tv:colorspace={matrix}:color_primaries={primaries}:color_trc={transfer}"
    return ["-vf", f"scale=out_color_matrix={matrix.removesuffix('nc')}:out_range=tv,format=yuv420p10le,{tags}"]


def test_auto_brightens_a_dark_clip(dark, tmp_path):
    plain, bright = cut(dark, tmp_path / "a.mp4", 0, 2), cut(dark, tmp_path / "b.mp4", 0, 2, color="auto")
    assert np.mean([p for _, p in decoded(bright.path)]) > np.mean([p for _, p in decoded(plain.path)]) + 10
    assert "brightened by a gamma of" in bright.color
    assert plain.color is None


def test_auto_is_the_same_for_every_picture_of_a_clip(dark, tmp_path):
    """The light doubles the mean luma over the clip; the patches beside it vary by their coding alone."""
    plain, bright = (cut(dark, tmp_path / f"{c}.mp4", 0, 2, quality=95, color=c).path for c in ("off", "auto"))
    assert _variation(bright) < 2 * _variation(plain) + 0.5


def _variation(path):
    """The most that a patch's mean varies over time, in levels of 255."""
    pictures = np.stack([picture for _, picture in decoded(path, "rgb24")])
    patches = [pictures[:, 20:-20, 60 * n + 15 : 60 * n + 45].mean(axis=(1, 2)) for n in range(len(PATCHES))]
    return max(float((patch.max(axis=0) - patch.min(axis=0)).max()) for patch in patches)


@pytest.mark.parametrize("settings", [{"color": "auto"}, {"color": "auto", "stabilize": "vidstab"}])
def test_colour_tags_stay(dark, tmp_path, settings):
    cut(dark, tmp_path / "b.mp4", 0, 2, **settings)
    with av.open(str(tmp_path / "b.mp4")) as container:
        (frame, *_) = container.decode(video=0)
        assert (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range) == (1, 1, 1, 1)


def table(path, change):
    """A 3D table of 17 nodes a side that does ``change`` to RGB in [0, 1]."""
    axis = np.linspace(0, 1, 17)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    nodes = change(np.stack([red, green, blue], axis=-1).reshape(-1, 3))
    path.write_text("LUT_3D_SIZE 17\n" + "\n".join(" ".join(f"{v:.6f}" for v in row) for row in nodes))
    return str(path)


def test_a_table_of_ones_own_is_applied(dark, tmp_path):
    swapped = table(tmp_path / "it's a, look; really.cube", lambda rgb: rgb[:, ::-1])
    before = decoded(cut(dark, tmp_path / "a.mp4", 0, 1).path, "rgb24")[0][1].astype(int)
    result = cut(dark, tmp_path / "b.mp4", 0, 1, color=swapped)
    after = decoded(result.path, "rgb24")[0][1].astype(int)
    assert np.abs(after[:, :, ::-1] - before)[20:-20, 20:40].max() <= 6
    assert result.color == "table it's a, look; really.cube"


def test_a_table_that_changes_nothing_changes_next_to_nothing(dark, tmp_path):
    same = table(tmp_path / "same.cube", lambda rgb: rgb)
    before = decoded(cut(dark, tmp_path / "a.mp4", 0, 1).path, "rgb24")
    after = decoded(cut(dark, tmp_path / "b.mp4", 0, 1, color=same).path, "rgb24")
    for (_, one), (_, other) in zip(before, after, strict=True):
        assert np.abs(one.astype(int) - other).mean() < 1


SPANS = ((2.6, 3.4), (0.2, 1.4))


def reel(take, path, **settings):
    config = dataclasses.replace(PLAIN, quality=95, **settings)
    return write_reel(probe(take), SPANS, path, config), [
        picture
        for number, span in enumerate(SPANS)
        for picture in decoded(cut(take, path.with_name(f"{number}.mp4"), *span, quality=95, **settings).path)
    ]


def test_a_reel_looks_as_its_clips_do(shaky, tmp_path):
    color = table(tmp_path / "inverted.cube", lambda rgb: 1 - rgb)
    result, clips = reel(shaky, tmp_path / "reel.mp4", stabilize="vidstab", color=color)
    pictures = decoded(result.path)
    assert len(pictures) == len(clips) == 50
    for (_, ours), (_, theirs) in zip(pictures, clips, strict=True):
        assert np.abs(ours.astype(int) - theirs).mean() < 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.mp4", "1.mp4", "inverted.cube", "reel.mp4"]


def test_a_steadied_reel_fades_from_one_moment_to_the_next(shaky, tmp_path):
    result, _ = reel(shaky, tmp_path / "reel.mp4", stabilize="vidstab", crossfade=0.4)
    assert len(decoded(result.path)) == 40
    assert result.notes == ()


@pytest.fixture(scope="module")
def hdr(tmp_path_factory):
    path = tmp_path_factory.mktemp("hdr") / "take.mp4"
    deep = ["-pix_fmt", "yuv420p10le", "-c:v", "libx265", "-x265-params", "log-level=error"]
    return write(path, flashing(), *tagged("bt2020nc", "bt2020", "smpte2084"), *deep)


def test_hdr_that_stays_is_left_alone_and_says_so(hdr, tmp_path):
    result = cut(hdr, tmp_path / "a.mp4", 0, 1, codec="hevc", color="auto", stabilize="vidstab")
    assert (result.color, result.shake) == (None, None)
    assert "not stabilised: filters for that take 8 bits; add --sdr" in result.notes
    assert "colours are left alone, since they are HDR; --sdr lets --color work on them" in result.notes


def test_hdr_that_is_tone_mapped_is_corrected(hdr, tmp_path):
    result = cut(hdr, tmp_path / "a.mp4", 0, 1, sdr=True, color="auto")
    assert result.color is not None
    with av.open(str(result.path)) as container:
        (frame, *_) = container.decode(video=0)
        assert (frame.colorspace, frame.color_trc) == (1, 1)


@pytest.mark.parametrize("color", ["", "warm", "look.png"])
def test_a_color_that_is_no_choice_is_refused(color):
    with pytest.raises(ConfigError, match=r"it must be off, auto, or a table as FILE\.cube"):
        ExportConfig(color=color)


def command(*arguments, folder):
    run = [sys.executable, "-m", "bestshot_trt", *map(str, arguments)]
    return subprocess.run(run, capture_output=True, text=True, check=False, cwd=folder, timeout=300)


def test_the_command_reports_shake_and_colour(shaky, tmp_path):
    quick = ["--model", "none", "--score-height", 64, "-k", 1, "--effort", "fastest", "-o", "out"]
    done = command("run", shaky, *quick, "--stabilize", "vidstab", "--color", "auto", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "shake" in done.stdout.splitlines()[0]
    (moment,) = json.loads((tmp_path / "out" / "moments.json").read_text())["moments"]
    assert moment["shake"]["kept"]
    assert moment["shake"]["after"] < moment["shake"]["before"] / 3
    assert isinstance(moment["color"], str)


def test_a_malformed_table_ends_a_run_before_it_begins(shaky, tmp_path):
    (tmp_path / "look.cube").write_text("LUT_3D_SIZE 2\n0 0 0\n")
    done = command("run", shaky, "--color", "look.cube", "-o", "out", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr == ("error: look.cube: 1 rows of colours, but LUT_3D_SIZE 2 needs 8; save the table again\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.real
def test_a_handheld_walk_gets_steadier(media, tmp_path):
    take = media / "fixtures" / "gopro_hero7_walk.mp4"
    steady = cut(take, tmp_path / "steady.mp4", 3, 5, stabilize="vidstab")
    assert steady.shake.kept
    assert steady.shake.after < 0.8 * steady.shake.before
