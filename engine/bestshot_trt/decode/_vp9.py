"""What one VP9 packet shows, read from its frame headers.

Source: VP9 Bitstream & Decoding Process Specification 0.6, sections 6.2, 7.2 and annex B (superframes).
"""

from __future__ import annotations

from collections.abc import Iterator

from ..bitstream import UNKNOWN, PacketKind

_CLOSED = PacketKind(disposable=False, closed=True, parameters=False)


def superframe(data: bytes) -> Iterator[bytes]:
    """The frames of one packet: itself, or those that the index at its end lists."""
    marker = data[-1] if data else 0
    if marker & 0xE0 == 0xC0:
        count, width = (marker & 7) + 1, (marker >> 3 & 3) + 1
        size = 2 + count * width
        if len(data) >= size and data[-size] == marker:
            index, position = data[1 - size : -1], 0
            for i in range(count):
                length = int.from_bytes(index[i * width : (i + 1) * width], "little")
                yield data[position : position + length]
                position += length
            return
    yield data


class _Header:
    """The start of a frame's uncompressed header."""

    def __init__(self, frame: bytes) -> None:
        self._value = int.from_bytes(frame[:24].ljust(24, b"\0"), "big")
        self._left = 24 * 8
        marker, low, high = self._take(2), self._take(1), self._take(1)
        self.is_readable = bool(frame) and marker == 2 and not (low or high)
        """Whether it is of profile 0, the only one that is read here (8 bit, 4:2:0)."""
        self.is_repeat = bool(self._take(1))
        """Whether it only shows a picture that was decoded before."""
        self.is_key = not self._take(1)
        self.is_shown = bool(self._take(1))
        self._is_resilient = bool(self._take(1))

    def _take(self, count: int) -> int:
        self._left -= count
        return (self._value >> self._left) & ((1 << count) - 1)

    def size(self) -> tuple[int, int] | None:
        """(width, height) where the header spells them out; None where they are those of another picture."""
        if self.is_key:
            self._take(24 + 3 + 1)
        elif self._begin_inter():
            return None
        return self._take(16) + 1, self._take(16) + 1

    def _begin_inter(self) -> bool:
        is_intra = not self.is_shown and bool(self._take(1))
        if not self._is_resilient:
            self._take(2)
        if is_intra:
            self._take(24 + 8)
            return False
        self._take(8 + 3 * 4)
        return any(self._take(1) for _ in range(3))


class Vp9Parser:
    """Classifies VP9 packets, and says of each why it does not stand for exactly one picture of the take's size."""

    frames_only = True

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        self.why_not: str | None = None
        """Why the packet classified last is not an ordinary one."""

    def classify(self, data: bytes) -> PacketKind:
        """Closed where it begins with a keyframe; no packet is known to be disposable."""
        headers = [_Header(frame) for frame in superframe(data)]
        self.why_not = self._why_not(headers)
        first = headers[0]
        return _CLOSED if first.is_readable and first.is_key and not first.is_repeat else UNKNOWN

    def _why_not(self, headers: list[_Header]) -> str | None:
        if not all(header.is_readable for header in headers):
            return "VP9 of another profile than 0, or damaged"
        if any(header.is_repeat for header in headers):
            return "VP9 that shows pictures again by reference"
        if sum(header.is_shown for header in headers) != 1:
            return "VP9 packets that do not show one picture each"
        if any(header.size() not in (None, self._size) for header in headers):
            return "VP9 that changes its picture size"
        return None
