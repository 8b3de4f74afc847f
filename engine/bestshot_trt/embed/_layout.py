"""The embedding without a CLIP model: colour and layout of the picture, deterministic."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..frames import FrameBatch, Later, ModelView, finished
from ..moments import ClipModel
from ._base import Embedded


class LayoutEmbedder:
    """Stands in for CLIP with ``--model none``; tells views apart, knows nothing of beauty or words."""

    model = "none"
    clip_model: ClipModel | None = None
    view: ModelView | None = None
    batch_size = 1

    def prepare(self, batch: FrameBatch) -> npt.NDArray[np.float32]:
        """The descriptors themselves, float32 (n, d), since they are far smaller than the pictures."""
        from bestshot_kernels.layout_descriptor import layout_descriptor

        return layout_descriptor(batch.pixels)

    def embed(self, prepared: npt.NDArray[np.float32]) -> Later[Embedded]:
        """The descriptors as they are; there is no aesthetic."""
        return finished(Embedded(prepared, None))
