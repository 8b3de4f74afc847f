from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper
from PIL import Image

from bestshot_trt.embed import _published, models
from bestshot_trt.embed._published import difference
from bestshot_trt.embed._towers import ask
from bestshot_trt.embed.build import add_precision
from bestshot_trt.embed.heads import Head, save_head
from bestshot_trt.embed.model_folder import CARD, HEAD, check_hashes, file_card, open_folder, write_card
from bestshot_trt.embed.models import Reference
from bestshot_trt.embed.text import Tokenizer
from bestshot_trt.embed.verify import Evidence, cosines, made_up_pictures, record_parity, verify


@pytest.fixture
def folder(tiny_model, tmp_path):
    """A copy of a tiny model that a test may damage."""
    shutil.copytree(tiny_model.path, tmp_path / "tiny")
    return open_folder(tmp_path / "tiny")


@pytest.fixture(scope="module")
def full(tiny_model, tmp_path_factory):
    """A tiny model with graphs in every precision."""
    path = tmp_path_factory.mktemp("full") / "tiny"
    shutil.copytree(tiny_model.path, path)
    return add_precision(add_precision(open_folder(path), "fp16"), "int8")


def outcome(verdict):
    return {check.name: check.passed for check in verdict.checks}


def detail(verdict, name):
    return next(check.detail for check in verdict.checks if check.name == name)


def changed(folder, name, change):
    """``folder`` with one graph changed and the card following it, as if it had been made so."""
    path = folder.path / name
    graph = onnx.load(path)
    change(graph)
    onnx.save(graph, path)
    card = dataclasses.replace(folder.card, files={**folder.card.files, name: file_card(path)})
    return write_card(folder.path, card)


def test_a_good_model_passes(full):
    told = []
    verdict = verify(full, progress=lambda *said: told.append(said))
    assert verdict.passed
    assert not [name for name, passed in outcome(verdict).items() if passed is False]
    assert {name for name, passed in outcome(verdict).items() if passed is None} == {
        "visual int8 alone as in a batch",
        "visual int8 to fp32",
        "head follows ratings",
        "published text",
        "published image",
    }
    for graph in ("visual fp32", "visual fp16", "visual int8", "text fp32", "text fp16"):
        assert outcome(verdict)[f"{graph} unit length"] is True
    assert outcome(verdict)["visual fp16 to fp32"] is True
    assert verdict.parity == {}
    assert {(stage, unit) for stage, _, _, unit in told} == {("verify tiny", "steps")}


def test_a_changed_file_is_named(folder):
    with (folder.path / HEAD).open("r+b") as file:
        file.seek(100)
        file.write(b"\xff")
    verdict = verify(folder)
    assert not verdict.passed
    assert detail(verdict, "files").startswith("missing or changed: head.npz")


def test_a_graph_that_is_none_fails_and_the_others_are_still_checked(folder):
    (folder.path / "text.fp32.onnx").write_bytes(b"?" * folder.card.files["text.fp32.onnx"].size)
    verdict = verify(folder)
    assert outcome(verdict)["text fp32"] is False
    assert "cannot load it" in detail(verdict, "text fp32")
    assert outcome(verdict)["visual fp32 unit length"] is True


def test_a_missing_tokeniser_fails(folder):
    (folder.path / "tokenizer.json").unlink()
    assert outcome(verify(folder))["text fp32"] is False


def test_another_interface_fails_and_both_are_told(folder):
    def rename(graph):
        graph.graph.input[0].name = "images"
        for node in graph.graph.node:
            for i, name in enumerate(node.input):
                if name == "frames":
                    node.input[i] = "images"

    verdict = verify(changed(folder, "visual.fp32.onnx", rename))
    assert "takes images (uint8) (batch, 32, 32, 3)" in detail(verdict, "visual fp32")
    assert "it must take frames (uint8) (batch, 32, 32, 3)" in detail(verdict, "visual fp32")


def test_a_fixed_batch_fails(folder):
    def fix(graph):
        for value in (*graph.graph.input, *graph.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = 1

    verdict = verify(changed(folder, "visual.fp32.onnx", fix))
    assert outcome(verdict)["visual fp32"] is False
    assert "(batch, fixed, 32, 32, 3)" in detail(verdict, "visual fp32")


def test_a_graph_that_does_not_normalise_fails(folder):
    def skip(graph):
        for node in graph.graph.node:
            if node.op_type == "Div" and "embedding" in node.output:
                node.op_type = "Mul"

    verdict = verify(changed(folder, "visual.fp32.onnx", skip))
    assert outcome(verdict)["visual fp32 unit length"] is False


def test_a_graph_that_mixes_its_batch_fails(folder):
    def mix(graph):
        """Every picture gets a bit of the first one's planes."""
        nodes = graph.graph.node
        at = next(i for i, node in enumerate(nodes) if "numbers" in node.output)
        nodes[at].output[0] = "own"
        mean = onnx.helper.make_node("ReduceMean", ["own"], ["mean"], axes=[0], keepdims=1)
        rest = list(nodes)[at + 1 :]
        del nodes[at + 1 :]
        nodes.extend([mean, onnx.helper.make_node("Add", ["own", "mean"], ["numbers"]), *rest])

    verdict = verify(changed(folder, "visual.fp32.onnx", mix))
    assert outcome(verdict)["visual fp32 alone as in a batch"] is False


def test_a_graph_that_says_the_same_of_everything_fails(folder):
    def dull(graph):
        for tensor in graph.graph.initializer:
            if tensor.name == "pixel_scale":
                tensor.CopyFrom(numpy_helper.from_array(np.zeros((1, 3, 1, 1), np.float32), tensor.name))

    assert outcome(verify(changed(folder, "visual.fp32.onnx", dull)))["visual fp32 tells apart"] is False


def test_a_head_that_is_not_the_one_in_the_graph_fails(folder):
    save_head(Head(np.ones(16, np.float32), 5.0), folder.path / HEAD)
    card = dataclasses.replace(folder.card, files={**folder.card.files, HEAD: file_card(folder.path / HEAD)})
    verdict = verify(write_card(folder.path, card))
    assert outcome(verdict)["files"] is True
    assert outcome(verdict)["visual fp32 aesthetic"] is False


def test_weights_that_differ_between_precisions_fail(folder):
    def shuffle(graph):
        for tensor in graph.graph.initializer:
            if "projection" in tensor.name:
                values = numpy_helper.to_array(tensor)
                tensor.CopyFrom(numpy_helper.from_array(values[::-1].copy(), tensor.name))

    folder = changed(add_precision(folder, "fp16"), "visual.fp16.onnx", shuffle)
    verdict = verify(folder)
    assert outcome(verdict)["visual fp16 to fp32"] is False


def test_int8_is_judged_on_real_frames_and_can_be_recorded(full):
    frames = made_up_pictures(32)[2:]
    verdict = verify(full, Evidence(frames=frames))
    assert outcome(verdict)["visual int8 to fp32"] is True
    assert "10 frames" in detail(verdict, "visual int8 to fp32")
    assert set(verdict.parity) == {"fp16", "int8"}
    assert 0.99 <= verdict.parity["int8"] <= 1.000001
    assert record_parity(full, {}) == full
    kept = record_parity(full, verdict.parity)
    assert open_folder(full.path).card.parity == verdict.parity
    assert check_hashes(kept) == []
    assert record_parity(kept, {"int8": 0.5}).card.parity == {**verdict.parity, "int8": 0.5}


def test_frames_of_a_take_may_all_be_alike(full):
    frames = np.full((3, 32, 32, 3), 127, np.uint8)
    assert verify(full, Evidence(frames=frames)).passed
    assert verify(full, Evidence(frames=frames[:1])).passed


def rated(path, head, rising=True):
    """Unit embeddings that ``head`` scores by a line through 5."""
    path.mkdir()
    direction = head.weight / np.linalg.norm(head.weight)
    aside = np.roll(direction, 1) - direction * (np.roll(direction, 1) @ direction)
    aside /= np.linalg.norm(aside)
    for rating in range(10):
        share = (rating - 4.5) / 10 * (1 if rising else -1)
        rows = np.stack([share * direction + np.sqrt(1 - share**2) * aside] * 2)
        np.save(path / f"rating{rating}.npy", rows.astype(np.float32))
    return path


def test_a_head_must_follow_ratings(tiny_model, zoo, tmp_path):
    up = verify(tiny_model, Evidence(ratings=rated(tmp_path / "up", zoo.tiny_head())))
    assert outcome(up)["head follows ratings"] is True
    assert detail(up, "head follows ratings").startswith("mean scores 3.65 ")
    down = verify(tiny_model, Evidence(ratings=rated(tmp_path / "down", zoo.tiny_head(), rising=False)))
    assert outcome(down)["head follows ratings"] is False


def test_ratings_that_cannot_be_read_fail(tiny_model, tmp_path):
    verdict = verify(tiny_model, Evidence(ratings=tmp_path))
    assert outcome(verdict)["head follows ratings"] is False
    assert "rating0.npy" in detail(verdict, "head follows ratings")
    for rating in range(10):
        np.save(tmp_path / f"rating{rating}.npy", np.ones((2, 16), np.float32))
    assert "normalise" in detail(verify(tiny_model, Evidence(ratings=tmp_path)), "head follows ratings")


@pytest.fixture
def published(tiny_model, tmp_path, monkeypatch):
    """A picture, and values "published" of the tiny model: what it gives, times lengths that it does not know."""
    path = tmp_path / "published.png"
    Image.fromarray(made_up_pictures(48)[9]).save(path)
    image = ask(tiny_model, "visual", "fp32", _published.read_picture(path, 32)).embedding[0].astype(float)
    texts = ["a photo of a man", "a photo of a woman"]
    tokens = Tokenizer.open(tiny_model.file("tokenizer.json"))(texts)
    rows = ask(tiny_model, "text", "fp32", tokens).embedding.astype(float)
    reference = Reference(
        image_first=tuple(10.3 * image[:5]),
        image_sum=float(10.3 * image.sum()),
        texts=tuple(
            (text, tuple(8.1 * row[:5]), float(8.1 * row.sum())) for text, row in zip(texts, rows, strict=True)
        ),
        logits=tuple(100 * rows @ image),
    )
    spec = dataclasses.replace(models.SPECS[0], name="tiny", pretrained="random", reference=reference)

    def publish(**values):
        changed = dataclasses.replace(spec, reference=dataclasses.replace(reference, **values))
        monkeypatch.setattr(models, "SPECS", (changed,))
        return path, reference

    publish()
    return publish


def test_published_values_are_found_though_embeddings_are_normalised(tiny_model, published):
    path, _ = published()
    verdict = verify(tiny_model, Evidence(image=path))
    names = ("published text", "published image", "published image and texts")
    assert [outcome(verdict)[name] for name in names] == [True, True, True]


def test_without_the_picture_the_texts_alone_are_checked(tiny_model, published):
    verdict = verify(tiny_model)
    assert outcome(verdict)["published text"] is True
    assert outcome(verdict)["published image"] is None
    assert "franz-kafka.jpg" in detail(verdict, "published image")


def test_other_weights_than_the_published_ones_fail(tiny_model, published):
    path, reference = published()
    text, first, total = reference.texts[0]
    published(
        texts=((text, (first[0] + 0.001, *first[1:]), total), reference.texts[1]),
        image_sum=reference.image_sum * 1.1,
        logits=(reference.logits[0], reference.logits[1] + 0.1),
    )
    verdict = verify(tiny_model, Evidence(image=path))
    names = ("published text", "published image", "published image and texts")
    assert [outcome(verdict)[name] for name in names] == [True, False, False]
    assert [check.passed for check in verdict.checks if check.name == "published text"] == [False, True]
    assert not verdict.passed


def test_a_picture_that_cannot_be_read_fails(tiny_model, published, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    for image in ("broken.jpg", "missing.jpg"):
        verdict = verify(tiny_model, Evidence(image=tmp_path / image))
        assert outcome(verdict)["published image"] is False
        assert image in detail(verdict, "published image")


def test_without_a_text_tower_the_published_texts_do_not_apply(tiny_model, published, tmp_path):
    files = {name: file for name, file in tiny_model.card.files.items() if "text" not in name}
    without = dataclasses.replace(tiny_model, card=dataclasses.replace(tiny_model.card, files=files))
    verdict = verify(without)
    assert outcome(verdict)["published text"] is None
    assert "models pull --text" in detail(verdict, "published text")


@given(
    st.lists(st.floats(-1, 1).filter(lambda x: abs(x) > 1e-3), min_size=6, max_size=40).filter(
        lambda values: abs(sum(values)) > 0.1
    ),
    st.floats(0.1, 100),
)
def test_the_length_of_a_vector_is_found_again_from_its_sum(values, length):
    vector = np.array(values)
    vector *= length / np.linalg.norm(vector)
    unit = (vector / length).astype(np.float32)
    assert difference(unit, tuple(vector[:5]), float(vector.sum())) < 1e-4 * length / abs(unit.sum())
    assert difference(unit, tuple(vector[:5] + length), float(vector.sum())) > 0.9 * length


def test_a_sum_that_tells_no_length_is_no_match():
    assert difference(np.array([1, -1], np.float32), (1.0,), 5.0) == float("inf")


def test_cosines_of_nothing_are_zero():
    rows = np.array([[1, 0], [0, 0], [np.nan, 1], [3, 4]], np.float32)
    assert cosines(rows, rows) == pytest.approx([1, 0, 0, 1])


def test_made_up_pictures_are_always_the_same_and_all_different():
    first = made_up_pictures(224)
    assert first.shape == (12, 224, 224, 3)
    assert (made_up_pictures(224) == first).all()
    assert len({picture.tobytes() for picture in first}) == 12


def test_a_card_that_is_gone_is_no_matter_once_it_was_read(folder):
    (folder.path / CARD).unlink()
    assert verify(folder).passed
