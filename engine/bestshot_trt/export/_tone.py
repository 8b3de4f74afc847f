"""HDR to SDR as a table that ffmpeg applies: the same rendering that the score pictures have."""

from __future__ import annotations

from pathlib import Path

import numpy as np

_SIDE = 65
"""Nodes per axis: half a level of 255 off on average, one with 33 (random saturated colours)."""


def write_cube(path: Path, transfer: str) -> None:
    """Write the tone mapping of ``transfer`` (``pq`` or ``hlg``) to ``path`` as a .cube 3D table.

    It takes non-linear BT.2020 RGB in [0, 1] and gives BT.709 RGB in [0, 1]; red varies fastest.
    """
    from bestshot_kernels.convert import tone_map

    axis = np.linspace(0, 65535, _SIDE).round().astype(np.uint16)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    nodes = np.stack([red, green, blue], axis=-1).reshape(1, -1, _SIDE, 3)
    levels = np.array([f"{level / 255:.5f}" for level in range(256)])
    rows = levels[np.asarray(tone_map(nodes, transfer)).reshape(-1, 3)].tolist()
    text = "\n".join(map(" ".join, rows))
    path.write_text(f"LUT_3D_SIZE {_SIDE}\n{text}\n", encoding="ascii")
