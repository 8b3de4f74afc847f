"""What one compressed H.264 or HEVC packet is to its neighbours, read from its NAL unit headers.

Sources: ITU-T H.264 sections 7.3.1, 7.3.2.1 and 7.4.1; ITU-T H.265 sections 7.3.1, 7.3.2 and 7.4.2.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

START_CODE = b"\x00\x00\x01"


class PacketKind(NamedTuple):
    """What a packet is: ``disposable`` when no other picture needs it; ``closed`` when it starts a
    group that neither needs, nor is displayed before, anything ahead of it (an IDR picture);
    ``parameters`` when it carries parameter sets that later packets may rely on."""

    disposable: bool
    closed: bool
    parameters: bool


UNKNOWN = PacketKind(disposable=False, closed=False, parameters=False)
INTRA = PacketKind(disposable=False, closed=True, parameters=False)


class _Bits:
    """Reads a raw byte sequence payload bit by bit, with Exp-Golomb codes (H.264 section 9.1)."""

    def __init__(self, nal: bytes) -> None:
        payload = nal.replace(b"\x00\x00\x03", b"\x00\x00")
        self._value = int.from_bytes(payload, "big")
        self._left = len(payload) * 8

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise ValueError("parameter set ends early")
        return (self._value >> self._left) & ((1 << count) - 1)

    def ue(self) -> int:
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

    def se(self) -> int:
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)


_H264_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})


def _skip_scaling_lists(bits: _Bits, count: int) -> None:
    for index in range(count):
        if not bits.take(1):
            continue
        last = following = 8
        for _ in range(16 if index < 6 else 64):
            if following:
                following = (last + bits.se()) % 256
            last = following or last


def h264_is_frame_only(sps: bytes) -> bool:
    """Whether an H.264 sequence parameter set (NAL unit with its header byte) allows no field coding.

    Raises:
        ValueError: the parameter set is cut short.
    """
    bits = _Bits(sps[1:])
    profile = bits.take(8)
    bits.take(16)
    bits.ue()
    if profile in _H264_HIGH_PROFILES:
        chroma_format = bits.ue()
        if chroma_format == 3:
            bits.take(1)
        bits.ue(), bits.ue()
        bits.take(1)
        if bits.take(1):
            _skip_scaling_lists(bits, 8 if chroma_format != 3 else 12)
    bits.ue()
    order_type = bits.ue()
    if order_type == 0:
        bits.ue()
    elif order_type == 1:
        bits.take(1)
        bits.se(), bits.se()
        for _ in range(bits.ue()):
            bits.se()
    bits.ue()
    bits.take(1)
    bits.ue(), bits.ue()
    return bool(bits.take(1))


def _annexb_units(data: bytes) -> Iterator[bytes]:
    start = data.find(START_CODE)
    while start >= 0:
        following = data.find(START_CODE, start + 3)
        yield data[start + 3 : following if following >= 0 else len(data)]
        start = following


def _length_prefixed_units(data: bytes, size: int) -> Iterator[memoryview]:
    view = memoryview(data)
    position = 0
    while position + size <= len(data):
        length = int.from_bytes(data[position : position + size], "big")
        yield view[position + size : position + size + length]
        position += size + length


class _Splitter:
    """Splits packets of one stream into NAL units, whichever way the container stores them."""

    def __init__(self, extradata: bytes, length_size_at: int) -> None:
        configured = extradata[:1] == b"\x01" and len(extradata) > length_size_at
        self._length_size = (extradata[length_size_at] & 3) + 1 if configured else 0

    def units(self, data: bytes) -> Iterator[bytes] | Iterator[memoryview]:
        if self._length_size:
            return _length_prefixed_units(data, self._length_size)
        return _annexb_units(data)


class H264Parser:
    """Classifies H.264 packets of one stream. ``extradata`` is avcC or Annex B."""

    def __init__(self, extradata: bytes) -> None:
        self.splitter = _Splitter(extradata, 4)
        """Splits packets into NAL units."""
        self.frames_only = True
        """Whether every sequence parameter set seen so far forbids field coding."""
        self._seen_parameters: set[bytes] = set()
        self._read_extradata(extradata)

    def _read_extradata(self, extradata: bytes) -> None:
        if extradata[:1] != b"\x01":
            units = list(_annexb_units(extradata))
        else:
            length = int.from_bytes(extradata[6:8], "big") if len(extradata) > 8 else 0
            units = [extradata[8 : 8 + length]] if length else []
        for unit in units:
            self._note_parameters(unit)

    def _note_parameters(self, unit: bytes) -> None:
        if not unit or unit[0] & 31 != 7 or unit in self._seen_parameters:
            return
        self._seen_parameters.add(unit)
        try:
            self.frames_only = self.frames_only and h264_is_frame_only(unit)
        except ValueError:
            self.frames_only = False

    def classify(self, data: bytes) -> PacketKind:
        """The kind of the picture in ``data``; damaged or foreign data is never disposable."""
        slices = references = 0
        closed = parameters = False
        for unit in self.splitter.units(data):
            kind = unit[0] & 31 if unit else 0
            if 1 <= kind <= 5:
                slices += 1
                references += bool(unit[0] & 0x60)
                closed = closed or kind == 5
            elif kind in (7, 8, 13, 15):
                parameters = True
                self._note_parameters(bytes(unit))
        return PacketKind(slices > 0 and references == 0, closed, parameters)


class HevcParser:
    """Classifies HEVC packets of one stream. ``extradata`` is hvcC or Annex B."""

    frames_only = True

    def __init__(self, extradata: bytes) -> None:
        self.splitter = _Splitter(extradata, 21)
        """Splits packets into NAL units."""
        # Unknown until a parameter set tells: then only the highest layer is disposable.
        self._highest_layer: int | None = None
        if extradata[:1] == b"\x01":
            self._read_hvcc(extradata)
        else:
            for unit in _annexb_units(extradata):
                self._note_parameters(unit)

    def _read_hvcc(self, extradata: bytes) -> None:
        position = 23
        for _ in range(extradata[22] if len(extradata) > 22 else 0):
            count = int.from_bytes(extradata[position + 1 : position + 3], "big")
            position += 3
            for _ in range(count):
                length = int.from_bytes(extradata[position : position + 2], "big")
                self._note_parameters(extradata[position + 2 : position + 2 + length])
                position += 2 + length

    def _note_parameters(self, unit: bytes) -> None:
        if len(unit) > 2 and (unit[0] >> 1) & 63 == 33:
            layer = (unit[2] >> 1) & 7
            self._highest_layer = max(layer, self._highest_layer or 0)

    def _is_disposable(self, unit: bytes | memoryview, kind: int) -> bool:
        layer = (unit[1] & 7) - 1 if len(unit) > 1 else -1
        return kind < 16 and kind % 2 == 0 and layer == self._highest_layer

    def classify(self, data: bytes) -> PacketKind:
        """The kind of the picture in ``data``; damaged or foreign data is never disposable."""
        slices = disposable = 0
        closed = parameters = False
        for unit in self.splitter.units(data):
            kind = (unit[0] >> 1) & 63 if unit else 63
            if kind < 32:
                slices += 1
                disposable += self._is_disposable(unit, kind)
                closed = closed or kind in (19, 20)
            elif kind in (32, 33, 34):
                parameters = True
                self._note_parameters(bytes(unit))
        return PacketKind(slices > 0 and slices == disposable, closed, parameters)


class IntraParser:
    """Every packet of an intra-only codec (ProRes, DNxHD, Motion JPEG...) stands alone."""

    frames_only = True

    def classify(self, data: bytes) -> PacketKind:
        """Always a closed group of its own."""
        return INTRA


Parser = H264Parser | HevcParser | IntraParser


def parser_for(codec: str, extradata: bytes, *, intra_only: bool) -> Parser | None:
    """The parser for libavcodec's ``codec`` name, or None when packets of it must all be decoded."""
    if codec == "h264":
        return H264Parser(extradata)
    if codec == "hevc":
        return HevcParser(extradata)
    return IntraParser() if intra_only else None
