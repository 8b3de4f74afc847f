"""HDR pictures to 8-bit SDR pictures that look like ordinary footage."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .._checks import check_pictures
from .curves import LEAST_PEAK_NITS, PQ_MAX_NITS

__all__ = ["tone_map"]


def tone_map(rgb16: npt.NDArray[np.uint16], transfer: str, *, peak_nits: float = 1000.0) -> npt.NDArray[np.uint8]:
    """Render BT.2020 PQ or HLG pictures as SDR video would show them.

    1. Signal to displayed light: the SMPTE ST 2084 EOTF, or the inverse HLG OETF and the OOTF of a display
       of ``peak_nits`` (ITU-R BT.2100; system gamma 1.2 at 1000 nits).
    2. BT.2020 to BT.709 primaries in linear light, clipped to [0, ``peak_nits``].
    3. The EETF of ITU-R BT.2390 on max(R, G, B) from ``peak_nits`` to 203 nits, the reference white of
       ITU-R BT.2408; all three channels are scaled alike, which keeps hue.
    4. Light to signal by the inverse of the BT.1886 EOTF (gamma 2.4), because SDR footage is measured by
       its signal as it comes: equal light then gives equal numbers.

    With the default peak, 88 nits and less keep their light, 203 nits become 230, 1000 nits and more 255.

    Args:
        rgb16: uint16 non-linear R'G'B' over the full range 0 to 65535, shape (n, h, w, 3).
        transfer: ``pq`` or ``hlg``.
        peak_nits: brightest light of the source, 400 to 10000 nits.

    Returns:
        uint8 of shape (n, h, w, 3).

    Raises:
        ValueError: wrong type or rank, an unknown transfer, or a peak out of bounds.
    """
    check_pictures(rgb16, np.uint16, "rgb16")
    if transfer not in ("pq", "hlg"):
        raise ValueError(f"transfer is {transfer!r}; it must be 'pq' or 'hlg': SDR pictures need no tone map")
    if not LEAST_PEAK_NITS <= peak_nits <= PQ_MAX_NITS:
        raise ValueError(f"peak_nits is {peak_nits!r}; it must be {LEAST_PEAK_NITS:g} to {PQ_MAX_NITS:g}")
    from . import cpu

    return cpu.tone_map(rgb16, transfer, peak_nits=peak_nits)
