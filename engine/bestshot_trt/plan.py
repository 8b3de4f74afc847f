"""Which packets to decode for the sampled frames, and nothing else: there is no decoder in here.

Packets arrive in decode order and are gathered into groups that start at a closed keyframe. Once a
group's presentation order is certain, each sample is assigned the picture on screen at its time,
and every packet that no assigned picture depends on is marked to be dropped.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Generic, NamedTuple, TypeVar

from .bitstream import PacketKind

Payload = TypeVar("Payload")

GROUP_BYTES = 32 << 20
"""A group is cut here even without a keyframe, so that memory stays bounded at any GOP length."""
GROUP_PACKETS = 1024
REORDER_LIMIT = 16
"""The most pictures that H.264 and HEVC hold back for reordering."""


class SampleGrid:
    """The sampling times ``t_k = k / fps`` of one stream, in exact integer arithmetic.

    Sample k belongs to the last picture with ``pts <= start + t_k + half a tick``.
    """

    def __init__(self, fps: float, time_base: Fraction, start_pts: int) -> None:
        self.fps = Fraction(fps).limit_denominator(1_000_000)
        self.time_base = time_base
        self.start_pts = start_pts
        per_tick = self.fps * time_base
        self._numerator, self._denominator = per_tick.numerator, per_tick.denominator

    def first_at(self, pts: int) -> int:
        """The first sample index that a picture starting at ``pts`` may serve, at least 0."""
        halves = 2 * (pts - self.start_pts) - 1
        return max(0, -((-halves * self._numerator) // (2 * self._denominator)))

    def count_before(self, end_pts: int) -> int:
        """How many samples lie before ``end_pts``, the end of the take."""
        return max(0, -((-(end_pts - self.start_pts) * self._numerator) // self._denominator))

    def media_time(self, pts: int) -> Fraction:
        """Seconds of media time of ``pts``, exactly."""
        return (pts - self.start_pts) * self.time_base

    def time(self, index: int) -> float:
        """Seconds of media time of sample ``index``."""
        return float(index / self.fps)


class PacketInfo(NamedTuple):
    """What planning needs to know of one packet; pts and duration in ticks of the time base."""

    pts: int | None
    duration: int
    size: int
    discard: bool
    """The container asks to decode but not to show it (an edit list)."""
    kind: PacketKind


@dataclass(slots=True)
class Group(Generic[Payload]):
    """Consecutive packets in decode order. ``feed[i]`` says whether packet i is to be decoded;
    ``wanted`` maps the pts of each picture that is sampled to its sample indices, in order; where a
    group was cut, the last few pictures of the part before may be among them."""

    infos: list[PacketInfo] = field(default_factory=list)
    payloads: list[Payload] = field(default_factory=list)
    size: int = 0
    feed: list[bool] = field(default_factory=list)
    wanted: dict[int, range] = field(default_factory=dict)
    alone: bool = False
    """Whether a decoder that knows the stream's parameter sets can take it by itself: it carries none, and it
    is closed, as is what follows."""

    @property
    def closed(self) -> bool:
        """Whether decoding can start at this group and nothing in it shows before the groups ahead of it."""
        return bool(self.infos) and self.infos[0].kind.closed

    def displayed(self) -> Iterator[int]:
        """The pts of every picture that is shown."""
        return (info.pts for info in self.infos if info.pts is not None and not info.discard)

    def fed(self) -> Iterator[Payload]:
        """The packets to be decoded, in order."""
        return itertools.compress(self.payloads, self.feed)

    def join(self, following: Group[Payload]) -> None:
        """Take in what follows; both can be decoded alone, and no picture of one is at a time of the other's."""
        self.infos += following.infos
        self.payloads += following.payloads
        self.size += following.size
        self.feed += following.feed
        self.wanted |= following.wanted

    def add(self, info: PacketInfo, payload: Payload) -> None:
        """Append one packet in decode order."""
        self.infos.append(info)
        self.payloads.append(payload)
        self.size += info.size


class Planner(Generic[Payload]):
    """Turns packets in decode order into planned groups. Holds at most three groups at a time.

    With ``drop`` False every packet is fed; the samples are assigned all the same.
    """

    def __init__(self, grid: SampleGrid, *, drop: bool) -> None:
        self._grid = grid
        self._drop = drop
        self._groups: list[Group[Payload]] = []
        self._deferred: list[int] = []
        """pts of pictures of a cut group that are on screen only after some of the next group's."""
        self._next_sample = 0
        self._last_shown: tuple[int, int] | None = None

    @property
    def end_pts(self) -> int:
        """End of the last picture seen so far."""
        if self._last_shown is None:
            return self._grid.start_pts
        return sum(self._last_shown)

    def push(self, info: PacketInfo, payload: Payload) -> Iterator[Group[Payload]]:
        """Add one packet; yields the groups that it completes."""
        if not self._groups or self._starts_group(info):
            self._groups.append(Group())
        self._groups[-1].add(info, payload)
        self._note_end(info)
        while self._is_order_certain():
            yield self._plan(last=False)

    def flush(self) -> Iterator[Group[Payload]]:
        """Plan what is left, knowing that no packet follows."""
        while self._groups:
            yield self._plan(last=not any(any(True for _ in other.displayed()) for other in self._groups[1:]))

    def _is_order_certain(self) -> bool:
        """Whether what is displayed after the oldest group's last picture is known."""
        oldest, *following = self._groups
        if not following or len(following) > 2:
            return bool(following)
        if len(following) == 2:
            shown = max(oldest.displayed(), default=None)
            if any(shown is None or p > shown for p in following[0].displayed()):
                return True
        newest = following[-1]
        first = newest.infos[0]
        if not newest.closed or first.pts is None or first.discard:
            return False
        # HEVC shows leading pictures (RADL) before the keyframe they follow; a picture after it ends them.
        return any(p > first.pts for p in newest.displayed())

    def _starts_group(self, info: PacketInfo) -> bool:
        current = self._groups[-1]
        return info.kind.closed or current.size >= GROUP_BYTES or len(current.infos) >= GROUP_PACKETS

    def _note_end(self, info: PacketInfo) -> None:
        if info.pts is None or info.discard:
            return
        pts, duration = self._last_shown or (None, 0)
        if pts is None or info.pts > pts:
            step = info.pts - pts if pts is not None else 0
            self._last_shown = (info.pts, info.duration or duration or step or 1)

    def _plan(self, *, last: bool) -> Group[Payload]:
        group = self._groups.pop(0)
        following = self._groups[0] if self._groups else None
        own = sorted({*group.displayed(), *self._deferred})
        ahead = sorted({pts for other in self._groups for pts in other.displayed()})
        self._deferred = [] if following is None or following.closed else self._to_defer(own, ahead)
        now = own[: len(own) - len(self._deferred)]
        group.wanted = self._assign(now, sorted({*own, *ahead}), last=last)
        group.feed = self._choose(group, following)
        ends = following is None or following.closed
        group.alone = group.closed and ends and not any(info.kind.parameters for info in group.infos)
        return group

    @staticmethod
    def _to_defer(own: list[int], ahead: list[int]) -> list[int]:
        """Those of ``own`` that follow a picture ahead; none where times jump back too far for reordering."""
        late = own[bisect.bisect_right(own, ahead[0]) :] if ahead else []
        return late if len(late) <= REORDER_LIMIT else []

    def _assign(self, own: list[int], known: list[int], *, last: bool) -> dict[int, range]:
        wanted: dict[int, range] = {}
        for pts in own:
            after = bisect.bisect_right(known, pts)
            if after < len(known):
                stop = self._grid.first_at(known[after])
            else:
                stop = self._grid.count_before(self.end_pts) if last else self._grid.first_at(pts)
            # Never backwards: where timestamps jump back, the earlier pictures keep their samples.
            samples = range(max(self._grid.first_at(pts), self._next_sample), stop)
            if samples:
                wanted[pts] = samples
                self._next_sample = stop
        return wanted

    def _choose(self, group: Group[Payload], following: Group[Payload] | None) -> list[bool]:
        infos = group.infos
        # Parameter sets amid a group may be needed by later ones; such streams are left whole.
        if not (self._drop and group.closed) or any(info.kind.parameters for info in infos[1:]):
            return [True] * len(infos)
        kept = {*group.wanted, *self._deferred}
        sampled = [info.pts in kept and not info.discard for info in infos]
        needed = [keep or not info.kind.disposable for keep, info in zip(sampled, infos, strict=True)]
        if following is None or following.closed:
            after_last = max((i + 1 for i, keep in enumerate(sampled) if keep), default=0)
            needed[after_last:] = [False] * (len(infos) - after_last)
        needed[0] = needed[0] or infos[0].kind.parameters
        return needed


Picture = TypeVar("Picture")


def time_on_screen(duration: int, step: int) -> int:
    """Ticks that a take's last picture lasts; ``step`` is how long the one before it did, or 0."""
    # A field's duration on a whole frame counts double.
    return (step if duration in (0, step // 2) else duration) or 1


def sample_pictures(
    pictures: Iterable[tuple[int, int, Picture]], grid: SampleGrid
) -> Iterator[tuple[range, int, Picture]]:
    """Assign samples to decoded (pts, duration, picture) where packets do not tell (field pairs, no pts).

    Yields (sample indices, pts, picture) in order. Pictures whose pts do not increase are passed over.
    """
    held: tuple[int, Picture] | None = None
    last_duration = 0
    for pts, duration, picture in pictures:
        if held is not None and pts <= held[0]:
            continue
        if held is not None:
            step = pts - held[0]
            samples = range(grid.first_at(held[0]), grid.first_at(pts))
            if samples:
                yield samples, *held
            last_duration = time_on_screen(duration, step)
        else:
            last_duration = time_on_screen(duration, 0)
        held = (pts, picture)
    if held is not None:
        samples = range(grid.first_at(held[0]), grid.count_before(held[0] + last_duration))
        if samples:
            yield samples, *held
