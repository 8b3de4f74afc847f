"""Segments in batches that fit a GPU, and the graphs that decode them by turns."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ._dali_graph import Graph
from ._remux import NotForSegments
from ._segments import Segment


@dataclass(slots=True)
class Bounds:
    """What one batch may hold. Another thread reads them; a change counts from the next batch on."""

    parallel: int
    """Segments."""
    memory: int
    """Bytes of their pictures at full size."""


def sound_of(batch: list[Segment]) -> list[Segment]:
    """Those of ``batch`` that came whole."""
    return [segment for segment in batch if not segment.is_damaged]


def by_turns(batches: Iterable[list[Segment]], graphs: deque[Graph]) -> Iterator[tuple[list[Segment], Graph]]:
    """Each batch and the graph on which it was started, once all but one graph have work after it.

    What was started comes before an error of ``batches`` is raised.
    """
    started: deque[tuple[list[Segment], Graph]] = deque()
    try:
        for batch in batches:
            graph = graphs.popleft()
            graph.start(sound_of(batch))
            started.append((batch, graph))
            if not graphs:
                yield started[0]
                graphs.append(started.popleft()[1])
    except NotForSegments:
        yield from started
        raise
    yield from started


def in_batches(segments: Iterable[Segment], bounds: Bounds) -> Iterator[list[Segment]]:
    """As many segments as may be decoded together; those that are ready come before an error is raised."""
    batch: list[Segment] = []
    try:
        for segment in segments:
            decoded = sum(each.decoded for each in batch) + segment.decoded
            is_full = len(batch) == bounds.parallel or decoded > bounds.memory
            if batch and is_full:
                yield batch
                batch = []
            batch.append(segment)
    except NotForSegments:
        if batch:
            yield batch
        raise
    if batch:
        yield batch
