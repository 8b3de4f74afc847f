"""Pictures near some times of a take at hardly any cost: those that decode alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ..frames import VideoInfo
from ._open import open_container, packets_of, stream_of
from ._probe import frame_pts, is_plausible

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_MOST_PACKETS = 600
"""Packets looked through for a keyframe; where there is none among so many, the take has hardly any."""


def keyframes_near(info: VideoInfo, times: Iterable[float]) -> Iterator[tuple[float, VideoFrame]]:
    """The keyframe before each of ``times`` (seconds of media time) with its own time; each picture once.

    What cannot be sought or decoded is left out: such pictures illustrate, and are no measure of anything.

    Raises:
        InputError: the file is gone.
    """
    import av

    decoded: set[tuple[int | None, int | None]] = set()
    seen = set()
    with open_container(info.path) as container:
        stream = stream_of(container, info.stream_index)
        for time in times:
            try:
                frame = _keyframe(container, stream, info.start_pts + round(time / info.time_base), decoded)
            except av.FFmpegError:
                continue
            pts = None if frame is None else frame_pts(frame)
            if frame is not None and pts is not None and is_plausible(info, pts) and pts not in seen:
                seen.add(pts)
                yield max(0.0, float(info.media_time(pts))), frame


def _keyframe(
    container: InputContainer, stream: VideoStream, target: int, decoded: set[tuple[int | None, int | None]]
) -> VideoFrame | None:
    """The keyframe before ``target``, or None where there is none or its times are among those ``decoded``."""
    container.seek(target, stream=stream)
    for count, packet in enumerate(packets_of(container, stream)):
        if packet.is_keyframe:
            # In a long GOP many times have one keyframe.
            if (packet.pts, packet.dts) in decoded:
                return None
            decoded.add((packet.pts, packet.dts))
            context = stream.codec_context
            # Flushed, the decoder gives the picture without waiting for those that might go before it.
            frames = [*context.decode(packet), *context.decode(None)]
            context.flush_buffers()
            return frames[0] if frames else None
        if count >= _MOST_PACKETS:
            break
    return None
