"""Decoded pictures with exact times as raw video in a NUT stream."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_PLANAR = ("yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p", "yuv440p", "yuv411p", "gbrp")
_DEEP = ("yuv420p", "yuv422p", "yuv444p", "gbrp", "gray")
_CARRIED = frozenset({*_PLANAR, "gray", "rgb24", *(f"{name}{bits}le" for name in _DEEP for bits in (10, 12))})
_USUAL_RATE = Fraction(30)


def carrier_format(frame: VideoFrame) -> str:
    """The pixel format in which NUT takes ``frame``: its own, or one that holds all of it but alpha."""
    name = frame.format.name
    if name in _CARRIED:
        return name
    deep = any(component.bits > 8 for component in frame.format.components)
    if frame.format.is_rgb or frame.format.has_palette:
        return "gbrp12le" if deep else "rgb24"
    return "yuv444p12le" if deep else "yuv444p"


def write_nut(
    frames: Iterable[tuple[int, VideoFrame]],
    pix_fmt: str,
    timescale: int,
    rate: Fraction | None,
    pipe: IO[bytes],
) -> tuple[int, bool]:
    """Write (tick, frame) pairs to ``pipe`` as raw ``pix_fmt`` video, ``timescale`` ticks to the second.

    The first frame sets the size; frames of another size or format are converted to it.
    ``rate`` is only a hint to the encoder. Returns how many frames there were and whether any was converted.

    Raises:
        BrokenPipeError: the reader is gone.
    """
    import av

    tick_length = Fraction(1, timescale)
    count, converted = 0, False
    size: tuple[int, int] | None = None
    # libavformat writes to the descriptor itself: through Python every byte would be copied once more.
    with av.open(f"pipe:{pipe.fileno()}", "w", format="nut") as output:
        stream = output.add_stream("rawvideo", rate=_sane_rate(rate))
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = tick_length
        for tick, frame in frames:
            if size is None:
                size = stream.width, stream.height = frame.width, frame.height
                source = frame.format.name
            picture = frame
            if (frame.width, frame.height) != size or frame.format.name != pix_fmt:
                picture = frame.reformat(*size, format=pix_fmt)
                converted |= (frame.width, frame.height) != size or frame.format.name != source
            picture.pts, picture.time_base = tick, tick_length
            output.mux(stream.encode(picture))
            count += 1
    return count, converted


def _sane_rate(rate: Fraction | None) -> Fraction:
    return rate if rate is not None and 1 <= rate <= 1000 else _USUAL_RATE
