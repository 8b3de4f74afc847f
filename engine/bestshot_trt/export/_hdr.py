"""What an HDR take says of the display it was mastered on, in the words of the encoders' libraries."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_MASTERING = struct.Struct("=22i")
"""libavutil's AVMasteringDisplayMetadata: red, green, blue and white (x, y), least and most light, two flags."""
_LIGHT = struct.Struct("=2I")
"""AVContentLightMetadata: the brightest pixel, the brightest mean of a picture, in cd/m2."""


@dataclass(frozen=True, kw_only=True)
class Mastering:
    """SMPTE ST 2086 colours as (x, y) and luminances in cd/m2, and CTA-861.3 light levels; None where unsaid."""

    primaries: tuple[tuple[Fraction, Fraction], ...] | None = None
    """Red, green, blue, white."""
    luminance: tuple[Fraction, Fraction] | None = None
    """Least, most."""
    light: tuple[int, int] | None = None
    """MaxCLL, MaxFALL."""

    def parameters(self, encoder: str) -> list[str]:
        """Parameters of libx265 or libsvtav1 that write this; none for other encoders."""
        if encoder == "libx265":
            return self._x265()
        return self._svt() if encoder == "libsvtav1" else []

    def _x265(self) -> list[str]:
        """In steps of 0.00002 and 0.0001 cd/m2."""
        told = [f"max-cll={self.light[0]},{self.light[1]}"] if self.light else []
        if self.primaries and self.luminance:
            red, green, blue, white = ((round(x * 50000), round(y * 50000)) for x, y in self.primaries)
            points = "".join(f"{n}({x},{y})" for n, (x, y) in (("G", green), ("B", blue), ("R", red), ("WP", white)))
            least, most = (round(value * 10000) for value in self.luminance)
            told.append(f"master-display={points}L({most},{least})")
        return told

    def _svt(self) -> list[str]:
        told = [f"content-light={self.light[0]},{self.light[1]}"] if self.light else []
        if self.primaries and self.luminance:
            red, green, blue, white = self.primaries
            pairs = (("G", green), ("B", blue), ("R", red), ("WP", white))
            points = "".join(f"{n}({float(x):.5f},{float(y):.5f})" for n, (x, y) in pairs)
            least, most = self.luminance
            told.append(f"mastering-display={points}L({float(most):.4f},{float(least):.4f})")
        return told


def mastering_of(frame: VideoFrame) -> Mastering | None:
    """What ``frame`` carries; None when nothing."""
    mastering = _display(_side_data(frame, "MASTERING_DISPLAY_METADATA"))
    light = _side_data(frame, "CONTENT_LIGHT_LEVEL")
    levels = _LIGHT.unpack_from(light) if len(light) >= _LIGHT.size else (0, 0)
    if mastering is None and not any(levels):
        return None
    primaries, luminance = mastering or (None, None)
    return Mastering(primaries=primaries, luminance=luminance, light=levels if any(levels) else None)


def _side_data(frame: VideoFrame, name: str) -> bytes:
    found: Any = frame.side_data.get(name)
    return b"" if found is None else bytes(found)


_Points = tuple[tuple[Fraction, Fraction], ...]


def _display(data: bytes) -> tuple[_Points | None, tuple[Fraction, Fraction] | None] | None:
    if len(data) < _MASTERING.size:
        return None
    *numbers, has_primaries, has_luminance = _MASTERING.unpack_from(data)
    values = _ratios(numbers)
    points = tuple((values[i], values[i + 1]) for i in range(0, 8, 2))
    return (points if has_primaries else None, (values[8], values[9]) if has_luminance else None)


def _ratios(numbers: Sequence[int]) -> list[Fraction]:
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    return [Fraction(numerator, denominator or 1) for numerator, denominator in pairs]
