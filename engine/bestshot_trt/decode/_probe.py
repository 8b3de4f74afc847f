"""What a file really holds, learnt by decoding its first picture rather than believing its header."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DecodeError, InputError, shown
from ..frames import ColorInfo, VideoInfo
from ._open import open_unseen, packets_of, video_streams

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# ITU-T H.273 code points, as libavutil's AVCOL_* numbers.
_MATRICES = {
    0: "rgb",
    1: "bt709",
    4: "bt601",
    5: "bt601",
    6: "bt601",
    7: "smpte240m",
    9: "bt2020",
    10: "bt2020",
}
_TRANSFERS = {16: "pq", 18: "hlg"}
_FULL_RANGE = 2
_HD_HEIGHT = 720
_WIDEST_PIXEL = 16
_LONGEST_TAKE_S = 48 * 3600
_UNTIMED_PICTURES = 64
"""So many pictures without a time in a row make a file that has none (a raw H.264 stream)."""


def color_of(frame: VideoFrame) -> ColorInfo:
    """The colour encoding of ``frame``; an unspecified matrix is BT.709 from 720 lines up, else BT.601."""
    name = frame.format.name
    is_rgb = name.startswith(("gbr", "rgb", "bgr", "argb", "abgr", "0rgb", "0bgr", "pal8"))
    by_height = "bt709" if frame.height >= _HD_HEIGHT else "bt601"
    matrix = "rgb" if is_rgb else _MATRICES.get(frame.colorspace, by_height)
    if matrix == "rgb" and not is_rgb:
        matrix = by_height
    full_range = is_rgb or name.startswith("yuvj") or frame.color_range == _FULL_RANGE
    return ColorInfo(matrix=matrix, full_range=full_range, transfer=_TRANSFERS.get(frame.color_trc, "sdr"))


def frame_pts(frame: VideoFrame) -> int | None:
    """The presentation time of ``frame`` in its time base; its decode time where it has no other."""
    return frame.pts if frame.pts is not None else frame.dts


def plausible_pts(info: VideoInfo) -> range:
    """The pts within two days of the take's start; damage makes some that are years away."""
    reach = int(_LONGEST_TAKE_S / info.time_base)
    return range(info.start_pts - reach, info.start_pts + reach + 1)


def is_plausible(info: VideoInfo, pts: int) -> bool:
    """Whether a picture of the take can be at ``pts``."""
    return pts in plausible_pts(info)


def _first_picture(container: InputContainer, stream: VideoStream) -> VideoFrame | None:
    """The first picture that has a time; where none of the first few has, one that has none."""
    import av

    stream.thread_type = "NONE"
    untimed: list[VideoFrame] = []
    for packet in itertools.chain(packets_of(container, stream), [None]):
        try:
            frames = stream.codec_context.decode(packet)
        except av.FFmpegError:
            continue
        for frame in frames:
            if frame_pts(frame) is not None:
                return frame
            untimed.append(frame)
        if len(untimed) >= _UNTIMED_PICTURES:
            break
    return untimed[0] if untimed else None


def codec_name(stream: VideoStream) -> str:
    """The codec's own name (``av1``), not the decoder's (``libdav1d``)."""
    return stream.codec_context.codec.canonical_name


def probe(path: Path) -> VideoInfo:
    """Find the best video track of ``path`` and describe it from its first decoded picture.

    Raises:
        InputError: no such file, not a video file, or no video in it.
        DecodeError: there is a video track, but no picture of it can be decoded.
    """
    with open_unseen(path) as container:
        streams = video_streams(container)
        if not streams:
            kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
            raise InputError(f"{shown(path)}: holds no video (only {kinds}); give a file with pictures")
        stream = streams[0]
        frame = _first_picture(container, stream)
        if frame is None:
            raise DecodeError(
                f"{shown(path)}: no picture of its {codec_name(stream)} video can be decoded; "
                "the file is damaged or cut short, copy it again from the camera"
            )
        return _describe(path, container, stream, frame)


def _pixel_aspect(stream: VideoStream) -> Fraction:
    """The pixel aspect ratio, or 1 where it is unset or one that no picture can have."""
    ratio = stream.sample_aspect_ratio
    return ratio if ratio and 1 / _WIDEST_PIXEL <= ratio <= _WIDEST_PIXEL else Fraction(1)


def _describe(path: Path, container: InputContainer, stream: VideoStream, frame: VideoFrame) -> VideoInfo:
    start_pts = frame_pts(frame)
    if start_pts is None or stream.time_base is None:
        raise DecodeError(f"{shown(path)}: its pictures carry no times; remux it to mp4 first")
    claim = float(stream.duration * stream.time_base) if stream.duration else (container.duration or 0) / 1_000_000
    return VideoInfo(
        path=path,
        container=container.format.name,
        stream_index=stream.index,
        codec=codec_name(stream),
        pix_fmt=frame.format.name,
        width=frame.width,
        height=frame.height,
        rotation=round(-frame.rotation / 90) * 90 % 360,
        pixel_aspect=_pixel_aspect(stream),
        time_base=stream.time_base,
        start_pts=start_pts,
        frame_rate=stream.average_rate or stream.guessed_rate,
        duration_claim=claim if 0 < claim <= _LONGEST_TAKE_S else None,
        color=color_of(frame),
        interlaced=frame.interlaced_frame,
        has_audio=bool(container.streams.audio),
    )
