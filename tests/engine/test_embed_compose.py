"""Towers wrapped into the one graph that runs: the same numbers as by hand, in every precision, or a plain refusal."""

from __future__ import annotations

import logging
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper, shape_inference

from bestshot_trt.embed import compose
from bestshot_trt.embed._onnx import open_session
from bestshot_trt.embed.heads import Head
from bestshot_trt.embed.models import CLIP_MEAN, CLIP_STD, CONTEXT_LENGTH
from bestshot_trt.errors import ModelUnavailable

SIZE, WIDTH = 32, 16
BATCHES = (1, 5, 16)
OPSETS = (11, 12, 13, 14, 15, 16, 17, 18, 20, 21)


def run(model: Any, **inputs: Any) -> list[Any]:
    return session(model).run(None, inputs)


def session(model: Any) -> Any:
    options = ort.SessionOptions()
    # ONNX Runtime 1.32 crashes on fp16 graphs when it may fuse all it knows.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def pictures(count: int, size: int = SIZE) -> Any:
    """Noise over plain colours, so that some are alike and some are not."""
    random = np.random.default_rng(count)
    plain = random.integers(0, 256, (count, 1, 1, 3))
    return np.clip(plain + random.integers(-40, 41, (count, size, size, 3)), 0, 255).astype(np.uint8)


def token_ids(count: int) -> Any:
    random = np.random.default_rng(count)
    ids = np.zeros((count, CONTEXT_LENGTH), np.int64)
    for row in ids:
        words = random.integers(0, CONTEXT_LENGTH - 1)
        row[: words + 2] = [49406, *random.integers(1, 49000, words), 49407]
    return ids


def visual(tower: Any, head: Head, size: int = SIZE, width: int = WIDTH) -> Any:
    copy = onnx.ModelProto.FromString(tower.SerializeToString())
    return compose.visual_graph(copy, mean=CLIP_MEAN, std=CLIP_STD, head=head, size=size, width=width)


def text(tower: Any, width: int = WIDTH) -> Any:
    return compose.text_graph(onnx.ModelProto.FromString(tower.SerializeToString()), width=width)


def unit(rows: Any) -> Any:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def by_hand(tower: Any, frames: Any) -> Any:
    """Unit embeddings from the bare tower, with everything around it done in NumPy."""
    pixels = (frames / 255 - np.array(CLIP_MEAN)) / np.array(CLIP_STD)
    feeds = {tower.graph.input[0].name: pixels.transpose(0, 3, 1, 2).astype(np.float32)}
    return unit(session(tower).run(["image_embeds"], feeds)[0].astype(np.float64))


def signature(model: Any) -> dict[str, tuple[int, list[Any]]]:
    values = [*model.graph.input, *model.graph.output]
    return {
        v.name: (v.type.tensor_type.elem_type, [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim])
        for v in values
    }


VISUAL = {
    "frames": (TensorProto.UINT8, ["batch", SIZE, SIZE, 3]),
    "embedding": (TensorProto.FLOAT, ["batch", WIDTH]),
    "aesthetic": (TensorProto.FLOAT, ["batch"]),
}
TEXT = {"tokens": (TensorProto.INT64, ["batch", 77]), "embedding": (TensorProto.FLOAT, ["batch", WIDTH])}


@pytest.fixture(scope="module")
def head(zoo: ModuleType) -> Head:
    return zoo.tiny_head(WIDTH)


@pytest.mark.parametrize("opset", OPSETS)
def test_pixels_in_embedding_and_score_out(zoo: ModuleType, head: Head, opset: int) -> None:
    tower = zoo.tiny_visual_tower(WIDTH, SIZE, opset)
    model = visual(tower, head)
    onnx.checker.check_model(model, full_check=True)
    assert signature(model) == VISUAL
    for count in BATCHES:
        frames = pictures(count)
        embedding, aesthetic = run(model, frames=frames)
        np.testing.assert_allclose(embedding, by_hand(tower, frames), atol=1e-5)
        np.testing.assert_allclose(aesthetic, head.score(embedding), atol=1e-5)


@pytest.mark.parametrize("opset", [14, 17])
def test_a_transformer_too(zoo: ModuleType, head: Head, opset: int) -> None:
    tower = zoo.transformer_tower(WIDTH, opset)
    model = visual(tower, head)
    for count in BATCHES:
        frames = pictures(count)
        embedding, aesthetic = run(model, frames=frames)
        np.testing.assert_allclose(embedding, by_hand(tower, frames), atol=1e-5)
        np.testing.assert_allclose(aesthetic, head.score(embedding), atol=1e-5)


@pytest.mark.parametrize("kind", ["int64", "int32"])
@pytest.mark.parametrize("mask", [False, True], ids=["ids", "ids-and-mask"])
@pytest.mark.parametrize("opset", [11, 14, 18])
def test_tokens_in_embedding_out(zoo: ModuleType, opset: int, mask: bool, kind: str) -> None:
    tower = zoo.tiny_text_tower(WIDTH, opset, mask=mask, kind=kind)
    model = text(tower)
    onnx.checker.check_model(model, full_check=True)
    assert signature(model) == TEXT
    for count in BATCHES:
        ids = token_ids(count)
        feeds = {value.name: ids if value.name == "input_ids" else np.ones_like(ids) for value in tower.graph.input}
        (expected,) = run(tower, **{name: value.astype(kind) for name, value in feeds.items()})
        np.testing.assert_allclose(run(model, tokens=ids)[0], unit(expected), atol=1e-5)


def test_an_input_is_cast_before_it_is_turned(zoo: ModuleType, head: Head) -> None:
    """TensorRT's parser refuses uint8 in a Transpose."""
    model = visual(zoo.tiny_visual_tower(WIDTH, SIZE), head)
    assert [node.op_type for node in model.graph.node if "frames" in node.input] == ["Cast"]


def test_what_nobody_reads_is_dropped(zoo: ModuleType, head: Head) -> None:
    tower = zoo.tiny_visual_tower(WIDTH, SIZE)
    extra = tower.graph.node.add()
    extra.CopyFrom(helper.make_node("MatMul", ["unused", "unused"], ["pooler_output"]))
    tower.graph.initializer.append(numpy_helper.from_array(np.ones((99, 99), np.float32), "unused"))
    tower.graph.output.append(helper.make_tensor_value_info("pooler_output", TensorProto.FLOAT, [99, 99]))
    model = visual(tower, head)
    assert all("unused" not in name for node in model.graph.node for name in node.input)
    assert all("unused" not in tensor.name for tensor in model.graph.initializer)
    assert signature(model) == VISUAL


def test_names_inside_the_tower_may_be_those_around_it(zoo: ModuleType, head: Head) -> None:
    """Other exports call the tower's own, unnormalised output embedding."""
    tower = zoo.tiny_visual_tower(WIDTH, SIZE)
    expected = by_hand(tower, pictures(3))
    names = {"image_embeds": "embedding", "grid": "numbers", "flat": "raw", "steep": "aesthetic", "slope": "axis"}
    for node in tower.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in [*tower.graph.output, *tower.graph.initializer]:
        value.name = names.get(value.name, value.name)
    np.testing.assert_allclose(run(visual(tower, head), frames=pictures(3))[0], expected, atol=1e-5)


def test_towers_of_the_old_form_list_their_weights_as_inputs(zoo: ModuleType, head: Head) -> None:
    tower = zoo.tiny_visual_tower(WIDTH, SIZE, 11)
    expected = by_hand(tower, pictures(3))
    tower.ir_version = 3
    tower.graph.input.extend(
        helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims) for weight in tower.graph.initializer
    )
    model = visual(tower, head)
    assert signature(model) == VISUAL
    np.testing.assert_allclose(run(model, frames=pictures(3))[0], expected, atol=1e-5)


def test_an_embedding_of_zeros_stays_one(zoo: ModuleType, head: Head) -> None:
    tower = zoo.tiny_visual_tower(WIDTH, SIZE)
    for weight in tower.graph.initializer:
        if weight.name == "projection":
            weight.CopyFrom(numpy_helper.from_array(np.zeros((128, WIDTH), np.float32), "projection"))
    embedding, aesthetic = run(visual(tower, head), frames=pictures(2))
    assert not embedding.any()
    np.testing.assert_allclose(aesthetic, head.bias)


def refusal(make: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(ModelUnavailable) as caught:
        make(*arguments, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_tower_for_one_picture_at_a_time_is_refused(zoo: ModuleType, head: Head) -> None:
    assert "1 at a time" in refusal(visual, zoo.tiny_visual_tower(WIDTH, SIZE, batch=1), head)


def test_a_tower_with_one_picture_built_into_it_is_refused(zoo: ModuleType, head: Head) -> None:
    tower = zoo.transformer_tower(WIDTH, 17)
    for weight in tower.graph.initializer:
        if weight.name == "rows_shape":
            weight.CopyFrom(numpy_helper.from_array(np.array([1, 32, 16]), "rows_shape"))
    assert "at a time" in refusal(visual, tower, head)


def test_a_tower_of_another_size_is_refused(zoo: ModuleType, head: Head) -> None:
    tower = zoo.tiny_visual_tower(WIDTH, SIZE)
    for dim, side in zip(tower.graph.input[0].type.tensor_type.shape.dim[2:], (64, 64), strict=True):
        dim.dim_value = side
    assert "[" in refusal(visual, tower, head)
    assert "(batch, 3, 32, 32)" in refusal(visual, tower, head)


def test_a_tower_of_another_width_is_refused(zoo: ModuleType, head: Head) -> None:
    assert "24 numbers instead of 16" in refusal(visual, zoo.tiny_visual_tower(24, SIZE), head)
    assert "24 numbers instead of 16" in refusal(text, zoo.tiny_text_tower(24))


def test_a_head_of_another_width_is_a_mistake(zoo: ModuleType) -> None:
    with pytest.raises(ValueError, match="head"):
        visual(zoo.tiny_visual_tower(WIDTH, SIZE), zoo.tiny_head(24))


def test_a_tower_of_an_old_opset_is_refused(zoo: ModuleType, head: Head) -> None:
    tower = zoo.tiny_visual_tower(WIDTH, SIZE)
    tower.opset_import[0].version = 10
    assert "opset 10" in refusal(visual, tower, head)


def test_a_tower_in_half_precision_is_refused(zoo: ModuleType, head: Head) -> None:
    tower = zoo.tiny_visual_tower(WIDTH, SIZE)
    tower.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    assert "FLOAT16" in refusal(visual, tower, head)
    tower = zoo.tiny_visual_tower(WIDTH, SIZE)
    tower.graph.output[1].type.tensor_type.elem_type = TensorProto.FLOAT16
    assert "not float32" in refusal(visual, tower, head)


def test_a_tower_without_embeddings_is_refused(zoo: ModuleType, head: Head) -> None:
    tower = zoo.tiny_visual_tower(WIDTH, SIZE)
    for value in tower.graph.output:
        value.name += "_2"
    assert "none of them is called image_embeds" in refusal(visual, tower, head)


def test_towers_are_not_taken_for_each_other(zoo: ModuleType, head: Head) -> None:
    refusal(visual, zoo.tiny_text_tower(WIDTH), head)
    refusal(text, zoo.tiny_visual_tower(WIDTH, SIZE))


def test_a_text_tower_with_pictures_in_it_is_refused(zoo: ModuleType) -> None:
    """The hub's model.onnx holds both towers, and takes pixels too."""
    tower = zoo.tiny_text_tower(WIDTH)
    tower.graph.input.append(helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["n", 3, 32, 32]))
    assert "input_ids, pixel_values" in refusal(text, tower)


def test_a_tower_that_contradicts_itself_is_refused(zoo: ModuleType, head: Head) -> None:
    tower = zoo.tiny_visual_tower(WIDTH, SIZE)
    tower.graph.node[-1].input[0] = "grid"
    assert "contradicts itself" in refusal(visual, tower, head)


def test_an_empty_graph_is_refused(head: Head) -> None:
    refusal(visual, onnx.ModelProto(), head)
    refusal(text, onnx.ModelProto())


def precisions(model: Any) -> dict[str, int]:
    """Element type of every value."""
    graph = shape_inference.infer_shapes(model, strict_mode=True).graph
    types = {v.name: v.type.tensor_type.elem_type for v in [*graph.input, *graph.value_info, *graph.output]}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


@pytest.fixture(scope="module")
def cosines(zoo: ModuleType) -> Any:
    """Cosines of what a graph and its half embed, by two runtimes, one of which rounds every value."""

    def measure(model: Any, half: Any, **inputs: Any) -> Any:
        expected = run(model, **inputs)[0]
        found = [run(half, **inputs)[0], zoo.run_in_numpy(half, **inputs)[0]]
        assert all(rows.dtype == np.float32 for rows in found)
        assert all(np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5) for rows in found)
        return np.concatenate([(expected * rows).sum(1) for rows in found])

    return measure


@pytest.mark.parametrize("opset", [14, 17])
@pytest.mark.parametrize("loudness", [1.0, 1000.0])
def test_half_precision_gives_the_same_embeddings(
    cosines: Any, zoo: ModuleType, head: Head, opset: int, loudness: float
) -> None:
    model = visual(zoo.transformer_tower(WIDTH, opset, loudness=loudness), head)
    half = compose.to_fp16(onnx.ModelProto.FromString(model.SerializeToString()))
    onnx.checker.check_model(half, full_check=True)
    assert signature(half) == VISUAL
    for count in BATCHES:
        assert cosines(model, half, frames=pictures(count)).min() > 0.999
    scores = run(model, frames=pictures(16))[1], run(half, frames=pictures(16))[1]
    np.testing.assert_allclose(scores[0], scores[1], atol=0.05)


@pytest.mark.parametrize("opset", [14, 17])
def test_half_precision_is_where_it_does_no_harm(zoo: ModuleType, head: Head, opset: int) -> None:
    half = compose.to_fp16(visual(zoo.transformer_tower(WIDTH, opset), head))
    types = precisions(half)
    kinds: dict[str, set[int]] = {}
    for node in half.graph.node:
        if node.op_type != "Cast":
            floats = {types[name] for name in [*node.input, *node.output]} - {TensorProto.INT64, TensorProto.UINT8}
            assert len(floats) == 1
            kinds.setdefault(node.op_type, set()).update(floats)
    full = {"Softmax", "ReduceL2", *(["LayerNormalization"] if opset == 17 else ["ReduceMean", "Pow", "Sqrt", "Sub"])}
    assert all(kinds[name] == {TensorProto.FLOAT} for name in full)
    assert kinds["Conv"] == kinds["Gemm"] == kinds["Sigmoid"] == {TensorProto.FLOAT16}
    weights = {tensor.name: tensor.data_type for tensor in half.graph.initializer}
    assert all(weights[f"tower/w{name}/fp16"] == TensorProto.FLOAT16 for name in "qkv")
    assert weights["head_weight"] == weights["pixel_scale"] == TensorProto.FLOAT
    assert "tower/wq" not in weights


def test_a_mask_beyond_half_precision_stays_a_mask(cosines: Any, zoo: ModuleType, head: Head) -> None:
    for mask in (-3.4e38, -np.inf):
        model = visual(zoo.transformer_tower(WIDTH, 17, mask=mask), head)
        half = compose.to_fp16(onnx.ModelProto.FromString(model.SerializeToString()))
        assert cosines(model, half, frames=pictures(4)).min() > 0.999


def test_a_mask_that_nodes_make_stays_a_mask(cosines: Any, zoo: ModuleType, head: Head) -> None:
    """Other exporters fill it with float32's least number, and reshape the scores after it is added."""
    tower = zoo.transformer_tower(WIDTH, 14)
    lowest = numpy_helper.from_array(np.array([np.finfo(np.float32).min], np.float32), "lowest")
    made = [
        helper.make_node("ConstantOfShape", ["side"], ["filled"], value=lowest),
        helper.make_node("Trilu", ["filled", "one"], ["made_mask"], upper=1),
    ]
    nodes = [*made, *tower.graph.node]
    softmax = next(index for index, node in enumerate(nodes) if node.op_type == "Softmax")
    nodes[softmax - 1].input[1] = "made_mask"
    nodes[softmax].input[0] = "reshaped"
    nodes.insert(softmax, helper.make_node("Reshape", ["masked", "scores_shape"], ["reshaped"]))
    del tower.graph.node[:]
    tower.graph.node.extend(nodes)
    shapes = {"side": [16, 16], "one": 1, "scores_shape": [-1, 16, 16]}
    tower.graph.initializer.extend(numpy_helper.from_array(np.array(v), name) for name, v in shapes.items())
    model = visual(tower, head)
    half = compose.to_fp16(onnx.ModelProto.FromString(model.SerializeToString()))
    assert cosines(model, half, frames=pictures(4)).min() > 0.999


def test_a_weight_beyond_half_precision_stays_as_it_is(cosines: Any, zoo: ModuleType, head: Head) -> None:
    tower = zoo.tiny_visual_tower(WIDTH, SIZE)
    for weight in tower.graph.initializer:
        if weight.name == "projection":
            large = numpy_helper.to_array(weight) * 1e6
            weight.CopyFrom(numpy_helper.from_array(large, "projection"))
    model = visual(tower, head)
    half = compose.to_fp16(onnx.ModelProto.FromString(model.SerializeToString()))
    assert cosines(model, half, frames=pictures(4)).min() > 0.999


def test_half_precision_halves_a_text_tower(cosines: Any, zoo: ModuleType) -> None:
    model = text(zoo.tiny_text_tower(WIDTH, mask=True))
    size = len(model.SerializeToString())
    half = compose.to_fp16(onnx.ModelProto.FromString(model.SerializeToString()))
    assert signature(half) == TEXT
    assert len(half.SerializeToString()) < 0.55 * size
    assert cosines(model, half, tokens=token_ids(5)).min() > 0.999


def test_constants_made_by_nodes_are_halved_too(cosines: Any, zoo: ModuleType, head: Head) -> None:
    """Exporters write small constants as nodes, and fill tensors by ConstantOfShape."""
    tower = zoo.tiny_visual_tower(WIDTH, SIZE)
    slope = next(tensor for tensor in tower.graph.initializer if tensor.name == "slope")
    tower.graph.initializer.remove(slope)
    fill = [
        helper.make_node("Constant", [], ["slope"], value=slope),
        helper.make_node("Constant", [], ["one"], value_float=1.0),
        helper.make_node("Constant", [], ["side"], value_ints=[1]),
        helper.make_node("ConstantOfShape", ["side"], ["zeros"]),
        helper.make_node("Cast", ["zeros"], ["still_zeros"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["still_zeros", "one"], ["ones"]),
        helper.make_node("Mul", ["ones", "pixel_values"], ["same_pixels"]),
    ]
    nodes = [*fill, *tower.graph.node]
    del tower.graph.node[:]
    tower.graph.node.extend(nodes)
    tower.graph.node[len(fill)].input[0] = "same_pixels"
    model = visual(tower, head)
    half = compose.to_fp16(onnx.ModelProto.FromString(model.SerializeToString()))
    assert precisions(half)["tower/ones"] == TensorProto.FLOAT16
    assert cosines(model, half, frames=pictures(4)).min() > 0.999


def test_a_tower_with_branches_has_no_half(zoo: ModuleType, head: Head) -> None:
    model = visual(zoo.tiny_visual_tower(WIDTH, SIZE), head)
    branch = helper.make_graph(
        [helper.make_node("Identity", ["aesthetic"], ["either"])],
        "branch",
        [],
        [helper.make_tensor_value_info("either", TensorProto.FLOAT, ["n"])],
    )
    model.graph.node.append(helper.make_node("If", ["yes"], ["chosen"], then_branch=branch, else_branch=branch))
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    assert "branches" in refusal(compose.to_fp16, model)


@pytest.fixture
def fp32(zoo: ModuleType, head: Head, tmp_path: Path) -> Path:
    path = tmp_path / "visual.fp32.onnx"
    onnx.save(visual(zoo.transformer_tower(WIDTH, 17), head), path)
    return path


def test_int8_is_close_and_leaves_nothing_behind(
    fp32: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    before = fp32.read_bytes()
    handlers = list(logging.root.handlers)
    target = tmp_path / "visual.int8.onnx"
    compose.quantise_int8(fp32, target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["visual.fp32.onnx", "visual.int8.onnx"]
    assert fp32.read_bytes() == before
    assert logging.root.handlers == handlers
    assert not caplog.records
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
    first = open_session(fp32).run(None, {"frames": pictures(16)})
    second = open_session(target, "int8").run(None, {"frames": pictures(16)})
    assert (first[0] * second[0]).sum(1).min() > 0.99
    np.testing.assert_allclose(np.linalg.norm(second[0], axis=1), 1, atol=1e-5)


def test_int8_is_for_the_linear_layers_only(fp32: Path, tmp_path: Path) -> None:
    compose.quantise_int8(fp32, tmp_path / "visual.int8.onnx")
    model = onnx.load(tmp_path / "visual.int8.onnx")
    assert signature(model) == VISUAL
    kinds = [node.op_type for node in model.graph.node]
    # Query, key, value and projection; not the two products of attention, not the patches, not the head.
    assert kinds.count("MatMulInteger") == 4
    assert "Conv" in kinds
    assert "head_weight" in {tensor.name for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT}


@pytest.fixture(scope="module")
def small_clip(zoo: ModuleType) -> Any:
    """CLIP's own architecture, two layers deep and 64 wide, random."""
    open_clip = zoo.open_clip()
    import torch

    torch.manual_seed(0)
    vision = {"image_size": SIZE, "layers": 2, "width": 128, "patch_size": 8}
    words = {"context_length": CONTEXT_LENGTH, "vocab_size": 49408, "width": 128, "heads": 2, "layers": 2}
    return open_clip.CLIP(embed_dim=WIDTH, vision_cfg=vision, text_cfg=words, quick_gelu=True).eval()


def exported(model: Any, method: str, example: Any, opset: int, path: Path) -> Any:
    """A tower as other people's exporters write it: torch's older one, which spells LayerNormalization out."""
    import torch

    class Tower(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, values: Any) -> Any:
            return getattr(self.model, method)(values)

    name, output = ("pixel_values", "image_embeds") if method == "encode_image" else ("input_ids", "text_embeds")
    torch.onnx.export(
        Tower().eval(),
        (example,),
        path,
        dynamo=False,
        opset_version=opset,
        input_names=[name],
        output_names=[output],
        dynamic_axes={name: {0: "n"}, output: {0: "n"}},
    )
    return onnx.load(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("opset", [14, 17])
def test_clip_from_another_exporter(cosines: Any, small_clip: Any, head: Head, opset: int, tmp_path: Path) -> None:
    import torch

    tower = exported(small_clip, "encode_image", torch.zeros(2, 3, SIZE, SIZE), opset, tmp_path / "tower.onnx")
    assert ("LayerNormalization" in {node.op_type for node in tower.graph.node}) == (opset == 17)
    model = visual(tower, head)
    half = compose.to_fp16(onnx.ModelProto.FromString(model.SerializeToString()))
    for count in BATCHES:
        frames = pictures(count)
        pixels = (frames / 255 - np.array(CLIP_MEAN)) / np.array(CLIP_STD)
        with torch.no_grad():
            expected = unit(small_clip.encode_image(torch.from_numpy(pixels.transpose(0, 3, 1, 2)).float()).numpy())
        embedding, aesthetic = run(model, frames=frames)
        np.testing.assert_allclose(embedding, expected, atol=1e-5)
        np.testing.assert_allclose(aesthetic, head.score(expected), atol=1e-4)
        assert cosines(model, half, frames=frames).min() > 0.999


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("opset", [14, 17])
def test_clip_text_from_another_exporter(cosines: Any, small_clip: Any, opset: int, tmp_path: Path) -> None:
    import torch

    model = text(exported(small_clip, "encode_text", torch.from_numpy(token_ids(2)), opset, tmp_path / "tower.onnx"))
    half = compose.to_fp16(onnx.ModelProto.FromString(model.SerializeToString()))
    for count in BATCHES:
        ids = token_ids(count)
        with torch.no_grad():
            expected = unit(small_clip.encode_text(torch.from_numpy(ids)).numpy())
        np.testing.assert_allclose(run(model, tokens=ids)[0], expected, atol=1e-5)
        assert cosines(model, half, tokens=ids).min() > 0.999


def test_bf16_keeps_the_interface_and_rounds_to_the_nearest(zoo):
    model = visual(zoo.transformer_tower(WIDTH, 17), zoo.tiny_head(WIDTH))
    exact = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    half = compose.to_bf16(model)
    rounded = [tensor for tensor in half.graph.initializer if tensor.data_type == onnx.TensorProto.BFLOAT16]
    assert rounded
    for tensor in rounded:
        bits = np.frombuffer(tensor.raw_data, np.uint16).astype(np.uint32) << 16
        values, wanted = bits.view(np.float32), exact[tensor.name.removesuffix("/bf16")].ravel()
        np.testing.assert_allclose(values, wanted, rtol=2**-8)
    kinds = {value.name: value.type.tensor_type.elem_type for value in [*half.graph.input, *half.graph.output]}
    assert kinds == {"frames": 2, "embedding": 1, "aesthetic": 1}
    in_float32 = {node.op_type for node in half.graph.node if node.op_type in ("LayerNormalization", "Softmax", "Conv")}
    casts = {node.output[0] for node in half.graph.node if node.op_type == "Cast" and node.attribute[0].i == 16}
    assert in_float32 == {"LayerNormalization", "Softmax", "Conv"}
    assert casts
