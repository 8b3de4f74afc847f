"""Work arrays that are kept from call to call: fresh pages can cost as much as what is done with them."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

_kept = threading.local()


def scratch(name: str, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """An uninitialised uint8 array of ``shape``, the same one as long as this thread asks for this name and shape.

    It may be used until it is asked for again. A thread's arrays go when it ends.
    """
    array: npt.NDArray[np.uint8] | None = getattr(_kept, name, None)
    if array is None or array.shape != shape:
        array = np.empty(shape, np.uint8)
        setattr(_kept, name, array)
    return array
