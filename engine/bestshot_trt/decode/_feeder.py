"""A libavcodec decoder that damage does not stop."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..frames import VideoInfo
from ..plan import REORDER_LIMIT
from ._open import reopen_container, stream_of

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


class Feeder:
    """One decoder and the account of what it was fed; libavcodec's errors are counted, never raised.

    ``threads``: as many, or as libavcodec sees fit (0), or as ``context`` says (None).
    """

    def __init__(self, context: VideoCodecContext, threads: int | None = None) -> None:
        if threads is not None:
            context.thread_type = "AUTO"
            context.thread_count = threads
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

    def expect(self, wanted: Iterable[int]) -> None:
        """Say which pts will be asked for; here, all frames are given."""

    def reset(self) -> None:
        """Forget all pictures, so that decoding can start anew at a keyframe."""
        self._context.flush_buffers()


class Damaged(Exception):
    """What libavcodec conceals depends on all that a decoder has seen, and on which of its threads saw it."""


class StrictFeeder(Feeder):
    """A decoder that gives nothing that damage may have touched: it stops at the first sign.

    Of its frames come out those that are expected, late enough for what they refer to to have shown its damage.
    """

    def __init__(self, context: VideoCodecContext, threads: int | None = None) -> None:
        super().__init__(context, threads)
        self._expected: set[int] = set()
        self._out = 0
        self._held: deque[tuple[int, VideoFrame]] = deque()

    def expect(self, wanted: Iterable[int]) -> None:
        self._expected.update(wanted)

    def feed(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        """The expected frames that are certain by now; None drains the decoder.

        Raises:
            Damaged: libavcodec reported an error, or concealed something.
        """
        frames = super().feed(packet)
        if self.errors:
            raise Damaged
        for frame in frames:
            if frame.is_corrupt:
                raise Damaged
            if frame.pts in self._expected:
                self._expected.discard(frame.pts)
                self._held.append((self._out, frame))
            self._out += 1
        certain = self._out - (REORDER_LIMIT if packet is not None else 0)
        ready = []
        while self._held and self._held[0][0] < certain:
            ready.append(self._held.popleft()[1])
        return ready

    def reset(self) -> None:
        super().reset()
        self._held.clear()
        self._expected.clear()


def open_context(info: VideoInfo) -> VideoCodecContext:
    """One more decoder for the video of ``info``.

    Raises:
        InputError: the file is gone or changed beyond reading.
    """
    with reopen_container(info) as container:
        return stream_of(container, info.stream_index).codec_context
