"""The descriptor in plain NumPy: the oracle."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

GRID = 12
COLOUR_GRID = 6
COLOUR_WEIGHT = 0.5
LEVEL_WEIGHT = 0.04
LUMA = np.array([0.299, 0.587, 0.114])

Cells = npt.NDArray[np.float64]


def _shares(size: int) -> Cells:
    """(GRID, size): the share of each pixel in each of GRID equal cells along a side; rows add up to 1."""
    edges = np.arange(GRID + 1)[:, None] * size / GRID
    covered = np.clip(edges - np.arange(size), 0, 1)
    return np.asarray((covered[1:] - covered[:-1]) * GRID / size)


def cell_means(rgb: npt.NDArray[np.uint8]) -> Cells:
    """Mean colours in [0, 1] of a grid of equal cells, (n, GRID, GRID, 3), edge pixels by their area."""
    height, width = rgb.shape[1:3]
    rows = np.tensordot(rgb / 255, _shares(height), axes=(1, 1))
    return np.moveaxis(np.tensordot(rows, _shares(width), axes=(1, 1)), 1, -1)


def describe(cells: Cells) -> npt.NDArray[np.float32]:
    """Descriptor, float32 (n, 218), of cell means (n, GRID, GRID, 3)."""
    count, step = len(cells), GRID // COLOUR_GRID
    luma = cells @ LUMA
    level = luma.mean(axis=(1, 2))
    coarse = cells.reshape(count, COLOUR_GRID, step, COLOUR_GRID, step, 3).mean(axis=(2, 4))
    red, green, blue = np.moveaxis(coarse, -1, 0)
    opponent = np.stack([red - green, (red + green) / 2 - blue], axis=1)
    turn = level * np.pi / 2
    blocks = [
        (luma - level[:, None, None]).reshape(count, GRID**2) / GRID,
        COLOUR_WEIGHT * opponent.reshape(count, 2 * COLOUR_GRID**2) / COLOUR_GRID,
        LEVEL_WEIGHT * np.stack([np.cos(turn), np.sin(turn)], axis=1),
    ]
    joined = np.concatenate(blocks, axis=1)
    return np.asarray(joined / np.linalg.norm(joined, axis=1, keepdims=True), np.float32)


def layout_descriptor(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Describe uint8 RGB of shape (n, h, w, 3), as the wrapper of the same name documents."""
    return describe(cell_means(rgb))
