"""Checks of what arrives at the public wrappers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def check_pictures(pixels: Any, dtype: npt.DTypeLike, name: str) -> None:
    """Raise `ValueError` unless ``pixels`` is an array of ``dtype`` and shape (n, h, w, 3) with h, w >= 1."""
    advice = _advice(pixels, dtype, name)
    if advice is not None:
        arrived = type(pixels).__name__
        if isinstance(pixels, np.ndarray):
            arrived = f"{pixels.dtype} of shape {pixels.shape}"
        raise ValueError(f"{name} is {arrived}; need {np.dtype(dtype)} of shape (n, h, w, 3){advice}")


def _advice(pixels: Any, dtype: npt.DTypeLike, name: str) -> str | None:
    """What to do about pictures that are not as wanted; None where they are."""
    if not isinstance(pixels, np.ndarray):
        return " as a NumPy array: use np.asarray"
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        return f": add the picture axis with {name}[None]"
    if pixels.ndim != 4 or pixels.shape[3] != 3:
        return ": stack RGB pictures along axis 0, channels last"
    if pixels.dtype != dtype:
        return ": scale to the full range of that type and convert with astype"
    return ": drop the pictures without pixels" if 0 in pixels.shape[1:3] else None
