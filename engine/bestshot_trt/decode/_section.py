"""A stretch of a take: which of its planned groups must be decoded, and which of their pictures are handed on."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from ..plan import Group

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

Payload = TypeVar("Payload")

WHOLE = range(sys.maxsize)
"""Every sample of any take."""
HELD_BYTES = 64 << 20
"""Groups held while it is not known where decoding must begin; beyond it, it begins earlier than it must."""


def overlap(samples: range, within: range) -> range:
    """The indices in both."""
    return range(max(samples.start, within.start), min(samples.stop, within.stop))


@dataclass(frozen=True, slots=True)
class Sampled:
    """One decoded picture and the samples it serves."""

    samples: range
    pts: int
    frame: VideoFrame


class Section(Generic[Payload]):
    """Passes on the groups that the samples in ``within`` need, from the last closed group at or before them.

    ``lead``: groups of so many samples before are passed on too, though none of their pictures is wanted.
    """

    def __init__(self, within: range, lead: int = 0) -> None:
        self._within = within
        self._first = within.start - lead
        self._held: list[Group[Payload]] = []
        self.begun = self._first <= 0
        self.complete = False
        """Whether every sample of the section has its group."""

    def push(self, group: Group[Payload]) -> list[Group[Payload]]:
        """The groups to decode now; pictures outside the section are no longer wanted in them."""
        last = max((samples.stop for samples in group.wanted.values()), default=0)
        trimmed = {pts: overlap(samples, self._within) for pts, samples in group.wanted.items()}
        group.wanted = {pts: samples for pts, samples in trimmed.items() if samples}
        self.complete = last >= self._within.stop
        if self.begun:
            return [group]
        if group.closed and self._held:
            self._held.clear()
        self._held.append(group)
        if last <= self._first and sum(held.size for held in self._held) < HELD_BYTES:
            return []
        self.begun = True
        return self._held
