"""The measuring itself: what is broken turns a gate red before anything is timed; rows are kept and reported."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bestshot_trt.errors import BestshotError
from bestshot_trt.speed import seed
from bestshot_trt.speed.timing import Pairs, paired, process, summarise

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from bench import gates, inputs, rows  # noqa: E402
from bench.cases import CASES  # noqa: E402
from bench.cases import pick as pick_case  # noqa: E402
from bench.cases import score as score_case  # noqa: E402
from bench.registry import Red, Request  # noqa: E402

H264 = "-c:v libx264 -preset veryfast -bf 2 -g 25 -pix_fmt yuv420p"


def request_for(*takes: Path, folder: Path, runs: int = 1, model: Path | None = None) -> Request:
    return Request(inputs=list(takes), runs=runs, folder=folder, model=model)


def test_a_decoder_that_gives_another_picture_is_red(clip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    take, honest = clip(H264), gates.sampled_frames
    gates.samples_identical(take, 3.0)

    def shifted(*arguments: Any) -> Any:
        held = None
        for sampled in honest(*arguments):
            yield dataclasses.replace(sampled, frame=held.frame if held else sampled.frame)
            held = sampled

    monkeypatch.setattr(gates, "sampled_frames", shifted)
    with pytest.raises(Red, match="differs from that of a full decode"):
        gates.samples_identical(take, 3.0)


def lost(samples: list[Any]) -> list[Any]:
    return samples[:3] + samples[4:]


def twice(samples: list[Any]) -> list[Any]:
    return samples[:3] + samples[2:]


def one_too_late(samples: list[Any]) -> list[Any]:
    return [dataclasses.replace(late, samples=due.samples) for due, late in itertools.pairwise(samples)]


def cut_short(samples: list[Any]) -> list[Any]:
    return samples[:-2]


def other_colours(samples: list[Any]) -> list[Any]:
    from av import VideoFrame

    pixels = samples[2].frame.to_ndarray()
    pixels[-1, -1] ^= 1
    frame = VideoFrame.from_ndarray(pixels, samples[2].frame.format.name)
    return [*samples[:2], dataclasses.replace(samples[2], frame=frame), *samples[3:]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lost, "sample 3 is missing"),
        (twice, "sample 2 comes again"),
        (one_too_late, r"sample 0 is the picture at pts \d+; on screen then is that at pts 0"),
        (cut_short, "sample 10 is missing"),
        (other_colours, "differs from that of a full decode"),
    ],
)
def test_a_decoder_that_loses_doubles_shifts_or_recolours_samples_is_red(
    clip: Any, monkeypatch: pytest.MonkeyPatch, change: Any, words: str
) -> None:
    honest = gates.sampled_frames
    monkeypatch.setattr(gates, "sampled_frames", lambda *given: (each for each in change(list(honest(*given)))))
    with pytest.raises(Red, match=words):
        gates.samples_identical(clip(H264), 3.0)


def test_a_planner_that_leaves_a_needed_picture_out_is_red(clip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from bestshot_trt.plan import Group

    honest = Group.fed

    def fed(group: Any) -> Any:
        return (packet for number, packet in enumerate(honest(group)) if number != 2)

    monkeypatch.setattr(Group, "fed", fed)
    monkeypatch.setattr("bestshot_trt.decode._rescue.Rescuer.find", lambda *_: None)
    with pytest.raises(Red, match=r"differs from|is missing"):
        gates.samples_identical(clip(H264), 3.0)


def test_a_damaged_take_may_lack_samples(clip: Any, tmp_path: Path) -> None:
    content = bytearray(clip(H264).read_bytes())
    media = content.index(b"mdat")
    content[media + len(content) // 3 : media + len(content) // 3 + 4000] = bytes(4000)
    (tmp_path / "damaged.mp4").write_bytes(content)
    gates.samples_identical(tmp_path / "damaged.mp4", 3.0)


def test_a_score_picture_by_another_filter_is_red(clip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from bestshot_trt.decode import _picture

    take = clip(H264, size="1920x1080", seconds=1.2)
    gates.measures_match(take, 3.0)
    monkeypatch.setattr(_picture, "_SAME_ARITHMETIC", ":flags=bilinear+accurate_rnd")
    with pytest.raises(Red, match="the score picture is not ffmpeg's"):
        gates.measures_match(take, 3.0)


def test_a_models_picture_by_another_filter_or_of_another_part_is_red(
    clip: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bestshot_trt.decode import _picture
    from bestshot_trt.frames import ModelView

    take, view = clip(H264, size="1280x720", seconds=1.2), ModelView(size=224, framing="crop")
    gates.measures_match(take, 3.0, view)
    honest = _picture.ModelPicture.convert
    monkeypatch.setattr(_picture.ModelPicture, "convert", lambda *given: np.roll(honest(*given), 1, axis=1))
    with pytest.raises(Red, match="the model's picture is not the reference's"):
        gates.measures_match(take, 3.0, view)
    monkeypatch.setattr(_picture.ModelPicture, "convert", honest)
    monkeypatch.setattr(_picture, "_EXACT", ":flags=bilinear+accurate_rnd")
    with pytest.raises(Red, match="the model's picture is not the reference's"):
        gates.measures_match(take, 3.0, view)


def test_a_sample_whose_time_is_shifted_is_red(clip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from bestshot_trt.plan import SampleGrid

    monkeypatch.setattr(SampleGrid, "time", lambda grid, index: float((index + 1) / grid.fps))
    with pytest.raises(Red, match=r"sample 0 has the time 0.333333 s, not 0 s"):
        gates.measures_match(clip(H264), 3.0)


@pytest.mark.parametrize("measure", ["laplacian_variance", "exposure_penalty", "contrast", "colourfulness"])
def test_a_kernel_that_measures_wrongly_is_red(clip: Any, monkeypatch: pytest.MonkeyPatch, measure: str) -> None:
    import bestshot_kernels.frame_stats as op

    take, honest = clip(H264), op.frame_stats
    gates.measures_match(take, 3.0)

    def broken(pixels: Any) -> Any:
        found = honest(pixels)
        return dataclasses.replace(found, **{measure: getattr(found, measure) * 1.01 + 0.01})

    monkeypatch.setattr(op, "frame_stats", broken)
    with pytest.raises(Red, match="differ"):
        gates.measures_match(take, 3.0)


def test_a_limit_that_the_reference_shares_is_red_too(clip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from bestshot_kernels.frame_stats import cpu, reference

    # No pixel of this take is black or white.
    take = clip(f"-vf lutyuv=y='100+val/8':u=128:v=128 {H264}")
    gates.measures_match(take, 3.0)
    for module in (cpu, reference):
        monkeypatch.setattr(module, "WHITE_LUMA", 252)
    with pytest.raises(Red, match="exposure_penalty differs"):
        gates.measures_match(take, 3.0)


def test_a_red_gate_is_a_row_without_figures(clip: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def red(*_: Any) -> None:
        raise Red("the picture differs")

    monkeypatch.setattr(gates, "samples_identical", red)
    (row,) = CASES["decode"].rows(request_for(clip(H264), folder=tmp_path))
    assert (row["input"], row["red"]) == (clip(H264).name, "the picture differs")
    assert not {"ours", "speedup"} & row.keys()


def test_score_compares_with_the_recipe_on_the_same_take(clip: Any, tmp_path: Path) -> None:
    (row,) = CASES["score"].rows(request_for(clip(H264), folder=tmp_path))
    assert "red" not in row
    assert row["ours"]["runs"] == row["baseline"]["runs"] == 1
    assert row["speedup"]["median"] == pytest.approx(row["baseline"]["median"] / row["ours"]["median"])


def test_score_is_red_when_samples_are_missing(clip: Any, tmp_path: Path) -> None:
    take = clip(H264)
    seed.seed_recipe(take, tmp_path, cut=False)
    import bestshot_trt as bt
    from bestshot_trt.config import AnalyzeConfig, Config
    from bestshot_trt.track import write_track

    write_track(bt.analyze(take, Config(analyze=AnalyzeConfig(model="none", fps=1.0))), tmp_path / "few.parquet")
    with pytest.raises(Red, match="4 samples, but the recipe has 12"):
        score_case._same_count(tmp_path / "few.parquet", tmp_path / "frames")


def test_the_recipe_samples_measures_and_cuts(clip: Any, tmp_path: Path) -> None:
    found = seed.seed_recipe(clip(H264, seconds=8), tmp_path)
    assert found.samples == len(found.sharpness) == 24
    assert min(found.sharpness) > 0
    assert len(list(tmp_path.glob("out_*.mp4"))) == len(found.peaks) >= 1


def test_the_recipe_embeds_with_a_model(clip: Any, tiny_model: Any, tmp_path: Path) -> None:
    found = seed.seed_recipe(clip(H264), tmp_path, model=tiny_model.path, cut=False)
    assert found.peaks


def test_made_tracks_have_what_their_gate_asks_for() -> None:
    track = pick_case.made_track(0.2, 64)
    assert pick_case._gate(track) == 5
    assert np.linalg.norm(track.embedding, axis=1) == pytest.approx(1, abs=1e-5)


def test_inputs_are_made_as_named(tmp_path: Path) -> None:
    import av

    with av.open(str(inputs.resolve("made:hevc:720p:1:gop=10:b=2", tmp_path))) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("hevc", 1280, 720)
    with pytest.raises(ValueError, match="need one of h264"):
        inputs.resolve("made:cinepak:720p:1", tmp_path)


@pytest.mark.parametrize(
    "name", ["loop:a.mp4:x", "loop:a.mp4:0", "made:h264:720p:1:gop", "made:h264:720p:-1", "start:1"]
)
def test_a_recipe_that_cannot_be_read_says_how_they_are_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="need loop:FILE:SECONDS"):
        inputs.resolve(name, tmp_path)


def test_a_file_with_colons_in_its_name_can_be_looped(clip: Any, tmp_path: Path) -> None:
    take = tmp_path / "12:30 a%03d.mp4"
    take.symlink_to(clip(H264))
    assert inputs.resolve(f"loop:{take}:6", tmp_path).is_file()
    assert inputs.label(f"start:{take}:6") == "start:12:30 a%03d.mp4:6"


def test_a_loop_is_as_long_as_asked(clip: Any, tmp_path: Path) -> None:
    from bestshot_trt.decode import probe

    assert float(probe(inputs.resolve(f"loop:{clip(H264)}:10", tmp_path)).duration_claim or 0) == pytest.approx(
        10, abs=0.2
    )


def test_runs_take_turns_and_ratios_are_taken_run_by_run() -> None:
    order: list[str] = []

    def side(name: str, seconds: list[float]) -> Any:
        values = iter(seconds)

        def run() -> float:
            order.append(name)
            return next(values)

        return run

    pairs = paired(side("ours", [9, 1, 2, 4]), side("seed", [9, 3, 8, 4]), 3)
    assert order == ["ours", "seed"] * 4
    assert pairs == Pairs((1, 2, 4), (3, 8, 4))
    assert (pairs.speedup.median, pairs.speedup.runs) == (3, 3)


def test_nothing_timed_has_no_summary() -> None:
    with pytest.raises(ValueError, match="at least one run"):
        summarise([])


def test_a_failing_process_is_an_error_with_its_last_words() -> None:
    with pytest.raises(BestshotError, match=r"ended with 3: no luck"):
        process([sys.executable, "-c", "import sys; print('no luck', file=sys.stderr); sys.exit(3)"])


def test_kept_rows_name_machine_commit_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "RESULTS", tmp_path)
    path = rows.save([{"case": "start"}], {"cpu": "Fast CPU (R)", "commit": "abc"}, "start")
    assert path.parent.name == "fast-cpu-r"
    assert json.loads(path.read_text())["environment"].keys() == {"cpu", "commit", "time"}


@pytest.mark.parametrize(
    ("text", "words"),
    [('{"rows": [', "is damaged"), ('{"rows": [{"case": "decode"}]}', "does not say what it was measured on")],
)
def test_a_damaged_file_of_rows_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    monkeypatch.setattr(rows, "RESULTS", tmp_path)
    (tmp_path / "2026-a.json").write_text(text)
    with pytest.raises(ValueError, match=f"2026-a.json: {words}"):
        list(rows.kept())


def test_what_is_measured_is_this_checkout_whatever_is_installed(tmp_path: Path) -> None:
    other = tmp_path / "bestshot_trt"
    other.mkdir()
    (other / "__init__.py").write_text("raise RuntimeError('an older version')\n")
    show = "import bench.__main__, subprocess, sys; subprocess.run([sys.executable, '-m', 'bestshot_trt', '--version'])"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", show], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "bestshot-trt" in done.stdout


def test_the_quick_test_says_what_limits_and_what_the_recipe_gives(
    clip: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bestshot_trt.cli.app import app
    from bestshot_trt.speed import quick

    # However slow this machine is.
    monkeypatch.setattr(quick, "PATIENCE_S", math.inf)
    take = clip(H264)
    app(["bench", str(take), "--model", "none", "--json", "-q"], standalone_mode=False)
    speed = json.loads(capfd.readouterr().out)
    assert speed["footage_s"] == 4
    assert speed["limit"] == max(speed["stages"], key=lambda stage: stage["seconds"])["name"]
    assert speed["times_real_time"] == pytest.approx(4 / speed["whole_s"])
    assert speed["speedup"]["runs"] == 3


def test_the_quick_test_takes_any_name_and_says_why_the_recipe_was_not_compared(
    clip: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from bestshot_trt.cli.app import app
    from bestshot_trt.speed import quick

    monkeypatch.setattr(quick, "PATIENCE_S", -1)
    (tmp_path / "-a b%03d.mp4").symlink_to(clip(H264))
    monkeypatch.chdir(tmp_path)
    app(["bench", "--model", "none", "-q", "--", "-a b%03d.mp4"], standalone_mode=False)
    assert "times as fast" in capfd.readouterr().out

    honest = quick.wall_of
    monkeypatch.setattr(quick, "wall_of", lambda command: honest([*command, "--no-such-option"]))
    app(["bench", "--model", "none", "-q", "--", "-a b%03d.mp4"], standalone_mode=False)
    assert "plain recipe:        not compared: bestshot_trt ended with 2: " in capfd.readouterr().out


def test_the_quick_test_uses_less_footage_where_an_analysis_is_slow(
    clip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bestshot_trt.config import AnalyzeConfig
    from bestshot_trt.speed import quick

    take = clip(H264, seconds=20)
    monkeypatch.setattr(quick, "ONE_S", 1e-9)
    monkeypatch.setattr(quick, "PATIENCE_S", -1)
    speed = quick.test_speed(take, AnalyzeConfig(model="none", backend="cpu"))
    assert quick.LEAST_S <= speed.footage_s < 10
    assert speed.speedup is not None
    assert speed.speedup.runs == 1


def test_an_interrupted_measurement_leaves_nothing_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess
    import time

    pids = tmp_path / "pids"
    inner = f"import os, time; open({str(pids)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"

    def interrupted(self: Any, *_: Any, **__: Any) -> Any:
        until = time.monotonic() + 300
        while not (pids.exists() and pids.read_text()) and time.monotonic() < until:
            time.sleep(0.02)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        process([sys.executable, "-c", outer])

    def state() -> str:
        try:
            return Path(f"/proc/{pids.read_text()}/stat").read_text().split()[2]
        except OSError:
            return "gone"

    until = time.monotonic() + 300
    while state() not in ("gone", "Z") and time.monotonic() < until:
        time.sleep(0.02)
    assert state() in ("gone", "Z")
