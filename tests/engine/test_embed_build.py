"""Exporting from OpenCLIP: the graphs give what torch gives, and the folder is there in full or not at all."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import sys
import time
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest

from bestshot_trt.embed import _onnx, build
from bestshot_trt.embed._int8 import quantise_int8
from bestshot_trt.embed._onnx import OnnxEmbedder, TextEncoder, open_session, run_session
from bestshot_trt.embed._whole_folder import whole_folder
from bestshot_trt.embed.heads import load_head
from bestshot_trt.embed.model_folder import HEAD, TOKENIZER, ModelFolder, check_hashes, open_folder
from bestshot_trt.embed.models import CONTEXT_LENGTH, ModelSpec, find_spec
from bestshot_trt.embed.text import Tokenizer
from bestshot_trt.errors import ExportError, ModelUnavailable

BATCHES = (1, 5, 16)
CLOSE = 0.99999
"""Least cosine between two runtimes of one model."""
TEXTS = ["a photo of a man", "well-lit interior wide shot", "naïve café ☕", "", "word " * 200]
TINY = "bestshot-test-tiny"


def pictures(count: int, size: int) -> Any:
    random = np.random.default_rng(count)
    plain = random.integers(0, 256, (count, 1, 1, 3))
    return np.clip(plain + random.integers(-60, 61, (count, size, size, 3)), 0, 255).astype(np.uint8)


def token_ids(count: int) -> Any:
    random = np.random.default_rng(count)
    ids = np.zeros((count, CONTEXT_LENGTH), np.int64)
    for row in ids:
        words = random.integers(0, CONTEXT_LENGTH - 1)
        row[: words + 2] = [49406, *random.integers(1, 49000, words), 49407]
    return ids


class Reference:
    """The model as open_clip runs it."""

    def __init__(self, open_clip: Any, spec: ModelSpec) -> None:
        import torch

        self._torch = torch
        self._spec = spec
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self._model = open_clip.create_model(spec.architecture, pretrained=None).eval()

    def images(self, frames: Any) -> Any:
        """As open_clip's own transforms: to [0, 1], then normalised."""
        torch = self._torch
        pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (self._spec.mean, self._spec.std))
        with torch.no_grad():
            return self._model.encode_image((pixels - mean) / std, normalize=True).numpy()

    def texts(self, ids: Any) -> Any:
        with self._torch.no_grad():
            return self._model.encode_text(self._torch.from_numpy(ids), normalize=True).numpy()


def agree(folder: ModelFolder, reference: Reference, precision: str, batches: Any = BATCHES) -> None:
    """The graphs of ``folder`` give unit embeddings, and those of ``reference``."""
    least = CLOSE if precision == "fp32" else 0.999
    size = folder.card.size
    image = open_session(folder.graph("visual", precision), precision)
    text = open_session(folder.graph("text", precision), precision)
    for count in batches:
        frames, ids = pictures(count, size), token_ids(count)
        embedding, aesthetic = image.run(None, {"frames": frames})
        expected = reference.images(frames)
        assert embedding.dtype == aesthetic.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, atol=1e-5)
        assert (embedding * expected).sum(1).min() >= least
        if precision == "fp32":
            np.testing.assert_allclose(aesthetic, load_head(folder.file(HEAD)).score(expected), atol=1e-4)
        (embedding,) = text.run(None, {"tokens": ids})
        assert (embedding * reference.texts(ids)).sum(1).min() >= least


@pytest.fixture(scope="module")
def open_clip(zoo: ModuleType) -> Any:
    """The module, or a skip."""
    return zoo.open_clip()


@pytest.fixture(scope="module")
def tiny(open_clip: Any, zoo: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    """A model of CLIP's architecture, one layer deep; open_clip knows it by name."""
    folder = tmp_path_factory.mktemp("config")
    config = {
        "embed_dim": 16,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
    }
    (folder / f"{TINY}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    return dataclasses.replace(find_spec("ViT-B-32"), name="tiny", architecture=TINY, width=16, size=32)


@pytest.fixture(scope="module")
def head(zoo: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return zoo.write_linear_head(tmp_path_factory.mktemp("head") / "head.pth", 16)


@pytest.fixture(scope="module")
def vit_b_32(zoo: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return zoo.exported_vit_b_32(tmp_path_factory)


@pytest.mark.slow
def test_vit_b_32_gives_what_torch_gives(open_clip: Any, vit_b_32: ModelFolder) -> None:
    reference = Reference(open_clip, find_spec("ViT-B-32"))
    agree(vit_b_32, reference, "fp32")
    agree(vit_b_32, reference, "fp16", [3])


@pytest.mark.slow
def test_vit_b_32_in_half_precision_keeps_its_embeddings(zoo: ModuleType, vit_b_32: ModelFolder) -> None:
    """Computed with every value rounded to its type, since ONNX Runtime on a CPU does not."""
    frames = pictures(2, 224)
    expected = open_session(vit_b_32.graph("visual")).run(None, {"frames": frames})[0]
    found = zoo.run_in_numpy(onnx.load(vit_b_32.graph("visual", "fp16")), frames=frames)[0]
    assert (expected * found).sum(1).min() > 0.9999


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_vit_b_32_gives_the_same_bits_on_any_number_of_cores(
    vit_b_32: ModelFolder, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch's workers have unlike shares of the cores, and their stretches of a take are joined."""
    graph = vit_b_32.graph("visual")
    if precision == "int8":
        quantise_int8(graph, tmp_path / "visual.int8.onnx")
        graph = tmp_path / "visual.int8.onnx"
    frames, found = pictures(8, 224), set()
    for cores in (1, 2, 3, 7, 16):
        monkeypatch.setattr(_onnx, "usable_cores", lambda cores=cores: cores)
        found.add(b"".join(each.tobytes() for each in run_session(open_session(graph, precision), "frames", frames)))
    assert len(found) == 1


@pytest.mark.slow
def test_vit_b_32_comes_as_a_model_folder(vit_b_32: ModelFolder) -> None:
    folder = open_folder(vit_b_32.path)
    assert check_hashes(folder) == []
    graphs = {f"{tower}.{precision}.onnx" for tower in ("visual", "text") for precision in ("fp32", "fp16")}
    assert set(folder.card.files) >= graphs | {TOKENIZER, HEAD}
    assert (folder.card.name, folder.card.pretrained, folder.card.width) == ("ViT-B-32", "random", 512)
    assert folder.card.made_from["seed"] == 0
    assert {"torch", "onnx", "open_clip", "onnxscript"} <= folder.card.made_with.keys()
    for tower in ("visual", "text"):
        full, half = (
            sum(file.size for name, file in folder.card.files.items() if name.startswith(f"{tower}.{precision}"))
            for precision in ("fp32", "fp16")
        )
        assert half < 0.52 * full


@pytest.mark.slow
def test_vit_b_32_reads_texts_as_open_clip_does(open_clip: Any, vit_b_32: ModelFolder) -> None:
    tokens = open_clip.get_tokenizer("ViT-B-32")(TEXTS).numpy()
    np.testing.assert_array_equal(Tokenizer.open(vit_b_32.file(TOKENIZER))(TEXTS), tokens)
    expected = Reference(open_clip, find_spec("ViT-B-32")).texts(tokens)
    assert (TextEncoder(vit_b_32).encode(TEXTS) * expected).sum(1).min() >= CLOSE


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("BESTSHOT_SLOW") != "1", reason="takes minutes and 8 GB; set BESTSHOT_SLOW=1")
def test_vit_l_14_exports_and_loads(open_clip: Any, zoo: ModuleType, tmp_path: Path) -> None:
    spec = find_spec("ViT-L-14")
    head = zoo.write_linear_head(tmp_path / "head.pth", 768)
    started = time.monotonic()
    folder = build.export_openclip(spec, tmp_path / "ViT-L-14", head=head, weights=None)
    print(f"exported in {time.monotonic() - started:.0f} s")
    embedder = OnnxEmbedder(folder)
    frames = pictures(2, 224)
    embedded = embedder.embed(frames)()
    reference = Reference(open_clip, spec)
    assert (embedded.embedding * reference.images(frames)).sum(1).min() >= CLOSE
    assert (TextEncoder(folder).encode(["a photo"]) ** 2).sum() == pytest.approx(1, abs=1e-5)
    half = open_session(folder.graph("visual", "fp16"), "fp16").run(None, {"frames": frames})[0]
    assert (half * embedded.embedding).sum(1).min() > 0.999


@pytest.fixture(scope="module")
def exported(tiny: ModelSpec, head: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return build.export_openclip(tiny, tmp_path_factory.mktemp("tiny") / "tiny", head=head, weights=None)


def test_a_small_model_gives_what_torch_gives(open_clip: Any, tiny: ModelSpec, exported: ModelFolder) -> None:
    reference = Reference(open_clip, tiny)
    agree(exported, reference, "fp32")
    agree(exported, reference, "fp16")


def test_a_graph_tells_nothing_of_the_machine_that_exported_it(exported: ModelFolder) -> None:
    for tower in ("visual", "text"):
        assert b".py" not in exported.graph(tower).read_bytes()


def test_exporting_says_nothing_but_its_stages(
    tiny: ModelSpec, head: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    import torch

    torch.manual_seed(7)
    expected, handlers = torch.rand(3), list(logging.root.handlers)
    torch.manual_seed(7)
    stages: list[tuple[Any, ...]] = []
    (tmp_path / "tiny").mkdir()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        build.export_openclip(
            tiny,
            tmp_path / "tiny",
            head=head,
            weights=None,
            precisions=("fp32",),
            progress=lambda *stage: stages.append(stage),
        )
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
    assert not caught
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert logging.root.handlers == handlers
    assert logging.root.manager.disable == 0
    assert torch.equal(torch.rand(3), expected)
    assert [tuple(rest) for _, *rest in stages] == [(done, 4, "steps") for done in range(4)]
    assert len({stage for stage, *_ in stages}) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny"]
    assert not open_folder(tmp_path / "tiny").has("visual", "fp16")


def test_a_newer_export_takes_the_place_of_an_older(
    zoo: ModuleType, tiny: ModelSpec, head: Path, tmp_path: Path
) -> None:
    zoo.tiny_model_folder(tmp_path / "tiny")
    (tmp_path / "tiny/visual.fp32.sm_89.engine").write_bytes(b"of the older model")
    folder = build.export_openclip(tiny, tmp_path / "tiny", head=head, weights=None, precisions=("fp32",))
    assert folder.card.architecture == TINY
    assert check_hashes(folder) == []
    assert {path.name for path in (tmp_path / "tiny").iterdir()} == {*folder.card.files, "model.json"}
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


@pytest.mark.parametrize(
    ("error", "older"),
    [(KeyboardInterrupt, True), (OSError(28, "No space left on device"), False)],
    ids=["ctrl-c", "disk-full"],
)
def test_an_export_that_fails_changes_nothing(
    zoo: ModuleType, tiny: ModelSpec, head: Path, tmp_path: Path, error: Any, older: bool
) -> None:
    if older:
        zoo.tiny_model_folder(tmp_path / "tiny")

    def stop(stage: str, done: float, total: float | None, unit: str = "s") -> None:
        if done == 2:
            raise error

    with pytest.raises((KeyboardInterrupt, ExportError)) as caught:
        build.export_openclip(tiny, tmp_path / "tiny", head=head, weights=None, precisions=("fp32",), progress=stop)
    if caught.type is ExportError:
        assert "No space left" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == (["tiny"] if older else [])
    if older:
        assert check_hashes(open_folder(tmp_path / "tiny")) == []


def test_what_is_no_model_folder_is_not_replaced(tiny: ModelSpec, head: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work/thesis.txt").write_text("all of it")
    (tmp_path / "file").write_text("all of it")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/model.json").write_text('{"schema": "something else"}')
    for name in ("work", "file", "other"):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(ExportError, match=f"{name}: .*no model folder"):
            build.export_openclip(tiny, tmp_path / name, head=head, weights=None, progress=_unexpected)
        assert sorted(tmp_path.rglob("*")) == before


def _unexpected(stage: str, done: float, total: float | None, unit: str = "s") -> None:
    raise AssertionError(f"{stage}: nothing should have been begun")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(ExportError, match="Permission denied"), whole_folder(tmp_path / "locked" / "model"):
        pass


def test_a_folder_below_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="cannot be written"), whole_folder(tmp_path / "file" / "model"):
        pass


def test_a_head_of_another_model_is_refused(zoo: ModuleType, tiny: ModelSpec, tmp_path: Path) -> None:
    head = zoo.write_linear_head(tmp_path / "wide.pth", 512)
    with pytest.raises(ModelUnavailable, match=r"wide\.pth: is for embeddings of 512 numbers"):
        build.export_openclip(tiny, tmp_path / "tiny", head=head, weights=None, progress=_unexpected)
    assert not (tmp_path / "tiny").exists()


def test_weights_that_cannot_be_had_are_one_line(tiny: ModelSpec, head: Path, tmp_path: Path) -> None:
    for weights in ("openai", "no-such-weights", str(tmp_path / "no-such-file.pt")):
        with pytest.raises(ModelUnavailable, match="cannot load the weights") as caught:
            build.export_openclip(tiny, tmp_path / "tiny", head=head, weights=weights)
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_file_will_do(
    open_clip: Any, tiny: ModelSpec, head: Path, exported: ModelFolder, tmp_path: Path
) -> None:
    import torch

    torch.manual_seed(0)
    torch.save(open_clip.create_model(TINY).state_dict(), tmp_path / "weights.pt")
    folder = build.export_openclip(
        tiny, tmp_path / "tiny", head=head, weights=str(tmp_path / "weights.pt"), precisions=("fp32",)
    )
    frames = pictures(2, 32)
    same = [open_session(f.graph("visual")).run(None, {"frames": frames})[0] for f in (folder, exported)]
    np.testing.assert_allclose(same[0], same[1], atol=1e-6)
    assert folder.card.pretrained == str(tmp_path / "weights.pt")
    assert folder.card.digest == exported.card.digest


@pytest.mark.parametrize("missing", ["torch", "open_clip", "onnxscript"])
def test_without_torch_the_error_says_what_to_install(
    zoo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    head = zoo.write_linear_head(tmp_path / "head.pth", 512)
    for name in ("onnxscript", "open_clip", "torch"):
        monkeypatch.setitem(sys.modules, name, None if name == missing else ModuleType(name))
    with pytest.raises(ModelUnavailable, match=missing) as caught:
        build.export_openclip(find_spec("ViT-B-32"), tmp_path / "model", head=head, weights=None)
    assert 'pip install "bestshot-trt[export]"' in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "model").exists()


def test_an_unknown_precision_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fp8"):
        build.export_openclip(find_spec("ViT-B-32"), tmp_path / "model", head=tmp_path / "none", precisions=("fp8",))


def test_a_folder_gains_precisions_without_torch(zoo: ModuleType, tmp_path: Path) -> None:
    folder = zoo.tiny_model_folder(tmp_path / "tiny")
    both = build.add_precision(build.add_precision(folder, "fp16"), "int8")
    assert both == open_folder(folder.path)
    assert check_hashes(both) == []
    added = {"visual.fp16.onnx", "text.fp16.onnx", "visual.int8.onnx"}
    assert set(both.card.files) == set(folder.card.files) | added
    frames = pictures(5, 32)
    expected = OnnxEmbedder(folder).embed(frames)().embedding
    for precision in ("fp16", "int8"):
        assert (OnnxEmbedder(both, precision=precision).embed(frames)().embedding * expected).sum(1).min() > 0.99
    before = (folder.path / "visual.fp16.onnx").stat().st_mtime_ns
    assert build.add_precision(both, "fp16") == both
    assert (folder.path / "visual.fp16.onnx").stat().st_mtime_ns == before
