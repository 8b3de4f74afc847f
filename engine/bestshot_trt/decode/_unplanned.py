"""One pass through a take whose packets do not tell what they show: all of them are decoded."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..frames import DecodeReport, VideoInfo
from ..plan import SampleGrid, sample_pictures, time_on_screen
from ._feeder import Feeder
from ._probe import frame_pts
from ._report import demuxed, finish
from ._section import Sampled, overlap

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


class Unplanned:
    """Every packet is decoded, and the decoded pictures tell the times."""

    def __init__(self, info: VideoInfo, grid: SampleGrid, report: DecodeReport, within: range, lost: list[int]) -> None:
        self._info, self._grid, self._report, self._within, self._lost = info, grid, report, within, lost
        self._end = info.start_pts
        self._packet_end = info.start_pts
        self._last = info.start_pts
        self._errors_seen = 0

    def run(self, container: InputContainer, stream: VideoStream) -> Iterator[Sampled]:
        feeder = Feeder(stream.codec_context, threads=0)
        following = 0
        for samples, pts, frame in sample_pictures(self._pictures(feeder, container, stream), self._grid):
            following = samples.stop
            self._report.damaged |= frame is None or bool(feeder.errors)
            wanted = overlap(samples, self._within)
            if frame is None:
                self._lost.extend(wanted)
            elif wanted:
                yield Sampled(wanted, pts, frame)
            if following >= self._within.stop:
                info = dataclasses.replace(self._info, duration_claim=None)
                finish(self._report, info, self._grid, max(self._end, self._packet_end), self._lost, feeder.errors)
                return
        # Packets at the end that gave no picture, nor an error.
        missing = range(following, self._grid.count_before(max(self._end, self._packet_end)))
        self._lost.extend(overlap(missing, self._within))
        finish(self._report, self._info, self._grid, max(self._end, self._packet_end), self._lost, feeder.errors)

    def _pictures(
        self, feeder: Feeder, container: InputContainer, stream: VideoStream
    ) -> Iterator[tuple[int, int, VideoFrame | None]]:
        for packet in demuxed(container, stream, self._info, self._report):
            self._report.packets_fed += 1
            if packet.pts is not None and not packet.is_discard:
                self._packet_end = max(self._packet_end, packet.pts + (packet.duration or 0))
            yield from self._timed(feeder, feeder.feed(packet))
        yield from self._timed(feeder, feeder.feed(None))
        if feeder.errors > self._errors_seen and self._packet_end > self._end:
            yield self._end, self._packet_end - self._end, None

    def _timed(self, feeder: Feeder, frames: list[VideoFrame]) -> Iterator[tuple[int, int, VideoFrame | None]]:
        for frame in frames:
            pts = frame_pts(frame)
            if pts is None:
                continue
            duration = frame.duration or 0
            if feeder.errors > self._errors_seen and duration and pts > self._end + duration // 2:
                # Errors, then a hole: what was on screen before does not stand in for what is lost.
                yield self._end, pts - self._end, None
            self._errors_seen = feeder.errors
            duration = time_on_screen(duration, max(0, pts - self._last))
            self._last = pts
            self._end = max(self._end, pts + duration)
            yield pts, duration, frame
