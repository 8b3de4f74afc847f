"""An embedder that runs on the host, for pictures that are on a card."""

from __future__ import annotations

from typing import Any

from ..frames import FrameBatch, Later
from ..gpu import Gpu
from ._base import Embedded, Embedder


class FromGpu:
    """Copies a model's small pictures to the host for ``embedder``; where a GPU has nothing to run the model with."""

    def __init__(self, gpu: Gpu, embedder: Embedder) -> None:
        self._gpu, self._embedder = gpu, embedder
        self.model, self.clip_model = embedder.model, embedder.clip_model
        self.view, self.batch_size = embedder.view, embedder.batch_size

    def prepare(self, batch: FrameBatch) -> Any:
        """The model's own pictures, where they are."""
        if batch.views is None:
            raise ValueError("the batch has no views; ask the decoder for this embedder's view")
        return batch.views

    def embed(self, prepared: Any) -> Later[Embedded]:
        """Queue the copy; embed once the result is asked for."""
        host = self._gpu.download(prepared)

        def embedded() -> Embedded:
            return self._embedder.embed(host())()

        return embedded
