"""Writing a model folder so that a reader sees the whole of it or nothing of it."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..errors import ExportError, shown
from .model_folder import CARD, SCHEMA


def check_replaceable(path: Path) -> None:
    """Refuse to replace what is not a model folder of this program: it may be anything.

    Raises:
        ExportError: something else is at ``path``, or it cannot be looked into.
    """
    try:
        if not path.exists() or (path.is_dir() and not any(path.iterdir())):
            return
        card = path / CARD
        is_model = card.is_file() and f'"{SCHEMA}"'.encode() in card.read_bytes()
    except OSError as error:
        raise _unwritable(path, error) from error
    if not is_model:
        raise ExportError(f"{shown(path)}: is there already and is no model folder; name a new or empty folder")


def _unwritable(path: Path, error: OSError) -> ExportError:
    return ExportError(
        f"{shown(path)}: cannot be written: {error.strerror or error}; free some space, or name another folder"
    )


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield an empty sibling of ``path``; on success it takes the place of ``path``, which may be an older model.

    On any error, Ctrl-C included, the sibling is removed and ``path`` stays as it was.

    Raises:
        ExportError: something that is no model is at ``path``, or the disk does not take the folder.
    """
    # Resolved, so that "." has a name and a link to a folder on another disk keeps pointing there.
    path = path.resolve()
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}.part")
    try:
        check_replaceable(path)
        temporary.mkdir(parents=True)
        yield temporary
        replace_folder(path, temporary)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def replace_folder(path: Path, made: Path) -> None:
    """Rename ``made`` to ``path``, on the same disk; what was there goes once that is done, or comes back if it fails.

    Raises:
        OSError: it cannot be renamed.
    """
    # A folder that is not empty cannot be renamed over; for a moment neither is there, and both are whole.
    old = made.with_name(f"{made.name}.{secrets.token_hex(4)}.old")
    if path.exists():
        path.rename(old)
    try:
        made.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)
