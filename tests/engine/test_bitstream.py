"""Packet headers of real encoders, and bytes that are no packets at all."""

from __future__ import annotations

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bestshot_trt.bitstream import (
    UNKNOWN,
    H264Parser,
    HevcParser,
    IntraParser,
    h264_is_frame_only,
    parser_for,
)

X264 = "-c:v libx264 -x264-params keyint=25:"
X265 = "-c:v libx265 -x265-params log-level=none:min-keyint=25:keyint=25:"


def parse(path, codec):
    """(parser, kinds of all packets, packets) of the first track of ``path``."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        parser = parser_for(codec, bytes(stream.codec_context.extradata or b""), intra_only=False)
        packets = [bytes(packet) for packet in container.demux(stream) if packet.size]
    return parser, [parser.classify(data) for data in packets], packets


def disposable_by_decoding(path, index):
    """Whether all other pictures come out the same when packet ``index`` is left out."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        whole = pictures(container.streams.video[0], packets)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        left_out = packets.pop(index).pts
        return pictures(container.streams.video[0], packets) == {k: v for k, v in whole.items() if k != left_out}


def pictures(stream, packets):
    frames = [frame for packet in [*packets, None] for frame in stream.codec_context.decode(packet)]
    return {frame.pts: frame.to_ndarray(format="gray").tobytes() for frame in frames}


@pytest.mark.parametrize(
    ("codec", "options", "suffix"),
    [
        ("h264", f"{X264}bframes=3:b-pyramid=normal", ".mp4"),
        ("h264", f"{X264}bframes=3:b-pyramid=normal:open-gop=1", ".ts"),
        ("hevc", f"{X265}bframes=4", ".mp4"),
        ("hevc", f"{X265}bframes=7:b-adapt=0:temporal-layers=3", ".mkv"),
    ],
)
def test_what_is_called_disposable_is_needed_by_no_other_picture(clip, codec, options, suffix):
    path = clip(options, suffix, seconds=2)
    _, kinds, _ = parse(path, codec)
    disposable = [index for index, kind in enumerate(kinds) if kind.disposable]
    needed = [index for index, kind in enumerate(kinds) if not kind.disposable]
    assert len(disposable) > 10
    assert all(disposable_by_decoding(path, index) for index in disposable[:4])
    assert not any(disposable_by_decoding(path, index) for index in needed[:2])


@pytest.mark.parametrize(
    ("codec", "options", "suffix", "closed"),
    [
        ("h264", f"{X264}bframes=3", ".mp4", [0, 25, 50, 75]),
        ("h264", f"{X264}bframes=3", ".ts", [0, 25, 50, 75]),
        ("h264", f"{X264}min-keyint=25:bframes=3:open-gop=1", ".mp4", [0]),
        ("h264", "-c:v libx264 -x264-params keyint=infinite:scenecut=0", ".mp4", [0]),
        ("hevc", f"{X265}bframes=4:open-gop=0", ".mp4", [0, 25, 50, 75]),
        ("hevc", f"{X265}bframes=4:open-gop=0", ".ts", [0, 25, 50, 75]),
        ("hevc", f"{X265}bframes=4:open-gop=1", ".mp4", [0]),
    ],
)
def test_groups_are_closed_where_the_encoder_closed_them(clip, codec, options, suffix, closed):
    _, kinds, _ = parse(clip(f"{options}:scenecut=0", suffix), codec)
    assert [index for index, kind in enumerate(kinds) if kind.closed] == closed


@pytest.mark.parametrize(("codec", "options"), [("h264", X264), ("hevc", f"{X265}open-gop=0:")])
def test_parameter_sets_in_band_are_seen(clip, codec, options):
    _, kinds, _ = parse(clip(f"{options}repeat-headers=1:bframes=2:scenecut=0", ".ts"), codec)
    assert [index for index, kind in enumerate(kinds) if kind.parameters] == [0, 25, 50, 75]
    _, kinds, _ = parse(clip(f"{options}bframes=2:scenecut=0"), codec)
    assert not any(kind.parameters for kind in kinds[1:])


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p10", "yuv444p", "gray"])
@pytest.mark.parametrize(
    ("extra", "frames_only"), [("bframes=1", True), ("interlaced=1", False), ("fake-interlaced=1", False)]
)
@pytest.mark.parametrize("suffix", [".mp4", ".ts"])
def test_interlaced_coding_is_told_from_progressive(clip, pixels, extra, frames_only, suffix):
    path = clip(f"-pix_fmt {pixels} {X264}{extra}", suffix, seconds=0.2)
    assert parse(path, "h264")[0].frames_only is frames_only


@pytest.mark.parametrize("extra", ["cqm=jvt", "cqm=flat", "poc=1:bframes=0", "bframes=0"])
def test_scaling_lists_and_other_orders_are_read_past(clip, extra):
    path = clip(f"-profile:v high {X264}{extra}".replace("poc=1:", ""), seconds=0.2)
    assert parse(path, "h264")[0].frames_only


def test_a_parameter_set_that_ends_early_is_refused_and_counts_as_interlaced(clip):
    with av.open(str(clip(f"{X264}bframes=3"))) as container:
        extradata = bytes(container.streams.video[0].codec_context.extradata)
    length = int.from_bytes(extradata[6:8], "big")
    sps = extradata[8 : 8 + length]
    assert h264_is_frame_only(sps)
    for cut in range(1, 7):
        with pytest.raises(ValueError, match="ends early"):
            h264_is_frame_only(sps[:cut])
    short = b"\x00\x00\x01" + sps[:5]
    assert not H264Parser(short).frames_only


def test_fields_that_come_later_are_noticed(clip):
    parser, _, _ = parse(clip(f"{X264}bframes=3", ".ts"), "h264")
    assert parser.frames_only
    _, _, packets = parse(clip(f"{X264}interlaced=1", ".ts"), "h264")
    parser.classify(packets[0])
    assert not parser.frames_only


@pytest.mark.parametrize("parser", [H264Parser, HevcParser])
def test_nothing_is_never_disposable(parser):
    for extradata in (b"", b"\x01" + bytes(30)):
        assert parser(extradata).classify(b"") == UNKNOWN
        assert not parser(extradata).classify(bytes(100)).disposable


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@settings(max_examples=200)
@given(extradata=st.binary(max_size=60), configured=st.booleans(), data=st.binary(max_size=80))
def test_garbage_never_raises(codec, extradata, configured, data):
    parser = parser_for(codec, b"\x01" * configured + extradata, intra_only=False)
    parser.classify(data)
    parser.classify(b"\x00\x00\x01" + data)
    assert not parser.classify(b"").disposable


@pytest.mark.parametrize(("codec", "options"), [("h264", X264), ("hevc", X265)])
@pytest.mark.parametrize("suffix", [".mp4", ".ts"])
def test_cut_packets_and_cut_headers_never_raise(clip, codec, options, suffix):
    path = clip(f"{options}bframes=3", suffix, seconds=1)
    parser, _, packets = parse(path, codec)
    for packet in packets[:6]:
        for cut in range(min(len(packet), 60)):
            parser.classify(packet[:cut])
    with av.open(str(path)) as container:
        extradata = bytes(container.streams.video[0].codec_context.extradata)
    for cut in range(len(extradata)):
        parser_for(codec, extradata[:cut], intra_only=False).classify(packets[0])


def test_other_codecs_tell_nothing_unless_every_picture_stands_alone():
    assert parser_for("vp9", b"", intra_only=False) is None
    parser = parser_for("prores", b"", intra_only=True)
    assert isinstance(parser, IntraParser)
    kind = parser.classify(b"anything")
    assert (kind.closed, kind.disposable) == (True, False)
