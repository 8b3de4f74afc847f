"""The cases; importing this enters them all in the registry."""

from ..registry import CASES
from . import batch, decode, embed, export, gpu, kernels, memory, pick, products, score, start

__all__ = [
    "CASES",
    "batch",
    "decode",
    "embed",
    "export",
    "gpu",
    "kernels",
    "memory",
    "pick",
    "products",
    "score",
    "start",
]
