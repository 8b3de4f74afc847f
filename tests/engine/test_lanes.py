"""Closed groups decoded side by side give what one decoder gives, in its order, and hold no more than they may."""

from __future__ import annotations

import random
import threading

import pytest

from bestshot_trt.decode import _feeder, _lanes, _pyav, probe
from bestshot_trt.decode._pyav import sampled_frames
from bestshot_trt.frames import DecodeReport
from bestshot_trt.plan import SampleGrid

GROUPS = "-c:v libx264 -x264-params keyint=10:min-keyint=10:bframes=3"
CHANGING = "-c:v libx264 -x264-params keyint=10:min-keyint=10:bframes=3:repeat-headers=1"


@pytest.fixture
def cores(monkeypatch):
    """Sets how many cores lanes are made for."""
    return lambda count: monkeypatch.setattr(_lanes, "usable_cores", lambda: count)


@pytest.fixture
def feeding(monkeypatch):
    """The names of threads that fed decoders."""
    feed, names = _feeder.Feeder.feed, set()

    def noting(self, packet):
        names.add(threading.current_thread())
        return feed(self, packet)

    monkeypatch.setattr(_feeder.Feeder, "feed", noting)
    return names


@pytest.mark.parametrize("options", [GROUPS, CHANGING, "-c:v libx265 -x265-params log-level=none:keyint=10:open-gop=0"])
@pytest.mark.parametrize("count", [2, 3, 16])
def test_any_number_of_cores_gives_the_samples_of_one(clips, clip, cores, options, count):
    info = probe(clip(options))
    cores(1)
    single = clips.sample(info, 7.3)
    cores(count)
    several = clips.sample(info, 7.3)
    assert (several.samples, several.report) == (single.samples, single.report)


def test_groups_are_decoded_at_the_same_time(clips, clip, cores, monkeypatch):
    info = probe(clip(GROUPS))
    cores(2)
    feed, lanes, second = _feeder.Feeder.feed, set(), threading.Event()

    def waiting(self, packet):
        lanes.add(threading.current_thread())
        if len(lanes) > 1:
            second.set()
        # If groups took turns, the first would wait for nothing here.
        assert second.wait(timeout=30)
        return feed(self, packet)

    monkeypatch.setattr(_feeder.Feeder, "feed", waiting)
    assert len(clips.sample(info, 3.0).samples) == 12


@pytest.mark.parametrize("options", ["-c:v libx264 -x264-params keyint=infinite", CHANGING])
def test_what_does_not_split_is_left_to_the_threads_of_libavcodec(clips, clip, cores, feeding, options):
    info = probe(clip(options, ".ts" if options is CHANGING else ".mp4"))
    cores(2)
    clips.sample(info, 3.0)
    assert feeding == {threading.main_thread()}


def test_frames_that_wait_stay_within_their_bound(clips, clip, cores, monkeypatch):
    info = probe(clip(GROUPS))
    cores(16)
    whole = clips.sample(info, 25.0).samples
    started, waiting, start, done = [], [], _lanes.Lanes.start, _lanes.Lanes.done

    def counting(self, group):
        start(self, group)
        started.append(group)
        waiting.append(len(started))

    def finished(self):
        done(self)
        started.pop(0)

    monkeypatch.setattr(_lanes.Lanes, "start", counting)
    monkeypatch.setattr(_lanes.Lanes, "done", finished)
    # Two groups of ten pictures beside the one whose turn it is.
    monkeypatch.setattr(_lanes, "AHEAD_BYTES", 20 * info.width * info.height * 3 // 2)
    assert clips.sample(info, 25.0).samples == whole
    assert max(waiting) == 3
    started.clear()
    monkeypatch.setattr(_lanes, "AHEAD_BYTES", 9 * info.width * info.height * 3 // 2)
    waiting.clear()
    assert clips.sample(info, 25.0).samples == whole
    assert waiting == []


@pytest.fixture
def one_thread(monkeypatch):
    """Decoders with one thread: with more, what is concealed can depend on which is faster."""
    init = _feeder.Feeder.__init__
    monkeypatch.setattr(_feeder.Feeder, "__init__", lambda self, context, threads: init(self, context, 1))


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("fps", [3.0, 25.0])
def test_damage_looks_as_it_does_to_one_decoder(clips, clip, cores, tmp_path, seed, fps):
    data = bytearray(clip(f"{GROUPS} -movflags +faststart").read_bytes())
    chance = random.Random(seed)
    for _ in range(2):
        start = chance.randrange(data.index(b"mdat") + 8, len(data) - 400)
        data[start : start + 300] = bytes(300)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    info = probe(path)
    cores(1)
    single = clips.sample(info, fps)
    cores(2)
    several = clips.sample(info, fps)
    assert (several.samples, several.report) == (single.samples, single.report)


@pytest.mark.usefixtures("one_thread")
def test_late_damage_costs_what_is_shortly_before_it_and_no_more(clips, clip, cores, tmp_path, monkeypatch):
    data = bytearray(clip(GROUPS, seconds=40).read_bytes())
    middle = data.index(b"mdat") + 3 * (len(data) - data.index(b"mdat")) // 4
    data[middle : middle + 300] = bytes(300)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    info = probe(path)
    cores(1)
    single = clips.sample(info, 25.0)
    cores(2)
    monkeypatch.setattr(_pyav, "DAMAGE_LEAD_S", 2.0)
    several = clips.sample(info, 25.0)
    assert several.samples == single.samples
    assert (several.report.lost, several.report.duration) == (single.report.lost, single.report.duration)
    # What was decoded after the damage, with the lead.
    assert several.report.packets_fed < single.report.packets_fed // 2


def test_abandoned_lanes_end(clip, cores):
    info = probe(clip(GROUPS, seconds=40))
    cores(3)
    before = threading.active_count()
    frames = sampled_frames(info, SampleGrid(3.0, info.time_base, info.start_pts), DecodeReport())
    next(frames)
    frames.close()
    assert threading.active_count() == before
