"""The cases; importing this enters them all in the registry."""

from ..registry import CASES
from . import decode, embed, memory, pick, score, start

__all__ = ["CASES", "decode", "embed", "memory", "pick", "score", "start"]
