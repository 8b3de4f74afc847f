"""What DALI decodes: on a card, by what all of them take and what this one's driver says; on the CPU, in the tests."""

from __future__ import annotations

from ..frames import VideoInfo
from ..gpu import Gpu
from ._segments import why_not_segments

_CPU_CODECS = ("vp9", "mjpeg")
_NVDEC_FORMATS = {
    "h264": ("yuv420p", "yuvj420p"),
    "hevc": ("yuv420p", "yuvj420p", "yuv420p10le"),
    "vp9": ("yuv420p", "yuvj420p"),
    "mjpeg": ("yuv420p", "yuvj420p"),
}
"""What every NVDEC since 2016 takes and DALI hands out; AV1 is not cut into segments yet."""


def why_not(info: VideoInfo, device: str = "gpu", gpu: Gpu | None = None) -> str | None:
    """Why DALI cannot decode this take on ``device``, in words, or None where it may.

    Open groups, and more, are only found in the packets: `DaliDecoder` then goes on with PyAV. Where the driver tells
    what ``gpu`` decodes, that counts too.
    """
    reason = why_not_segments(info)
    if reason is not None:
        return reason
    if info.color.is_hdr:
        return f"{info.color.transfer.upper()} needs more than the 8 bits that DALI gives"
    if device == "cpu":
        return None if info.codec in _CPU_CODECS else f"DALI decodes no {info.codec} on the CPU"
    if info.pix_fmt not in _NVDEC_FORMATS[info.codec]:
        return f"not every NVDEC takes {info.codec} as {info.pix_fmt}"
    return _why_not_here(info, gpu)


def _why_not_here(info: VideoInfo, gpu: Gpu | None) -> str | None:
    """Why this card does not decode it, by what its driver says; None where that says nothing."""
    formats = gpu.card.decodes if gpu and gpu.card else None
    # Nor does it say anything of Motion JPEG.
    if formats is None or info.codec == "mjpeg":
        return None
    bits = 10 if info.pix_fmt.endswith("10le") else 8
    fitting = [each for each in formats if (each.codec, each.chroma, each.bits) == (info.codec, "4:2:0", bits)]
    if not fitting:
        return f"{gpu} decodes no {info.codec} of {bits} bits"
    widest, highest = fitting[0].largest
    if info.width > widest or info.height > highest:
        return f"{gpu} decodes {info.codec} up to {widest}x{highest}, and this is {info.width}x{info.height}"
    return None
