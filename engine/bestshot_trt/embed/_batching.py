"""How a CPU's cores share the pictures of a take: in batches, several of them side by side."""

from __future__ import annotations

import math

from .model_folder import ModelCard

AT_ONCE = 2
"""Batches that a CPU computes side by side: threads of one batch wait for each other after every product, and keep
waiting where other work takes a core."""
_ROWS = 520
"""Rows of tokens in a batch: larger products are no faster on one core, and leave others idle at the end."""
_SHORT_BATCHES = 24
"""In takes of no more batches it shows when the last leaves a core idle."""
_FEW_BATCHES = 6
"""Rearranging the weights for faster products takes as long as it saves in so many batches."""


def batch_of(card: ModelCard, pictures: float | None = None) -> int:
    """Pictures in a batch of a take with about so many ``pictures``; None: nobody knows.

    A short take has an even number of alike batches, and what is left over is for the embedder to share out. Else it is
    a power of two, so that ranges of a take end where batches do.
    """
    rounds = _rounds(card, pictures)
    if AT_ONCE * rounds <= _SHORT_BATCHES and pictures:
        return max(1, int(pictures // (AT_ONCE * rounds)))
    return 1 << (_most(card).bit_length() - 1)


def are_few(card: ModelCard, pictures: float | None) -> bool:
    """Whether ``pictures`` are embedded sooner with the model's weights as they lie in the file."""
    return AT_ONCE * _rounds(card, pictures) <= _FEW_BATCHES


def _rounds(card: ModelCard, pictures: float | None) -> float:
    """How often all cores take a batch; without end when nobody knows."""
    return math.ceil(pictures / (AT_ONCE * _most(card))) if pictures else math.inf


def _most(card: ModelCard) -> int:
    """A model of which nobody knows how many tokens its pictures have gets four."""
    return max(1, _ROWS // card.tokens) if card.tokens else 4
