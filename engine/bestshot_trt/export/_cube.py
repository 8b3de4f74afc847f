"""A person's own .cube file (Adobe's 3D LUT format 1.0), read and checked before anything is encoded with it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, InputError, shown
from ..files import check_regular

SMALLEST, LARGEST = 2, 129
_LONGEST = 256 << 20
"""Bytes: three times what a table of 129 nodes a side needs."""
_FARTHEST = 1e4
_QUIET = ("TITLE", "LUT_3D_INPUT_RANGE")


@dataclass(frozen=True, eq=False)
class Cube:
    """A 3D table: ``nodes`` are float64 RGB (n ** 3, 3) of encoded RGB in [0, 1], red varying fastest."""

    size: int
    nodes: npt.NDArray[np.float64]

    def write(self, path: Path) -> None:
        """Write it with nothing but what ffmpeg's ``lut3d`` reads."""
        rows = "\n".join(" ".join(f"{value:.6f}" for value in row) for row in self.nodes.tolist())
        path.write_text(f"LUT_3D_SIZE {self.size}\n{rows}\n", encoding="ascii")


def read_cube(path: Path) -> Cube:
    """Read the 3D table in ``path``.

    Raises:
        ConfigError: there is none; the message says at which line what is wrong.
    """
    try:
        check_regular(path)
        if path.stat().st_size > _LONGEST:
            raise ConfigError(f"{shown(path)}: is too large for a .cube table of {LARGEST} nodes a side")
        lines = path.read_text("utf-8-sig", errors="replace").splitlines()
    except InputError as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        raise ConfigError(f"{shown(path)}: cannot be read: {error.strerror or error}") from error
    return _parse(lines, shown(path))


def _parse(lines: list[str], name: str) -> Cube:
    size: int | None = None
    nodes: list[tuple[float, float, float]] = []
    for number, line in enumerate(lines, 1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        where = f"{name}, line {number}"
        if not words[0][0].isalpha():
            nodes.append(_numbers(words, where))
        elif words[0] == "LUT_3D_SIZE":
            size = _size(words, where)
        else:
            _check_keyword(words, where)
    if size is None:
        raise ConfigError(f"{name}: no LUT_3D_SIZE in it; give a 3D table in .cube form")
    if len(nodes) != size**3:
        raise ConfigError(
            f"{name}: {len(nodes)} rows of colours, but LUT_3D_SIZE {size} needs {size**3}; save the table again"
        )
    return Cube(size, np.array(nodes))


def _size(words: list[str], where: str) -> int:
    text = words[1] if len(words) == 2 else ""
    if text.isascii() and text.isdigit() and SMALLEST <= int(text[:9]) <= LARGEST:
        return int(text)
    raise ConfigError(f"{where}: LUT_3D_SIZE must be a whole number from {SMALLEST} to {LARGEST}")


def _check_keyword(words: list[str], where: str) -> None:
    if words[0] == "LUT_1D_SIZE":
        raise ConfigError(f"{where}: a 1D table; give a 3D table alone (LUT_3D_SIZE)")
    if words[0] in ("DOMAIN_MIN", "DOMAIN_MAX"):
        bound = 0.0 if words[0] == "DOMAIN_MIN" else 1.0
        if _numbers(words[1:], where) != (bound,) * 3:
            raise ConfigError(f"{where}: {words[0]} must be {bound:g} for all three; give a table of 0 to 1")
    elif words[0] not in _QUIET:
        raise ConfigError(f"{where}: {shown(words[0][:30])} is no word of a .cube table")


def _numbers(words: list[str], where: str) -> tuple[float, float, float]:
    try:
        red, green, blue = map(float, words)
    except ValueError:
        raise ConfigError(f"{where}: must be three numbers, red, green and blue") from None
    if not all(math.isfinite(value) and abs(value) <= _FARTHEST for value in (red, green, blue)):
        raise ConfigError(f"{where}: holds a number that is no colour")
    return red, green, blue
