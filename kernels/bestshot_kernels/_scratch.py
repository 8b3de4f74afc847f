"""Work arrays that are kept from call to call: fresh pages can cost as much as what is done with them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Work = TypeVar("Work")
_kept = threading.local()


def kept(name: str, size: tuple[int, ...], make: Callable[[tuple[int, ...]], Work]) -> Work:
    """What ``make`` gives for ``size``, the same one as long as this thread asks for this name and size.

    It may be used until it is asked for again. What a thread keeps goes when it ends.
    """
    found: tuple[tuple[int, ...], Work] | None = getattr(_kept, name, None)
    if found is None or found[0] != size:
        found = size, make(size)
        setattr(_kept, name, found)
    return found[1]


def scratch(name: str, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """An uninitialised uint8 array of ``shape``, kept as `kept` does."""
    return kept(name, shape, _empty)


def _empty(shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    return np.empty(shape, np.uint8)
