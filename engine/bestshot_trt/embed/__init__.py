"""From pictures and texts to embeddings, and what model makes them."""

from ._base import Embedded, Embedder
from ._layout import LayoutEmbedder

__all__ = ["Embedded", "Embedder", "LayoutEmbedder"]
