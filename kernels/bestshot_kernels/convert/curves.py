"""Transfer functions and the tone curve, as their standards write them, in float64.

Light is in nits (cd/m2); signals are non-linear values in [0, 1].
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

WHITE_NITS = 203.0
"""HDR reference white (ITU-R BT.2408), and the light that 8-bit 255 stands for."""

PQ_MAX_NITS = 10000.0

LEAST_PEAK_NITS = 400.0
"""Darkest display for which ITU-R BT.2100 gives an HLG system gamma."""

LUMINANCE_2020 = np.array([0.2627, 0.6780, 0.0593])
"""Luminance of linear BT.2020 R, G, B (ITU-R BT.2020, table 4)."""

TO_BT709 = np.array(
    [
        [1.66049100, -0.58764114, -0.07284986],
        [-0.12455047, 1.13289990, -0.00834942],
        [-0.01815076, -0.10057890, 1.11872966],
    ]
)
"""Linear BT.2020 RGB to linear BT.709 RGB (ITU-R BT.2087, with more digits, so that greys stay grey)."""

_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32

_HLG_A = 0.17883277
_HLG_B = 1 - 4 * _HLG_A
_HLG_C = 0.5 - _HLG_A * math.log(4 * _HLG_A)


def pq_to_nits(signal: npt.ArrayLike) -> Values:
    """SMPTE ST 2084 EOTF: PQ signal in [0, 1] to nits in [0, 10000]."""
    root = np.asarray(signal, np.float64) ** (1 / _M2)
    return np.asarray(PQ_MAX_NITS * (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1))


def nits_to_pq(nits: npt.ArrayLike) -> Values:
    """Inverse of `pq_to_nits`."""
    power = (np.asarray(nits, np.float64) / PQ_MAX_NITS) ** _M1
    return np.asarray(((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2)


def hlg_to_scene(signal: npt.ArrayLike) -> Values:
    """Inverse of the HLG OETF (ITU-R BT.2100, table 5): signal in [0, 1] to scene light in [0, 1]."""
    values = np.asarray(signal, np.float64)
    return np.where(values <= 0.5, values**2 / 3, (np.exp((values - _HLG_C) / _HLG_A) + _HLG_B) / 12)


def hlg_gamma(peak_nits: float) -> float:
    """System gamma of the HLG OOTF for a display of ``peak_nits``: 1.2 at 1000.

    The extended-range model of ITU-R BT.2390; within 0.012 of BT.2100's formula for 400 to 2000 nits.
    """
    return float(1.2 * 1.111 ** math.log2(peak_nits / 1000))


def tone_curve(nits: npt.ArrayLike, peak_nits: float) -> Values:
    """EETF of ITU-R BT.2390, section 5.4.1: nits up to ``peak_nits`` rolled off into [0, 203].

    In PQ relative to the source's peak: the identity up to a knee, a Hermite spline from there to the
    target's peak. Black is 0 on both sides, so the standard's black lift falls away.
    """
    top = float(nits_to_pq(peak_nits))
    relative = np.minimum(nits_to_pq(nits) / top, 1.0)
    target = float(nits_to_pq(WHITE_NITS)) / top
    knee = 1.5 * target - 0.5
    t = np.maximum(relative - knee, 0) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * target
    return pq_to_nits(np.where(relative < knee, relative, spline) * top)


def encode_display(light: npt.ArrayLike) -> Values:
    """Inverse of the BT.1886 EOTF with black at 0: light in [0, 1] to the signal of an SDR video."""
    return np.asarray(np.asarray(light, np.float64) ** (1 / 2.4))
