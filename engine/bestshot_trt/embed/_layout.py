"""The embedding without a CLIP model: colour and layout of the picture, deterministic."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


class LayoutEmbedder:
    """Stands in for CLIP with ``--model none``; tells views apart, knows nothing of beauty or words."""

    model = "none"

    def embed(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 RGB (n, h, w, 3) to float32 (n, d), L2-normalised."""
        from bestshot_kernels.layout_descriptor import layout_descriptor

        return layout_descriptor(pixels)
