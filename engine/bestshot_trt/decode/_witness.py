"""One picture of a take, decoded by libavcodec too: is DALI's the same, and over which range did it make RGB of it?

DALI chooses the range by what the driver's parser tells it, codec by codec, and picks pictures by their place in a
segment. Both are cheaper to look at than to trust.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..frames import VideoInfo
from ._feeder import Feeder
from ._open import open_container, stream_of
from ._remux import NotForSegments
from ._segments import Segment

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

MOST_OFF = 3.0
"""Mean difference of luma, in codes, at which two pictures are not the same."""
_SIDE = 512
"""Pixels of the middle that are compared, along each side."""


def made_full_range(info: VideoInfo, segment: Segment, pictures: Any, primer: Packet[VideoStream] | None) -> bool:
    """Whether DALI made RGB of this take as of full range.

    ``pictures`` are what it made of ``segment``, uint8 RGB (n, h, w, 3) on the card; within `Gpu.working`. Where
    libavcodec does not give the first of them, the segment's own tag is believed.

    Raises:
        NotForSegments: the first picture is another than libavcodec's, over either range.
    """
    frame = _first(info, segment, primer)
    if frame is None:
        return segment.full_range
    from bestshot_kernels.score_resize.reference import planes

    middle = _middle(*pictures.shape[1:3])
    rgb = pictures[:1].get()[:, *middle]
    expected = _luma(frame)[middle].astype(int)
    off = {full: float(np.abs(planes(rgb, full)[0][0] - expected).mean()) for full in (True, False)}
    best = min(off, key=lambda full: off[full])
    if off[best] > MOST_OFF:
        raise NotForSegments(f"DALI's first picture is not libavcodec's: luma differs by {off[best]:.1f} on average")
    return best


def _first(info: VideoInfo, segment: Segment, primer: Packet[VideoStream] | None) -> VideoFrame | None:
    """The segment's first wanted picture by libavcodec."""
    with open_container(info.path) as container:
        context = stream_of(container, info.stream_index).codec_context
        context.thread_type = "AUTO"
        feeder = Feeder(context)
        feeder.feed(primer)
        feeder.reset()
        for packet in [*segment.packets, None]:
            for frame in feeder.feed(packet):
                if frame.pts == segment.wanted[0].pts and not frame.is_corrupt:
                    return frame
    return None


def _middle(height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of the middle, beginning at even ones."""
    starts = [max(0, (side - _SIDE) // 2) // 2 * 2 for side in (height, width)]
    return slice(starts[0], starts[0] + _SIDE), slice(starts[1], starts[1] + _SIDE)


def _luma(frame: VideoFrame) -> npt.NDArray[Any]:
    """Luma of a planar picture as 8-bit codes."""
    plane, bits = frame.planes[0], frame.format.components[0].bits
    rows = np.frombuffer(memoryview(plane), np.uint8)[: plane.line_size * frame.height].reshape(frame.height, -1)
    if bits > 8:
        return rows.view(np.uint16)[:, : frame.width] >> (bits - 8)
    return rows[:, : frame.width]
