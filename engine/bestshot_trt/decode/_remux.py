"""Packets as a file in memory that decodes on its own, whose pictures are named by their place in display order."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

    VideoPacket = Packet[VideoStream]

_CONTAINER = "matroska"
"""It has no edit lists, which would hide pictures, and takes every codec here."""
_TICK = Fraction(1, 25)
"""Between two pictures in a segment. Its times only name pictures; an even step spares decoders the odd ones."""


class NotForSegments(Exception):
    """The take, or the rest of it, cannot be cut into files that decode alone; the message says why."""

    following = 0
    """The first sample that no segment before holds."""


def display_order(packets: list[VideoPacket]) -> dict[int, int]:
    """The ordinal of each picture by its pts.

    Raises:
        NotForSegments: two pictures have the same time.
    """
    order = {pts: ordinal for ordinal, pts in enumerate(sorted(p.pts for p in packets if p.pts is not None))}
    if len(order) < len(packets):
        raise NotForSegments("pictures that share one time")
    return order


def remux(stream: VideoStream, packets: list[VideoPacket], order: dict[int, int], filter_: str | None = None) -> bytes:
    """A file of these packets, in decode order, whose times are evenly spaced from 0 in display order.

    ``filter_`` is one of libavcodec's for bitstreams, with its options, through which they go.

    Only the first packet is marked as a keyframe: what could be skipped is not in here, and DALI, which
    seeks where it sees another keyframe ahead, has no cause to.

    Raises:
        NotForSegments: libavformat does not take them.
    """
    import av
    from av.bitstream import BitStreamFilterContext

    # No picture may be shown before it is decoded.
    delay = max(place - order[packet.pts] for place, packet in enumerate(packets) if packet.pts is not None)
    file = io.BytesIO()
    try:
        with av.open(file, "w", format=_CONTAINER) as container:
            target = container.add_stream_from_template(stream)
            context = BitStreamFilterContext(filter_, stream, target) if filter_ else None
            for place, packet in enumerate(packets):
                assert packet.pts is not None
                (data,) = [packet] if context is None else context.filter(av.Packet(bytes(packet)))
                copy = av.Packet(bytes(data))
                copy.stream = target
                copy.time_base = _TICK
                copy.pts, copy.dts, copy.duration = order[packet.pts] + delay, place, 1
                copy.is_keyframe = place == 0
                container.mux(copy)
    except (av.FFmpegError, ValueError) as error:
        raise NotForSegments(f"its packets cannot be put in a file of their own ({error})") from error
    return file.getvalue()
