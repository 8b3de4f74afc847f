"""Fewer takes than workers: long ones are cut into stretches, so that no worker is idle."""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass

from ..plan import Job
from ..sources.inputs import Footage
from .messages import END

SHORTEST_S = 60.0
"""A stretch is at least so long: each reads the file from its start to where it decodes."""
ALIGNED = 64
"""Stretches begin at multiples of so many samples, as batches of every embedder do: its numbers stay the same."""

PART = "analyze a part"
"""What is said to be done with a take when a worker gets a stretch of it."""


@dataclass(frozen=True, eq=False)
class Stretch:
    """A part of a job that one worker analyses; without a range it asks for the take's length."""

    job: Job
    within: range | None

    @property
    def footage(self) -> Footage:
        """The take's file."""
        return self.job.footage


def cut(seconds: float, fps: float, pieces: int) -> list[range]:
    """A take of ``seconds`` in up to ``pieces`` ranges of samples, the last without an end; empty when it is short."""
    pieces = min(pieces, int(seconds // SHORTEST_S))
    starts = sorted({int(seconds * fps) * piece // pieces // ALIGNED * ALIGNED for piece in range(pieces)})
    return [range(*edges) for edges in itertools.pairwise([*starts, END])] if len(starts) > 1 else []


class Splitter:
    """Cuts jobs, and knows when all stretches of one are settled, well or badly: what is missing is made up for."""

    def __init__(self, pieces: int, fps: float) -> None:
        self._pieces, self._fps = pieces, fps
        self._ready: deque[Stretch] = deque()
        self._left: dict[str, int] = {}

    def __bool__(self) -> bool:
        """Whether stretches wait for a worker."""
        return bool(self._ready)

    def wants(self, job: Job) -> bool:
        """Whether to ask for the length of this job's take before it is worked on."""
        return self._pieces > 1 and job.known is None and not job.failures and job.content not in self._left

    def next(self) -> Stretch | None:
        """The next stretch to be worked on."""
        return self._ready.popleft() if self._ready else None

    def put_back(self, stretch: Stretch) -> None:
        """Let a stretch be given out again."""
        self._ready.appendleft(stretch)

    def learn(self, stretch: Stretch, seconds: float) -> bool:
        """Cut the take now that its length is known; False when it is to be worked on whole."""
        ranges = cut(seconds, self._fps, self._pieces)
        self._left[stretch.job.content] = len(ranges)
        self._ready.extend(Stretch(stretch.job, within) for within in ranges)
        return bool(ranges)

    def settle(self, stretch: Stretch) -> bool:
        """Count a stretch as over; True when the job has no other, and can be finished."""
        if stretch.within is None:
            self._left[stretch.job.content] = 0
            return True
        self._left[stretch.job.content] -= 1
        return not self._left[stretch.job.content]
