"""Knowing a source file again: a fingerprint of its content that costs the same at any size."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

from .errors import InputError, shown
from .streams import opened

_BLOCK = 256 << 10
_BLOCKS = 16


def fingerprint(path: Path) -> str:
    """A hash of the file's size and of 16 blocks of 256 KiB spread evenly over it, both ends included.

    Two files of up to 4 MiB with one fingerprint are the same; of larger ones, an edit between the
    blocks that keeps the size goes unnoticed, which recorded footage does not do.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with opened(path) as file:
            return fingerprint_of(file)
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be read: {error.strerror or error}") from error


def fingerprint_of(file: BinaryIO) -> str:
    """The same of an open file that can seek, wherever it lies.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    size = file.seek(0, 2)
    digest.update(size.to_bytes(8, "big"))
    for offset in _offsets(size):
        file.seek(offset)
        digest.update(file.read(_BLOCK))
    return f"sha256-blocks:{digest.hexdigest()[:32]}"


def _offsets(size: int) -> list[int]:
    if size <= _BLOCK * _BLOCKS:
        return list(range(0, max(size, 1), _BLOCK))
    return [(size - _BLOCK) * i // (_BLOCKS - 1) for i in range(_BLOCKS)]
