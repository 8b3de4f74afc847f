"""What every embedder is and gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..frames import FrameBatch, Later, ModelView
from ..provenance import ClipModel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from .model_folder import ModelFolder


@dataclass(frozen=True)
class Embedded:
    """What a model says of n pictures."""

    embedding: npt.NDArray[np.float32]
    """(n, d), L2-normalised."""
    aesthetic: npt.NDArray[np.float32] | None
    """(n,), about 1 to 10; None without a CLIP model."""


class Embedder(Protocol):
    """Turns pictures into unit vectors whose cosine distance tells how alike they look.

    The work is in two halves, so that the first can run ahead while the second computes.
    """

    model: str
    """Name that every output carries; ``none`` when it is not a CLIP model."""
    clip_model: ClipModel | None
    view: ModelView | None
    """The picture it wants from the decoder; None: the score picture will do."""
    batch_size: int
    """How many pictures it likes at once."""

    def prepare(self, batch: FrameBatch) -> Any:
        """What it needs of a batch, an array (n, ...) where the pictures are; it may be kept after the next is read."""
        ...

    def embed(self, prepared: Any) -> Later[Embedded]:
        """Embed what `prepare` gave, of one batch or several joined.

        On a GPU this queues the work on the current stream, on a CPU it may be done on threads of the embedder's own.
        So several results may be on their way at once; they are waited for in order.

        Raises:
            MemoryError: not enough memory for so many pictures; nothing is queued, and fewer may do.
        """
        ...


def clip_model(folder: ModelFolder, precision: str, framing: str) -> ClipModel:
    """What outputs say of the model in ``folder``."""
    card = folder.card
    return ClipModel(
        name=card.name,
        pretrained=card.pretrained,
        width=card.width,
        precision=precision,
        framing=framing,
        head=card.head.name,
        digest=card.digest,
        folder=str(folder.path.absolute()),
    )


def joined(parts: Sequence[Embedded]) -> Embedded:
    """Batches with aesthetics as one."""
    if len(parts) == 1:
        return parts[0]
    import numpy as np

    aesthetics = [part.aesthetic for part in parts if part.aesthetic is not None]
    return Embedded(np.concatenate([part.embedding for part in parts]), np.concatenate(aesthetics))
