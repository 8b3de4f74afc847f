"""A take as small files that each decode on their own, for decoders that take many at a time.

Planned groups are merged until they are worth a decoder's start, and the packets to feed are written to
a file in memory, one picture per packet. Wanted pictures are named by their ordinal in display order
among the pictures of that file; exact times stay on this side of the decoder.

Display order is the order of the packets' times. In the rare file where it is not (some pictures of
x265's sub-layers in MP4), an ordinal still names the right picture for a decoder that follows times.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from .. import bitstream
from ..frames import DecodeReport, VideoInfo
from ..plan import Group, PacketInfo, Planner, SampleGrid
from ._open import described, open_container, parser_of, stream_of
from ._remux import NotForSegments, display_order, remux
from ._report import demuxed
from ._steady import Steady
from ._vp9 import Vp9Parser

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

    VideoPacket = Packet[VideoStream]

SEGMENT_CODECS = ("h264", "hevc", "vp9", "mjpeg")

FULL_RANGE = {
    "h264": "h264_metadata=video_full_range_flag=1",
    "hevc": "hevc_metadata=video_full_range_flag=1",
    "vp9": "vp9_metadata=color_range=pc",
}
"""Filters of libavcodec that change a stream's tag and nothing else. DALI makes 8-bit RGB by it; as of full range next
to nothing of a picture of limited range is cut off at 0 and 255, and its codes can be won back."""

Parser = bitstream.Parser | Vp9Parser


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How large a segment may get."""

    seconds: Fraction = Fraction(1)
    """Groups are merged until a segment lasts this long."""
    encoded: int = 64 << 20
    """Bytes of packets of one segment, fed or not; a longer group is not for segments."""
    decoded: int = 256 << 20
    """Bytes of one segment's wanted pictures at full size, three bytes a pixel; but always one picture."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One picture to take from a segment, and the samples it serves."""

    ordinal: int
    """Its place, from 0, in display order among the pictures that the segment decodes to."""
    pts: int
    """In the take's time base."""
    samples: range


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A file in memory and what to take from it, in display order."""

    data: bytes
    pictures: int
    """How many pictures ``data`` decodes to."""
    wanted: list[Wanted]
    decoded: int
    """Bytes of the wanted pictures at full size."""
    is_damaged: bool
    """Whether the container says that a packet came broken."""
    packets: list[VideoPacket]
    """Every packet of the same stretch, for a decoder that takes packets."""
    full_range: bool
    """How ``data`` is tagged: as of full range wherever that could be done, whatever the take is."""

    @property
    def samples(self) -> range:
        """From the first sample that it serves to the last."""
        return range(self.wanted[0].samples.start, self.wanted[-1].samples.stop)


@dataclass(slots=True)
class _Run:
    """Neighbouring groups on their way to be a segment."""

    groups: list[Group[VideoPacket]] = field(default_factory=list)
    size: int = 0
    wanted: int = 0

    def add(self, group: Group[VideoPacket]) -> None:
        self.groups.append(group)
        self.size += group.size
        self.wanted += len(group.wanted)

    def prune(self) -> list[Group[VideoPacket]]:
        """The groups without those that stand alone and hold nothing wanted."""
        ends = [*(group.closed for group in self.groups[1:]), True]
        return [g for g, ends_here in zip(self.groups, ends, strict=True) if g.wanted or not (g.closed and ends_here)]


class Segmenter:
    """Demuxes one take into segments. ``report`` counts packets as `PyAVDecoder` does.

    With ``drop`` False every packet is fed; the samples are the same.
    """

    def __init__(
        self,
        info: VideoInfo,
        grid: SampleGrid,
        report: DecodeReport,
        limits: Limits | None = None,
        *,
        drop: bool = True,
    ) -> None:
        self._info, self._report = info, report
        self._limits = limits or Limits()
        self._planner: Planner[VideoPacket] = Planner(grid, drop=drop)
        self._last_pts: int | None = None
        self._has_parameters = False
        self._steady = Steady(info)
        self._mark = FULL_RANGE.get(info.codec) if not info.color.full_range else None
        self._has_marked = False
        self.primer: VideoPacket | None = None
        """The stream's first packet: it names the encoder, whose bugs libavcodec allows for."""

    @property
    def end_pts(self) -> int:
        """End of the last picture seen so far."""
        return self._planner.end_pts

    def segments(self) -> Generator[Segment]:
        """The segments that hold every sample of the take exactly once, in order.

        Raises:
            NotForSegments: from here on the take must be decoded in another way.
            InputError: the file is gone or changed beyond reading.
        """
        following = 0
        try:
            for segment in self._cut_up():
                following = segment.samples.stop
                yield segment
        except NotForSegments as refusal:
            refusal.following = following
            raise

    def _cut_up(self) -> Iterator[Segment]:
        reason = why_not_segments(self._info)
        if reason is not None:
            raise NotForSegments(reason)
        with open_container(self._info.path) as container:
            stream = stream_of(container, self._info.stream_index)
            parser = _parser_of(self._info, stream)
            packets = demuxed(container, stream, self._info, self._report)
            run = _Run()
            for group in self._groups(packets, parser):
                if run.groups and group.closed and self._is_full(run, group):
                    yield from self._cut(run, stream)
                    run = _Run()
                self._check_place(run, group)
                run.add(group)
            yield from self._cut(run, stream)

    def _groups(self, packets: Iterable[VideoPacket], parser: Parser) -> Iterator[Group[VideoPacket]]:
        for packet in packets:
            self.primer = self.primer or packet
            yield from self._planner.push(self._describe(packet, parser), packet)
        yield from self._planner.flush()

    def _describe(self, packet: VideoPacket, parser: Parser) -> PacketInfo:
        data = bytes(packet)
        kind = parser.classify(data)
        reason = parser.why_not if isinstance(parser, Vp9Parser) else self._steady.why_not(data, kind, parser)
        if reason is not None:
            raise NotForSegments(reason)
        if not parser.frames_only:
            raise NotForSegments("field coding: a picture may come in two packets")
        if packet.is_keyframe and not kind.closed:
            raise NotForSegments("open groups of pictures: a keyframe's neighbours need the group before it")
        if kind.closed and self._has_parameters and not kind.parameters:
            raise NotForSegments("parameter sets amid the stream that its keyframes do not repeat")
        self._has_parameters |= kind.parameters
        return described(packet, kind)

    def _is_full(self, run: _Run, following: Group[VideoPacket]) -> bool:
        first, after = run.groups[0].infos[0].pts, following.infos[0].pts
        lasts = (after - first) * self._info.time_base if first is not None and after is not None else 0
        return (
            lasts >= self._limits.seconds
            or run.size + following.size > self._limits.encoded
            or run.wanted + len(following.wanted) > self._most_wanted()
        )

    def _most_wanted(self) -> int:
        return max(1, self._limits.decoded // _picture_bytes(self._info))

    def _check_place(self, run: _Run, group: Group[VideoPacket]) -> None:
        """Whether ``group`` can stand where it does: display order must be the order of its pictures' times.

        Raises:
            NotForSegments: it cannot.
        """
        if not run.groups and not group.closed:
            raise NotForSegments("it does not begin at a closed keyframe")
        if run.size + group.size > self._limits.encoded:
            raise NotForSegments(f"{(run.size + group.size) >> 20} MiB of video or more to the next closed keyframe")
        times = [info.pts for info in group.infos if info.pts is not None]
        if len(times) < len(group.infos):
            raise NotForSegments("pictures without a time")
        if group.closed and self._last_pts is not None and min(times) <= self._last_pts:
            raise NotForSegments("times that jump back")
        self._last_pts = max(times) if self._last_pts is None else max(*times, self._last_pts)

    def _cut(self, run: _Run, stream: VideoStream) -> Iterator[Segment]:
        """The run as one segment, or as several of the same bytes where too many pictures are wanted of it."""
        groups = run.prune()
        samples = {pts: taken for group in groups for pts, taken in group.wanted.items()}
        if not samples:
            return
        fed = [packet for group in groups for packet, is_fed in zip(group.payloads, group.feed, strict=True) if is_fed]
        order = display_order(fed)
        data = self._remuxed(stream, fed, order)
        self._report.packets_fed += len(fed)
        packets = [packet for group in groups for packet in group.payloads]
        wanted = [Wanted(order[pts], pts, samples[pts]) for pts in sorted(samples)]
        most = self._most_wanted()
        for begin in range(0, len(wanted), most):
            part = wanted[begin : begin + most]
            yield Segment(
                data=data,
                pictures=len(fed),
                wanted=part,
                decoded=len(part) * _picture_bytes(self._info),
                is_damaged=any(packet.is_corrupt for packet in fed),
                packets=packets,
                full_range=self._info.color.full_range or self._mark is not None,
            )

    def _remuxed(self, stream: VideoStream, packets: list[VideoPacket], order: dict[int, int]) -> bytes:
        if self._mark is not None:
            try:
                data = remux(stream, packets, order, self._mark)
            except NotForSegments:
                self._mark = None
            else:
                self._has_marked = True
                return data
        data = remux(stream, packets, order)
        if self._has_marked:
            raise NotForSegments("packets whose colour range cannot be tagged anew")
        return data


def why_not_segments(info: VideoInfo) -> str | None:
    """Why this take is known beforehand not to be for segments; more may be found in its packets."""
    if info.codec not in SEGMENT_CODECS:
        return f"{info.codec} packets do not tell what they show"
    if info.interlaced:
        return "interlaced pictures"
    if info.container == "avi" and info.codec in ("h264", "hevc"):
        return f"{info.codec} in AVI, which keeps times in decoding order"
    return None


def _parser_of(info: VideoInfo, stream: VideoStream) -> Parser:
    if info.codec == "vp9":
        return Vp9Parser(info.width, info.height)
    parser = parser_of(stream, info.codec)
    assert parser is not None
    return parser


def _picture_bytes(info: VideoInfo) -> int:
    return info.width * info.height * 3
