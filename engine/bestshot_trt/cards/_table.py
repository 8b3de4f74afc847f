"""What NVIDIA says of its cards (Video Encode and Decode GPU Support Matrix), where a card cannot be asked itself.

A card that is not listed here is not guessed at.
"""

from __future__ import annotations

import re

_ENGINES = (
    (r"\bT4\b", 2, 1),
    (r"\bA100\b", 5, 0),
    (r"\bA30\b", 4, 0),
    (r"\bA10G?\b", 2, 1),
    (r"\bA2\b", 2, 1),
    (r"\bA40\b", 2, 1),
    (r"\bL4\b", 4, 2),
    (r"\bL40S?\b", 3, 3),
    (r"\bRTX 6000 Ada\b", 3, 3),
    (r"\bGH200\b|\bH100\b|\bH200\b", 7, 0),
)
"""Name of the card, its NVDEC engines, its NVENC engines."""


def engines(name: str) -> tuple[int, int] | None:
    """How many NVDEC and NVENC engines a card of this ``name`` has, or None for one that is not in the table."""
    return next((row[1:] for row in _ENGINES if re.search(row[0], name)), None)


def has_av1(capability: tuple[int, int]) -> bool:
    """Whether NVDEC of this compute capability decodes AV1: Ampere but GA100, Ada, and Blackwell, not Hopper."""
    return capability >= (8, 6) and capability != (9, 0)
