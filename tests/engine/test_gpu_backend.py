"""The GPU backend whole, without a GPU: DALI decodes on the CPU, kernels run through the shim. One take, one answer."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys

import numpy as np
import pytest

import bestshot_trt as bt
from bestshot_trt import missing
from bestshot_trt.cards import Card, Survey
from bestshot_trt.cli.table import remark
from bestshot_trt.embed import build
from bestshot_trt.embed.model_folder import open_folder
from bestshot_trt.errors import BackendUnavailable
from bestshot_trt.moments import MomentsDocument

SOFT = "-vf hue=s=0.5,gblur=sigma=0.7"
"""Ordinary saturation: where DALI's RGB is cut off at 0 or 255, luma cannot come back exactly."""
CLIPS = {
    "vp9": (f"{SOFT} -c:v libvpx-vp9 -crf 20 -b:v 0 -cpu-used 8 -g 20 -deadline realtime", ".webm"),
    "mjpeg": (f"{SOFT} -c:v mjpeg -q:v 3", ".avi"),
    "mjpeg upright": (f"{SOFT} -c:v mjpeg -q:v 3 -metadata:s:v rotate=90", ".mov"),
    "h264, which DALI does not take here": (f"{SOFT} -c:v libx264 -g 20 -preset ultrafast", ".mp4"),
}
SHARPNESS, EXPOSURE = 0.01, 0.005
"""How far the two backends' measures may be apart: relative, and absolute."""


def config(backend, **analyze):
    analysis = bt.AnalyzeConfig(backend=backend, **{"score_height": 64, "model": "none", "fps": 3.0, **analyze})
    return bt.Config(analyze=analysis, pick=bt.PickConfig(top=2, min_gap=1.0, diversity=0.0))


def assert_same(found, expected, settings):
    """Times exactly, measures to the stated bounds, the same moments."""
    assert found.times.tolist() == expected.times.tolist()
    assert found.pts.tolist() == expected.pts.tolist()
    np.testing.assert_allclose(found.sharpness, expected.sharpness, rtol=SHARPNESS)
    np.testing.assert_allclose(found.exposure_penalty, expected.exposure_penalty, atol=EXPOSURE)
    np.testing.assert_allclose(found.contrast, expected.contrast, rtol=0.01, atol=0.2)
    np.testing.assert_allclose(found.colourfulness, expected.colourfulness, rtol=0.03, atol=0.5)
    cosine = (found.embedding[:] * expected.embedding[:]).sum(axis=1)
    assert cosine.min() > 0.999
    moments = [[(m.peak_pts, m.start_s, m.end_s) for m in bt.pick(t, settings).moments] for t in (found, expected)]
    assert moments[0] == moments[1]


@pytest.mark.parametrize("name", CLIPS)
def test_both_backends_say_the_same_of_a_take(card, clip, name):
    take = clip(*CLIPS[name], size="128x96", seconds=3)
    found, expected = bt.analyze(take, config("gpu")), bt.analyze(take, config("cpu"))
    assert_same(found, expected, config("cpu"))
    assert (found.meta.backend.name, found.meta.backend.fallback_reason) == ("gpu", None)
    by_dali = not name.startswith("h264")
    assert found.meta.decode.notes == (() if by_dali else ("decoded on the CPU: DALI decodes no h264 on the CPU",))
    assert {"frame_stats_partials", "layout_descriptor"} <= set(card.launched)
    assert ("score_columns" in card.launched) == by_dali


REAL = ["night_sky_1080p", "person_by_person_139s", "phone_dog_1080p_vfr", "gopro_karma_drone"]
"""Dark and grainy, with luma below black, hand-held, and of full range."""
CODECS = {
    "vp9": ("-c:v libvpx-vp9 -crf 12 -b:v 0 -cpu-used 8 -g 20 -deadline realtime", ".webm"),
    "mjpeg": ("-c:v mjpeg -q:v 2", ".avi"),
}


@pytest.mark.real
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("name", REAL)
def test_both_backends_say_the_same_of_real_footage(card, clips, media, tmp_path, name, codec):
    options, suffix = CODECS[codec]
    take = tmp_path / f"take{suffix}"
    clips.run_ffmpeg(
        "-t",
        "1.2",
        "-i",
        media / "fixtures" / f"{name}.mp4",
        "-vf",
        "scale=min(960\\,iw):-2",
        "-an",
        *options.split(),
        take,
    )
    settings = bt.AnalyzeConfig(score_height=360, model="none", fps=2.0)
    found, expected = (
        bt.analyze(take, bt.Config(analyze=dataclasses.replace(settings, backend=backend)))
        for backend in ("gpu", "cpu")
    )
    assert_same(found, expected, config("cpu"))
    assert found.meta.decode.notes == ()


def test_auto_takes_the_gpu_where_there_is_one(card, clip):
    take = clip(*CLIPS["vp9"], size="128x96", seconds=3)
    assert bt.analyze(take, config("auto")).meta.backend.name == "gpu"


def test_clip_without_an_engine_runs_on_the_cpu_and_says_so(card, clip, tiny_model, tmp_path):
    take = clip(*CLIPS["mjpeg"], size="128x96", seconds=3)
    # A run on the GPU adds fp16 to the folder, which other tests take to have none.
    model = str(shutil.copytree(tiny_model.path, tmp_path / "model"))
    found, expected = (bt.analyze(take, config(name, model=model)) for name in ("gpu", "cpu"))
    assert_same(found, expected, config("cpu"))
    np.testing.assert_allclose(found.aesthetic, expected.aesthetic, atol=0.05)
    assert found.meta.clip_model == expected.meta.clip_model
    assert any(note.startswith("CLIP runs on the CPU: ") for note in found.meta.decode.notes)


@pytest.mark.parametrize("builder", ["tensorrt", "tensorrt_rtx"])
def test_clip_runs_as_an_engine_that_is_built_and_compared_once(
    card, clip, tiny_model, trt_beside, tmp_path, monkeypatch, builder
):
    trt_beside(builder)
    model = build.add_precision(open_folder(shutil.copytree(tiny_model.path, tmp_path / "model")), "fp16")
    take = clip(*CLIPS["mjpeg"], size="128x96", seconds=3)
    stages = []
    settings = {name: config(name, model=str(model.path)) for name in ("gpu", "cpu")}
    found = bt.analyze(take, settings["gpu"], lambda stage, *_: stages.append(stage))
    expected = bt.analyze(take, settings["cpu"])
    assert_same(found, expected, config("cpu"))
    np.testing.assert_allclose(found.aesthetic, expected.aesthetic, atol=0.05)
    assert (found.meta.clip_model.precision, found.meta.model_note) == ("fp16", None)
    assert found.meta.decode.notes == ()
    assert {"build visual.fp16", "compare with fp32 on the CPU"} <= set(stages)
    stages.clear()
    again = bt.analyze(take, settings["gpu"], lambda stage, *_: stages.append(stage))
    assert again.embedding[:].tolist() == found.embedding[:].tolist()
    assert set(stages) == {"analyze"}


def test_where_memory_is_short_work_is_halved_and_nothing_is_lost(card, clip):
    take = clip(*CLIPS["mjpeg"], size="128x96", seconds=3)
    expected = bt.analyze(take, config("gpu", fps=2.0))
    card.largest, card.relieved = 2 * 84 * 64 * 3, 0
    found = bt.analyze(take, config("gpu", fps=2.0))
    assert card.relieved
    assert found.sharpness.tolist() == expected.sharpness.tolist()
    assert found.embedding[:].tolist() == expected.embedding[:].tolist()
    assert found.meta.decode.notes == ()


def test_a_batch_that_does_not_fit_is_decoded_piece_by_piece(card, clip):
    take = clip(*CLIPS["mjpeg"], size="128x96", seconds=3)
    expected = bt.analyze(take, config("gpu", fps=2.0))
    card.largest_copy = 128 * 96 * 3
    found = bt.analyze(take, config("gpu", fps=2.0))
    assert_same(found, expected, config("cpu"))
    assert all("decoded on the CPU around" in note for note in found.meta.decode.notes)


def test_memory_for_not_even_one_picture_ends_in_words(card, clip):
    take = clip(*CLIPS["h264, which DALI does not take here"], size="128x96", seconds=3)
    card.largest_copy = 1000
    with pytest.raises(BackendUnavailable, match=r"GPU 0 \(NVIDIA L4\): not enough memory for a single picture"):
        bt.analyze(take, config("gpu"))


def test_a_card_that_is_lost_is_named(card, clip):
    take = clip(*CLIPS["vp9"], size="128x96", seconds=3)
    card.broken = card.cuda.runtime.CUDARuntimeError(719, "cudaErrorLaunchFailure")
    with pytest.raises(BackendUnavailable, match=r"GPU 0 \(NVIDIA L4\): cudaErrorLaunchFailure.*nvidia-smi"):
        bt.analyze(take, config("gpu"))


@pytest.fixture
def nothing(monkeypatch):
    """A machine without a card, and without the packages for one."""
    monkeypatch.setattr(missing, "_has_driver", lambda: True)
    monkeypatch.setattr(missing, "survey", lambda: Survey(faults=("libcuda.so.1 does not load",)))
    for module in ("cupy", "nvidia.dali"):
        monkeypatch.setitem(sys.modules, module, None)


def test_gpu_names_all_that_is_missing_in_one_line(nothing, clip):
    with pytest.raises(BackendUnavailable) as raised:
        bt.analyze(clip(*CLIPS["mjpeg"], size="128x96", seconds=3), config("gpu"))
    assert str(raised.value) == (
        "backend gpu: no NVIDIA GPU is here (libcuda.so.1 does not load); "
        'CuPy and DALI are not installed: pip install "bestshot-trt[gpu]"; or use --backend cpu'
    )


def test_auto_falls_back_and_every_output_carries_the_reason(nothing, clip, tmp_path):
    bt.run(clip(*CLIPS["mjpeg"], size="128x96", seconds=3), config("auto"), tmp_path / "out")
    track = bt.read_track(tmp_path / "out" / "track.parquet")
    document = MomentsDocument.from_json((tmp_path / "out" / "moments.json").read_text())
    for backend in (track.meta.backend, document.backend):
        assert backend.name == "cpu"
        assert backend.fallback_reason.startswith("no NVIDIA GPU is here")


@pytest.mark.parametrize("is_there", [False, True])
def test_a_fallback_is_remarked_on_only_where_a_gpu_seems_to_be(nothing, monkeypatch, clip, capsys, is_there):
    cards = (Card(name="L4", uuid="GPU-1", ordinal=0),) if is_there else ()
    monkeypatch.setattr(missing, "survey", lambda: Survey(cards=cards))
    meta = bt.analyze(clip(*CLIPS["mjpeg"], size="128x96", seconds=3), config("auto")).meta
    remark(meta, quiet=False, verbose=False)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == int(is_there)
    assert all("backend cpu: CuPy and DALI are not installed: pip install" in line for line in said)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (Survey(has_answered=False, faults=("it hangs",)), "the NVIDIA driver does not answer: it hangs"),
        (Survey(cards=(Card(name="L4", uuid="GPU-1"),)), "CUDA may use none of this machine's cards"),
        (
            Survey(cards=(Card(name="L4", uuid="GPU-1", ordinal=0),), libraries={"nvcuvid": False}),
            "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video",
        ),
        (Survey(cuda=(13, 0)), r'pip install "bestshot-trt\[gpu-cuda13\]"'),
    ],
)
def test_what_is_missing_is_said_piece_by_piece(nothing, monkeypatch, seen, words):
    monkeypatch.setattr(missing, "survey", lambda: seen)
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(missing.missing_for_gpu())


def test_a_driver_that_left_no_trace_is_not_asked(nothing, monkeypatch):
    monkeypatch.setattr(missing, "_has_driver", lambda: False)
    monkeypatch.setattr(missing, "survey", lambda: pytest.fail("was asked"))
    assert missing.missing_for_gpu().startswith("no NVIDIA GPU is here")


@pytest.mark.gpu
@pytest.mark.parametrize("name", CLIPS)
def test_on_a_gpu_both_backends_say_the_same(clip, name):
    reason = missing.missing_for_gpu()
    if reason and os.environ.get("BESTSHOT_REQUIRE_GPU") != "1":
        pytest.skip(reason)
    take = clip(*CLIPS[name], size="640x360", seconds=3)
    assert_same(bt.analyze(take, config("gpu")), bt.analyze(take, config("cpu")), config("cpu"))
