"""CLIP through a TensorRT engine, on CuPy's current device and stream."""

from __future__ import annotations

from typing import Any

from ..frames import FrameBatch, Later, ModelView
from ..provenance import ClipModel
from ._base import Embedded, clip_model, joined
from ._runner import EngineRunner
from .engines import Engine
from .model_folder import ModelFolder


class TensorRtEmbedder:
    """A CLIP image tower with its aesthetic head, as an engine of a model folder.

    Args:
        folder: the model.
        engine: of its visual tower.
        trt: the module that built the engine.
        precision: of the graph that it was built from.
        framing: as in `bestshot_kernels.clip_resize`.

    Raises:
        EngineMismatch, BackendUnavailable: as for `EngineRunner`.
    """

    def __init__(self, folder: ModelFolder, engine: Engine, trt: Any, *, precision: str, framing: str) -> None:
        self._runner = EngineRunner(engine, trt, engine.card.most)
        self.model = f"{folder.card.name}/{folder.card.pretrained}"
        self.view: ModelView | None = ModelView(size=folder.card.size, framing=framing)
        self.clip_model: ClipModel | None = clip_model(folder, precision, framing)
        self.batch_size = engine.card.most

    def prepare(self, batch: FrameBatch) -> Any:
        """The model's own pictures, uint8 RGB (n, size, size, 3), copied where they are.

        Raises:
            ValueError: the batch has no views.
        """
        if batch.views is None:
            raise ValueError("the batch has no views; ask the decoder for this embedder's view")
        return batch.views.copy()

    def embed(self, prepared: Any) -> Later[Embedded]:
        """Queue uint8 RGB (n, size, size, 3), n at least 1, on the device or the host.

        Where the device has no memory for so many at once, batches are halved from here on.

        Raises:
            MemoryError: not even one picture fits.
            BackendUnavailable: TensorRT does not run the engine.
        """
        parts: list[Later[Embedded]] = []
        done = 0
        while done < len(prepared):
            part = prepared[done : done + self.batch_size]
            try:
                parts.append(self._runner.queue(part))
            except MemoryError:
                if self.batch_size == 1:
                    raise
                self.batch_size = max(1, self.batch_size // 2)
                self._runner.shrink(self.batch_size)
            else:
                done += len(part)
        return lambda: joined([part() for part in parts])
