"""`python bench/gpu_check.py` runs to its end anywhere, and what gives wrong results is said to."""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from bench.gpu import decode, kernels, rows, whole  # noqa: E402


@pytest.fixture(scope="module")
def check():
    spec = importlib.util.spec_from_file_location("gpu_check", ROOT / "bench" / "gpu_check.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def options(*videos, **rest):
    return argparse.Namespace(**{"video": list(videos), "model": None, "device": "cpu", "only": None, **rest})


def test_without_any_of_its_libraries_it_ends_well_and_every_piece_says_why(tmp_path):
    blocked = ("cupy", "torch", "nvidia", "av", "cv2", "pynvml", "tensorrt", "tensorrt_rtx", "imageio_ffmpeg")
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({blocked!r}))\n")
    outside = {**os.environ, "PYTHONPATH": str(tmp_path), "LD_LIBRARY_PATH": "", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, ROOT / "bench" / "gpu_check.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=outside)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].endswith("5 not run")
    for piece in ("machine", "packages", "kernels", "decode", "embed", "whole"):
        assert any(line.startswith(piece) for line in done.stdout.splitlines())


def test_something_wrong_is_a_row_and_the_others_go_on(check, monkeypatch, capsys):
    def wrong(_):
        yield rows.Row("first", rows.OK, "fine")
        rows.same([1, 2], [1, 3], "numbers")

    def fails(_):
        raise OSError("no such card\nand more")
        yield

    monkeypatch.setattr(check, "_pieces", lambda: {"one": wrong, "two": fails, "three": wrong})
    monkeypatch.setattr(sys, "argv", ["gpu_check.py", "--here"])
    assert check.main() == 1
    printed = capsys.readouterr().out
    assert printed.count("WRONG    all of it") == 2
    assert "differs from its reference by up to 1; at most 0 is right" in printed
    assert "not run  all of it                     OSError: no such card\n" in printed
    assert printed.splitlines()[-1] == "5 rows: 2 wrong, 1 not run"


PIECES = f"""
import importlib.util, os, sys, time
spec = importlib.util.spec_from_file_location("gpu_check", {str(ROOT / "bench" / "gpu_check.py")!r})
check = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check)
from bench.gpu.rows import OK, Row

def fine(_):
    print("a library says something")
    yield Row("first", OK, "fine", {{"rate": 2.5}})

def crashes(_):
    yield from fine(_)
    os.abort()

def hangs(_):
    yield from fine(_)
    time.sleep(600)

check._pieces = lambda: {{"machine": fine, "kernels": crashes, "decode": hangs, "whole": fine}}
sys.exit(check.main())
"""


def test_a_piece_that_crashes_or_hangs_costs_only_itself_and_what_it_gave_is_kept(tmp_path):
    (tmp_path / "check.py").write_text(PIECES)
    command = [sys.executable, "check.py", "--limit", "20", "--save", tmp_path / "kept"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("fine\n") == 4
    assert "kernels    not run  all of it                     its process ended with -6" in done.stdout
    assert "decode     not run  all of it                     took over 20 s and was ended" in done.stdout
    (saved,) = (tmp_path / "kept").iterdir()
    table = json.loads(saved.read_text())["table"]
    assert [len(table[name]) for name in ("machine", "kernels", "decode", "whole")] == [1, 2, 2, 1]
    assert table["decode"][0]["figures"] == {"rate": 2.5}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_none_are_never_the_same(bad):
    with pytest.raises(rows.Wrong):
        rows.same([bad], [1.0], "x", within=1)


def test_dali_is_timed_when_every_frame_comes(clip, monkeypatch):
    pytest.importorskip("nvidia.dali")
    monkeypatch.setattr(decode, "STREAMS", (1, 3))
    monkeypatch.setattr(decode, "_LEAST_S", 0)
    take = clip("-c:v libvpx-vp9 -deadline realtime -cpu-used 8", ".mp4", seconds=2)
    found = list(decode.run(options(take)))
    assert [row.status for row in found] == [rows.OK] * len(decode.STREAMS)
    assert all(row.figures["frames_per_s"]["median"] > 0 for row in found)


def test_fewer_frames_than_asked_for_are_no_speed(clip, monkeypatch):
    pytest.importorskip("nvidia.dali")
    take = clip("-c:v libvpx-vp9 -deadline realtime -cpu-used 8", ".mp4", seconds=2)

    real = decode._pipeline
    monkeypatch.setattr(decode, "STREAMS", (1,))
    monkeypatch.setattr(decode, "_pipeline", lambda *arguments: Losing(real(*arguments)))
    (row,) = decode.run(options(take))
    assert (row.status, row.figures) == (rows.WRONG, {})
    assert "asked for" in row.value


class Losing:
    """A decoder that silently leaves the last frame out."""

    def __init__(self, pipeline):
        self.pipeline = pipeline

    def run(self, encoded, frames):
        return self.pipeline.run(encoded=encoded, frames=[wanted[:-1] for wanted in frames])


def test_frames_are_counted_without_pyav_too(clip, monkeypatch):
    take = clip("-c:v libx264 -preset ultrafast", ".mp4", seconds=2)
    counted = decode._frame_count(take)
    monkeypatch.setitem(sys.modules, "av", None)
    assert decode._frame_count(take) == counted > 10


@pytest.fixture
def untimed(monkeypatch):
    """Kernels run once on small pictures, and a run is said to take a millisecond."""
    small = {1080: 20, 1920: 32, 720: 12, 1280: 24}
    every = list(kernels._kernels())
    fitted = [kernels.Kernel(k.name, tuple(small.get(n, min(n, 3)) for n in k.shape), k.prove, k.call) for k in every]
    monkeypatch.setattr(kernels, "_kernels", lambda: iter(fitted))
    monkeypatch.setattr(kernels, "_copy", lambda: {"median": 100.0})
    monkeypatch.setattr(kernels, "_times", lambda call: [1e-3] * 3 if call() is not None else [])
    return [k.name for k in fitted]


def test_every_kernel_is_compared_with_its_reference_and_rated(gpu_on_cpu, untimed):
    found = list(kernels.run(options()))
    assert [(row.what, row.status) for row in found] == [(name, rows.OK) for name in ("copy", *untimed)]
    stats = found[1].figures
    assert stats["of_copy"] == pytest.approx(stats["bytes"] / 1e-3 / 1e9 / 100)


def test_a_kernel_that_is_broken_is_red_and_not_timed(gpu_on_cpu, untimed, monkeypatch):
    from bestshot_kernels import _compile

    real = _compile.source
    monkeypatch.setattr(_compile, "source", lambda op: real(op).replace("9798", "9799"))
    both = [kernel for kernel in kernels._kernels() if kernel.name in ("frame_stats", "clip_resize")]
    monkeypatch.setattr(kernels, "_kernels", lambda: iter(both))
    by_name = {row.what: row for row in kernels.run(options())}
    assert (by_name["frame_stats"].status, by_name["frame_stats"].figures) == (rows.WRONG, {})
    assert by_name["clip_resize"].status == rows.OK


def test_tracks_that_differ_are_wrong():
    def track(**changes):
        fields = {"times": [0.0, 1.0], "pts": [0, 30], "sharpness": [100.0, 200.0], "exposure_penalty": [0.1, 0.2]}
        return argparse.Namespace(**{name: np.array(value) for name, value in {**fields, **changes}.items()})

    whole._agree(track(sharpness=[100.9, 199.0], exposure_penalty=[0.104, 0.2]), track())
    for changes in ({"pts": [0, 31]}, {"sharpness": [101.1, 200.0]}, {"exposure_penalty": [0.1, 0.206]}):
        with pytest.raises(rows.Wrong):
            whole._agree(track(**changes), track())


def test_other_picks_are_wrong_and_keep_the_figures_to_judge_them_by(clip, monkeypatch):
    import bestshot_trt as bt

    real, told = bt.pick, iter((1, 1, 1, 1, 0))

    def other_on_the_gpu(track, config):
        return real(track, bt.Config(pick=bt.PickConfig(window=0 if next(told) else 1.0, min_gap=0.3)))

    analyze = bt.analyze
    monkeypatch.setattr(
        bt,
        "analyze",
        lambda path, config: analyze(path, bt.Config(analyze=bt.AnalyzeConfig(model="none", backend="cpu"))),
    )
    monkeypatch.setattr(bt, "pick", other_on_the_gpu)
    _, row = whole.run(options(clip("-c:v libx264 -preset ultrafast", ".mp4", seconds=3)))
    assert row.status == rows.WRONG
    assert "the GPU picks" in row.value
    assert row.figures["times_real_time"]["runs"] == whole.RUNS


def test_two_analyses_of_one_take_are_compared_through_the_public_api(clip, monkeypatch):
    import bestshot_trt as bt

    real, asked = bt.analyze, []

    def on_the_cpu(path, config):
        asked.append(config.analyze.backend)
        analyze = bt.AnalyzeConfig(backend="cpu", model=config.analyze.model)
        return real(path, bt.Config(analyze=analyze))

    monkeypatch.setattr(bt, "analyze", on_the_cpu)
    early, row = whole.run(options(clip("-c:v libx264 -preset ultrafast", ".mp4", seconds=3)))
    assert (early.status, "not compared" in early.value) == (rows.NEWS, True)
    assert row.status == rows.OK, row.value
    assert asked == ["gpu", *["gpu"] * whole.RUNS, "cpu"]
    assert row.figures["footage_s"] == pytest.approx(3, abs=0.1)
    assert row.figures["least_cosine"] == pytest.approx(1)
