"""Decoding on the CPU with libavcodec through PyAV: only the packets that sampled frames depend on.

Closed groups are decoded side by side, each by a decoder with one thread; where groups hang together
or are too large, one continuous decoder with all of libav's threads runs through the take, and so it does
from somewhat before the first damage on. What comes out is compared with what was asked for;
a picture that stays out (dropping packets can make libavcodec guess its reorder depth anew, and damage
swallows pictures) is decoded again from its own group, whole, in a decoder of its own. Only what is missing
after that is reported as lost.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, TypeVar

from ..bitstream import IntraParser, Parser
from ..config import AnalyzeConfig
from ..errors import DecodeError
from ..frames import DecodeReport, FrameBatch, LostStretch, ModelView, VideoInfo, score_size
from ..plan import Group, PacketInfo, Planner, SampleGrid, sample_pictures, time_on_screen
from ..prefetch import prefetch
from ..streams import stream_at
from ._feeder import Damaged, Feeder, StrictFeeder, open_context
from ._lanes import Lanes
from ._open import described, packets_of, parser_of, reopen_container, stream_of
from ._probe import frame_pts, plausible_pts
from ._rescue import Rescuer
from ._section import WHOLE, Section, overlap

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

AnyFeeder = TypeVar("AnyFeeder", bound=Feeder)

PREFETCH_FRAMES = 6
"""Decoded frames waiting to be measured: 18 MB at 1080p, 75 MB at 4K (8-bit 4:2:0)."""
DAMAGE_LEAD_S = 60.0
"""So much before damage the one decoder begins that shows it: what it conceals depends on what it has seen."""
CLAIM_SLACK_S = 1.0
"""So much less video than the container announces is worth a note."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """One decoded picture and the samples it serves."""

    samples: range
    pts: int
    frame: VideoFrame


class PyAVDecoder:
    """Decodes on the CPU: any codec, container and pixel format that libavcodec reads."""

    name = "pyav"

    def __init__(self, within: range = WHOLE) -> None:
        self._within = within

    def between(self, within: range) -> PyAVDecoder:
        """A decoder that gives only the samples whose indices are in ``within``, the same as in a whole pass.

        Where it ends before the take does, the report's duration is that of what was seen.
        """
        return PyAVDecoder(within)

    def batches(
        self, info: VideoInfo, config: AnalyzeConfig, report: DecodeReport, view: ModelView | None = None
    ) -> Iterator[FrameBatch]:
        """Score pictures of every sample of the take, in order, with their ``view`` for a model.

        ``report`` is filled in meanwhile.

        Raises:
            InputError: the file is gone or changed beyond reading.
        """
        size = score_size(info.display_size, config.score_height)
        grid = SampleGrid(config.fps, info.time_base, info.start_pts)
        unusable: list[int] = []
        with contextlib.closing(prefetch(sampled_frames(info, grid, report, self._within), PREFETCH_FRAMES)) as frames:
            # Frames are decoded by now, which needs no NumPy.
            from ._batch import Pictures

            pictures = Pictures(info, size, view)
            for sampled in frames:
                try:
                    pictures.convert(sampled.frame)
                except DecodeError:
                    unusable.extend(sampled.samples)
                    report.damaged = True
                    continue
                for index in sampled.samples:
                    if pictures.add(grid.time(index), sampled.pts):
                        yield pictures.batch()
        if pictures:
            yield pictures.batch()
        report.lost.extend(stretches(unusable, grid, report.duration))


def sampled_frames(info: VideoInfo, grid: SampleGrid, report: DecodeReport, within: range = WHOLE) -> Iterator[Sampled]:
    """The decoded picture of every sample in ``within``, in order, bit-identical to a full decode.

    Raises:
        InputError: the file is gone or changed beyond reading.
    """
    following = within.start
    notes = len(report.notes)
    lost: list[int] = []
    try:
        for sampled in _one_pass(info, grid, report, within, lost, side_by_side=stream_at(info.path) is None):
            following = sampled.samples.stop
            yield sampled
    except Damaged:
        report.packets = report.packets_fed = 0
        del report.notes[notes:]
        lost[:] = [index for index in lost if index < following]
        lead = int(DAMAGE_LEAD_S * grid.fps)
        rest = range(following, within.stop)
        yield from _one_pass(info, grid, report, rest, lost, lead=lead, side_by_side=False)


def _one_pass(
    info: VideoInfo,
    grid: SampleGrid,
    report: DecodeReport,
    within: range,
    lost: list[int],
    *,
    lead: int = 0,
    side_by_side: bool,
) -> Iterator[Sampled]:
    with reopen_container(info) as container:
        stream = stream_of(container, info.stream_index)
        parser = parser_of(stream, info.codec)
        if parser is None or not parser.frames_only:
            yield from _Unplanned(info, grid, report, within, lost).run(container, stream)
        else:
            section: Section[Packet[VideoStream]] = Section(within, lead)
            planned = _Planned(info, grid, report, parser, section, lost, side_by_side=side_by_side)
            yield from planned.run(container, stream)


def demuxed(
    container: InputContainer, stream: VideoStream, info: VideoInfo, report: DecodeReport
) -> Iterator[Packet[VideoStream]]:
    """The packets of ``stream``, counted, impossible times taken off; what is wrong with them is noted."""
    stray = 0
    plausible = plausible_pts(info)
    for packet in packets_of(container, stream, report.notes):
        report.packets += 1
        if packet.pts is not None and packet.pts not in plausible:
            stray += 1
            packet.pts = packet.dts = None
        yield packet
    if stray:
        report.notes.append(f"{stray} packet{'s' if stray > 1 else ''} with an impossible time left out")


class _Planned:
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


class _Unplanned:
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


def stretches(lost: list[int], grid: SampleGrid, duration: Fraction) -> Iterator[LostStretch]:
    """Neighbouring lost samples as stretches of media time, none beyond the take."""
    runs: list[list[int]] = []
    for index in sorted(lost):
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    for first, last in runs:
        end = min(grid.time(last + 1), float(duration))
        yield LostStretch(start=grid.time(first), end=end, samples=last - first + 1)


def finish(report: DecodeReport, info: VideoInfo, grid: SampleGrid, end_pts: int, lost: list[int], errors: int) -> None:
    """Enter what is known at the end of the take: its duration, and which stretches were lost."""
    report.damaged |= bool(lost or errors)
    report.duration = grid.media_time(end_pts)
    report.lost.extend(stretches(lost, grid, report.duration))
    if errors:
        report.notes.append(f"libavcodec reported damage in {errors} packet{'s' if errors > 1 else ''}")
    missing = (info.duration_claim or 0) - report.duration
    if missing > CLAIM_SLACK_S:
        report.notes.append(
            f"the file announces {info.duration_claim:.1f} s, but its video ends after {float(report.duration):.1f} s; "
            "it may be cut short"
        )
