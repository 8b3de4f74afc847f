"""What is kept of a take while it is measured: a few numbers and an embedding a sample, no picture."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import scoring
from .backends import Backend
from .columns import Column, Spool
from .embed import Embedded
from .errors import BackendUnavailable
from .frames import FrameBatch, Later
from .track import Track, TrackMeta

if TYPE_CHECKING:
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
            raise _no_memory(backend, error) from error
    backend.relieve()
    middle = len(batch) // 2
    return [queued for part in (slice(middle), slice(middle, None)) for queued in _queue(backend, batch.part(part))]


def _no_memory(backend: Backend, error: MemoryError) -> BackendUnavailable:
    return BackendUnavailable(
        f"backend {backend.name}: not enough memory for a single picture ({error}); "
        "end other programs that use it, or use --backend cpu"
    )


def _halved(arrays: list[Any]) -> tuple[list[Any], list[Any]] | None:
    """Half of the pictures each, or None for a single one."""
    middle = len(arrays) // 2
    if middle:
        return arrays[:middle], arrays[middle:]
    only = arrays[0]
    middle = len(only) // 2
    return ([only[:middle]], [only[middle:]]) if middle else None


def joined(arrays: list[Any]) -> Any:
    """``arrays`` (n, ...) as one, where they are: NumPy's, or CuPy's on the current stream."""
    if len(arrays) == 1:
        return arrays[0]
    if isinstance(arrays[0], np.ndarray):
        return np.concatenate(arrays)
    import cupy

    return cupy.concatenate(arrays)


class Samples:
    """Embeds what was measured, and collects the results."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._waiting: list[Any] = []
        self._embedding: deque[Later[Embedded]] = deque()
        self._times = Column(np.float64)
        self._pts = Column(np.int64)
        self._measures = Column(np.float32)
        self._embeddings = Spool(np.float32)
        self._aesthetic = Column(np.float32)

    def __len__(self) -> int:
        return len(self._times)

    @property
    def room(self) -> int:
        """How many more pictures fill the embedder's batch, at least 1."""
        return max(1, self._backend.embedder.batch_size - sum(map(len, self._waiting)))

    @property
    def settled(self) -> bool:
        """Whether all that was added has gone to the embedder, so that another collector may go on from here."""
        return not self._waiting

    def add(self, batch: Measured) -> None:
        """Take in a batch; its pictures are embedded once enough of them wait.

        The embedder gets as many at a time as it likes, never more, however they come: which of them are computed
        together may show in the last digits.
        """
        self._times.extend(batch.times)
        self._pts.extend(batch.pts)
        self._measures.extend(batch.measures)
        prepared = batch.prepared
        while len(prepared):
            room = self.room
            self._waiting.append(prepared[:room])
            if len(prepared) >= room:
                self._embed_waiting()
                self._collect(self._backend.embeds_ahead)
            prepared = prepared[room:]

    def _embed_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._embed(waiting)

    def _embed(self, waiting: list[Any]) -> None:
        """Queue them, in halves where there is no memory for all of them at once."""
        try:
            with self._backend.working():
                self._embedding.append(self._backend.embedder.embed(joined(waiting)))
            return
        except MemoryError as error:
            halves = _halved(waiting)
            if halves is None:
                raise _no_memory(self._backend, error) from error
        self._collect(0)
        self._backend.relieve()
        for half in halves:
            self._embed(half)

    def _collect(self, most: int) -> None:
        """Wait for results until at most ``most`` are on their way."""
        while len(self._embedding) > most:
            with self._backend.working():
                embedded = self._embedding.popleft()()
            self._embeddings.extend(embedded.embedding)
            if embedded.aesthetic is not None:
                self._aesthetic.extend(embedded.aesthetic)

    def settle(self) -> None:
        """Embed what still waits, and wait for all results."""
        self._embed_waiting()
        self._collect(0)

    def track(self, meta: TrackMeta) -> Track:
        """The track of all samples, not yet scored; nothing may be added after."""
        self.settle()
        sharpness, exposure, contrasts, colours = np.ascontiguousarray(self._measures.finish().T)
        count = len(sharpness)
        if len(self._aesthetic):
            aesthetic = self._aesthetic.finish()
        else:
            aesthetic = scoring.stand_in_aesthetic(contrasts, colours).astype(np.float32)
        return Track(
            times=self._times.finish(),
            pts=self._pts.finish(),
            sharpness=sharpness,
            exposure_penalty=exposure,
            contrast=contrasts,
            colourfulness=colours,
            aesthetic=aesthetic,
            prompt_similarity=np.full(count, np.nan, np.float32),
            score=np.zeros(count, np.float32),
            score_smooth=np.zeros(count, np.float32),
            embedding=self._embeddings.finish(),
            meta=meta,
        )
