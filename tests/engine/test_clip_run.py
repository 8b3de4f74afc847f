"""A whole run with a CLIP-like model: its numbers, prompts, and what happens when there is none."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import threading

import imageio_ffmpeg
import numpy as np
import pytest

import bestshot_trt as bt
from bestshot_kernels.clip_resize import clip_resize
from bestshot_trt.decode import PyAVDecoder, probe
from bestshot_trt.embed import _onnx, model_folder, resolve
from bestshot_trt.embed._batching import batch_of
from bestshot_trt.frames import DecodeReport, FrameBatch, ModelView

PROMPT = "the wide inn"
PICK = bt.PickConfig(top=2, min_gap=1.0, diversity=0.0, pre=0.2, post=0.2)


@pytest.fixture(scope="module")
def take(clip):
    return clip("-c:v libx264 -preset ultrafast -g 10", size="192x108", rate="10", seconds=6)


@pytest.fixture(scope="module")
def config(tiny_model):
    return bt.Config(
        analyze=bt.AnalyzeConfig(model=str(tiny_model.path), score_height=64),
        pick=PICK,
        export=bt.ExportConfig(effort="fastest"),
    )


@pytest.fixture(scope="module")
def track(take, config):
    return bt.analyze(take, config)


def with_pick(config, **changes):
    return dataclasses.replace(config, pick=dataclasses.replace(config.pick, **changes))


def views_of(take, view, score_height=64):
    batches = PyAVDecoder().batches(probe(take), bt.AnalyzeConfig(score_height=score_height), DecodeReport(), view)
    return np.concatenate([batch.views.copy() for batch in batches])


@pytest.mark.parametrize("framing", ["crop", "squash", "pad"])
def test_the_model_sees_the_decoded_frame_as_pillow_scales_it(clip, framing):
    # Grey: how chroma is spread over the pixels is another matter, and much in a test pattern.
    take = clip("-c:v libx264 -preset ultrafast -vf format=gray,format=yuv420p", size="192x108", rate="5", seconds=2)
    seen = views_of(take, ModelView(size=32, framing=framing))
    whole = next(PyAVDecoder().batches(probe(take), bt.AnalyzeConfig(), DecodeReport())).pixels
    assert whole.shape[1:] == (108, 192, 3)
    wanted = clip_resize(whole[:1], 32, framing)[0]
    difference = np.abs(seen[0].astype(int) - wanted)
    # libswscale filters before it clips, so the pattern's edges of black and white overshoot less.
    assert difference.mean() < 1
    assert (difference <= 2).mean() > 0.97


def test_a_turned_take_is_seen_upright(clip, tmp_path):
    plain = clip("-c:v libx264 -preset ultrafast", size="128x64", rate="5", seconds=2)
    turned = tmp_path / "turned.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-display_rotation:v:0", "90", "-i", plain]
    subprocess.run([*command, "-c", "copy", turned], check=True)
    view = ModelView(size=32, framing="squash")
    turn = probe(turned).rotation // 90
    assert turn in (1, 3)
    # 3: the filter meets subsampled chroma along the other side.
    difference = np.rot90(views_of(plain, view)[0], -turn).astype(int) - views_of(turned, view)[0]
    assert np.abs(difference).mean() < 3


def test_a_thread_of_a_frame_is_seen_too(clip):
    take = clip("-c:v libx264 -preset ultrafast", size="2560x16", rate="5", seconds=1)
    assert views_of(take, ModelView(size=32, framing="crop")).shape[1:] == (32, 32, 3)


def test_the_score_height_does_not_change_what_the_model_sees(take):
    view = ModelView(size=32, framing="crop")
    np.testing.assert_array_equal(views_of(take, view, 64), views_of(take, view, 720))


def test_embeddings_are_those_of_the_graph_whatever_the_batch(take, track, tiny_model):
    session = _onnx.open_session(tiny_model.graph("visual"))
    views = views_of(take, ModelView(size=tiny_model.card.size, framing="crop"))
    for index in (0, len(views) // 2, len(views) - 1):
        embedding, aesthetic = session.run(None, {"frames": views[index : index + 1]})
        np.testing.assert_allclose(track.embedding[index], embedding[0], atol=1e-5)
        np.testing.assert_allclose(track.aesthetic[index], aesthetic.ravel()[0], atol=1e-4)
    assert len(track) == len(views) == 18
    np.testing.assert_allclose(np.linalg.norm(track.embedding, axis=1), 1, atol=1e-5)


def test_every_output_names_the_model(take, config, tiny_model, tmp_path):
    document = bt.run(take, with_pick(config, prompt=(PROMPT,)), tmp_path / "out")
    written = json.loads((tmp_path / "out" / "moments.json").read_text())
    card = tiny_model.card
    assert written["model"] == f"{card.name}/{card.pretrained}"
    assert written["clip_model"]["digest"] == tiny_model.card.digest
    assert written["settings"]["pick"]["prompt"] == [PROMPT]
    assert written["machine"]["versions"]["onnxruntime"]
    assert all(-1 <= moment.measures.prompt_similarity <= 1 for moment in document.moments)
    again = bt.read_track(tmp_path / "out" / "track.parquet")
    assert (again.meta.prompt, again.meta.avoid) == ((PROMPT,), ())
    assert again.meta.clip_model.folder == str(tiny_model.path)


def test_a_new_prompt_needs_no_decoding(track, config, tiny_model):
    text = _onnx.TextEncoder(tiny_model)
    vectors = text.encode([PROMPT, "an inn"])
    document = bt.pick(track, with_pick(config, prompt=(PROMPT,), avoid=("an inn",)))
    cosines = track.embedding @ (vectors[0] - vectors[1])
    for moment in document.moments:
        index = int(np.flatnonzero(track.times == moment.peak_s)[0])
        assert moment.measures.prompt_similarity == pytest.approx(cosines[index], abs=1e-5)


def test_the_prompt_decides_when_only_it_counts(track, config, tiny_model):
    (vector,) = _onnx.TextEncoder(tiny_model).encode([PROMPT])
    only = bt.Weights(aesthetic=0, sharpness=0, exposure=0, prompt=1)
    document = bt.pick(track, with_pick(config, prompt=(PROMPT,), weights=only, window=0, top=1))
    cosines = track.embedding @ vector
    assert cosines[np.flatnonzero(track.times == document.moments[0].peak_s)[0]] >= np.percentile(cosines, 95) - 1e-6
    away = bt.pick(track, with_pick(config, avoid=(PROMPT,), weights=only, window=0, top=1))
    assert cosines[np.flatnonzero(track.times == away.moments[0].peak_s)[0]] <= np.percentile(cosines, 5) + 1e-6


def test_prompts_of_the_analysis_stay_until_others_are_given(take, config, tmp_path):
    prompted = bt.analyze(take, with_pick(config, prompt=(PROMPT,)))
    kept = bt.pick(prompted, config)
    assert kept.settings.pick["prompt"] == [PROMPT]
    assert kept.moments[0].measures.prompt_similarity is not None
    other = bt.pick(prompted, with_pick(config, prompt=("an inn",)))
    assert other.settings.pick["prompt"] == ["an inn"]


def test_without_the_model_of_the_track_a_prompt_is_refused_by_name(track, config, tmp_path):
    gone = dataclasses.replace(track.meta.clip_model, folder=str(tmp_path / "gone"))
    moved = dataclasses.replace(track, meta=dataclasses.replace(track.meta, clip_model=gone))
    with pytest.raises(bt.ModelUnavailable, match="models pull"):
        bt.pick(moved, with_pick(config, prompt=(PROMPT,)))
    assert bt.pick(moved, config).moments


def test_a_model_of_the_same_name_but_other_weights_is_not_taken_for_it(track, config, zoo, tmp_path, monkeypatch):
    monkeypatch.setenv("BESTSHOT_MODELS", str(tmp_path))
    folder = zoo.tiny_model_folder(tmp_path / "tiny", width=24)
    other = dataclasses.replace(track.meta.clip_model, folder=str(folder.path))
    moved = dataclasses.replace(track, meta=dataclasses.replace(track.meta, clip_model=other))
    with pytest.raises(bt.ModelUnavailable, match="prompts need the model"):
        bt.pick(moved, with_pick(config, prompt=(PROMPT,)))


@pytest.mark.parametrize("words", [{"prompt": (PROMPT,)}, {"avoid": (PROMPT,)}], ids=["prompt", "avoid"])
def test_prompts_without_a_model_are_refused_before_any_work(take, words, tmp_path):
    config = bt.Config(analyze=bt.AnalyzeConfig(model="none"), pick=dataclasses.replace(PICK, **words))
    with pytest.raises(bt.ModelUnavailable, match="prompts need a CLIP model"):
        bt.run(take, config, tmp_path / "out")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_auto_goes_on_without_a_model_and_says_how_to_get_one(take, config, tmp_path):
    document = bt.run(take, dataclasses.replace(config, analyze=bt.AnalyzeConfig()), tmp_path / "out")
    assert document.model == "none"
    assert "models pull" in document.model_note
    assert "\n" not in document.model_note


def test_auto_takes_a_model_that_is_here(take, config, zoo, tmp_path, monkeypatch):
    monkeypatch.setenv("BESTSHOT_MODELS", str(tmp_path))
    zoo.tiny_model_folder(tmp_path / "ViT-B-16")
    assert bt.analyze(take, bt.Config()).meta.clip_model.folder == str(tmp_path / "ViT-B-16")


@pytest.mark.parametrize("name", ["ViT-B-32", "vit-l/14"])
def test_a_model_asked_for_by_name_is_an_error_when_it_cannot_be_had(take, name, tmp_path):
    with pytest.raises(bt.ModelUnavailable) as caught:
        bt.analyze(take, bt.Config(analyze=bt.AnalyzeConfig(model=name)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_precision_that_the_folder_lacks_is_refused_with_the_command_that_makes_it(take, config, precision):
    analyze = dataclasses.replace(config.analyze, precision=precision)
    with pytest.raises(bt.ModelUnavailable, match="bestshot-trt models"):
        bt.analyze(take, dataclasses.replace(config, analyze=analyze))


def test_int8_is_refused_where_verify_found_it_too_far_off(zoo, tmp_path):
    folder = zoo.tiny_model_folder(tmp_path / "tiny")
    name = model_folder.graph_name("visual", "int8")
    (folder.path / name).write_bytes((folder.graph("visual")).read_bytes())
    files = {**folder.card.files, name: model_folder.file_card(folder.path / name)}
    for parity, fits in (({}, False), ({"int8": 0.98}, False), ({"int8": 0.995}, True)):
        model_folder.write_card(folder.path, dataclasses.replace(folder.card, files=files, parity=parity))
        config = bt.AnalyzeConfig(model=str(folder.path), precision="int8")
        if fits:
            assert resolve.open_embedder(config, default="ViT-B-32", progress=print).embedder.clip_model
        else:
            with pytest.raises(bt.ModelUnavailable, match="int8 graph has a cosine of"):
                resolve.open_embedder(config, default="ViT-B-32", progress=print)


def test_an_embedder_says_when_it_gets_no_views(tiny_model):
    batch = FrameBatch(np.zeros((1, 2, 2, 3), np.uint8), np.zeros(1), np.zeros(1, np.int64))
    with pytest.raises(ValueError, match="no views"):
        _onnx.OnnxEmbedder(tiny_model).prepare(batch)


def test_two_batches_and_the_halves_of_the_last_are_embedded_side_by_side_and_come_out_in_order(
    take, tiny_model, monkeypatch
):
    monkeypatch.setattr(_onnx, "usable_cores", lambda: 2)
    views = views_of(take, ModelView(size=tiny_model.card.size, framing="crop"))
    expected = _onnx.open_session(tiny_model.graph("visual")).run(None, {"frames": views})[0]
    both, run = threading.Barrier(2, timeout=60), _onnx.run_session

    def together(*arguments):
        both.wait()
        return run(*arguments)

    monkeypatch.setattr(_onnx, "run_session", together)
    embedder = _onnx.OnnxEmbedder(tiny_model, device="cpu")
    whole = embedder.batch_size
    parts = (views[:whole], views[8 : 8 + whole], views[: whole - 1])
    results = [embedder.embed(part) for part in parts]
    parts = (expected[:whole], expected[8 : 8 + whole], expected[: whole - 1])
    for part, result in zip(parts, results, strict=True):
        np.testing.assert_allclose(result().embedding, part, atol=1e-6)


@pytest.mark.parametrize(
    ("architecture", "size", "pictures", "batch"),
    [
        ("ViT-B-32-quickgelu", 224, None, 8),
        ("ViT-B-32-quickgelu", 224, 10_800, 8),
        ("ViT-B-32-quickgelu", 224, 41, 6),
        ("ViT-B-32-quickgelu", 224, 37, 9),
        ("ViT-B-32-quickgelu", 224, 1, 1),
        ("ViT-B-16-quickgelu", 224, None, 2),
        ("ViT-L-14-336", 336, None, 1),
        ("ViT-SO400M-14-SigLIP-384", 384, 40.0, 1),
        ("convnext_base_w", 256, None, 4),
    ],
)
def test_a_batch_is_small_where_pictures_are_many_tokens_and_short_takes_leave_no_core_without_one(
    tiny_model, architecture, size, pictures, batch
):
    card = dataclasses.replace(tiny_model.card, architecture=architecture, size=size)
    assert batch_of(card, pictures) == batch


@pytest.mark.parametrize("batch", [3, 8])
def test_a_short_take_is_embedded_like_a_long_one(take, tiny_model, batch):
    views = views_of(take, ModelView(size=tiny_model.card.size, framing="crop"))[:batch]
    short, long = (_onnx.OnnxEmbedder(tiny_model, device="cpu") for _ in range(2))
    short.load(float(batch))
    long.load(100_000.0)
    one, other = (embedder.embed(views)() for embedder in (short, long))
    np.testing.assert_allclose(one.embedding, other.embedding, atol=1e-6)
    np.testing.assert_allclose(one.aesthetic, other.aesthetic, atol=1e-5)


def test_an_error_while_embedding_is_raised_where_the_result_is_read(tiny_model):
    later = _onnx.OnnxEmbedder(tiny_model, device="cpu").embed(np.zeros((1, 2, 2, 3), np.uint8))
    with pytest.raises(Exception, match="dimension"):
        later()


def test_a_graph_that_is_no_graph_is_one_line(zoo, tmp_path):
    folder = zoo.tiny_model_folder(tmp_path / "tiny")
    size = folder.graph("visual").stat().st_size
    folder.graph("visual").write_bytes(b"\0" * size)
    with pytest.raises(bt.ModelUnavailable, match="cannot load it") as caught:
        _onnx.OnnxEmbedder(folder).load()
    assert "\n" not in str(caught.value)
