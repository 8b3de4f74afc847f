"""The pictures of a stretch of a take on their way to ffmpeg: exact, timed, and which filters they need."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from ..frames import VideoInfo
from ._filters import BT709, Fields, Target, clip_filters, keeps_fields, source_tags
from ._raw import carrier_format, write_nut
from ._span import Span

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from ._ffmpeg import Child

Timed = Iterator[tuple[int, "VideoFrame"]]
Watch = Callable[[Iterator["VideoFrame"]], Iterator["VideoFrame"]]
"""Gives the take's frames on as they come, and looks at them on the way."""

_BOTTOM_FIRST = (3, 4)
"""libavcodec's AV_FIELD_BB and AV_FIELD_TB: the bottom field is displayed first."""


@dataclass(frozen=True, kw_only=True)
class SourcePictures:
    """What is on screen during ``span``, with ``margin`` seconds before and after it.

    Every call of `timed` decodes anew, so a filter may look at the pictures before they are encoded; only with
    ``goes_on`` the first call goes on from `first`.
    """

    info: VideoInfo
    span: Span
    target: Target
    margin: Fraction = Fraction(0)
    rate: Fraction | None = None
    """Pictures per second to repeat or leave out pictures for; None keeps every picture at its own time."""

    stop: threading.Event | None = None
    watch: Watch | None = None
    """Through it go the frames that `feed` sends."""

    goes_on: bool = False
    """Keep the decoder that gave `first` open. It has decoded all since the keyframe, seconds of pictures perhaps."""
    _begun: list[Iterator[VideoFrame]] = field(default_factory=list, init=False, repr=False, compare=False)

    @functools.cached_property
    def first(self) -> VideoFrame:
        """The first picture: it settles size, format and colour of all."""
        frames = self._frames()
        first = next(frames)
        if self.goes_on:
            self._begun.append(itertools.chain([first], frames))
        return first

    @functools.cached_property
    def shown_info(self) -> VideoInfo:
        """The take's facts with the size of these pictures."""
        return dataclasses.replace(self.info, width=self.first.width, height=self.first.height)

    @functools.cached_property
    def fields(self) -> Fields | None:
        """The order of fields that the stream declares (top first when none); None for progressive takes."""
        return _fields(self.info) if self.info.interlaced else None

    @property
    def keeps_fields(self) -> bool:
        """Whether interlaced pictures stay so."""
        return self.fields is not None and keeps_fields(self.shown_info, self.target)

    @functools.cached_property
    def pix_fmt(self) -> str:
        """The format in which NUT carries the pictures."""
        return carrier_format(self.first)

    @functools.cached_property
    def lead(self) -> int:
        """Ticks of margin before the clip: fewer where the take begins."""
        return min(max(self.span.start, 0), round(self.margin * self.span.timescale))

    @property
    def picture_matrix(self) -> int:
        """The colour matrix (H.273) of what `chain` gives."""
        if self.info.color.is_hdr and not self.target.hdr:
            return BT709
        return source_tags(self.shown_info, self.first).matrix or BT709

    def chain(self, look: tuple[str, ...] = ()) -> str:
        """The ``-vf`` chain from these raw pictures through ``look``, margin included; see `clip_filters`."""
        tags = source_tags(self.shown_info, self.first)
        return clip_filters(self.shown_info, self.pix_fmt, tags, self.fields, self.target, look)

    def trimmed(self, look: tuple[str, ...] = ()) -> str:
        """`chain`, and the margin left out again."""
        if not self.margin:
            return self.chain(look)
        # NUT settles on a time base of its own; ticks are whole in it, but not what it counts in.
        inside = f"settb=1/{self.span.timescale},select=gte(pts\\,{self.lead})*lt(pts\\,{self.lead + self.span.ticks})"
        return f"{self.chain(look)},{inside},setpts=PTS-{self.lead}"

    def timed(self, watch: Watch | None = None) -> Timed:
        """(tick, picture) pairs from tick 0 on; the clip begins at tick `lead`, where a picture always is."""
        begin = self.span.start - self.lead
        frames = self._begun.pop() if self._begun else self._frames()
        frames = watch(frames) if watch else frames
        pictures = _started(_increasing(frames, self.info, self.span, begin), self.lead)
        return at_rate(pictures, self.rate, self.span) if self.rate else pictures

    def _frames(self) -> Iterator[VideoFrame]:
        from ..decode import frames_between

        start = self.span.seconds(self.span.start - self.lead)
        return frames_between(self.info, start, self.span.seconds(self.span.end) + self.margin)

    def feed(self, child: Child) -> Fed:
        """Send the pictures to a running ffmpeg."""
        fed = Fed(first=self.lead, after=self.lead + self.span.ticks, stop=self.stop)
        pictures = fed.counting(self.timed(self.watch))
        feed(child, pictures, fed, self.pix_fmt, self.span.timescale, self.rate or self.info.frame_rate)
        return fed


class Stopped(Exception):
    """Somebody else was interrupted, and this work is no longer wanted."""


@dataclass(kw_only=True)
class Fed:
    """What went into ffmpeg: ``count`` pictures of the clip itself, ticks ``first`` to ``after``."""

    first: int
    after: int
    count: int = 0
    converted: bool = False
    stop: threading.Event | None = None
    """Set from another thread, it ends the feeding."""

    def counting(self, pictures: Timed) -> Timed:
        """``pictures``, counted on their way."""
        for tick, frame in pictures:
            if self.stop is not None and self.stop.is_set():
                raise Stopped
            self.count += self.first <= tick < self.after
            yield tick, frame


def feed(child: Child, pictures: Timed, fed: Fed, pix_fmt: str, timescale: int, rate: Fraction | None) -> None:
    """Write ``pictures`` to a running ffmpeg and wait for its end.

    Raises:
        ExportError: it failed; the message holds its reason.
    """
    try:
        _, fed.converted = write_nut(pictures, pix_fmt, timescale, rate, child.pipe)
    except BrokenPipeError:
        child.finish()
        raise
    child.finish()


def _increasing(frames: Iterable[VideoFrame], info: VideoInfo, span: Span, begin: int) -> Timed:
    """Each frame with its time in ticks since ``begin``: at least 0, and later than the one before."""
    last = -1
    for frame in frames:
        if frame.pts is None:
            continue
        tick = round(info.media_time(frame.pts) * span.timescale) - begin
        last = max(tick, last + 1, 0)
        yield last, frame


def _started(pictures: Timed, start: int) -> Timed:
    """``pictures``, the one on screen at tick ``start`` moved to it: there the clip begins."""
    held: tuple[int, VideoFrame] | None = None
    for tick, frame in pictures:
        if held is not None:
            yield (start, held[1]) if held[0] < start < tick else held
        held = tick, frame
    if held is not None:
        yield max(held[0], start), held[1]


def at_rate(pictures: Timed, rate: Fraction, span: Span) -> Timed:
    """The picture on screen at every multiple of 1 / ``rate`` within ``span``: some twice, some not at all."""
    number, held = 0, None
    for tick, frame in itertools.chain(pictures, [(span.ticks, None)]):
        while held is not None and (at := round(number / rate * span.timescale)) < tick:
            yield at, held
            number += 1
        held = frame


def _fields(info: VideoInfo) -> Fields:
    from ..decode import open_container, stream_of

    with open_container(info.path) as container:
        order = stream_of(container, info.stream_index).codec_context.field_order
    return Fields(top_first=int(order) not in _BOTTOM_FIRST)
