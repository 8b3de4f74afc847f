"""A libavcodec decoder that damage does not stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


class Feeder:
    """One decoder and the account of what it was fed; libavcodec's errors are counted, never raised."""

    def __init__(self, context: VideoCodecContext) -> None:
        self._context = context
        self.errors = 0

    def feed(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        """The frames that come out for ``packet``; None drains the decoder."""
        import av

        try:
            return self._context.decode(packet)
        except av.FFmpegError:
            self.errors += 1
            return []

    def reset(self) -> None:
        """Forget all pictures, so that decoding can start anew at a keyframe."""
        self._context.flush_buffers()
