"""``bestshot-trt build``, as a user runs it: with TensorRT-RTX and no GPU, and with stand-ins for a card."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from gpu_on_cpu import CUDARuntimeError, Event

from bestshot_trt.embed import build
from bestshot_trt.embed.model_folder import ModelFolder, file_card, open_folder, write_card


@pytest.fixture
def folder(tiny_model: ModelFolder, tmp_path: Path) -> ModelFolder:
    return open_folder(shutil.copytree(tiny_model.path, tmp_path / "tiny"))


@pytest.fixture
def cli(cli: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs ``bestshot-trt build``, with an engine cache of its own."""
    monkeypatch.setenv("BESTSHOT_ENGINES", str(tmp_path / "engines"))
    return functools.partial(cli, "build")


@pytest.fixture
def rtx() -> Any:
    return pytest.importorskip("tensorrt_rtx", reason="needs pip install tensorrt-rtx-cu12")


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_it_builds_every_graph_without_a_gpu(cli: Any, rtx: Any, folder: ModelFolder, precision: str) -> None:
    options = (folder.path, "--capability", "8.9", "--tower", "visual,text", "--precision", precision)
    code, out, err = cli(*options)
    assert (code, len(out.splitlines())) == (0, 2), err
    visual, text = map(Path, out.splitlines())
    assert visual.name.startswith(f"visual.{precision}.sm_89.tensorrt_rtx-{rtx.__version__}.b64.")
    assert text.is_file()
    assert "not compared with fp32, since its GPU is not here" in err
    made = visual.stat().st_mtime_ns
    assert cli(*options) == (0, out, err)
    assert visual.stat().st_mtime_ns == made
    assert cli(*options, "--force", "-q") == (0, out, "")
    assert visual.stat().st_mtime_ns > made


def test_json_tells_all_that_an_engine_is_tied_to(cli: Any, rtx: Any, folder: ModelFolder) -> None:
    code, out, _ = cli(folder.path, "--capability", "8.6", "--batch", "2:4", "--json")
    (row,) = json.loads(out)
    assert code == 0
    assert (row["architecture"], row["best"], row["most"], row["parity"]) == ("sm_86", 2, 4, None)
    assert Path(row["path"]).is_file()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ((), 5, "--capability"),
        (("--capability", "9.0"), 5, "sm_90"),
        (("--capability", "x"), 2, "8.9"),
        (("--capability", "8.9", "--precision", "fp8"), 6, "no fp8"),
        (("--capability", "8.9", "--tower", "ears"), 2, "visual"),
        (("--capability", "8.9", "--batch", "many"), 2, "64"),
        (("--capability", "8.9", "--batch", "8:4"), 2, "rise"),
        (("--builder", "openvino"), 2, "tensorrt_rtx"),
    ],
)
def test_what_cannot_be_built_is_said_in_one_line(
    cli: Any, rtx: Any, folder: ModelFolder, options: tuple[str, ...], code: int, words: str
) -> None:
    ended = cli(folder.path, *options)
    assert (ended[0], ended[1]) == (code, "")
    assert words in ended[2]
    assert len(ended[2].splitlines()) == 1


def test_a_cache_that_cannot_be_written_is_said_in_one_line(
    cli: Any, rtx: Any, folder: ModelFolder, tmp_path: Path
) -> None:
    (tmp_path / "engines").write_text("a file")
    code, _, err = cli(folder.path, "--capability", "8.9")
    assert code == 8
    assert "BESTSHOT_ENGINES" in err
    assert len(err.splitlines()) == 1


@pytest.fixture
def take(clip: Any) -> Path:
    return clip("-c:v libx264 -g 12", ".mp4", size="96x64", rate=12, seconds=4)


def test_on_a_card_it_is_compared_on_real_frames(
    trt_on_cpu: ModuleType, cli: Any, folder: ModelFolder, take: Path
) -> None:
    code, out, err = cli(folder.path, "--frames", take, "--frames", take, "--json")
    assert code == 0, err
    (row,) = json.loads(out)
    assert row["parity"]["frames"] == 24
    assert row["parity"]["least_cosine"] > 0.9999
    assert row["parity"]["same_picks"]
    assert "least cosine 1.00000 (at least 0.999)" in err


def test_on_a_card_a_wrong_engine_is_refused(
    trt_on_cpu: ModuleType, cli: Any, folder: ModelFolder, take: Path, tmp_path: Path
) -> None:
    folder = build.add_precision(folder, "fp16")
    graph = folder.path / "visual.fp16.onnx"
    model = onnx.load(graph)
    for tensor in model.graph.initializer:
        if "projection" in tensor.name:
            values = np.roll(onnx.numpy_helper.to_array(tensor), 1, axis=0)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(model, graph)
    write_card(folder.path, dataclasses.replace(folder.card, files={**folder.card.files, graph.name: file_card(graph)}))
    code, out, err = cli(folder.path, "--frames", take)
    assert (code, out) == (7, "")
    assert "refused: least cosine" in err
    assert "--precision bf16 or fp32" in err
    assert [path.suffix for path in (tmp_path / "engines" / "tiny").iterdir()] == [".json"]
    assert "was refused before" in cli(folder.path)[2]


def test_comparing_without_cupy_says_what_to_install(
    trt_on_cpu: ModuleType, cli: Any, folder: ModelFolder, take: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    code, _, err = cli(folder.path, "--frames", take)
    assert code == 5
    assert 'pip install "bestshot-trt[gpu]"' in err
    assert len(err.splitlines()) == 1


def test_a_card_that_fails_while_comparing_is_said_in_one_line(
    trt_on_cpu: ModuleType, cli: Any, folder: ModelFolder, take: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any) -> Any:
        raise CUDARuntimeError(46, "cudaErrorDevicesUnavailable:\nthe card fell off the bus")

    monkeypatch.setattr(Event, "synchronize", lost)
    code, _, err = cli(folder.path, "--frames", take)
    assert code == 5
    assert "the card fell off the bus: of a test; check it with nvidia-smi" in err


def test_a_take_that_is_no_video_is_said_before_any_comparison(
    trt_on_cpu: ModuleType, cli: Any, folder: ModelFolder, tmp_path: Path
) -> None:
    (tmp_path / "take.mp4").write_text("no video")
    code, _, err = cli(folder.path, "--frames", tmp_path / "take.mp4")
    assert code == 3
    assert "take.mp4" in err
    assert trt_on_cpu.Builder.built == 0


SLOW_BUILD = """
import sys
sys.path[:0] = [{tests!r}]
import gpu_on_cpu, trt_on_cpu
from bestshot_trt.embed import _engine as engine, _target as target
sys.modules["cupy"], sys.modules["tensorrt"] = gpu_on_cpu.Gpu(), trt_on_cpu.tensorrt()
target.gpu_capability = lambda: 89
builds = []
class Monitoring(engine._Monitoring):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        builds.append(self)
engine._Monitoring = Monitoring
trt_on_cpu.Builder.during = lambda: (print("building", flush=True), builds[0]._stopped.wait(600))
sys.argv[1:] = ["build", {folder!r}]
from bestshot_trt.cli import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_build_that_is_killed_leaves_no_engine(folder: ModelFolder, tmp_path: Path, number: signal.Signals) -> None:
    tests = Path(__file__).resolve().parents[1]
    text = SLOW_BUILD.format(tests=str(tests), folder=str(folder.path))
    environment = {**os.environ, "BESTSHOT_ENGINES": str(tmp_path / "engines")}
    running = subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "building\n"
    running.send_signal(number)
    _, err = running.communicate(timeout=300)
    left = {path.suffix for path in (tmp_path / "engines").rglob("*") if path.is_file()}
    if number == signal.SIGTERM:
        assert running.returncode == 143
        assert "nothing half-written was left" in err
    assert left <= {".lock"}
