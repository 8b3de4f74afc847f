"""Whether a stream keeps the picture format it began with: decoders of segments are set up for one only.

Sources: ITU-T T.81 annex B (JPEG markers); ITU-T H.264 table 7-1; ITU-T H.265 table 7-1.
"""

from __future__ import annotations

from ..bitstream import H264Parser, HevcParser, IntraParser, PacketKind
from ..frames import VideoInfo

_START_OF_FRAME = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_END_OF_IMAGE, _START_OF_SCAN = 0xD9, 0xDA


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) that a JPEG picture's frame header gives; None where there is none before its pixels."""
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker in _START_OF_FRAME:
            height, width = data[position + 5 : position + 7], data[position + 7 : position + 9]
            return int.from_bytes(width, "big"), int.from_bytes(height, "big")
        if marker in (_END_OF_IMAGE, _START_OF_SCAN):
            return None
        # A marker may be preceded by fill bytes.
        position += 1 if marker == 0xFF else 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return None


class Steady:
    """Compares each packet of one stream with the first."""

    def __init__(self, info: VideoInfo) -> None:
        self._size = (info.width, info.height)
        self._sets: set[bytes] = set()

    def why_not(self, data: bytes, kind: PacketKind, parser: object) -> str | None:
        """What changes with this packet, in words."""
        if isinstance(parser, IntraParser):
            return None if jpeg_size(data) == self._size else "Motion JPEG that changes its picture size, or of fields"
        if kind.parameters and isinstance(parser, H264Parser | HevcParser):
            self._sets |= _sequence_sets(data, parser)
            if len(self._sets) > 1:
                return "sequence parameter sets that change on the way"
        return None


def _sequence_sets(data: bytes, parser: H264Parser | HevcParser) -> set[bytes]:
    units = map(bytes, parser.splitter.units(data))
    if isinstance(parser, H264Parser):
        return {unit.rstrip(b"\0") for unit in units if unit and unit[0] & 31 == 7}
    return {unit.rstrip(b"\0") for unit in units if unit and unit[0] >> 1 & 63 == 33}
