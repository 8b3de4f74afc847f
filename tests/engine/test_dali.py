"""DALI's graph on the CPU must give the samples of the PyAV path: VP9 and Motion JPEG are what it takes there."""

from __future__ import annotations

import dataclasses
import itertools
import sys
import threading
from fractions import Fraction

import numpy as np
import pytest

from bestshot_trt import gpu as gpu_module
from bestshot_trt.cards import Card, Format, Survey
from bestshot_trt.config import AnalyzeConfig
from bestshot_trt.decode import PyAVDecoder, _dali_graph, _segments, probe
from bestshot_trt.decode._dali import DaliDecoder
from bestshot_trt.decode._dali_graph import Graph
from bestshot_trt.decode._dali_takes import why_not
from bestshot_trt.decode._segments import NotForSegments, Segmenter
from bestshot_trt.errors import BackendUnavailable, ConfigError
from bestshot_trt.frames import DecodeReport, ModelView

SOFT = "-vf gblur=sigma=3,hue=s=0.4"
"""Ordinary saturation and no hard edges in colour: how chroma is interpolated is left to each path."""
VP9 = "-c:v libvpx-vp9 -crf 20 -b:v 0 -cpu-used 8 -g 20 -deadline realtime"
GAPS = "select='not(between(n,20,60)+between(n,62,64)+eq(n,80))' -fps_mode vfr -enc_time_base 1/90000"
CLIPS = {
    "vp9": (f"{SOFT} {VP9}", ".webm"),
    "vp9 in MP4, gaps": (f"{SOFT},{GAPS} {VP9}", ".mp4"),
    "vp9 BT.709": (f"{SOFT},scale=out_color_matrix=bt709 -colorspace bt709 {VP9}", ".webm"),
    "vp9 BT.2020, full range": (
        f"{SOFT},scale=out_color_matrix=bt2020:out_range=full -color_range pc -colorspace bt2020nc {VP9}",
        ".webm",
    ),
    "mjpeg": (f"{SOFT} -c:v mjpeg -q:v 3", ".avi"),
    "mjpeg 4:2:2": (f"{SOFT} -c:v mjpeg -q:v 3 -pix_fmt yuvj422p", ".mov"),
}
VIEW = ModelView(size=64, framing="crop")
# Luma comes back exactly where no channel was cut off; chroma was interpolated by DALI, and repeated by libswscale.
SCORE_MEAN, SCORE_MOST = 1, 9
VIEW_MEAN, VIEW_MOST = 0.6, 3


@pytest.fixture
def gpu(gpu_on_cpu, monkeypatch):
    """An imaginary card, of which its driver says nothing."""
    pytest.importorskip("nvidia.dali", reason="DALI is not installed: pip install nvidia-dali-cuda120")
    monkeypatch.setattr(gpu_module, "survey", Survey)
    return gpu_module.open_gpu()


@pytest.fixture
def decoder(gpu):
    return DaliDecoder(gpu, "cpu", parallel=3)


def on_host(pictures):
    return pictures.copy() if isinstance(pictures, np.ndarray) else pictures.get(stream=pictures.stream)


def everything(decoder, info, *, height=48, fps=7.3, view=VIEW):
    """(pixels, views, times, pts, report) of a whole take."""
    report = DecodeReport()
    parts = []
    for batch in decoder.batches(info, AnalyzeConfig(fps=fps, score_height=height), report, view):
        views = batch.pixels[:, :, :, :1] if batch.views is None else batch.views
        parts.append((on_host(batch.pixels), on_host(views), batch.times, batch.pts))
    return *(np.concatenate(column) for column in zip(*parts, strict=True)), report


def off(found, expected):
    """(mean, 99th percentile) of the absolute difference."""
    error = np.abs(found.astype(int) - expected)
    return error.mean(), np.percentile(error, 99)


def assert_same_samples(decoder, info, **options):
    pixels, views, times, pts, report = everything(decoder, info, **options)
    expected = everything(PyAVDecoder(), info, **options)
    assert np.array_equal(times, expected[2])
    assert np.array_equal(pts, expected[3])
    assert report.lost == expected[4].lost == []
    assert report.duration == expected[4].duration
    assert report.packets == expected[4].packets
    assert pixels.shape == expected[0].shape
    mean, most = off(pixels, expected[0])
    assert mean <= SCORE_MEAN and most <= SCORE_MOST
    mean, most = off(views, expected[1])
    assert mean <= VIEW_MEAN and most <= VIEW_MOST
    return report


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("height", [48, 720])
def test_dali_gives_the_samples_of_pyav(decoder, clip, name, height):
    info = probe(clip(*CLIPS[name], size="160x90"))
    assert assert_same_samples(decoder, info, height=height).notes == []


@pytest.mark.parametrize("fps", [0.4, 3.0, 25.0, 60.0])
def test_any_rate(decoder, clip, fps):
    assert_same_samples(decoder, probe(clip(*CLIPS["vp9 in MP4, gaps"], size="160x90")), fps=fps)


@pytest.mark.parametrize("framing", ["crop", "squash", "pad"])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_pictures_are_upright_with_square_pixels(decoder, clip, rotation, framing):
    info = dataclasses.replace(
        probe(clip(*CLIPS["mjpeg"], size="160x90")), rotation=rotation, pixel_aspect=Fraction(4, 3)
    )
    assert_same_samples(decoder, info, fps=2.0, view=ModelView(size=48, framing=framing))


def test_awkward_sizes(decoder, clip):
    assert_same_samples(decoder, probe(clip(*CLIPS["vp9"], size="159x91")), fps=2.0)


def test_memory_bounds_a_batch_without_a_trace(gpu, clip):
    info = probe(clip(*CLIPS["vp9"], size="160x90"))
    assert_same_samples(DaliDecoder(gpu, "cpu", parallel=8, memory=3 * 160 * 90 * 3), info)


def test_no_view_is_made_unasked(decoder, clip):
    info = probe(clip(*CLIPS["mjpeg"], size="160x90"))
    assert all(b.views is None for b in decoder.batches(info, AnalyzeConfig(score_height=48), DecodeReport()))


def damage(monkeypatch, ordinals):
    """Break the bytes of those segments before DALI sees them, and count the pipelines built."""
    start, build, seen, built = Graph.start, Graph._build, {}, []

    def breaking(self, segments):
        given = []
        for segment in segments:
            place = seen.setdefault(segment.wanted[0].pts, len(seen))
            broken = segment.data[:400] + bytes(len(segment.data) - 400)
            given.append(dataclasses.replace(segment, data=broken) if place in ordinals else segment)
        return start(self, given)

    def building(self):
        built.append(self)
        return build(self)

    monkeypatch.setattr(Graph, "start", breaking)
    monkeypatch.setattr(Graph, "_build", building)
    return built


def test_a_segment_that_dali_fails_on_is_decoded_by_pyav_and_noted(decoder, clip, monkeypatch):
    info = probe(clip(*CLIPS["vp9"], size="160x90"))
    expected = everything(PyAVDecoder(), info)
    built = damage(monkeypatch, {1})
    report = assert_same_samples(decoder, info)
    assert len(built) > 1
    assert len(report.notes) == 1
    assert report.notes[0].startswith("decoded on the CPU around 1.6")
    assert "Failed to create video decoder" in report.notes[0]
    pixels = everything(decoder, info)[0]
    same = [np.array_equal(*pair) for pair in zip(pixels, expected[0], strict=True)]
    stretches = [(is_same, len(list(run))) for is_same, run in itertools.groupby(same)]
    assert [is_same for is_same, _ in stretches] == [False, True, False], "one segment is PyAV's, bit for bit"


def test_packets_that_came_broken_are_not_given_to_dali(decoder, clip, monkeypatch):
    segments = Segmenter.segments
    monkeypatch.setattr(
        Segmenter, "segments", lambda self: (dataclasses.replace(s, is_damaged=True) for s in segments(self))
    )
    start = Graph.start
    monkeypatch.setattr(Graph, "start", lambda self, segments: start(self, segments) if segments else None)
    info = probe(clip(*CLIPS["mjpeg"], size="160x90"))
    for found, expected in zip(everything(decoder, info)[:4], everything(PyAVDecoder(), info)[:4], strict=True):
        assert np.array_equal(found, expected)


def test_a_take_that_stops_being_for_segments_goes_on_with_pyav(decoder, clip, monkeypatch):
    segments = Segmenter.segments

    def stopping(self):
        yield from itertools.islice(segments(self), 2)
        raise NotForSegments("because of a test")

    monkeypatch.setattr(Segmenter, "segments", stopping)
    report = assert_same_samples(decoder, probe(clip(*CLIPS["vp9"], size="160x90")))
    assert report.notes == ["decoded on the CPU from 3.288 s on: because of a test"]


def test_what_dali_does_not_take_comes_from_pyav_with_the_reason(decoder, clip):
    info = probe(clip("-c:v libx264 -g 25", ".mp4"))
    found, expected = everything(decoder, info), everything(PyAVDecoder(), info)
    assert all(np.array_equal(*pair) for pair in zip(found[:4], expected[:4], strict=True))
    assert found[4].notes == ["decoded on the CPU: DALI decodes no h264 on the CPU"]


def test_closing_early_leaves_nothing_running(decoder, clip):
    info = probe(clip(*CLIPS["vp9"], size="160x90"))
    batches = decoder.batches(info, AnalyzeConfig(score_height=48), DecodeReport())
    next(batches)
    batches.close()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"codec": "hevc", "pix_fmt": "yuv420p10le"}, None),
        ({"pix_fmt": "yuv420p10le"}, "not every NVDEC takes h264 as yuv420p10le"),
        ({"pix_fmt": "yuv422p"}, "not every NVDEC takes h264 as yuv422p"),
        ({"interlaced": True}, "interlaced pictures"),
        ({"codec": "av1"}, "av1 packets do not tell what they show"),
        ({"container": "avi"}, "h264 in AVI, which keeps times in decoding order"),
    ],
)
def test_why_not_says_it_in_words(clip, change, reason):
    info = probe(clip("-c:v libx264 -g 25", ".mp4"))
    assert why_not(dataclasses.replace(info, **change)) == reason


def test_hdr_needs_more_than_dali_gives(clip):
    info = probe(clip("-c:v libx264 -g 25", ".mp4"))
    assert why_not(dataclasses.replace(info, color=dataclasses.replace(info.color, transfer="pq"))).startswith("PQ")


def test_without_dali_it_says_what_to_install(gpu, monkeypatch):
    monkeypatch.setitem(sys.modules, "nvidia.dali", None)
    with pytest.raises(BackendUnavailable, match=r"pip install 'bestshot-trt\[gpu\]'"):
        DaliDecoder(gpu, "cpu")
    with pytest.raises(ValueError, match="'tpu'"):
        DaliDecoder(gpu, "tpu")


def test_a_decoder_that_goes_by_the_streams_own_range_is_found_out(decoder, clip, monkeypatch):
    # As if DALI did not see the new tag.
    monkeypatch.setattr(_segments, "FULL_RANGE", {})
    assert assert_same_samples(decoder, probe(clip(*CLIPS["vp9 BT.709"], size="160x90"))).notes == []


def test_a_decoder_that_hangs_is_given_up(decoder, clip, monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(_dali_graph, "WAIT_S", 0.2)
    monkeypatch.setattr(Graph, "start", lambda self, segments: setattr(self, "_pipeline", Hanging(over)))
    info = probe(clip(*CLIPS["mjpeg"], size="160x90"))
    with pytest.raises(BackendUnavailable, match=r"GPU 0 \(NVIDIA L4\): DALI gave nothing for 0.2 s; check it with"):
        everything(decoder, info)
    over.set()


class Hanging:
    def __init__(self, over):
        self._over = over

    def outputs(self, stream):
        self._over.wait(300)


def test_pictures_that_are_not_libavcodecs_are_not_used(decoder, clip, monkeypatch):
    finish = Graph.finish
    monkeypatch.setattr(Graph, "finish", lambda self: [upside_down(pictures) for pictures in finish(self)])
    report = assert_same_samples(decoder, probe(clip(*CLIPS["vp9"], size="160x90")))
    assert len(report.notes) == 1
    assert report.notes[0].startswith("decoded on the CPU: DALI's first picture is not libavcodec's: luma differs by ")


def upside_down(pictures):
    pictures.host[...] = pictures.host[:, ::-1].copy()
    return pictures


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"width": 8192}, "decodes h264 up to 4096x4096, and this is 8192x64"),
        ({"codec": "vp9"}, "GPU 0 (NVIDIA L4) decodes no vp9 of 8 bits"),
        ({"codec": "hevc", "pix_fmt": "yuv420p10le"}, "decodes no hevc of 10 bits"),
        ({"codec": "mjpeg"}, None),
    ],
)
def test_what_this_card_does_not_decode_is_known_from_its_driver(gpu, clip, change, reason):
    h264 = Format(codec="h264", chroma="4:2:0", bits=8, engines=4, largest=(4096, 4096))
    card = Card(name="L4", uuid="GPU-1", decodes=(h264, dataclasses.replace(h264, codec="hevc")))
    info = dataclasses.replace(probe(clip("-c:v libx264 -g 25", ".mp4")), **change)
    found = why_not(info, "gpu", dataclasses.replace(gpu, card=card))
    assert found is None if reason is None else reason in found


def test_as_many_at_a_time_as_the_card_has_decoders(gpu, monkeypatch):
    card = Card(name="NVIDIA H100 PCIe", uuid="GPU-1", ordinal=0)
    monkeypatch.setattr(gpu_module, "survey", lambda: Survey(cards=(card,)))
    assert gpu_module.open_gpu().decoders == 7
    monkeypatch.setenv("BESTSHOT_NVDECS", "3")
    assert gpu_module.open_gpu().decoders == 3
    monkeypatch.setenv("BESTSHOT_NVDECS", "many")
    with pytest.raises(ConfigError, match="BESTSHOT_NVDECS is 'many'; it must be a number of decoders, 1 to 64"):
        _ = gpu_module.open_gpu().decoders


def test_no_card_and_a_driver_that_fails_are_said(gpu_on_cpu, monkeypatch):
    monkeypatch.setattr(gpu_module, "survey", Survey)
    with pytest.raises(BackendUnavailable, match="no GPU 3: CUDA sees 1; look at CUDA_VISIBLE_DEVICES"):
        gpu_module.open_gpu(3)
    runtime = gpu_on_cpu.cuda.runtime

    def fail():
        raise runtime.CUDARuntimeError(35, "cudaErrorInsufficientDriver")

    runtime.getDeviceCount = fail
    with pytest.raises(BackendUnavailable, match="no GPU that works: cudaErrorInsufficientDriver"):
        gpu_module.open_gpu()
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(BackendUnavailable, match="CuPy: "):
        gpu_module.open_gpu()
