"""Whether a model gives the values that were published of it, though those are not normalised and its own are.

Length and sum of a vector e are lost when it is divided by its length to u = e / |e|, but not their ratio: from the
published sum S of e follows |e| = S / sum(u), and with it every value of e that was published.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import InputError, ModelUnavailable, shown
from ..files import check_regular
from .model_folder import ModelFolder
from .models import Reference, find_spec

Vector = npt.NDArray[np.float32]

TEXT_ATOL = 1e-4
"""Of published values of about 0.1; float32 in another order stays below."""
IMAGE_ATOL = 2e-3
"""As above; decoders of JPEG differ by a level here and there."""
LOGIT_ATOL = 0.05
"""Of 100 x cosine; for the same reason."""


def reference_of(folder: ModelFolder) -> Reference | None:
    """What was published of the very weights that ``folder`` says it has."""
    try:
        spec = find_spec(folder.card.name)
    except ModelUnavailable:
        return None
    return spec.reference if folder.card.pretrained == spec.pretrained else None


def difference(unit: Vector, first: Sequence[float], total: float) -> float:
    """Largest difference to the published ``first`` values, once ``unit`` (d,) has the length that ``total`` tells."""
    exact = unit.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = exact[: len(first)] * (total / exact.sum())
    error = np.abs(values - np.asarray(first)).max()
    return float(error) if np.isfinite(error) else float("inf")


def read_picture(path: Path, size: int) -> npt.NDArray[np.uint8]:
    """The picture in ``path`` as CLIP sees it: uint8 RGB (1, size, size, 3).

    Raises:
        InputError: missing, or no picture.
    """
    from PIL import Image

    from bestshot_kernels.clip_resize import clip_resize

    check_regular(path)
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
    except Exception as error:  # Pillow raises nearly anything for a damaged file
        raise InputError(f"{shown(path)}: is no picture that can be read: {shown(error)}") from error
    return clip_resize(pixels[None], size)
