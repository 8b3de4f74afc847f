"""Closed groups decoded side by side, a thread each, and handed on in the take's order.

libavcodec's own threads take a picture each and wait for its references: a tenth to a quarter more CPU time than
one thread needs for the same pictures, and on two cores a quarter of both is idle. Groups wait for nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..cores import usable_cores
from ..frames import VideoInfo
from ..plan import Group
from ..prefetch import prefetch
from ._feeder import StrictFeeder

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

AHEAD_BYTES = 64 << 20
"""Decoded frames that wait for their turn, at most (8-bit 4:2:0; twice that with more bits)."""
PICTURE_BYTES = 8 << 20
"""Larger ones keep libavcodec's threads busy enough, and every lane holds some for reference."""
MOST_LANES = 6
LEAST_FED = 32
"""Packets that a lane decodes in one go: starting a thread and a decoder anew costs as much as a small picture."""


class Open(Protocol):
    """Opens a decoder with so many threads that begins with a group."""

    def __call__(self, group: Group[Packet[VideoStream]], threads: int) -> StrictFeeder: ...


@dataclass(frozen=True)
class Lane:
    """A group at work, and those frames of it that are sampled."""

    group: Group[Packet[VideoStream]]
    frames: Generator[VideoFrame]
    feeder: StrictFeeder


class Lanes:
    """The groups at work, oldest first: as many as there are cores, so that the oldest is soon done."""

    def __init__(self, info: VideoInfo, open_feeder: Open, *, enabled: bool) -> None:
        cores = usable_cores() or 1
        self._picture_bytes = info.width * info.height * 3 // 2
        self._most = min(cores, MOST_LANES)
        self._threads = max(1, cores // MOST_LANES)
        self._enabled = enabled and cores > 1 and self._picture_bytes <= PICTURE_BYTES
        self._open = open_feeder
        self._idle: list[StrictFeeder] = []
        self._lanes: deque[Lane] = deque()
        self.used = False
        """Whether any group was decoded here."""

    @property
    def busy(self) -> bool:
        """Whether any group is at work."""
        return bool(self._lanes)

    @property
    def oldest(self) -> Lane:
        """The group whose turn it is."""
        return self._lanes[0]

    def take(self, group: Group[Packet[VideoStream]]) -> bool:
        """Whether ``group`` can be decoded here at all."""
        return self._enabled and group.alone and self._bytes(group) <= AHEAD_BYTES

    def join(self, group: Group[Packet[VideoStream]], following: Group[Packet[VideoStream]]) -> bool:
        """Make one of two groups, if ``group`` is too short to be worth a start, and say whether that was done."""
        short = sum(group.feed) < LEAST_FED and 4 * (self._bytes(group) + self._bytes(following)) <= AHEAD_BYTES
        joined = short and group.wanted.keys().isdisjoint(following.wanted)
        if joined:
            group.join(following)
        return joined

    def full_for(self, group: Group[Packet[VideoStream]]) -> bool:
        """Whether ``group`` must wait until the oldest is done."""
        if not self._lanes:
            return False
        ahead = sum(self._bytes(lane.group) for lane in self._lanes) - self._bytes(self.oldest.group)
        return len(self._lanes) == self._most or ahead + self._bytes(group) > AHEAD_BYTES

    def _bytes(self, group: Group[Packet[VideoStream]]) -> int:
        return len(group.wanted) * self._picture_bytes

    def start(self, group: Group[Packet[VideoStream]]) -> None:
        """Set to work on ``group``."""
        self.used = True
        feeder = self._idle.pop() if self._idle else self._open(group, self._threads)
        # Room for all, so that a lane is never held up: only a group that fits is taken.
        self._lanes.append(Lane(group, prefetch(_sampled(feeder, group), len(group.wanted) + 1), feeder))

    def done(self) -> None:
        """The oldest group's frames have been read."""
        lane = self._lanes.popleft()
        lane.frames.close()
        self._idle.append(lane.feeder)

    def close(self) -> None:
        """Give up the groups at work, and release the decoders."""
        while self._lanes:
            self.done()
        self._idle.clear()


def _sampled(feeder: StrictFeeder, group: Group[Packet[VideoStream]]) -> Iterator[VideoFrame]:
    """The sampled frames of ``group``.

    Raises:
        Damaged: it is not whole.
    """
    feeder.reset()
    feeder.expect(group.wanted)
    for packet in [*group.fed(), None]:
        yield from feeder.feed(packet)
