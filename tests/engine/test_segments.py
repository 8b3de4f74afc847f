"""Segments are files that decode alone; what is taken from them must be what a full decode shows."""

from __future__ import annotations

import io
import itertools
from fractions import Fraction

import av
import pytest

from bestshot_trt import plan
from bestshot_trt.decode import _segments, _steady, _vp9, probe
from bestshot_trt.decode._segments import Limits, NotForSegments, Segmenter
from bestshot_trt.frames import DecodeReport

X264 = "-c:v libx264 -x264-params keyint=25:"
X265 = "-c:v libx265 -x265-params log-level=none:min-keyint=25:keyint=25:bframes=7:b-adapt=0:"
VP9 = "-c:v libvpx-vp9 -b:v 100k -cpu-used 8 -g 20 "
GAPS = "-vf select='not(between(n,20,60)+between(n,62,64)+eq(n,80))' -fps_mode vfr -enc_time_base 1/90000"
STRUCTURES = {
    "h264 closed groups, B-pyramid": (f"{X264}bframes=3:b-pyramid=normal", ".mp4"),
    "h264 many short groups": ("-c:v libx264 -x264-params keyint=7:bframes=2", ".mp4"),
    "h264 one group": ("-c:v libx264 -x264-params keyint=infinite:bframes=3", ".mp4"),
    "h264 no B-frames": (f"{X264}bframes=0", ".mkv"),
    "h264 several slices": (f"{X264}slices=4:bframes=3", ".mp4"),
    "h264 parameter sets at every keyframe": (f"{X264}bframes=3:repeat-headers=1", ".mkv"),
    "h264 Annex B in MPEG-TS, start at 8.33 s": (f"{X264}bframes=3 -output_ts_offset 8.33", ".ts"),
    "h264 in FLV": (f"{X264}bframes=3", ".flv"),
    "h264 gaps": (f"{GAPS} {X264}bframes=3", ".mp4"),
    "h264 gaps, one group": (f"{GAPS} -c:v libx264 -x264-params keyint=infinite:bframes=3", ".mkv"),
    "h264 edit list": (f"{X264}bframes=3 -ss 0.5", ".mp4"),
    "hevc closed groups": (f"{X265}open-gop=0", ".mp4"),
    "hevc leading pictures (RADL)": (f"{X265}open-gop=0:radl=2", ".mp4"),
    "hevc 2 sub-layers": (f"{X265}open-gop=0:temporal-layers=2", ".mp4"),
    "hevc in MPEG-TS": (f"{X265}open-gop=0:repeat-headers=1", ".ts"),
    "mjpeg": ("-c:v mjpeg", ".avi"),
    "mjpeg in MOV": ("-c:v mjpeg", ".mov"),
    "vp9": (f"{VP9}-deadline realtime", ".webm"),
    "vp9 gaps": (f"{GAPS} {VP9}-deadline realtime", ".webm"),
    "vp9 in MP4": (f"{VP9}-deadline realtime", ".mp4"),
}
REFUSED = {
    "h264 open groups": (f"{X264}min-keyint=25:bframes=3:open-gop=1", ".mp4", "open groups"),
    "hevc open groups": (f"{X265}open-gop=1", ".mp4", "open groups"),
    "h264 MBAFF": (f"{X264}interlaced=1:bframes=2", ".mp4", "interlaced|field"),
    "h264 that allows fields": (f"{X264}fake-interlaced=1:bframes=2", ".mp4", "interlaced|field"),
    "h264 B-frames in AVI": (f"{X264}bframes=0", ".avi", "AVI"),
    "prores": ("-c:v prores_ks", ".mov", "prores"),
    "av1": ("-c:v libsvtav1 -preset 12 -g 25", ".mkv", "av1"),
    "mpeg2": ("-c:v mpeg2video -bf 2 -g 12", ".ts", "mpeg2video"),
    "vp9 10 bit": (f"-pix_fmt yuv420p10 -profile:v 2 {VP9}-deadline realtime", ".webm", "profile"),
}


def cut(info, fps, *, limits=None, drop=True):
    report = DecodeReport()
    segmenter = Segmenter(
        info, plan.SampleGrid(fps, info.time_base, info.start_pts), report, limits or Limits(), drop=drop
    )
    return list(segmenter.segments()), segmenter, report


MISTIMED = ("hevc 2 sub-layers",)
"""ffmpeg gives some pictures of x265's sub-layers times that are out of their order."""


def decoded(clips, segment, *, mistimed=False):
    """The digests of all pictures of a segment's file, in the order of their times, which is that of display."""
    with av.open(io.BytesIO(segment.data)) as container:
        frames = [(frame.pts, clips.digest(frame)) for frame in container.decode(video=0)]
    assert mistimed or frames == sorted(frames)
    return [found for _, found in sorted(frames)]


def assert_segments_are_the_take(clips, info, segments, segmenter, fps, *, mistimed=False):
    grid = plan.SampleGrid(fps, info.time_base, info.start_pts)
    samples = {}
    for segment in segments:
        pictures = decoded(clips, segment, mistimed=mistimed)
        assert len(pictures) == segment.pictures
        assert [w.ordinal for w in segment.wanted] == sorted({w.ordinal for w in segment.wanted})
        for wanted in segment.wanted:
            for index in wanted.samples:
                assert index == len(samples), "each sample once, in order"
                samples[index] = (wanted.pts, pictures[wanted.ordinal])
    report = DecodeReport(duration=grid.media_time(segmenter.end_pts))
    clips.assert_as_full_decode(info, clips.Sampling(grid, samples, report))


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("drop", [True, False])
def test_ordinals_name_the_pictures_of_a_full_decode(clips, clip, structure, drop):
    info = probe(clip(*STRUCTURES[structure]))
    for fps in (3.0, 7.3, 0.4, 25.0):
        segments, segmenter, _ = cut(info, fps, drop=drop)
        assert_segments_are_the_take(clips, info, segments, segmenter, fps, mistimed=structure in MISTIMED)


def test_dropping_changes_ordinals_but_no_picture(clips, clip):
    info = probe(clip(*STRUCTURES["h264 closed groups, B-pyramid"]))
    fewer, _, dropping = cut(info, 3.0)
    whole, _, feeding = cut(info, 3.0, drop=False)
    assert sum(s.pictures for s in fewer) < 0.8 * sum(s.pictures for s in whole)
    assert dropping.packets_fed < feeding.packets_fed == feeding.packets == dropping.packets == 100
    picked = []
    for segments in (fewer, whole):
        picked.append([(w.ordinal, w.pts, decoded(clips, s)[w.ordinal]) for s in segments for w in s.wanted])
    assert [p[1:] for p in picked[0]] == [p[1:] for p in picked[1]]
    assert [p[0] for p in picked[0]] != [p[0] for p in picked[1]]


@pytest.mark.parametrize("structure", REFUSED)
def test_what_cannot_be_cut_is_refused_with_the_reason(clip, structure):
    options, suffix, reason = REFUSED[structure]
    info = probe(clip(options, suffix))
    with pytest.raises(NotForSegments, match=reason):
        cut(info, 3.0)


def test_short_groups_are_merged_to_a_second(clip):
    info = probe(clip(*STRUCTURES["h264 many short groups"]))
    segments, _, _ = cut(info, 3.0)
    starts = [s.wanted[0].samples[0] for s in segments]
    assert len(starts) == 4
    assert all(after - before >= 3 for before, after in itertools.pairwise(starts))
    one, _, _ = cut(info, 3.0, limits=Limits(seconds=Fraction(100)))
    assert len(one) == 1


@pytest.mark.parametrize("structure", ["h264 closed groups, B-pyramid", "h264 one group", "vp9", "mjpeg"])
@pytest.mark.parametrize("pictures", [1, 2])
def test_decoded_bytes_are_bounded_without_a_trace(clips, clip, structure, pictures):
    info = probe(clip(*STRUCTURES[structure]))
    limits = Limits(decoded=pictures * info.width * info.height * 3)
    segments, segmenter, _ = cut(info, 7.3, limits=limits)
    assert max(s.decoded for s in segments) <= limits.decoded
    assert max(len(s.wanted) for s in segments) == pictures
    assert_segments_are_the_take(clips, info, segments, segmenter, 7.3)


def test_encoded_bytes_are_bounded(clips, clip):
    info = probe(clip(*STRUCTURES["h264 many short groups"]))
    whole, _, _ = cut(info, 25.0, limits=Limits(seconds=Fraction(100)))
    limits = Limits(seconds=Fraction(100), encoded=len(whole[0].data) // 3)
    segments, segmenter, _ = cut(info, 25.0, limits=limits)
    assert len(segments) > 2
    assert_segments_are_the_take(clips, info, segments, segmenter, 25.0)
    with pytest.raises(NotForSegments, match="next closed keyframe"):
        cut(info, 25.0, limits=Limits(encoded=100))


@pytest.mark.parametrize("structure", ["h264 one group", "h264 gaps, one group", "vp9"])
@pytest.mark.parametrize("limit", [8, 13])
def test_a_group_that_planning_cut_is_one_segment_again(clips, clip, monkeypatch, structure, limit):
    info = probe(clip(*STRUCTURES[structure]))
    monkeypatch.setattr(plan, "GROUP_PACKETS", limit)
    for fps in (3.0, 25.0):
        segments, segmenter, _ = cut(info, fps)
        assert_segments_are_the_take(clips, info, segments, segmenter, fps)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_only_the_first_packet_is_marked_as_a_keyframe(clip, structure):
    info = probe(clip(*STRUCTURES[structure]))
    for segment in cut(info, 3.0)[0]:
        with av.open(io.BytesIO(segment.data)) as container:
            packets = [packet for packet in container.demux(video=0) if packet.size]
        assert packets[0].is_keyframe
        assert len(packets) == segment.pictures
        assert min(packet.pts for packet in packets) >= 0
        assert len({packet.pts for packet in packets}) == len(packets)


def test_a_take_joined_amid_a_group_is_refused(clip, tmp_path):
    data = clip(*STRUCTURES["h264 Annex B in MPEG-TS, start at 8.33 s"]).read_bytes()
    joined = tmp_path / "joined.ts"
    joined.write_bytes(data[len(data) // 3 // 188 * 188 :])
    with pytest.raises(NotForSegments, match=r"begin|parameter"):
        cut(probe(joined), 3.0)


def test_vp9_packets_with_a_hidden_picture_show_one_each(clips, tmp_path):
    hidden = tmp_path / "hidden.webm"
    source = ["-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25:duration=4"]
    options = f"{VP9}-deadline good -auto-alt-ref 1 -lag-in-frames 25 -passlogfile {tmp_path / 'log'} -pass".split()
    for number in ("1", "2"):
        clips.run_ffmpeg(*source, *options, number, hidden)
    info = probe(hidden)
    with av.open(str(hidden)) as container:
        frames = [len(list(_vp9.superframe(bytes(p)))) for p in container.demux(video=0) if p.size]
    assert len(frames) == 100
    assert max(frames) == 2
    for fps in (3.0, 25.0):
        segments, segmenter, _ = cut(info, fps)
        assert_segments_are_the_take(clips, info, segments, segmenter, fps)


def test_vp9_of_a_changing_size_is_refused(clip):
    info = probe(clip(*STRUCTURES["vp9"]))
    parser = _vp9.Vp9Parser(info.width + 2, info.height)
    with av.open(str(info.path)) as container:
        parser.classify(bytes(next(container.demux(video=0))))
    assert "size" in parser.why_not


@pytest.mark.parametrize("data", [b"", b"\0", b"\xff" * 5, b"\xc9", bytes(range(200, 256))])
def test_vp9_packets_of_nonsense_are_no_keyframe(data):
    parser = _vp9.Vp9Parser(96, 64)
    assert not parser.classify(data).closed
    assert parser.why_not


def joined(clips, folder, options, suffix, sizes):
    """One file of clips of different sizes, one after the other."""
    parts = []
    for number, size in enumerate(sizes):
        parts.append(folder / f"{number}{suffix}")
        source = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate=25:duration=2"]
        clips.run_ffmpeg(*source, *options.split(), "-output_ts_offset", str(3 * number), parts[-1])
    path = folder / f"joined{suffix}"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


@pytest.mark.parametrize("options", [f"{X264}bframes=2", f"{X265}open-gop=0:repeat-headers=1"])
def test_a_picture_size_that_changes_is_refused(clips, tmp_path, options):
    path = joined(clips, tmp_path, options, ".ts", ("96x64", "64x48"))
    with pytest.raises(NotForSegments, match="sets that change"):
        cut(probe(path), 3.0)
    same = joined(clips, tmp_path, options, ".ts", ("96x64", "96x64"))
    segments, segmenter, _ = cut(probe(same), 3.0)
    assert_segments_are_the_take(clips, probe(same), segments, segmenter, 3.0)


def test_motion_jpeg_whose_size_changes_is_refused(clips, tmp_path):
    path = tmp_path / "joined.avi"
    raw = joined(clips, tmp_path, "-c:v mjpeg -f mjpeg", ".mjpeg", ("96x64", "64x48"))
    clips.run_ffmpeg("-r", "25", "-f", "mjpeg", "-i", raw, "-c", "copy", path)
    with pytest.raises(NotForSegments, match="changes its picture size"):
        cut(probe(path), 3.0)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xda" + bytes(9), b"\xff\xd8" + b"\xff" * 20])
def test_a_jpeg_without_a_frame_header_has_no_size(data):
    assert _steady.jpeg_size(data) is None


@pytest.mark.real
@pytest.mark.slow
def test_segments_of_real_footage_hold_its_samples(clips, recording):
    if recording.parent.name == "hostile":
        pytest.skip("what damage looks like depends on what was decoded before it")
    info = probe(recording)
    try:
        segments, _, _ = cut(info, 3.0)
    except NotForSegments as refusal:
        pytest.skip(str(refusal))
    samples = {}
    for segment in segments:
        pictures = decoded(clips, segment)
        assert len(pictures) == segment.pictures
        samples |= {k: (w.pts, pictures[w.ordinal]) for w in segment.wanted for k in w.samples}
    assert samples == clips.sample(info, 3.0).samples


@pytest.mark.parametrize("name", ["h264 closed groups, B-pyramid", "hevc in MPEG-TS", "vp9"])
def test_segments_of_limited_range_are_tagged_as_of_full_range(clip, name):
    segments, _, _ = cut(probe(clip(*STRUCTURES[name])), 3.0)
    for segment in segments:
        assert segment.full_range
        with av.open(io.BytesIO(segment.data)) as container:
            assert {frame.color_range for frame in container.decode(video=0)} == {2}


def test_where_packets_cannot_be_tagged_they_stay_as_they_are(clip, monkeypatch):
    monkeypatch.setitem(_segments.FULL_RANGE, "h264", "vp9_metadata=color_range=pc")
    segments, _, _ = cut(probe(clip(*STRUCTURES["h264 no B-frames"])), 3.0)
    assert not any(segment.full_range for segment in segments)
    with av.open(io.BytesIO(segments[0].data)) as container:
        assert next(container.decode(video=0)).color_range != 2


def test_a_take_is_tagged_throughout_or_refused_from_there_on(clip, monkeypatch):
    """DALI's range is found out once a take, so that all of its segments must say the same."""
    remux, tagged = _segments.remux, []

    def failing(stream, packets, order, mark=None):
        if mark is not None and len(tagged) == 2:
            raise NotForSegments("of a test")
        tagged.append(mark)
        return remux(stream, packets, order, mark)

    monkeypatch.setattr(_segments, "remux", failing)
    info, segments = probe(clip(*STRUCTURES["h264 no B-frames"])), []
    segmenter = Segmenter(info, plan.SampleGrid(3.0, info.time_base, info.start_pts), DecodeReport())
    with pytest.raises(NotForSegments, match="cannot be tagged anew") as refusal:
        for segment in segmenter.segments():
            segments.append(segment)
    assert len(segments) == 2
    assert refusal.value.following == segments[-1].wanted[-1].samples.stop
