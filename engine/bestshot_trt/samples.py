"""What is kept of a take while it is measured: a few numbers and an embedding a sample, no picture."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from . import scoring
from .backends import Backend
from .columns import Column, Spool
from .embed import Embedded
from .frames import Later
from .measuring import Measured, no_memory
from .track import Track, TrackMeta


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
                raise no_memory(self._backend, error) from error
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
