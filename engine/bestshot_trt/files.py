"""Writing files so that a reader sees the whole of one or nothing of it, and asking before opening any."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .errors import ExportError, InputError, shown

_ADVICE = {
    errno.ENOSPC: "free some space, or write elsewhere with -o",
    errno.EDQUOT: "free some space, or write elsewhere with -o",
    errno.EFBIG: "raise the limit on file sizes, or write elsewhere with -o",
    errno.ENAMETOOLONG: "give a shorter name with -o",
}


def check_regular(path: Path) -> None:
    """Refuse what is not a regular file, before opening it: a pipe would wait, a device never end.

    Raises:
        InputError: missing, a folder, a pipe or a device.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise InputError(f"{shown(path)}: no such file; check the path") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{shown(path)}: cannot be opened: {reason}") from error
    if stat.S_ISDIR(mode):
        raise InputError(f"{shown(path)}: is a folder; name one file in it")
    if not stat.S_ISREG(mode):
        raise InputError(f"{shown(path)}: is a pipe or device; save it as a regular file first")


def check_folder(folder: Path) -> None:
    """Create ``folder`` and prove that it takes a file, before any long work.

    Raises:
        ExportError: it is a file, or cannot be created or written to.
    """
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"{shown(folder)}: is a file, not a folder; name another folder with -o")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise _unwritable(folder, error) from error


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold ``folder`` against other runs while the block lasts; the claim leaves no file and dies with the process.

    Where the system or the disk knows no such locks, nothing is held.

    Raises:
        ExportError: another run holds it.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ExportError(
            f"{shown(folder)}: another run is writing there; wait for it, or name another folder with -o"
        ) from None
    except OSError:
        pass
    try:
        yield
    finally:
        os.close(descriptor)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> ExportError:
    advice = _ADVICE.get(error.errno or 0, "write elsewhere with -o")
    return ExportError(f"{shown(path)}: cannot be written: {error.strerror or error}; {advice}")


@contextlib.contextmanager
def whole_file(path: Path, making: Path | None = None) -> Iterator[Path]:
    """Yield a temporary sibling of ``path``; on success it is synced and renamed to ``path``.

    Where nobody looks after what a killed process leaves, ``making`` is a folder of the same disk to make it in.

    On any error, Ctrl-C included, the temporary file is removed and an older ``path`` stays as it
    was. The temporary name keeps the suffix, since encoders choose a format by it.

    Raises:
        ExportError: the folder or the disk does not take the file.
    """
    # Cut short, so that with what is added it stays within a name's 255 bytes.
    temporary = (making or path.parent) / f".{path.stem[:20]}.{os.urandom(4).hex()}.part{path.suffix[:20]}"
    try:
        for folder in (path.parent, temporary.parent):
            folder.mkdir(parents=True, exist_ok=True)
        yield temporary
        _fsync(temporary)
        temporary.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    # Some network and FUSE disks cannot sync a folder; the file itself is whole by now.
    with contextlib.suppress(OSError):
        _fsync(path.parent)


def write_text(path: Path, text: str, making: Path | None = None) -> None:
    """Write ``text`` as UTF-8, whole or not at all; ``making`` as in `whole_file`.

    Raises:
        ExportError: the file cannot be written.
    """
    with whole_file(path, making) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
