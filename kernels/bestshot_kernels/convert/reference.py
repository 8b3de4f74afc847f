"""Tone mapping in plain NumPy, float64: the oracle."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from . import curves


def _displayed_nits(signal: curves.Values, transfer: str, peak_nits: float) -> curves.Values:
    if transfer == "pq":
        return curves.pq_to_nits(signal)
    scene = curves.hlg_to_scene(signal)
    luminance = scene @ curves.LUMINANCE_2020
    return np.asarray(peak_nits * scene * luminance[..., None] ** (curves.hlg_gamma(peak_nits) - 1))


def tone_map(rgb16: npt.NDArray[np.uint16], transfer: str, *, peak_nits: float = 1000.0) -> npt.NDArray[np.uint8]:
    """Render uint16 (n, h, w, 3) as uint8 SDR, as the wrapper of the same name documents."""
    nits = _displayed_nits(rgb16 / 65535, transfer, peak_nits) @ curves.TO_BT709.T
    nits = np.clip(nits, 0, peak_nits)
    brightest = np.maximum(nits.max(axis=-1, keepdims=True), 1e-9)
    light = nits * (curves.tone_curve(brightest, peak_nits) / (brightest * curves.WHITE_NITS))
    return np.rint(255 * curves.encode_display(np.minimum(light, 1))).astype(np.uint8)
