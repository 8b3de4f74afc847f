"""TensorRT engines, built here without a GPU by TensorRT-RTX, through the code that build_trt.py runs."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import onnx
import pytest
from onnx import helper

from bestshot_trt.embed import _target, build, compose
from bestshot_trt.embed._engine import Batches, build_engine, read_engine_card
from bestshot_trt.embed._target import find_target
from bestshot_trt.embed.model_folder import ModelFolder, open_folder
from bestshot_trt.embed.models import CLIP_MEAN, CLIP_STD
from bestshot_trt.errors import BackendUnavailable, BestshotError, ConfigError, InputError, ModelUnavailable

SCRIPT = Path(__file__).resolve().parents[2] / "build_trt.py"
CAPABILITY = "8.9"
"""Of an L4 or L40S."""


@pytest.fixture(scope="module")
def rtx() -> Any:
    return pytest.importorskip("tensorrt_rtx", reason="needs pip install tensorrt-rtx-cu12")


@pytest.fixture(scope="module")
def target(rtx: Any) -> Any:
    return find_target(CAPABILITY, "tensorrt_rtx")


@pytest.fixture(scope="module")
def vit_b_32(zoo: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return zoo.exported_vit_b_32(tmp_path_factory)


def visual(tower: Any, zoo: ModuleType) -> Any:
    return compose.visual_graph(tower, mean=CLIP_MEAN, std=CLIP_STD, head=zoo.tiny_head(), size=32, width=16)


MODELS = {
    "visual": lambda zoo: visual(zoo.transformer_tower(opset=17), zoo),
    "visual-of-opset-14": lambda zoo: visual(zoo.transformer_tower(opset=14), zoo),
    "visual-of-opset-18": lambda zoo: visual(zoo.tiny_visual_tower(opset=18), zoo),
    "text": lambda zoo: compose.text_graph(zoo.tiny_text_tower(), width=16),
    "text-with-mask": lambda zoo: compose.text_graph(zoo.tiny_text_tower(mask=True, kind="int32"), width=16),
}


CONVERTED = {"fp32": lambda model: model, "fp16": compose.to_fp16, "bf16": compose.to_bf16}


@pytest.mark.parametrize("precision", CONVERTED)
@pytest.mark.parametrize("name", MODELS)
def test_every_graph_builds(zoo: ModuleType, target: Any, name: str, precision: str, tmp_path: Path) -> None:
    model = MODELS[name](zoo)
    onnx.save(CONVERTED[precision](model), tmp_path / "graph.onnx")
    card = build_engine(tmp_path / "graph.onnx", tmp_path / "graph.engine", target=target, batches=Batches(1, 4, 16))
    engine = (tmp_path / "graph.engine").read_bytes()
    assert card == read_engine_card(tmp_path / "graph.engine")
    assert card.engine_sha256 == hashlib.sha256(engine).hexdigest()
    assert card.onnx_sha256 == hashlib.sha256((tmp_path / "graph.onnx").read_bytes()).hexdigest()
    assert (card.builder, card.architecture) == ("tensorrt_rtx", "sm_89")
    assert (card.least, card.best, card.most) == (1, 4, 16)
    names = {"graph.onnx", "graph.engine", "graph.engine.json"}
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_vit_b_32_builds(
    rtx: Any, target: Any, vit_b_32: ModelFolder, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BESTSHOT_ENGINES", str(tmp_path))
    stages: list[str] = []
    engines = build.build_engines(
        vit_b_32,
        towers=("visual", "text"),
        precision=precision,
        target=target,
        progress=lambda stage, *_: stages.append(stage),
    )
    assert set(stages) == {f"build visual.{precision}", f"build text.{precision}"}
    for tower, (_, engine) in zip(("visual", "text"), engines, strict=True):
        assert engine.path.name.startswith(f"{tower}.{precision}.sm_89.tensorrt_rtx-{rtx.__version__}.b64.")
        files = {name: card for name, card in vit_b_32.card.files.items() if f"{tower}.{precision}.onnx" in name}
        card = engine.card
        assert {card.onnx_sha256, card.weights_sha256} - {None} == {file.sha256 for file in files.values()}
        # What is in half precision in the graph is so in the engine.
        assert 0.9 < engine.path.stat().st_size / sum(file.size for file in files.values()) < 1.2


def test_a_folder_without_fp16_gains_it_on_the_way(
    zoo: ModuleType, target: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BESTSHOT_ENGINES", str(tmp_path / "engines"))
    folder = zoo.tiny_model_folder(tmp_path / "tiny")
    ((_, engine),) = build.build_engines(folder, target=target)
    half = (folder.path / "visual.fp16.onnx").read_bytes()
    assert read_engine_card(engine.path).onnx_sha256 == hashlib.sha256(half).hexdigest()


def with_fp8(model: Any) -> Any:
    """``model`` with what its first projections read and weigh quantised to 8-bit floats, as other tools write it."""
    nodes = []
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[0].endswith("normed"):
            for side, name in enumerate(node.input):
                eight, back = f"{node.output[0]}/{side}/fp8", f"{node.output[0]}/{side}/back"
                nodes.append(helper.make_node("QuantizeLinear", [name, "fp8_scale", "fp8_zero"], [eight]))
                nodes.append(helper.make_node("DequantizeLinear", [eight, "fp8_scale", "fp8_zero"], [back]))
                node.input[side] = back
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.append(helper.make_tensor("fp8_scale", onnx.TensorProto.FLOAT, [], [0.01]))
    model.graph.initializer.append(helper.make_tensor("fp8_zero", onnx.TensorProto.FLOAT8E4M3FN, [], [0.0]))
    onnx.checker.check_model(model)
    return model


def test_a_graph_with_fp8_that_lies_in_the_folder_builds_for_cards_that_have_it(
    zoo: ModuleType, rtx: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BESTSHOT_ENGINES", str(tmp_path / "engines"))
    folder = zoo.tiny_model_folder(tmp_path / "tiny")
    onnx.save(with_fp8(visual(zoo.transformer_tower(opset=19), zoo)), folder.path / "visual.fp8.onnx")
    ((_, engine),) = build.build_engines(folder, precision="fp8", target=find_target("8.9"))
    assert engine.path.name.startswith("visual.fp8.sm_89.")
    assert "visual.fp8.onnx" in open_folder(folder.path).card.files
    message = refusal(ModelUnavailable, build.build_engines, folder, precision="fp8", target=find_target("8.6"))
    assert "fp8" in message


def refusal(kind: type[BestshotError], make: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        make(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def unbuilt(model: Any, target: Any, folder: Path) -> str:
    """Why no engine of ``model`` can be built; nothing is left of the attempt."""
    content = model if isinstance(model, bytes) else model.SerializeToString()
    (folder / "graph.onnx").write_bytes(content)
    message = refusal(ModelUnavailable, build_engine, folder / "graph.onnx", folder / "graph.engine", target=target)
    assert [path.name for path in folder.iterdir()] == ["graph.onnx"]
    assert "graph.onnx" in message
    return message


def test_what_tensorrt_cannot_read_is_shown_in_one_line(
    zoo: ModuleType, target: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = MODELS["visual"](zoo)
    model.graph.node[1].CopyFrom(helper.make_node("Transpose", ["frames"], ["planes"], perm=[0, 3, 1, 2]))
    model.graph.node.append(helper.make_node("StringNormalizer", ["frames"], ["text"], "odd"))
    message = unbuilt(model, target, tmp_path)
    assert "TensorRT cannot read it" in message
    assert "Transpose" in message or "StringNormalizer" in message
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_what_is_no_graph_is_refused(target: Any, tmp_path: Path) -> None:
    for content in (b"", b"x" * 100, b"<html>404</html>"):
        unbuilt(content, target, tmp_path)


def test_a_missing_graph_is_refused(target: Any, tmp_path: Path) -> None:
    message = refusal(ModelUnavailable, build_engine, tmp_path / "none.onnx", tmp_path / "e", target=target)
    assert "none.onnx" in message


def test_a_graph_of_fixed_batch_is_refused(zoo: ModuleType, target: Any, tmp_path: Path) -> None:
    model = MODELS["visual"](zoo)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    assert "any batch" in unbuilt(model, target, tmp_path)


def test_without_a_gpu_the_capability_must_be_given(rtx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_target, "gpu_capability", lambda: None)
    assert "--capability" in refusal(BackendUnavailable, find_target, None, "tensorrt_rtx")


def test_a_gpu_that_is_here_need_not_be_named(rtx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_target, "gpu_capability", lambda: 86)
    here = find_target(None, "tensorrt_rtx")
    assert (here.architecture, here.elsewhere) == ("sm_86", False)
    assert find_target("8.9", "tensorrt_rtx").elsewhere


def test_an_architecture_that_cannot_be_built_for_is_refused(rtx: Any) -> None:
    message = refusal(BackendUnavailable, find_target, "9.0", "tensorrt_rtx")
    assert "sm_90" in message
    assert "sm_89" in message


@pytest.mark.parametrize("capability", ["", "8", "89", "sm_89", "8.9.1", "-8.9", "8.99", "x.y"])
def test_a_capability_is_a_number(capability: str) -> None:
    assert "8.9" in refusal(ConfigError, find_target, capability)


def test_without_tensorrt_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _target.BUILDERS:
        monkeypatch.setitem(sys.modules, name, None)
    message = refusal(BackendUnavailable, find_target, "8.9")
    assert "pip install" in message
    assert "bestshot-trt[rtx]" in message
    refusal(BackendUnavailable, build_engine, Path("a.onnx"), Path("a.engine"))


def test_an_unknown_builder_is_refused() -> None:
    assert "tensorrt_rtx" in refusal(ConfigError, find_target, "8.9", "openvino")


def test_tensorrt_itself_builds_only_for_the_gpu_that_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace(__name__="tensorrt", __version__="10.13.0", Builder=object)
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    monkeypatch.setattr(_target, "gpu_capability", lambda: None)
    assert "GPU it is for" in refusal(BackendUnavailable, find_target)
    assert "GPU it is for" in refusal(BackendUnavailable, find_target, "8.9")
    monkeypatch.setattr(_target, "gpu_capability", lambda: 90)
    assert "GPU it is for" in refusal(BackendUnavailable, find_target, "8.9")
    assert find_target().name == find_target("9.0").name == "sm_90.tensorrt-10.13.0"


def test_tensorrt_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Logger:
        ERROR, INTERNAL_ERROR = 1, 0

    def builder(logger: Any) -> None:
        logger.log(Logger.ERROR, "CUDA initialization failure\nwith error: 35")
        raise TypeError("pybind11::init(): factory function returned nullptr")

    module = SimpleNamespace(__name__="tensorrt", __version__="10.13.0", Builder=builder, ILogger=Logger)
    (tmp_path / "graph.onnx").write_bytes(b"graph")
    here = _target.Target(module, 90, elsewhere=False)
    message = refusal(BackendUnavailable, build_engine, tmp_path / "graph.onnx", tmp_path / "graph.engine", target=here)
    assert "CUDA initialization failure with error: 35" in message


@pytest.mark.parametrize("batches", [(0, 1, 1), (2, 1, 4), (1, 8, 4)])
def test_batches_rise(batches: tuple[int, int, int]) -> None:
    refusal(ConfigError, Batches, *batches)


def test_an_engine_without_a_card_is_told(tmp_path: Path) -> None:
    (tmp_path / "visual.engine").write_bytes(b"engine")
    assert "visual.engine.json" in refusal(InputError, read_engine_card, tmp_path / "visual.engine")


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)


def test_the_script_builds_and_prints_where(
    zoo: ModuleType, rtx: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BESTSHOT_ENGINES", str(tmp_path / "engines"))
    folder = zoo.tiny_model_folder(tmp_path / "tiny")
    done = script(str(folder.path), "--tower", "visual", "text", "--capability", CAPABILITY)
    assert done.returncode == 0, done.stderr
    engines = [Path(line) for line in done.stdout.splitlines()]
    assert [engine.name.split(".sm_89.")[0] for engine in engines] == ["visual.fp16", "text.fp16"]
    assert [read_engine_card(engine).parity for engine in engines] == [None, None]
    assert done.stderr == ""


@pytest.mark.parametrize("arguments", [["ViT-Z-99"], ["ViT-B-32"], ["."]], ids=["unknown", "absent", "no-model"])
def test_the_script_says_in_one_line_what_is_wrong(rtx: Any, arguments: list[str]) -> None:
    done = script(*arguments, "--capability", CAPABILITY)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("build_trt.py: ")
    assert len(done.stderr.splitlines()) == 1
