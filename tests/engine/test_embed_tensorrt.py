"""Engines run, judged and kept, with CuPy and TensorRT replaced by stand-ins that compute on the CPU."""

from __future__ import annotations

import dataclasses
import gc
import signal
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from gpu_on_cpu import Gpu, Graph, Stream

from bestshot_trt.config import AnalyzeConfig
from bestshot_trt.embed import _engine, _half, _on_gpu, _onnx, build, compose
from bestshot_trt.embed._base import Embedded
from bestshot_trt.embed._engine import Batches, card_path
from bestshot_trt.embed._onnx import OnnxEmbedder
from bestshot_trt.embed._parity import Footage, compare
from bestshot_trt.embed._target import Target, find_target
from bestshot_trt.embed._tensorrt import TensorRtEmbedder
from bestshot_trt.embed.engines import Wanted, engines_folder, ensure_engine, find_engine
from bestshot_trt.embed.model_folder import ModelFolder, file_card, write_card
from bestshot_trt.embed.models import CLIP_MEAN, CLIP_STD
from bestshot_trt.embed.prove import prove
from bestshot_trt.embed.resolve import open_embedder
from bestshot_trt.errors import BackendUnavailable, EngineMismatch, ExportError, ModelUnavailable
from bestshot_trt.progress import silent

MOST = 8


@pytest.fixture
def folder(zoo: ModuleType, tmp_path: Path) -> ModelFolder:
    return build.add_precision(zoo.tiny_model_folder(tmp_path / "tiny", text=False), "fp16")


def wanted(folder: ModelFolder, precision: str = "fp16", most: int = MOST) -> Wanted:
    return Wanted(folder, "visual", precision, find_target(), Batches(1, most, most))


def embedder(folder: ModelFolder, most: int = MOST) -> TensorRtEmbedder:
    one = wanted(folder, most=most)
    return TensorRtEmbedder(folder, ensure_engine(one), one.target.trt, precision="fp16", framing="crop")


def cupy() -> Any:
    """What stands in for it."""
    return sys.modules["cupy"]


def pictures(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), np.uint8)


def footage(count: int = 24) -> Footage:
    return Footage(pictures(count), np.arange(count) * 3.0, count * 3.0)


def same(found: Embedded, exact: Embedded) -> None:
    np.testing.assert_allclose(found.embedding, exact.embedding, atol=2e-3)
    assert found.aesthetic is not None
    assert exact.aesthetic is not None
    np.testing.assert_allclose(found.aesthetic, exact.aesthetic, atol=2e-2)


def test_it_uses_only_what_tensorrt_has(trt_on_cpu: ModuleType) -> None:
    """The stand-in offers nothing, and so the product calls nothing, that the real module lacks."""
    real = pytest.importorskip("tensorrt_rtx_bindings.tensorrt_rtx", reason="needs pip install tensorrt-rtx-cu12")
    for name, kind in vars(trt_on_cpu.tensorrt("tensorrt_rtx")).items():
        if isinstance(kind, type) and name != "ILogger":
            own = {attribute for attribute in vars(kind) if not attribute.startswith("_")}
            ours = {"Builder": {"during", "built"}, "Runtime": {"compute"}, "IExecutionContext": {"capturable"}}
            ours["ICudaEngine"] = {"run"}
            assert own - ours.get(name, set()) <= set(dir(getattr(real, name))), name


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt_rtx"])
@pytest.mark.parametrize("count", [1, 3, 8, 21])
def test_it_gives_what_the_graph_gives(
    trt_on_cpu: ModuleType, monkeypatch: pytest.MonkeyPatch, folder: ModelFolder, name: str, count: int
) -> None:
    trt_on_cpu.install(monkeypatch, name)
    model = embedder(folder)
    exact = OnnxEmbedder(folder).embed(pictures(count))()
    with Stream():
        for _ in range(3):
            same(model.embed(cupy().asarray(pictures(count)))(), exact)
            same(model.embed(pictures(count))(), exact)


def test_results_read_late_and_in_any_order_are_those_of_their_batch(
    trt_on_cpu: ModuleType, folder: ModelFolder
) -> None:
    model, exact = embedder(folder), OnnxEmbedder(folder)
    with Stream() as stream:
        later = [model.embed(cupy().asarray(pictures(5, seed))) for seed in range(3)]
        assert stream.passed < len(stream.queue), "nothing waits before a result is read"
        later += [model.embed(cupy().asarray(pictures(5, seed))) for seed in range(3, 11)]
        for seed, result in reversed(list(enumerate(later))):
            same(result(), exact.embed(pictures(5, seed))())


def test_the_caller_may_reuse_its_pictures_once_the_stream_has_passed(
    trt_on_cpu: ModuleType, folder: ModelFolder
) -> None:
    model = embedder(folder)
    with Stream():
        shared = cupy().asarray(pictures(4, 1))
        later = model.embed(shared)
        shared[:] = cupy().asarray(pictures(4, 2))
        same(later(), OnnxEmbedder(folder).embed(pictures(4, 1))())


def test_a_size_is_captured_at_its_second_batch_and_launched_from_then_on(
    trt_on_cpu: ModuleType, folder: ModelFolder
) -> None:
    model = embedder(folder)
    with Stream():
        for expected in (0, 1, 2):
            model.embed(pictures(MOST))()
            assert Graph.launches == expected
        # Of another size, filled up to four.
        for expected in (2, 3):
            model.embed(pictures(3))()
            assert Graph.launches == expected


def test_what_cannot_be_captured_runs_all_the_same(
    trt_on_cpu: ModuleType, monkeypatch: pytest.MonkeyPatch, folder: ModelFolder
) -> None:
    monkeypatch.setattr(trt_on_cpu.IExecutionContext, "capturable", False)
    model, exact = embedder(folder), OnnxEmbedder(folder).embed(pictures(MOST))()
    with Stream():
        for _ in range(4):
            same(model.embed(pictures(MOST))(), exact)
    assert Graph.launches == 0


def test_out_of_memory_halves_the_batch_and_goes_on(
    trt_on_cpu: ModuleType, monkeypatch: pytest.MonkeyPatch, folder: ModelFolder
) -> None:
    model = embedder(folder)
    before = OnnxEmbedder(folder).embed(pictures(8, 1))()
    with Stream():
        first = model.embed(pictures(1, 5))
        gc.collect()
        # A batch of eight takes some 8 kB more, for its activations and the pictures on their way: too much.
        monkeypatch.setattr(cupy(), "limit", cupy().used + 5000)
        same(model.embed(pictures(8, 1))(), before)
        assert 1 <= model.batch_size < 8
        same(first(), OnnxEmbedder(folder).embed(pictures(1, 5))())


def test_a_batch_is_never_below_one(
    trt_on_cpu: ModuleType, monkeypatch: pytest.MonkeyPatch, folder: ModelFolder
) -> None:
    model = embedder(folder)
    monkeypatch.setattr(cupy(), "limit", 0)
    with Stream(), pytest.raises(MemoryError):
        model.embed(pictures(8))


def test_an_engine_is_built_once_and_found_again(trt_on_cpu: ModuleType, folder: ModelFolder) -> None:
    one = wanted(folder)
    assert find_engine(one) is None
    engine = ensure_engine(one)
    assert find_engine(one) == engine == ensure_engine(one)
    assert trt_on_cpu.Builder.built == 1
    assert engine.card.parity is None
    ensure_engine(one, force=True)
    assert trt_on_cpu.Builder.built == 2


def test_engines_lie_where_the_environment_says(trt_on_cpu: ModuleType, folder: ModelFolder, tmp_path: Path) -> None:
    assert ensure_engine(wanted(folder)).path.parent == tmp_path / "engines" / "tiny" == engines_folder() / "tiny"


def test_all_that_an_engine_is_tied_to_is_in_its_key(
    trt_on_cpu: ModuleType, folder: ModelFolder, zoo: ModuleType, tmp_path: Path
) -> None:
    one = wanted(folder)
    trt = one.target.trt
    files = {**folder.card.files, "visual.fp16.onnx": dataclasses.replace(folder.card.files["visual.fp16.onnx"])}
    files["visual.fp16.onnx"] = dataclasses.replace(files["visual.fp16.onnx"], sha256="0" * 64)
    changed = ModelFolder(folder.path, dataclasses.replace(folder.card, files=files))
    beside = {**folder.card.files, "visual.fp16.onnx.data": files["visual.fp16.onnx"]}
    weights = ModelFolder(folder.path, dataclasses.replace(folder.card, files=beside))
    others = [
        dataclasses.replace(one, precision="fp32"),
        dataclasses.replace(one, folder=changed),
        dataclasses.replace(one, folder=weights),
        dataclasses.replace(one, target=Target(trt, 86, elsewhere=False)),
        dataclasses.replace(one, target=Target(trt_on_cpu.tensorrt("tensorrt_rtx"), 89, elsewhere=False)),
        dataclasses.replace(one, target=Target(trt_on_cpu.tensorrt(version="11.4.1"), 89, elsewhere=False)),
        dataclasses.replace(one, batches=Batches(1, 8, 16)),
        dataclasses.replace(one, batches=Batches(1, 16, 16)),
        dataclasses.replace(one, batches=Batches(2, 8, 8)),
    ]
    assert len({one.path, *(other.path for other in others)}) == 1 + len(others)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("architecture", "sm_90"),
        ("builder", "tensorrt_rtx"),
        ("builder_version", "10.13.0"),
        ("onnx_sha256", "0" * 64),
        ("most", 16),
    ],
)
def test_a_foreign_engine_is_not_loaded(trt_on_cpu: ModuleType, folder: ModelFolder, field: str, value: Any) -> None:
    from bestshot_trt.embed._engine import write_engine_card

    engine = ensure_engine(wanted(folder))
    write_engine_card(engine.path, dataclasses.replace(engine.card, **{field: value}))
    with pytest.raises(EngineMismatch, match="--force"):
        ensure_engine(wanted(folder))
    assert ensure_engine(wanted(folder), force=True).card == engine.card


def test_a_damaged_engine_is_not_loaded(trt_on_cpu: ModuleType, folder: ModelFolder) -> None:
    engine = ensure_engine(wanted(folder))
    engine.path.write_bytes(engine.path.read_bytes()[:-1])
    with pytest.raises(EngineMismatch, match="cut short or changed"):
        embedder(folder)
    card_path(engine.path).write_text("{}")
    with pytest.raises(EngineMismatch, match="--force"):
        ensure_engine(wanted(folder))


def test_an_engine_without_its_card_is_built_again(trt_on_cpu: ModuleType, folder: ModelFolder) -> None:
    card_path(ensure_engine(wanted(folder)).path).unlink()
    assert ensure_engine(wanted(folder)).card.parity is None
    assert trt_on_cpu.Builder.built == 2


def test_a_graph_that_is_not_its_cards_is_not_built_from(trt_on_cpu: ModuleType, folder: ModelFolder) -> None:
    graph = folder.graph("visual", "fp16")
    content = bytearray(graph.read_bytes())
    content[-1] ^= 1
    graph.write_bytes(content)
    with pytest.raises(ModelUnavailable, match="model's card"):
        ensure_engine(wanted(folder))


def test_of_several_builders_one_builds(
    trt_on_cpu: ModuleType, monkeypatch: pytest.MonkeyPatch, folder: ModelFolder
) -> None:
    monkeypatch.setattr(trt_on_cpu.Builder, "during", lambda: time.sleep(0.1))
    found: list[Any] = []
    one = wanted(folder)
    threads = [threading.Thread(target=lambda: found.append(ensure_engine(one))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert trt_on_cpu.Builder.built == 1
    assert found == [found[0]] * 4


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_ctrl_c_ends_a_build_and_leaves_nothing(
    trt_on_cpu: ModuleType, monkeypatch: pytest.MonkeyPatch, folder: ModelFolder
) -> None:
    steps: list[int] = []
    builds: list[Any] = []

    class Monitoring(_engine._Monitoring):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            builds.append(self)

    def during() -> None:
        steps.append(len(steps))
        # A true signal, which wakes a thread that waits.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        assert builds[0]._stopped.wait(300)

    monkeypatch.setattr(_engine, "_Monitoring", Monitoring)
    monkeypatch.setattr(trt_on_cpu.Builder, "during", during)
    with pytest.raises(KeyboardInterrupt):
        ensure_engine(wanted(folder))
    assert steps == [0]
    assert [name for name in left(engines_folder()) if not name.endswith(".lock")] == []


def test_timings_are_kept_and_used_again(trt_on_cpu: ModuleType, folder: ModelFolder) -> None:
    one = wanted(folder)
    ensure_engine(one)
    assert one.timings.read_bytes() == b"."
    ensure_engine(one, force=True)
    assert one.timings.read_bytes() == b".."
    one.timings.write_bytes(b"foreign")
    ensure_engine(one, force=True)
    assert one.timings.read_bytes() == b"."


def test_rtx_keeps_what_it_compiles_instead(
    trt_on_cpu: ModuleType, monkeypatch: pytest.MonkeyPatch, folder: ModelFolder
) -> None:
    trt_on_cpu.install(monkeypatch, "tensorrt_rtx")
    model = embedder(folder)
    assert not wanted(folder).timings.exists()
    with Stream():
        model.embed(pictures(1))()
    (kept,) = engines_folder().glob("kernels.sm_89.tensorrt_rtx-*.cache")
    assert kept.read_bytes() == b"kernels"


def test_a_good_engine_is_kept_with_its_parity(trt_on_cpu: ModuleType, folder: ModelFolder) -> None:
    one = wanted(folder)
    engine = prove(one, ensure_engine(one), [footage(), footage(1)])
    assert engine.card.parity is not None
    assert engine.card.parity.passed
    assert engine.card.parity.frames == 25
    assert engine.card.parity.least_cosine > 0.9999
    assert find_engine(one) == engine


def refused(one: Wanted) -> str:
    with pytest.raises(EngineMismatch) as caught:
        prove(one, ensure_engine(one), [footage()])
    assert find_engine(one) is None
    assert not one.path.exists()
    with pytest.raises(EngineMismatch, match="was refused before"):
        ensure_engine(one)
    return str(caught.value)


def with_graph(folder: ModelFolder, model: Any, precision: str = "fp16") -> ModelFolder:
    """``folder`` with another graph, as if that was its own."""
    path = folder.path / f"visual.{precision}.onnx"
    path.write_bytes(model.SerializeToString())
    files = {**folder.card.files, path.name: file_card(path)}
    return write_card(folder.path, dataclasses.replace(folder.card, files=files))


def test_an_engine_with_shuffled_weights_is_refused(trt_on_cpu: ModuleType, folder: ModelFolder) -> None:
    model = onnx.load(folder.path / "visual.fp16.onnx")
    (weights,) = [tensor for tensor in model.graph.initializer if "projection" in tensor.name]
    values = onnx.numpy_helper.to_array(weights)
    shuffled = np.random.default_rng(0).permutation(values, axis=1)
    weights.CopyFrom(onnx.numpy_helper.from_array(shuffled, weights.name))
    one = wanted(with_graph(folder, model))
    message = refused(one)
    assert "cosine" in message
    assert "LayerNorm and softmax" in message
    assert "--precision bf16 or fp32" in message
    assert ensure_engine(one, force=True).card.parity is None


def test_an_engine_whose_half_precision_overflows_is_refused(
    trt_on_cpu: ModuleType, monkeypatch: pytest.MonkeyPatch, folder: ModelFolder, zoo: ModuleType
) -> None:
    """LayerNorm spelt out in float16, on values whose squares float16 cannot hold."""
    monkeypatch.setattr(trt_on_cpu.Runtime, "compute", staticmethod(lambda model, x: zoo.run_in_numpy(model, frames=x)))

    def graph() -> Any:
        tower = zoo.transformer_tower(opset=14, loudness=1000)
        return compose.visual_graph(tower, mean=CLIP_MEAN, std=CLIP_STD, head=zoo.tiny_head(), size=32, width=16)

    folder = with_graph(folder, graph(), "fp32")
    good = wanted(with_graph(folder, compose.to_fp16(graph())))
    assert prove(good, ensure_engine(good), [footage()]).card.parity is not None
    monkeypatch.setattr(_half, "_FLOAT32_OPS", frozenset())
    assert "cosine" in refused(wanted(with_graph(folder, compose.to_fp16(graph()))))


def made_up(aesthetic: np.ndarray) -> Embedded:
    unlike = np.eye(len(aesthetic), dtype=np.float32)
    return Embedded(unlike, aesthetic.astype(np.float32))


def test_other_picks_alone_refuse() -> None:
    count = 12
    take = Footage(pictures(count), np.arange(count) * 6.0, count * 6.0)
    aesthetic = 5 + np.tile([0.0, 0.01], count // 2) + np.linspace(0, 0.02, count)
    other = aesthetic.copy()
    other[[1, 11]] = other[[11, 1]] = 5.0
    other[2] = 5.04
    found = compare([made_up(aesthetic)], [made_up(other)], [take])
    assert (found.least_cosine, found.aesthetic_off < 0.05, found.same_picks) == (1.0, True, False)
    assert not found.passed
    assert compare([made_up(aesthetic)], [made_up(aesthetic)], [take]).passed


@pytest.mark.parametrize("off", [0.06, np.nan, np.inf])
def test_another_aesthetic_alone_refuses(off: float) -> None:
    take = footage(6)
    aesthetic = np.linspace(4, 6, 6)
    found = compare([made_up(aesthetic)], [made_up(np.where(np.arange(6) == 2, aesthetic + off, aesthetic))], [take])
    assert found.aesthetic_off >= 0.059
    assert not found.passed


def on_gpu(folder: ModelFolder, precision: str = "auto", asked: list[Any] | None = None) -> Any:
    def frames(size: int, framing: str) -> list[Footage]:
        if asked is not None:
            asked.append((size, framing))
        return [footage()]

    config = AnalyzeConfig(model=str(folder.path), precision=precision, framing="pad")
    return open_embedder(config, default="ViT-B-32", progress=silent, device="gpu", frames=frames)


def test_on_a_gpu_the_engine_is_built_and_compared_once(trt_on_cpu: ModuleType, folder: ModelFolder) -> None:
    asked: list[Any] = []
    first = on_gpu(folder, asked=asked)
    second = on_gpu(folder, asked=asked)
    assert asked == [(32, "pad")]
    assert trt_on_cpu.Builder.built == 1
    for found in (first, second):
        assert isinstance(found.embedder, TensorRtEmbedder)
        assert found.note is None
        assert found.embedder.clip_model.precision == "fp16"
        assert found.embedder.batch_size == Batches().most


def test_on_a_gpu_a_refused_engine_gives_way_to_onnx_runtime(
    trt_on_cpu: ModuleType, monkeypatch: pytest.MonkeyPatch, folder: ModelFolder
) -> None:
    model = onnx.load(folder.path / "visual.fp16.onnx")
    (weights,) = [tensor for tensor in model.graph.initializer if "projection" in tensor.name]
    weights.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(weights), weights.name))
    folder = with_graph(folder, model)
    opened: list[Any] = []
    monkeypatch.setattr(_onnx, "has_cuda", lambda: True)
    monkeypatch.setattr(_onnx, "OnnxEmbedder", lambda *args, **options: opened.append(options) or "embedder")
    for _ in range(2):
        found = on_gpu(folder)
        assert found.embedder == "embedder"
        assert found.note.startswith("CLIP runs through ONNX Runtime's CUDA provider: ")
        assert "refused" in found.note
    assert [(options["precision"], options["device"]) for options in opened] == [("fp32", "cuda")] * 2
    assert trt_on_cpu.Builder.built == 1


def test_on_a_gpu_without_any_runtime_the_error_says_what_to_install(
    trt_on_cpu: ModuleType, monkeypatch: pytest.MonkeyPatch, folder: ModelFolder
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(BackendUnavailable) as caught:
        on_gpu(folder)
    for words in ("bestshot-trt[tensorrt]", "bestshot-trt[rtx]", "onnxruntime-gpu", "--backend cpu"):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_on_a_gpu_an_engine_that_was_not_compared_is_not_used(
    trt_on_cpu: ModuleType, monkeypatch: pytest.MonkeyPatch, folder: ModelFolder
) -> None:
    monkeypatch.setattr(_onnx, "has_cuda", lambda: True)
    monkeypatch.setattr(_onnx, "OnnxEmbedder", lambda *args, **options: "embedder")
    config = AnalyzeConfig(model=str(folder.path))
    found = open_embedder(config, default="ViT-B-32", progress=silent, device="gpu")
    assert found.embedder == "embedder"
    assert f"bestshot-trt build {folder.path} --frames take.mp4" in found.note


def test_a_model_folder_that_cannot_be_written_gets_an_engine_in_fp32(
    trt_on_cpu: ModuleType, monkeypatch: pytest.MonkeyPatch, zoo: ModuleType, tmp_path: Path
) -> None:
    def refuse(*_: Any) -> Any:
        raise ExportError("model: cannot be written: Read-only file system")

    plain = zoo.tiny_model_folder(tmp_path / "plain", text=False)
    monkeypatch.setattr(build, "save_graph", refuse)
    found = on_gpu(plain)
    assert isinstance(found.embedder, TensorRtEmbedder)
    assert found.embedder.clip_model.precision == "fp32"
    assert "fp32 instead of fp16" in found.note
    assert "Read-only" in found.note
    monkeypatch.setattr(_onnx, "has_cuda", lambda: True)
    monkeypatch.setattr(_onnx, "OnnxEmbedder", lambda *args, **options: "embedder")
    assert on_gpu(plain, "bf16").embedder == "embedder"


def test_a_cache_that_cannot_be_written_does_not_end_the_run(
    trt_on_cpu: ModuleType, monkeypatch: pytest.MonkeyPatch, folder: ModelFolder
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise ExportError("engines: cannot be written: Read-only file system")

    ensure_engine(dataclasses.replace(wanted(folder), batches=Batches()))
    monkeypatch.setattr("bestshot_trt.embed.engines.write_engine_card", refuse)
    found = on_gpu(folder)
    assert isinstance(found.embedder, TensorRtEmbedder)
    assert found.note is None
    (card,) = engines_folder().glob("tiny/*.engine.json")
    card.unlink()
    monkeypatch.setattr("bestshot_trt.embed.engines.workplace", refuse)
    monkeypatch.setattr(_onnx, "has_cuda", lambda: True)
    monkeypatch.setattr(_onnx, "OnnxEmbedder", lambda *args, **options: "embedder")
    assert "Read-only" in on_gpu(folder).note


def test_no_model_is_pulled_for_a_gpu_that_has_nothing_to_run_it_with(
    trt_on_cpu: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from bestshot_trt.embed import resolve

    pulled: list[Any] = []
    monkeypatch.setattr(resolve, "_pull", lambda spec, progress: pulled.append(spec))
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    for model in ("auto", "ViT-L-14"):
        config = AnalyzeConfig(model=model)
        with pytest.raises(BackendUnavailable, match="CLIP cannot run on the GPU"):
            open_embedder(config, default="ViT-L-14", progress=silent, device="gpu")
    assert pulled == []


def test_int8_stays_on_the_cpu(trt_on_cpu: ModuleType, folder: ModelFolder) -> None:
    with pytest.raises(BackendUnavailable, match="int8 is for CPUs"):
        on_gpu(folder, "int8")


@pytest.mark.parametrize("precision", ["bf16", "fp8"])
def test_what_only_engines_run_is_refused_on_the_cpu(folder: ModelFolder, precision: str) -> None:
    config = AnalyzeConfig(model=str(folder.path), precision=precision)
    with pytest.raises(BackendUnavailable, match="TensorRT engines"):
        open_embedder(config, default="ViT-B-32", progress=silent)


def test_a_precision_without_a_graph_is_refused(trt_on_cpu: ModuleType, folder: ModelFolder) -> None:
    with pytest.raises(ModelUnavailable, match="no fp8 graph"):
        on_gpu(folder, "fp8")


def test_onnx_runtime_that_has_no_cuda_says_so(folder: ModelFolder) -> None:
    with pytest.raises(BackendUnavailable, match="onnxruntime-gpu"):
        OnnxEmbedder(folder, device="cuda")


def test_an_engine_that_does_not_load_is_told(trt_on_cpu: ModuleType, folder: ModelFolder) -> None:
    import hashlib

    from bestshot_trt.embed._engine import write_engine_card

    engine = ensure_engine(wanted(folder))
    engine.path.write_bytes(b"of another world")
    digest = hashlib.sha256(b"of another world").hexdigest()
    write_engine_card(engine.path, dataclasses.replace(engine.card, engine_sha256=digest))
    with pytest.raises(EngineMismatch, match="cannot load it: Serialization assertion failed"):
        embedder(folder)


def test_the_capability_is_that_of_the_current_card(trt_on_cpu: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, capability in (("75", "7.5"), ("120", "12.0")):
        monkeypatch.setitem(sys.modules, "cupy", Gpu(capability=number))
        assert _on_gpu._current_capability() == capability
