"""Arrays as text in a page: their bytes sorted by significance, deflated, in base64."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt


class Packer:
    """Collects named arrays for the page, whose ``unpack.js`` reads them back bit for bit."""

    def __init__(self) -> None:
        self._layout: list[dict[str, Any]] = []
        self._planes: list[bytes] = []

    def add(self, name: str, array: npt.NDArray[Any]) -> None:
        """Add ``array``, flattened, little-endian.

        All first bytes go before all second bytes and so on: exponents, which hardly change, then deflate well.
        """
        flat = np.ascontiguousarray(array).reshape(-1)
        flat = flat.astype(flat.dtype.newbyteorder("<"), copy=False)
        self._layout.append({"name": name, "type": flat.dtype.str[1:], "count": len(flat)})
        self._planes.append(flat.view(np.uint8).reshape(-1, flat.dtype.itemsize).T.tobytes())

    def copy(self) -> Packer:
        """Another one with the same arrays, to which others can be added."""
        other = Packer()
        other._layout, other._planes = [*self._layout], [*self._planes]
        return other

    def packed(self) -> tuple[list[dict[str, Any]], str]:
        """The layout, and all arrays in its order as base64 of one zlib stream."""
        return self._layout, base64.b64encode(zlib.compress(b"".join(self._planes), 9)).decode("ascii")
