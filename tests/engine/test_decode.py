"""Sampling must give, bit for bit, what a full decode gives, on every structure that streams have."""

from __future__ import annotations

import random
from collections import Counter

import av
import numpy as np
import pytest

from bestshot_trt import plan
from bestshot_trt.config import AnalyzeConfig
from bestshot_trt.decode import PyAVDecoder, ScorePicture, _feeder, probe
from bestshot_trt.errors import BestshotError
from bestshot_trt.frames import DecodeReport

X264 = "-c:v libx264 -x264-params keyint=25:"
X265 = "-c:v libx265 -x265-params log-level=none:min-keyint=25:keyint=25:bframes=7:b-adapt=0:"
GAPS = "-vf select='not(between(n,20,60)+between(n,62,64)+eq(n,80))' -fps_mode vfr -enc_time_base 1/90000"
STRUCTURES = {
    "h264 closed groups, B-pyramid": (f"{X264}bframes=3:b-pyramid=normal", ".mp4"),
    "h264 open groups": (f"{X264}min-keyint=25:bframes=3:open-gop=1", ".mp4"),
    "h264 one group": ("-c:v libx264 -x264-params keyint=infinite:bframes=3", ".mp4"),
    "h264 intra refresh": (f"{X264}intra-refresh=1:bframes=2", ".mp4"),
    "h264 MBAFF": (f"{X264}interlaced=1:bframes=2", ".mp4"),
    "h264 MBAFF in MPEG-TS": (f"{X264}tff=1:bframes=2", ".ts"),
    "h264 no B-frames": (f"{X264}bframes=0", ".mkv"),
    "h264 several slices": (f"{X264}slices=4:bframes=3", ".mp4"),
    "h264 4:4:4 10 bit": (f"-pix_fmt yuv444p10 {X264}bframes=3", ".mp4"),
    "h264 RGB": ("-c:v libx264rgb -x264-params keyint=25:bframes=3", ".mkv"),
    "h264 parameter sets at every keyframe": (f"{X264}bframes=3:repeat-headers=1", ".mkv"),
    "h264 Annex B in MPEG-TS, start at 8.33 s": (f"{X264}bframes=3 -output_ts_offset 8.33", ".ts"),
    "h264 Annex B in AVI": (f"{X264}bframes=0", ".avi"),
    "h264 fragments": (f"{X264}bframes=3 -movflags frag_keyframe+empty_moov", ".mp4"),
    "h264 in FLV": (f"{X264}bframes=3", ".flv"),
    "h264 gaps": (f"{GAPS} {X264}bframes=3", ".mp4"),
    "h264 gaps, one group": (f"{GAPS} -c:v libx264 -x264-params keyint=infinite:bframes=3", ".mkv"),
    "hevc closed groups": (f"{X265}open-gop=0", ".mp4"),
    "hevc leading pictures (RADL)": (f"{X265}open-gop=0:radl=2", ".mp4"),
    "hevc open groups": (f"{X265}open-gop=1", ".mp4"),
    "hevc open groups in MPEG-TS": (f"{X265}open-gop=1", ".ts"),
    "hevc 2 sub-layers": (f"{X265}open-gop=0:temporal-layers=2", ".mp4"),
    "hevc 3 sub-layers, open groups": (f"{X265}open-gop=1:temporal-layers=3", ".mkv"),
    "hevc 3 sub-layers, parameter sets in band": (f"{X265}repeat-headers=1:temporal-layers=3", ".ts"),
    "hevc 10 bit": (f"-pix_fmt yuv420p10 {X265}open-gop=0", ".mp4"),
    "mjpeg": ("-c:v mjpeg", ".avi"),
    "prores": ("-c:v prores_ks", ".mov"),
    "prores interlaced": ("-vf interlace -c:v prores_ks -flags +ildct", ".mov"),
    "mpeg4 B-frames in AVI": ("-c:v mpeg4 -bf 2 -g 12", ".avi"),
    "mpeg2 in MPEG-TS": ("-c:v mpeg2video -bf 2 -g 12", ".ts"),
    "vp9": ("-c:v libvpx-vp9 -b:v 100k -deadline realtime -cpu-used 8", ".webm"),
    "av1": ("-c:v libsvtav1 -preset 12 -g 25", ".mkv"),
}
RATES = (3.0, 7.3)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_samples_are_those_of_a_full_decode(clips, clip, structure):
    info = probe(clip(*STRUCTURES[structure]))
    samplings = [clips.sample(info, fps) for fps in RATES]
    for sampling in samplings:
        clips.assert_complete(sampling)
    clips.assert_as_full_decode(info, *samplings)


@pytest.mark.parametrize("fps", [0.1, 25.0, 60.0])
def test_very_low_and_very_high_rates(clips, clip, fps):
    info = probe(clip(*STRUCTURES["h264 gaps"]))
    clips.assert_as_full_decode(info, clips.sample(info, fps))


@pytest.mark.parametrize("structure", ["h264 one group", "h264 gaps, one group", "hevc open groups", "vp9"])
@pytest.mark.parametrize("limit", [8, 13])
def test_groups_longer_than_the_memory_bound_are_cut_without_a_trace(clips, clip, monkeypatch, structure, limit):
    info = probe(clip(*STRUCTURES[structure]))
    monkeypatch.setattr(plan, "GROUP_PACKETS", limit)
    clips.assert_as_full_decode(info, *(clips.sample(info, fps) for fps in (3.0, 25.0)))


def test_the_memory_bound_in_bytes_cuts_groups_too(clips, clip, monkeypatch):
    info = probe(clip(*STRUCTURES["h264 one group"]))
    whole = clips.sample(info, 3.0)
    monkeypatch.setattr(plan, "GROUP_BYTES", info.path.stat().st_size // 8)
    cut = clips.sample(info, 3.0)
    assert cut.samples == whole.samples
    assert cut.report.packets_fed > whole.report.packets_fed


@pytest.mark.parametrize("options", [f"{X264}min-keyint=25:bframes=3:open-gop=1:repeat-headers=1", f"{X265}open-gop=1"])
@pytest.mark.parametrize("share", [0.3, 0.55])
def test_a_broadcast_joined_midway_through_an_open_group(clips, clip, tmp_path, options, share):
    data = clip(options, ".ts").read_bytes()
    joined = tmp_path / "joined.ts"
    joined.write_bytes(data[int(len(data) * share) // 188 * 188 :])
    info = probe(joined)
    sampling = clips.sample(info, 3.0)
    clips.assert_complete(sampling)
    clips.assert_as_full_decode(info, sampling)


@pytest.mark.parametrize(
    "structure",
    [
        "h264 closed groups, B-pyramid",
        "h264 open groups",
        "h264 one group",
        "h264 gaps",
        "hevc closed groups",
        "hevc 3 sub-layers, open groups",
        "mjpeg",
        "prores",
    ],
)
def test_packets_that_no_sample_needs_are_not_decoded(clips, clip, structure):
    report = clips.sample(probe(clip(*STRUCTURES[structure])), 3.0).report
    assert 0 < report.packets_fed < 0.8 * report.packets


@pytest.mark.parametrize("structure", ["h264 MBAFF", "vp9", "av1", "mpeg2 in MPEG-TS"])
def test_streams_that_do_not_tell_are_decoded_whole(clips, clip, structure):
    report = clips.sample(probe(clip(*STRUCTURES[structure])), 3.0).report
    assert report.packets_fed == report.packets > 0


def test_a_high_score_rate_needs_every_packet_it_samples(clips, clip):
    report = clips.sample(probe(clip(*STRUCTURES["mjpeg"])), 25.0).report
    assert report.packets_fed == report.packets == 100


def swallow(monkeypatch, lost_pts, times):
    """Swallow the pictures at ``lost_pts`` the first ``times`` times they come out, as damage would; gives them."""
    feed = _feeder.Feeder.feed
    swallowed = Counter()

    def swallowing(self, packet):
        frames = feed(self, packet)
        gone = {frame.pts for frame in frames if frame.pts in lost_pts and swallowed[frame.pts] < times}
        swallowed.update(gone)
        return [frame for frame in frames if frame.pts not in gone]

    monkeypatch.setattr(_feeder.Feeder, "feed", swallowing)
    return swallowed


@pytest.mark.parametrize("structure", ["h264 closed groups, B-pyramid", "hevc closed groups", "mjpeg"])
@pytest.mark.parametrize("indices", [[4], [0], [11], [3, 4, 5], list(range(12))], ids=str)
def test_a_picture_that_stays_out_is_decoded_again(clips, clip, monkeypatch, structure, indices):
    info = probe(clip(*STRUCTURES[structure]))
    straight = clips.sample(info, 3.0)
    swallowed = swallow(monkeypatch, {straight.samples[index][0] for index in indices}, times=1)
    rescued = clips.sample(info, 3.0)
    assert len(swallowed) == len(indices)
    assert rescued.samples == straight.samples
    assert rescued.report.lost == []


def test_pictures_that_nothing_brings_back_are_reported_lost(clips, clip, monkeypatch):
    info = probe(clip(*STRUCTURES["h264 closed groups, B-pyramid"]))
    straight = clips.sample(info, 3.0)
    gone = [2, 3, 4, 9]
    swallow(monkeypatch, {straight.samples[index][0] for index in gone}, times=9)
    sampling = clips.sample(info, 3.0)
    assert sampling.samples == {k: v for k, v in straight.samples.items() if k not in gone}
    stretches = [(gap.start, gap.end, gap.samples) for gap in sampling.report.lost]
    assert stretches == [(pytest.approx(2 / 3), pytest.approx(5 / 3), 3), (3.0, pytest.approx(10 / 3), 1)]
    assert sampling.report.duration == 4


def test_pictures_that_silently_stay_out_at_the_end_are_reported_lost(clips, clip, monkeypatch):
    info = probe(clip(*STRUCTURES["vp9"]))
    straight = clips.sample(info, 3.0)
    swallow(monkeypatch, set(range(3000, 4000)), times=1)
    sampling = clips.sample(info, 3.0)
    clips.assert_complete(sampling)
    assert sampling.count == straight.count == 12
    assert {10, 11} <= sampling.lost_indices()


def damaged(source, path, change):
    data = bytearray(source.read_bytes())
    change(data)
    path.write_bytes(data)
    return path


def whole_moov_first(clips, clip, tmp_path):
    path = tmp_path / "faststart.mp4"
    clips.run_ffmpeg(
        "-i", clip(*STRUCTURES["h264 closed groups, B-pyramid"]), "-c", "copy", "-movflags", "+faststart", path
    )
    return path


def test_a_file_cut_short_keeps_its_beginning_and_says_so(clips, clip, tmp_path):
    whole = whole_moov_first(clips, clip, tmp_path)
    full = clips.sample(probe(whole), 3.0)

    def cut(data):
        del data[len(data) * 6 // 10 :]

    info = probe(damaged(whole, tmp_path / "cut.mp4", cut))
    sampling = clips.sample(info, 3.0)
    clips.assert_complete(sampling)
    before = [k for k in sampling.samples if k < len(full.samples) // 2]
    assert before == list(range(len(full.samples) // 2))
    assert all(sampling.samples[k] == full.samples[k] for k in before)
    assert sampling.report.notes or sampling.report.lost


def test_zeros_in_the_middle_cost_only_the_middle(clips, clip, tmp_path):
    whole = whole_moov_first(clips, clip, tmp_path)
    full = clips.sample(probe(whole), 3.0)

    def wipe(data):
        middle = len(data) // 2
        data[middle : middle + 3000] = bytes(3000)

    sampling = clips.sample(probe(damaged(whole, tmp_path / "zeros.mp4", wipe)), 3.0)
    clips.assert_complete(sampling)
    assert sampling.count == full.count
    assert sampling.report.notes or sampling.report.lost
    same = [k for k in range(full.count) if sampling.samples.get(k) == full.samples[k]]
    assert {0, 1, 2, 10, 11} <= set(same)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "structure",
    ["h264 closed groups, B-pyramid", "h264 Annex B in MPEG-TS, start at 8.33 s", "hevc open groups", "vp9"],
)
def test_flipped_bytes_never_end_in_anything_but_samples_or_a_plain_error(clips, clip, tmp_path, structure, seed):
    source = clip(*STRUCTURES[structure])

    def flip(data):
        chance = random.Random(seed)
        for _ in range(1 + 4 * seed):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)

    path = damaged(source, tmp_path / f"flipped{source.suffix}", flip)
    try:
        sampling = clips.sample(probe(path), 3.0)
    except BestshotError:
        return
    clips.assert_complete(sampling)


def test_a_packet_whose_time_is_years_away_is_left_out(clips, clip, tmp_path):
    source = clip(*STRUCTURES["h264 fragments"])
    straight = clips.sample(probe(source), 3.0)

    def send_away(data):
        # The high byte of the last fragment's start time.
        data[data.rindex(b"tfdt") + 8] = 0x7F

    info = probe(damaged(source, tmp_path / "away.mp4", send_away))
    sampling = clips.sample(info, 3.0)
    assert sampling.samples == {k: straight.samples[k] for k in range(9)}
    assert sampling.report.duration == 3
    assert sampling.report.notes == ["25 packets with an impossible time left out"]


def test_batches_carry_every_sample_once_with_its_time_and_picture(clips, clip):
    info = probe(clip(*STRUCTURES["h264 gaps"]))
    sampling = clips.sample(info, 3.0)
    report = DecodeReport()
    times, pts, means = [], [], []
    for batch in PyAVDecoder().batches(info, AnalyzeConfig(fps=3.0, score_height=64), report):
        assert batch.pixels.shape[1:] == (64, 96, 3)
        times += batch.times.tolist()
        pts += batch.pts.tolist()
        means += batch.pixels.mean(axis=(1, 2, 3)).tolist()
    assert times == [k / 3 for k in range(sampling.count)]
    assert pts == [sampling.samples[k][0] for k in range(sampling.count)]
    repeated = np.diff(pts) == 0
    assert repeated.any()
    assert (np.diff(means)[repeated] == 0).all()
    assert report.packets == sampling.report.packets


def test_abandoning_the_batches_leaves_no_thread_behind(clip):
    import threading

    before = threading.active_count()
    batches = PyAVDecoder().batches(probe(clip(*STRUCTURES["mjpeg"])), AnalyzeConfig(score_height=64), DecodeReport())
    next(batches)
    batches.close()
    assert threading.active_count() == before


def test_pictures_that_cannot_be_converted_are_lost_and_the_others_are_not(clip, monkeypatch):
    info = probe(clip("-c:v libx264"))
    whole = DecodeReport()
    count = sum(len(batch) for batch in PyAVDecoder().batches(info, AnalyzeConfig(), whole))
    convert, calls = ScorePicture._convert, iter(range(100))

    def failing(self, frame):
        if next(calls) in (1, 2):
            raise av.error.ArgumentError(22, "Invalid argument")
        return convert(self, frame)

    monkeypatch.setattr(ScorePicture, "_convert", failing)
    report = DecodeReport()
    times = [t for batch in PyAVDecoder().batches(info, AnalyzeConfig(), report) for t in batch.times]
    assert len(times) == count - 2
    assert [(gap.start, gap.end, gap.samples) for gap in report.lost] == [(pytest.approx(1 / 3), 1.0, 2)]
