"""From a file to pictures: `probe` describes it, decoders give its samples, `frames_between` a stretch."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from ..config import AnalyzeConfig
from ..frames import DecodeReport, FrameBatch, ModelView, VideoInfo
from ..lazily import names_of as _names_of
from ._between import frames_between
from ._keyframes import keyframes_near
from ._open import open_container, packets_of, seek, stream_of
from ._probe import probe
from ._pyav import PyAVDecoder

if TYPE_CHECKING:
    from ._dali import DaliDecoder
    from ._picture import ScorePicture
    from ._still import StillPicture, progressive
    from ._views import sample_views

__all__ = [
    "DaliDecoder",
    "Decoder",
    "PyAVDecoder",
    "ScorePicture",
    "StillPicture",
    "frames_between",
    "keyframes_near",
    "open_container",
    "packets_of",
    "probe",
    "progressive",
    "sample_views",
    "seek",
    "stream_of",
]

# On first use: decoding on the CPU needs none of what feeds DALI, and starts before NumPy is loaded.
_HOMES = {
    "_dali": ("DaliDecoder",),
    "_picture": ("ScorePicture",),
    "_still": ("StillPicture", "progressive"),
    "_views": ("sample_views",),
}

__getattr__ = _names_of(__name__, _HOMES)


class Decoder(Protocol):
    """Gives the score pictures of a take's samples, wherever it decodes them."""

    name: str

    def batches(
        self, info: VideoInfo, config: AnalyzeConfig, report: DecodeReport, view: ModelView | None = None
    ) -> Iterator[FrameBatch]:
        """Every sample's picture, in order, and its ``view``; what was lost is entered in ``report``."""
        ...
