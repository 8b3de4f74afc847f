"""Which encoder makes the clips: chosen by proof, and told in one scale of quality and effort."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from ..config import ExportConfig
from ..errors import ExportError
from ._ffmpeg import prove_encoder

_SOFTWARE = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1"}
_EFFORTS = {
    "libx264": {"fastest": "ultrafast", "fast": "veryfast", "medium": "medium", "slow": "slower"},
    "libx265": {"fastest": "ultrafast", "fast": "superfast", "medium": "medium", "slow": "slow"},
    "libsvtav1": {"fastest": "12", "fast": "10", "medium": "7", "slow": "4"},
    "nvenc": {"fastest": "p1", "fast": "p4", "medium": "p5", "slow": "p7"},
}
_QUANTIZERS = {
    "libx264": (51, 0),
    "libx265": (51, 3),
    "libsvtav1": (63, 6),
    "h264_nvenc": (51, 1),
    "hevc_nvenc": (51, 3),
    "av1_nvenc": (51, 3),
}
"""Constant quality factor at quality 0 and 100; between them it is linear, so that 65 is x264's CRF 18."""
NVENC_SESSIONS = 3
"""Sessions that every consumer driver since 2017 allows at a time; newer ones allow 5 or 8."""


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """What encodes: ``name`` is ffmpeg's, ``codec`` one of h264, hevc and av1."""

    name: str
    codec: str
    reason: str = ""
    """Why it was not NVENC, where that was welcome."""
    failed: bool = False
    """NVENC was proven and yet refused the clip."""

    @property
    def is_nvenc(self) -> bool:
        """Whether the GPU encodes."""
        return self.name.endswith("_nvenc")

    def told(self) -> str:
        """Its name, and why it is not NVENC."""
        return f"{self.name}; NVENC does not work here: {self.reason}" if self.reason else self.name

    @property
    def keeps_fields(self) -> bool:
        """Whether it encodes two fields a picture."""
        return self.name == "libx264"

    def pix_fmt(self, deep: bool) -> str:
        """The format in which it takes 4:2:0 of 8 bits, or of 10 when ``deep``."""
        if not deep:
            return "yuv420p"
        return "p010le" if self.is_nvenc else "yuv420p10le"

    def options(self, config: ExportConfig, parameters: list[str] | None = None) -> list[str]:
        """ffmpeg's options for it at the quality and effort of ``config``; ``parameters`` are its library's own.

        Without B-frames pictures are stored in the order and at the times they are shown: MP4 then needs no
        edit list to start in sync, and its declared length is exact where times are uneven.
        """
        effort = _EFFORTS["nvenc" if self.is_nvenc else self.name][config.effort]
        quantizer = str(quantizer_of(self.name, config.quality))
        given = ["-c:v", self.name, "-preset", effort]
        if self.is_nvenc:
            return [*given, "-tune", "hq", "-rc", "vbr", "-cq", quantizer, "-b:v", "0", "-bf", "0"]
        given += ["-crf", quantizer]
        if self.name == "libx264":
            return [*given, "-bf", "0"]
        if self.name == "libx265":
            own = ["log-level=error", "bframes=0", "open-gop=0", *(parameters or [])]
            return [*given, "-bf", "0", "-x265-params", ":".join(own)]
        return [*given, *(["-svtav1-params", ":".join(parameters)] if parameters else [])]


def quantizer_of(name: str, quality: int) -> int:
    """CRF or CQ of the encoder ``name`` at ``quality`` 0 to 100, the larger the better."""
    worst, best = _QUANTIZERS[name]
    return round(worst + (best - worst) * quality / 100)


@functools.cache
def _proof(name: str, pix_fmt: str) -> str | None:
    return prove_encoder(name, pix_fmt)


def codec_of(config: ExportConfig, *, hdr: bool) -> str:
    """The codec that ``config`` asks for; left open it is AV1 in WebM, HEVC for HDR that stays, else H.264."""
    if config.codec != "auto":
        return config.codec
    if config.container == "webm":
        return "av1"
    return "hevc" if hdr and not config.sdr else "h264"


def choose_encoder(config: ExportConfig, *, hdr: bool) -> Encoder:
    """The encoder for a take that is ``hdr`` or not; NVENC only when it has just encoded pictures here.

    Raises:
        ExportError: what is asked for does not work; the message says why.
    """
    codec = codec_of(config, hdr=hdr)
    deep = hdr and not config.sdr and codec != "h264"
    hardware = Encoder(name=f"{codec}_nvenc", codec=codec)
    reason = ""
    if config.encoder != "software":
        failure = _proof(hardware.name, hardware.pix_fmt(deep))
        if failure is None:
            return hardware
        if config.encoder == "nvenc":
            raise ExportError(f"encoder {hardware.name} does not work here: {failure}; use --encoder software or auto")
        reason = failure
    software = Encoder(name=_SOFTWARE[codec], codec=codec, reason=reason)
    failure = _proof(software.name, software.pix_fmt(deep))
    if failure is not None:
        raise ExportError(f"encoder {software.name} does not work here: {failure}; choose another --codec")
    return software


def software_instead(encoder: Encoder, reason: str) -> Encoder:
    """The software encoder of the same codec, for a clip that NVENC refused for ``reason``."""
    return Encoder(name=_SOFTWARE[encoder.codec], codec=encoder.codec, reason=reason, failed=True)
