"""Checks of what arrives at the public wrappers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def check_pictures(pixels: Any, dtype: npt.DTypeLike, name: str) -> None:
    """Raise `ValueError` unless ``pixels`` is an array of ``dtype`` and shape (n, h, w, 3) with h, w >= 1."""
    wanted = f"need {np.dtype(dtype)} of shape (n, h, w, 3)"
    if not isinstance(pixels, np.ndarray):
        raise ValueError(f"{name} is {type(pixels).__name__}; {wanted} as a NumPy array: use np.asarray")
    arrived = f"{name} is {pixels.dtype} of shape {pixels.shape}"
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        raise ValueError(f"{arrived}; {wanted}: add the picture axis with {name}[None]")
    if pixels.ndim != 4 or pixels.shape[3] != 3:
        raise ValueError(f"{arrived}; {wanted}: stack RGB pictures along axis 0, channels last")
    if pixels.dtype != dtype:
        raise ValueError(f"{arrived}; {wanted}: scale to the full range of that type and convert with astype")
    if 0 in pixels.shape[1:3]:
        raise ValueError(f"{arrived}; {wanted}: drop the pictures without pixels")
