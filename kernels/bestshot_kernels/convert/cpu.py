"""Tone mapping through tables and OpenCV, in float32; within one code value of the reference.

Light is relative to the source's peak. Encoding is a power, so the scaling by the tone curve can be applied
after it: one table encodes a channel, another gives the encoded scale from the brightest one. Both go by the square
root of the light: fine steps where the eye is fine.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from . import curves

_Light = npt.NDArray[np.float32]

_STEPS = 65535

# Small enough for the work planes of a band to stay in the cache and in memory already mapped.
_BAND_PIXELS = 1 << 14


@lru_cache(maxsize=8)
def _light_table(transfer: str, peak_nits: float) -> _Light:
    """Linear light of every 16-bit signal: relative to the peak for PQ, scene light for HLG."""
    signal = np.arange(_STEPS + 1) / _STEPS
    light = curves.hlg_to_scene(signal) if transfer == "hlg" else curves.pq_to_nits(signal) / peak_nits
    return light.astype(np.float32)


@lru_cache(maxsize=1)
def _encoded_table() -> _Light:
    """The encoded signal of a channel, by the square root of its light."""
    return curves.encode_display((np.arange(_STEPS + 1) / _STEPS) ** 2).astype(np.float32)


@lru_cache(maxsize=8)
def _scale_table(peak_nits: float) -> _Light:
    """255 x encoded scale, by the square root of the brightest channel."""
    nits = peak_nits * (np.maximum(np.arange(_STEPS + 1), 1) / _STEPS) ** 2
    scale = peak_nits * curves.tone_curve(nits, peak_nits) / (nits * curves.WHITE_NITS)
    return (255 * curves.encode_display(scale)).astype(np.float32)


def _displayed_light(signal: npt.NDArray[np.uint16], transfer: str, peak_nits: float) -> list[_Light]:
    """Linear BT.709 red, green and blue in [0, 1] of the peak, each (h, w)."""
    light = np.take(_light_table(transfer, peak_nits), signal, mode="clip")
    planes = list(cv2.split(cv2.transform(light, curves.TO_BT709.astype(np.float32))))
    if transfer == "hlg":
        luminance = cv2.transform(light, curves.LUMINANCE_2020[None].astype(np.float32))
        ootf = cv2.pow(luminance.reshape(signal.shape[:2]), curves.hlg_gamma(peak_nits) - 1)
        planes = [plane * ootf for plane in planes]
    return [np.clip(plane, 0, 1, out=plane) for plane in np.asarray(planes, np.float32)]


def _root_steps(light: _Light) -> npt.NDArray[np.uint16]:
    return (np.asarray(cv2.sqrt(light), np.float32) * _STEPS + 0.5).astype(np.uint16)


def _tone_map(signal: npt.NDArray[np.uint16], transfer: str, peak_nits: float) -> npt.NDArray[np.uint8]:
    roots = [_root_steps(plane) for plane in _displayed_light(signal, transfer, peak_nits)]
    brightest = np.maximum(np.maximum(roots[0], roots[1]), roots[2])
    scale = np.take(_scale_table(peak_nits), brightest, mode="clip")
    encoded = [cv2.convertScaleAbs(np.take(_encoded_table(), root, mode="clip") * scale) for root in roots]
    return np.asarray(cv2.merge(encoded), np.uint8)


def tone_map(rgb16: npt.NDArray[np.uint16], transfer: str, *, peak_nits: float = 1000.0) -> npt.NDArray[np.uint8]:
    """Render uint16 (n, h, w, 3) as uint8 SDR, as the wrapper of the same name documents."""
    toned = np.empty(rgb16.shape, np.uint8)
    rows = max(1, _BAND_PIXELS // rgb16.shape[2])
    for picture, out in zip(rgb16, toned, strict=True):
        for top in range(0, len(picture), rows):
            band = slice(top, top + rows)
            out[band] = _tone_map(picture[band], transfer, peak_nits)
    return toned
