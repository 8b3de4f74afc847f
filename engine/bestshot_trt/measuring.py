"""From pictures to their measures: the half of an analysis that runs ahead on a thread.

NumPy is imported where it is used, so that the decoder is at work before it is loaded.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .backends import Backend
from .errors import BackendUnavailable
from .frames import FrameBatch, Later

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bestshot_kernels.frame_stats import FrameStats


@dataclass(frozen=True)
class Measured:
    """What is left of a batch of pictures once they are measured."""

    times: npt.NDArray[np.float64]
    pts: npt.NDArray[np.int64]
    measures: npt.NDArray[np.float32]
    """(n, 4): sharpness, exposure penalty, contrast, colourfulness."""
    prepared: Any
    """What the embedder wants of them, an array (n, ...) where they were."""

    def __len__(self) -> int:
        return len(self.times)

    def split(self, count: int) -> tuple[Measured, Measured]:
        """The first ``count`` of them, at most, and the others."""
        return self._part(slice(count)), self._part(slice(count, None))

    def _part(self, which: slice) -> Measured:
        return Measured(self.times[which], self.pts[which], self.measures[which], self.prepared[which])


@dataclass(frozen=True)
class _Queued:
    """A batch whose statistics are on their way."""

    times: npt.NDArray[np.float64]
    pts: npt.NDArray[np.int64]
    stats: Later[FrameStats]
    prepared: Any

    def measured(self) -> Measured:
        import numpy as np

        stats = self.stats()
        columns = (stats.laplacian_variance, stats.exposure_penalty, stats.contrast, stats.colourfulness)
        measures = np.stack(columns, axis=1)
        return Measured(self.times, self.pts, measures, self.prepared)


def measured(backend: Backend, batches: Iterable[FrameBatch]) -> Iterator[Measured]:
    """Measure ``batches``; nothing yielded refers to their pictures, so it can run ahead on a thread."""
    queued: deque[_Queued] = deque()

    def oldest() -> Measured:
        with backend.working():
            return queued.popleft().measured()

    with contextlib.closing(batches) if isinstance(batches, Generator) else contextlib.nullcontext():
        for batch in batches:
            queued.extend(_queue(backend, batch))
            while len(queued) > backend.ahead:
                yield oldest()
        while queued:
            yield oldest()


def _queue(backend: Backend, batch: FrameBatch) -> list[_Queued]:
    """``batch`` on its way, in halves where there is no memory for all of it at once."""
    try:
        with backend.working():
            prepared = backend.embedder.prepare(batch)
            return [_Queued(batch.times, batch.pts, backend.measure(batch.pixels), prepared)]
    except MemoryError as error:
        if len(batch) == 1:
            raise no_memory(backend, error) from error
    backend.relieve()
    middle = len(batch) // 2
    return [queued for part in (slice(middle), slice(middle, None)) for queued in _queue(backend, batch.part(part))]


def no_memory(backend: Backend, error: MemoryError) -> BackendUnavailable:
    """The error of a backend that cannot take in one picture."""
    return BackendUnavailable(
        f"backend {backend.name}: not enough memory for a single picture ({error}); "
        "end other programs that use it, or use --backend cpu"
    )
