"""The measures in plain NumPy: the oracle."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .stats import BLACK_LUMA, WHITE_LUMA, FrameStats


def luma(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """8-bit luma of shape (..., h, w), in OpenCV's 15-bit fixed point; the weights add up to 2**15."""
    weighted = rgb.astype(np.int32) @ np.array([9798, 19235, 3735], dtype=np.int32)
    return ((weighted + (1 << 14)) >> 15).astype(np.uint8)


def _laplacian(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    wide = np.pad(grey.astype(np.int64), ((0, 0), (1, 1), (1, 1)), mode="reflect")
    rows = wide[:, :-2, 1:-1] + wide[:, 2:, 1:-1]
    columns = wide[:, 1:-1, :-2] + wide[:, 1:-1, 2:]
    return rows + columns - 4 * wide[:, 1:-1, 1:-1]


def _colourfulness(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    red, green, blue = np.moveaxis(rgb.astype(np.float64), -1, 0)
    opponent = np.stack([red - green, (red + green) / 2 - blue])
    spread = np.sqrt(opponent.var(axis=(2, 3)).sum(axis=0))
    return np.asarray(spread + 0.3 * np.sqrt((opponent.mean(axis=(2, 3)) ** 2).sum(axis=0)))


def frame_stats(rgb: npt.NDArray[np.uint8]) -> FrameStats:
    """Measure uint8 RGB of shape (n, h, w, 3), as the wrapper of the same name documents."""
    grey = luma(rgb)
    clipped = (grey >= WHITE_LUMA) | (grey <= BLACK_LUMA)
    return FrameStats(
        laplacian_variance=_laplacian(grey).var(axis=(1, 2)).astype(np.float32),
        exposure_penalty=clipped.mean(axis=(1, 2)).astype(np.float32),
        contrast=grey.std(axis=(1, 2), dtype=np.float64).astype(np.float32),
        colourfulness=_colourfulness(rgb).astype(np.float32),
    )
