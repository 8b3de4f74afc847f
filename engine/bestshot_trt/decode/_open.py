"""Opening a file with libavformat, safely: only containers of video, only this file, no network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ..bitstream import PacketKind, Parser, parser_for
from ..errors import InputError, shown
from ..files import check_regular
from ..frames import VideoInfo
from ..plan import PacketInfo
from ..streams import stream_at

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

# Demuxers that read one file and nothing it names: playlists, concat scripts and images stay out.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,mxf,nut,"
    "h264,hevc,ivf,obu,m4v,rm,dv,gxf,wtv,yuv4mpegpipe"
)
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS}
# To guess a frame rate from uneven times, libavformat decodes twenty pictures first. MP4 and QuickTime tell it, and
# how long each packet lasts; elsewhere libavformat may go by the rate for that.
_NO_GUESS = {**_OPTIONS, "fpsprobesize": "0"}
_INTRA_ONLY = 1
"""libavcodec's AV_CODEC_PROP_INTRA_ONLY."""


def _check(path: Path) -> None:
    """Refuse what cannot be a video file, before any library sees it; streams refuse for themselves.

    Raises:
        InputError: missing, a folder, a pipe or device, empty, or not readable.
    """
    if stream_at(path) is not None:
        return
    check_regular(path)
    if path.stat().st_size == 0:
        raise InputError(f"{shown(path)}: is empty (0 bytes); copy or record it again")
    if not os.access(path, os.R_OK):
        raise InputError(f"{shown(path)}: may not be read; change its permissions")


def open_container(path: Path) -> InputContainer:
    """Open ``path`` for demuxing.

    Raises:
        InputError: it is not a file of video, or damaged beyond reading.
    """
    _check(path)
    return _open(path, _OPTIONS)


def reopen_container(info: VideoInfo) -> InputContainer:
    """Open a take that was described before, when its frame rate need not be guessed again.

    Raises:
        InputError: the file is gone or changed beyond reading.
    """
    _check(info.path)
    return _open(info.path, _NO_GUESS if info.container.startswith("mov") else _OPTIONS)


def open_unseen(path: Path) -> InputContainer:
    """Open a take to describe it, with its frame rate guessed only where the file does not say it.

    Raises:
        InputError: it is not a file of video, or damaged beyond reading.
    """
    _check(path)
    if stream_at(path) is None and _is_mp4(path):
        container = _open(path, _NO_GUESS)
        if all(stream.average_rate for stream in video_streams(container)[:1]):
            return container
        container.close()
    return _open(path, _OPTIONS)


def _is_mp4(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8)[4:] == b"ftyp"


def _open(path: Path, options: dict[str, str]) -> InputContainer:
    """Open ``path``, which was checked."""
    import av

    try:
        return av.open(_named(path), mode="r", options=options, metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        raise InputError(
            f"{shown(path)}: not a video that can be read ({_reason(error)}); "
            "check that it plays, or copy it again from the camera"
        ) from error


def _named(path: Path) -> str | IO[bytes]:
    stream = stream_at(path)
    if stream is not None:
        return stream.open(str(path.absolute()))
    absolute = str(path.absolute())
    try:
        absolute.encode()
    except UnicodeEncodeError:
        # libav takes UTF-8 names only; such a file is read through Python instead.
        return path.open("rb")
    return f"file:{absolute}"


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return {
        "Invalid data found when processing input": "no valid container found",
        "Invalid argument": "not a container of video",
    }.get(text, text)


def video_streams(container: InputContainer) -> list[VideoStream]:
    """Moving-picture tracks, best first: default before others, then the larger picture.

    Cover art and thumbnail tracks do not count.
    """
    from av.stream import Disposition

    still = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    tracks = [s for s in container.streams.video if not s.disposition & still and s.codec_context is not None]
    return sorted(
        tracks,
        key=lambda s: (-bool(s.disposition & Disposition.default), -s.width * s.height, s.index),
    )


def stream_of(container: InputContainer, index: int) -> VideoStream:
    """The video track with this stream index.

    Raises:
        InputError: the file changed since it was probed.
    """
    for stream in container.streams.video:
        if stream.index == index:
            return stream
    raise InputError(f"{shown(container.name)}: no longer holds video track {index}; it changed, analyze it again")


def parser_of(stream: VideoStream, codec: str) -> Parser | None:
    """What tells the packets of ``stream``, of this ``codec``, apart; None when all of them must be decoded."""
    context = stream.codec_context
    intra_only = bool(int(context.codec.properties) & _INTRA_ONLY)
    return parser_for(codec, bytes(context.extradata or b""), intra_only=intra_only)


def seek(container: InputContainer, stream: VideoStream, target: int) -> bool:
    """Seek to ``target`` ticks; False where the file's index or its damage does not allow it."""
    import av

    try:
        container.seek(target, stream=stream)
    except av.FFmpegError:
        return False
    return True


def described(packet: Packet[VideoStream], kind: PacketKind) -> PacketInfo:
    """What planning needs to know of ``packet``, which is of this ``kind``."""
    return PacketInfo(packet.pts, packet.duration or 0, packet.size, packet.is_discard, kind)


def packets_of(
    container: InputContainer, stream: VideoStream, notes: list[str] | None = None
) -> Iterator[Packet[VideoStream]]:
    """The packets of ``stream`` that hold data, from where the container stands.

    A read error ends them, as it does in a file cut short; it is entered in ``notes``.
    """
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except IndexError:
            # PyAV raises it at the end of an MPEG-TS in which more tracks appeared on the way.
            return
        except av.FFmpegError as error:
            if notes is not None:
                notes.append(f"reading stopped early: {error.strerror}")
            return
        if packet is None:
            return
        if packet.size:
            yield packet
