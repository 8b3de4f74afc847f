"""Pictures as CLIP was trained on them: square, by Pillow's antialiased bicubic filter."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .._checks import check_pictures
from .framing import FRAMINGS, Placement, place

__all__ = ["FRAMINGS", "Placement", "clip_resize", "place"]


def clip_resize(pixels: npt.NDArray[np.uint8], size: int = 224, framing: str = "crop") -> npt.NDArray[np.uint8]:
    """Scale every picture to a square, bit for bit as Pillow's ``Image.resize(..., BICUBIC)`` does, rows first.

    What follows in CLIP is left to the model's graph: ``(value / 255 - mean) / std`` in float32, in this order, gives
    published input tensors exactly; other orders, or float64, move them by up to 5e-7.

    Args:
        pixels: uint8 RGB of shape (n, h, w, 3), any strides; h and w at least 1, n may be 0.
        size: side of the square in pixels, at least 1. Smaller pictures are enlarged, as CLIP's own code does.
        framing: how a picture becomes square:

            - ``crop``: the short side to ``size``, then the middle of the long one. What CLIP was trained on, and
              torchvision's ``Resize(size)``, ``CenterCrop(size)``; the ends of a wide picture go unseen.
            - ``squash``: both sides to ``size``; all is seen, shapes are distorted. open_clip's ``squash``.
            - ``pad``: the long side to ``size``, black bars around; all is seen, smaller. open_clip's ``longest``
              with its default fill, as films with bars look in what CLIP learnt from.

    Returns:
        uint8 RGB of shape (n, size, size, 3), contiguous.

    Raises:
        ValueError: ``pixels`` has another type, rank or no pixels; ``size`` is below 1; no such ``framing``.
    """
    check_pictures(pixels, np.uint8, "pixels")
    if size < 1:
        raise ValueError(f"size is {size}; it must be at least 1")
    if framing not in FRAMINGS:
        raise ValueError(f"framing is {framing!r}; it must be one of {', '.join(FRAMINGS)}")
    from . import cpu

    return cpu.clip_resize(pixels, size, framing)
