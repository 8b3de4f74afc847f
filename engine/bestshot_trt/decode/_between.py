"""Every picture of a stretch of a take, for cutting clips: exact at both ends on any file."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ..bitstream import Parser
from ..errors import DecodeError, shown
from ..frames import VideoInfo
from ..plan import time_on_screen
from ._feeder import Feeder
from ._open import open_container, packets_of, parser_of, seek, stream_of
from ._probe import frame_pts, is_plausible

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_KEYFRAMES_BACK = 6
"""How many keyframes to go back in search of a closed one (IDR) before one with a run-up must do."""

_REORDER_FRAMES = 4
"""How far a picture's time may stand from its place."""


def frames_between(info: VideoInfo, start: Fraction | float, end: Fraction | float) -> Iterator[VideoFrame]:
    """Every displayed picture on screen during [start, end) seconds of media time, in order.

    The first is the one on screen at ``start``, so its pts may lie before it; the last is the one on
    screen just before ``end``. Times within half a tick count as equal, as everywhere. A stretch in
    which no picture starts gives the one on screen.

    Raises:
        InputError: the file is gone.
        DecodeError: nothing of the stretch can be decoded, or the take ends before it.
    """
    first = info.start_pts + Fraction(start) / info.time_base + Fraction(1, 2)
    stop = info.start_pts + Fraction(end) / info.time_base - Fraction(1, 2)
    held: VideoFrame | None = None
    until = last = info.start_pts
    for pts, frame in _ordered(info, _frames_from(info, int(first))):
        if pts > first and pts >= stop:
            break
        if held is not None and pts > first:
            yield held
        until, last = pts + time_on_screen(frame.duration or 0, pts - last), pts
        held = frame
    else:
        held = held if until > first - 1 else None
    if held is None:
        raise DecodeError(
            f"{shown(info.path)}: no picture from {float(start):.3f} s to {float(end):.3f} s can be decoded"
        )
    yield held


def _ordered(info: VideoInfo, frames: Iterator[VideoFrame]) -> Iterator[tuple[int, VideoFrame]]:
    """The pictures, in the decoder's order, with pts that increase.

    Some files hold times in decoding order (H.264 with B-frames in AVI). Those times are sorted, as
    the pictures already are; where they were right, nothing changes.
    """
    waiting: deque[VideoFrame] = deque()
    times: list[int] = []
    last: int | None = None
    for frame in itertools.chain(frames, [None] * _REORDER_FRAMES):
        pts = frame_pts(frame) if frame is not None else None
        if frame is not None and pts is not None and is_plausible(info, pts) and (last is None or pts > last):
            waiting.append(frame)
            heapq.heappush(times, pts)
        if waiting and (frame is None or len(waiting) > _REORDER_FRAMES):
            earliest, picture = heapq.heappop(times), waiting.popleft()
            if last is None or earliest > last:
                last = picture.pts = earliest
                yield earliest, picture


def _frames_from(info: VideoInfo, pts: int) -> Iterator[VideoFrame]:
    """Decoded pictures from a safe keyframe at or before ``pts`` on."""
    with open_container(info.path) as container:
        stream = stream_of(container, info.stream_index)
        context = stream.codec_context
        context.thread_type = "AUTO"
        parser = parser_of(stream, info.codec)
        feeder = Feeder(context)
        for packet in _packets_from(info.path, container, stream, feeder, parser, pts):
            yield from feeder.feed(packet)


def _packets_from(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    feeder: Feeder,
    parser: Parser | None,
    pts: int,
) -> Iterator[Packet[VideoStream] | None]:
    """Packets in decode order from a keyframe at or before ``pts``, after a first packet and a reset.

    The stream's first packet is always decoded first: it names the encoder, whose known bugs libavcodec
    allows for; without it x264's older 4:4:4 streams come out green.
    """
    first = next(packets_of(container, stream), None)
    if first is None:
        return
    found = _safe_keyframe(container, stream, parser, first, pts)
    if found is None or not seek(container, stream, found[0]):
        with open_container(path) as afresh:
            yield from packets_of(afresh, stream_of(afresh, stream.index))
        yield None
        return
    feeder.feed(first)
    feeder.reset()
    yield from itertools.dropwhile(lambda packet: packet.pts != found[1], packets_of(container, stream))
    yield None


def _safe_keyframe(
    container: InputContainer,
    stream: VideoStream,
    parser: Parser | None,
    first: Packet[VideoStream],
    pts: int,
) -> tuple[int, int] | None:
    """(where to seek, pts of the keyframe to start at), or None to decode from the beginning.

    A closed keyframe (IDR) gives exactly what a full decode gives. Where there is none nearby, an open
    one with at least one more group as run-up must do.
    """
    assert stream.time_base is not None
    begin = first.dts if first.dts is not None else 0
    target, step = pts, round(1 / stream.time_base)
    run_up: list[tuple[int, int]] = []
    while target > begin:
        if not seek(container, stream, target):
            return None
        key = _keyframe_ahead(container, stream, pts)
        if key is None or key.pts is None or key.dts is None:
            target, step = target - step, step * 2
            continue
        if parser is None or parser.classify(bytes(key)).closed:
            return target, key.pts
        run_up.append((target, key.pts))
        if len(run_up) >= _KEYFRAMES_BACK:
            return run_up[1]
        target = min(target, key.dts, key.pts) - 1
    return None


def _keyframe_ahead(container: InputContainer, stream: VideoStream, pts: int) -> Packet[VideoStream] | None:
    """The first keyframe from here on that is displayed at or before ``pts``."""
    for packet in packets_of(container, stream):
        if packet.dts is not None and packet.dts > pts:
            return None
        if packet.is_keyframe and packet.pts is not None and packet.pts <= pts:
            return packet
    return None
