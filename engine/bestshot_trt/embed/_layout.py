"""The embedding without a CLIP model: colour and layout of the picture, deterministic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..frames import FrameBatch, Later, ModelView, finished
from ..provenance import ClipModel
from ._base import Embedded

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ..gpu import Gpu


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


class GpuLayoutEmbedder:
    """The same of pictures on a card: sums of cells there, descriptors of them on the host."""

    model = "none"
    clip_model: ClipModel | None = None
    view: ModelView | None = None
    batch_size = 64

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self._size = (0, 0)

    def prepare(self, batch: FrameBatch) -> Any:
        """Sums of cells on the card, int64 (n, 12, 12, 3)."""
        from bestshot_kernels.layout_descriptor.cuda import cell_sums

        # One size for all pictures of a take.
        self._size = (batch.pixels.shape[1], batch.pixels.shape[2])
        return cell_sums(batch.pixels)

    def embed(self, prepared: Any) -> Later[Embedded]:
        """Copy the sums of n pictures to the host, and describe them there when they are asked for."""
        from bestshot_kernels.layout_descriptor.cuda import describe

        sums, (height, width) = self._gpu.download(prepared), self._size
        return lambda: Embedded(describe(sums(), height, width), None)
