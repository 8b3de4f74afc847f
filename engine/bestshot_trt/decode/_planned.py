"""One pass through a take whose packets tell which of them the samples need; what comes out is held against that."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

from ..bitstream import IntraParser, Parser
from ..frames import DecodeReport, VideoInfo
from ..plan import Group, PacketInfo, Planner, SampleGrid
from ._feeder import Feeder, StrictFeeder, open_context
from ._lanes import Lanes
from ._open import described
from ._report import demuxed, finish
from ._rescue import Rescuer
from ._section import Sampled, Section

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

AnyFeeder = TypeVar("AnyFeeder", bound=Feeder)


class Planned:
    """Streams whose packets tell which picture is on screen when: H.264, HEVC, intra-only codecs."""

    def __init__(
        self,
        info: VideoInfo,
        grid: SampleGrid,
        report: DecodeReport,
        parser: Parser,
        section: Section[Packet[VideoStream]],
        lost: list[int],
        *,
        side_by_side: bool,
    ) -> None:
        self._info, self._grid, self._report, self._parser = info, grid, report, parser
        self._section, self._lost = section, lost
        self._waiting: deque[tuple[int, Group[Packet[VideoStream]]]] = deque()
        self._rescuer = Rescuer(info)
        self._lanes = Lanes(info, self._open_lane, enabled=side_by_side and not isinstance(parser, IntraParser))
        self._next: Group[Packet[VideoStream]] | None = None
        """The next for the lanes, which may still grow."""
        self._feeder: Feeder | None = None
        """The one decoder for all that follows, once lanes will not do."""
        self._unused: VideoCodecContext | None = None

    def run(self, container: InputContainer, stream: VideoStream) -> Iterator[Sampled]:
        self._unused = stream.codec_context
        planner: Planner[Packet[VideoStream]] = Planner(self._grid, drop=True)
        with contextlib.closing(self._rescuer), contextlib.closing(self._lanes):
            for packet in demuxed(container, stream, self._info, self._report):
                self._rescuer.note(packet)
                for group in planner.push(self._describe(packet), packet):
                    yield from self._needed(group)
                if self._section.complete:
                    break
            else:
                for group in planner.flush():
                    yield from self._needed(group)
            yield from self._end()
        info = dataclasses.replace(self._info, duration_claim=None) if self._section.complete else self._info
        finish(self._report, info, self._grid, planner.end_pts, self._lost, self._errors)

    @property
    def _errors(self) -> int:
        return self._feeder.errors if self._feeder is not None else 0

    def _needed(self, group: Group[Packet[VideoStream]]) -> Iterator[Sampled]:
        if self._section.complete:
            return
        for needed in self._section.push(group):
            self._report.packets_fed += sum(needed.feed)
            if any(needed.feed):
                yield from self._begin(needed)

    def _begin(self, group: Group[Packet[VideoStream]]) -> Iterator[Sampled]:
        """Decode ``group`` beside others, once what follows is known; or after them, where it cannot be by itself."""
        if self._feeder is None and self._lanes.take(group):
            if self._next is not None and self._lanes.join(self._next, group):
                return
            yield from self._start_next()
            self._next = group
        else:
            yield from self._start_next()
            yield from self._decode(group)

    def _start_next(self) -> Iterator[Sampled]:
        group, self._next = self._next, None
        if group is not None:
            while self._lanes.full_for(group):
                yield from self._hand_on()
            self._lanes.start(group)

    def _end(self) -> Iterator[Sampled]:
        """All that is left; a take's only group has all threads."""
        if self._next is not None and not self._lanes.used:
            yield from self._decode(self._next)
        else:
            yield from self._start_next()
        while self._lanes.busy:
            yield from self._hand_on()
        if self._feeder is not None:
            yield from self._collect(self._feeder.feed(None))
        while self._waiting:
            yield from self._rescue()

    def _open(self, group: Group[Packet[VideoStream]]) -> Feeder:
        """One decoder for ``group`` and all that follows."""
        return self._opened(StrictFeeder if self._lanes.used else Feeder, group, threads=0)

    def _open_lane(self, group: Group[Packet[VideoStream]], threads: int) -> StrictFeeder:
        return self._opened(StrictFeeder, group, threads)

    def _opened(self, kind: type[AnyFeeder], group: Group[Packet[VideoStream]], threads: int) -> AnyFeeder:
        """A decoder that begins with ``group``; the first is that of the container that packets come from."""
        context, self._unused = self._unused or open_context(self._info), None
        feeder = kind(context, threads)
        self._rescuer.prime(feeder, group)
        return feeder

    def _hand_on(self) -> Iterator[Sampled]:
        """The samples of the oldest group in the lanes."""
        lane = self._lanes.oldest
        self._expect(lane.group)
        for frame in lane.frames:
            yield from self._collect([frame])
        while self._waiting:
            yield from self._rescue()
        self._lanes.done()

    def _expect(self, group: Group[Packet[VideoStream]]) -> None:
        self._waiting.extend((pts, group) for pts in group.wanted)

    def _describe(self, packet: Packet[VideoStream]) -> PacketInfo:
        return described(packet, self._parser.classify(bytes(packet)))

    def _decode(self, group: Group[Packet[VideoStream]]) -> Iterator[Sampled]:
        while self._lanes.busy:
            yield from self._hand_on()
        feeder = self._feeder = self._feeder or self._open(group)
        feeder.expect(group.wanted)
        self._expect(group)
        for packet in group.fed():
            errors = feeder.errors
            frames = feeder.feed(packet)
            # Said before any picture that it may have touched is given: whoever keeps that must know.
            self._report.damaged |= feeder.errors > errors
            yield from self._collect(frames)
            if feeder.errors > errors:
                yield from self._rescue_damaged()

    def _collect(self, frames: list[VideoFrame]) -> Iterator[Sampled]:
        """Hand on the frames that are wanted; those that were passed over are rescued first."""
        for frame in frames:
            if frame.pts is None:
                continue
            while self._waiting and self._waiting[0][0] < frame.pts:
                yield from self._rescue()
            if self._waiting and self._waiting[0][0] == frame.pts and not frame.is_corrupt:
                pts, group = self._waiting.popleft()
                yield Sampled(group.wanted[pts], pts, frame)

    def _rescue_damaged(self) -> Iterator[Sampled]:
        """After damage, what dropped packets would have concealed counts: decode those groups whole."""
        while self._waiting and not all(self._waiting[0][1].feed):
            yield from self._rescue()

    def _rescue(self) -> Iterator[Sampled]:
        pts, group = self._waiting.popleft()
        frame = self._rescuer.find(group, pts) if group.closed else None
        if frame is None:
            self._report.damaged = True
            self._lost.extend(group.wanted[pts])
        else:
            yield Sampled(group.wanted[pts], pts, frame)
