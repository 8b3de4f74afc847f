"""Whole groups decoded again, for pictures that stayed out when packets were left out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..frames import VideoInfo
from ..plan import Group
from ._feeder import Damaged, Feeder, open_context

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

REORDER_FRAMES = 4


class Rescuer:
    """Decodes whole groups in a second decoder, for pictures that the first one did not give."""

    def __init__(self, info: VideoInfo) -> None:
        self._info = info
        self._feeder: Feeder | None = None
        self._primer: Packet[VideoStream] | None = None
        self._group: Group[Packet[VideoStream]] | None = None
        self._frames: Iterator[VideoFrame] = iter(())
        self._ahead: dict[int, VideoFrame] = {}

    def note(self, packet: Packet[VideoStream]) -> None:
        """Remember the stream's first packet: it names the encoder, whose bugs libavcodec allows for."""
        self._primer = self._primer or packet

    def find(self, group: Group[Packet[VideoStream]], pts: int) -> VideoFrame | None:
        """The picture at ``pts`` of ``group``, or None. Ask for one group's pictures in order."""
        if group is not self._group:
            self._group, self._frames, self._ahead = group, self._decode(group), {}
        self._ahead = {later: frame for later, frame in self._ahead.items() if later >= pts}
        # Broken timestamps come out of order; a short look ahead still finds those pictures.
        while pts not in self._ahead and len(self._ahead) < REORDER_FRAMES:
            frame = next(self._frames, None)
            if frame is None:
                break
            if frame.pts in group.wanted and frame.pts >= pts and not frame.is_corrupt:
                self._ahead[frame.pts] = frame
        return self._ahead.pop(pts, None)

    def _decode(self, group: Group[Packet[VideoStream]]) -> Iterator[VideoFrame]:
        feeder = self._ready(group)
        for packet in [*group.payloads, None]:
            yield from feeder.feed(packet)

    def _ready(self, group: Group[Packet[VideoStream]]) -> Feeder:
        if self._feeder is None:
            self._feeder = Feeder(open_context(self._info), threads=0)
            self.prime(self._feeder, group)
        self._feeder.reset()
        return self._feeder

    def prime(self, feeder: Feeder, group: Group[Packet[VideoStream]]) -> None:
        """Let a decoder that begins with ``group`` see the take's first packet, and forget the picture."""
        if group.payloads[0] is not self._primer:
            with contextlib.suppress(Damaged):
                feeder.feed(self._primer)
            feeder.reset()
            # That packet's damage is for the group that it is in.
            feeder.errors = 0

    def close(self) -> None:
        """Release the second decoder."""
        self._feeder = None
        self._frames = iter(())
