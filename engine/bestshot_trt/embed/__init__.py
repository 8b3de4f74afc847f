"""From pictures to embeddings, and what model makes them."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from ._layout import LayoutEmbedder

__all__ = ["Embedder", "LayoutEmbedder"]


class Embedder(Protocol):
    """Turns score pictures into unit vectors whose cosine distance tells how alike they look."""

    model: str
    """Name that every output carries; ``none`` when it is not a CLIP model."""

    def embed(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 RGB (n, h, w, 3) to float32 (n, d), L2-normalised."""
        ...
