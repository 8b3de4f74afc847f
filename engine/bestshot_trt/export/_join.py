"""Pictures and sound of several stretches one after another, with or without cross-fades."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ._raw import carrier_format

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.plane import VideoPlane

Timed = Iterator[tuple[int, "VideoFrame"]]

_BYTES_PER_SAMPLE = 4
"""Two channels of 16 bits."""
_BLOCK = 1 << 20


class _Part:
    """The pictures of one stretch; ``frame`` is the one on screen."""

    def __init__(self, pictures: Timed, offset: int) -> None:
        self._pictures = ((tick + offset, frame) for tick, frame in pictures)
        self._ahead = next(self._pictures, None)
        self.frame: VideoFrame | None = None

    @property
    def ahead(self) -> float:
        """The tick of the next picture; infinite after the last."""
        return float("inf") if self._ahead is None else self._ahead[0]

    def until(self, tick: int) -> Timed:
        """Every further picture before ``tick``."""
        while self._ahead is not None and self._ahead[0] < tick:
            self.frame = self._ahead[1]
            yield self._ahead
            self._ahead = next(self._pictures, None)

    def at(self, tick: int) -> VideoFrame | None:
        """The picture on screen at ``tick``."""
        for _ in self.until(tick + 1):
            pass
        return self.frame


def joined(parts: Iterable[Timed], lengths: Sequence[int], fade: int) -> Timed:
    """``parts``, whose pictures begin at tick 0 each, one after another; each overlaps the next by ``fade`` ticks.

    During an overlap there is a picture wherever either part has one: a mean of both, weighted by time.
    ``fade`` is at most half of the shortest of ``lengths``.
    """
    offset, before = 0, None
    for number, (pictures, length) in enumerate(zip(parts, lengths, strict=True), 1):
        part = _Part(pictures, offset)
        if before is not None and fade:
            yield from _faded(before, part, offset, fade)
        yield from part.until(offset + length - (fade if number < len(lengths) else 0))
        before = part
        offset += length - fade


def _faded(old: _Part, new: _Part, start: int, fade: int) -> Timed:
    tick = start
    while tick < start + fade:
        one, other = old.at(tick), new.at(tick)
        if one is not None and other is not None:
            yield tick, mixed(one, other, (tick - start) / fade)
        tick = int(min(old.ahead, new.ahead, start + fade))
    picture = new.at(start + fade)
    if picture is not None:
        yield start + fade, picture


def mixed(one: VideoFrame, other: VideoFrame, share: float) -> VideoFrame:
    """(1 - ``share``) of ``one`` and ``share`` of ``other``, sample by sample as they are encoded."""
    from av.video.frame import VideoFrame

    name = carrier_format(one)
    pictures = [
        frame
        if frame.format.name == name and (frame.width, frame.height) == (one.width, one.height)
        # Another size or format is rare: the take changes it half way.
        else frame.reformat(one.width, one.height, format=name)
        for frame in (one, other)
    ]
    made = VideoFrame(one.width, one.height, name)
    deep = any(component.bits > 8 for component in made.format.components)
    for target, *sources in zip(made.planes, *(picture.planes for picture in pictures), strict=True):
        width = target.width * (3 if name == "rgb24" else 1)
        first, second = (_samples(plane, width, deep).astype(np.float32) for plane in sources)
        _samples(target, width, deep)[:] = np.rint(first + (second - first) * np.float32(share))
    return made


def _samples(plane: VideoPlane, width: int, deep: bool) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """A view of the visible samples of ``plane``."""
    rows = np.frombuffer(memoryview(plane), "<u2" if deep else np.uint8)
    stride = plane.line_size // (2 if deep else 1)
    view: npt.NDArray[np.uint8] | npt.NDArray[np.uint16] = rows[: stride * plane.height].reshape(plane.height, stride)
    return view[:, :width]


def append_pcm(file: IO[bytes], piece: IO[bytes], overlap: int) -> None:
    """Append the PCM in ``piece`` to that in ``file``, the last ``overlap`` samples of it cross-faded.

    The weights keep the power of sounds that have nothing to do with each other.

    Raises:
        OSError: ``file`` cannot be written.
    """
    end = file.seek(0, 2)
    overlap = min(overlap, end // _BYTES_PER_SAMPLE)
    piece.seek(0)
    if overlap:
        size = overlap * _BYTES_PER_SAMPLE
        file.seek(end - size)
        old, new = (np.frombuffer(source.read(size), "<i2").reshape(-1, 2) for source in (file, piece))
        share = (np.arange(overlap)[:, None] + 0.5) / overlap
        mix = old * np.sqrt(1 - share) + new * np.sqrt(share)
        file.seek(end - size)
        file.write(mix.round().clip(-32768, 32767).astype("<i2").tobytes())
    while block := piece.read(_BLOCK):
        file.write(block)
