"""What every embedder is and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..frames import FrameBatch, ModelView
from ..moments import ClipModel


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

    def prepare(self, batch: FrameBatch) -> npt.NDArray[Any]:
        """What it needs of a batch, (n, ...), and may keep after the next batch is read."""
        ...

    def embed(self, prepared: npt.NDArray[Any]) -> Embedded:
        """Embed what `prepare` gave, of one batch or several joined."""
        ...
