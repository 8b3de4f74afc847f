"""Where downloads of one model lie until it is made: one process at a time, and kept when that is interrupted."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..progress import Progress

DOWNLOADS = ".downloads"
_LOOK_AGAIN_S = 0.3
_OPENINGS = 20


@dataclass
class Workplace:
    """A folder that is this process's alone."""

    folder: Path
    waited: bool
    """Whether another process had it before."""
    keep: bool = True
    """Whether what lies there may be of use to the next process."""

    def clear(self) -> None:
        """Keep nothing: the model is made."""
        self.keep = False


@contextlib.contextmanager
def workplace(root: Path, name: str, progress: Progress, what: str = "pull") -> Iterator[Workplace]:
    """A folder in ``root`` for the downloads of model ``name``, or another making. Waits while another process has it.

    The claim dies with the process. Where the system or the disk knows no such locks, every process has a folder of
    its own, which it does not leave behind.

    Raises:
        OSError: it cannot be written.
    """
    downloads = root / DOWNLOADS
    lock, waited = _claim(downloads / f"{name}.lock", progress, f"wait for another {what} of {name}")
    own = "" if lock is not None else f".{secrets.token_hex(4)}"
    work = Workplace(downloads / f"{name}{own}", waited, keep=lock is not None)
    try:
        work.folder.mkdir(parents=True, exist_ok=True)
        yield work
    except BaseException:
        work.keep = lock is not None
        raise
    finally:
        if not work.keep or _is_empty(work.folder):
            shutil.rmtree(work.folder, ignore_errors=True)
            (downloads / f"{name}.lock").unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                downloads.rmdir()
        if lock is not None:
            os.close(lock)


def _is_empty(folder: Path) -> bool:
    return not folder.is_dir() or not any(folder.iterdir())


def _claim(path: Path, progress: Progress, stage: str) -> tuple[int | None, bool]:
    """A descriptor that holds the lock file ``path``, or None without locks; and whether it had to be waited for."""
    try:
        import fcntl
    except ImportError:
        return None, False
    waited = False
    while True:
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            waited = True
            progress(stage, 0, None)
            time.sleep(_LOOK_AGAIN_S)
            continue
        except OSError:
            os.close(descriptor)
            return None, waited
        # Whoever had it before may have removed the file, and a third process made it anew.
        if _is_at(descriptor, path):
            return descriptor, waited
        os.close(descriptor)


def _open(path: Path) -> int:
    # The folder may go in between, when another pull ends.
    for _ in range(_OPENINGS):
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            return _open_once(path)
    return _open_once(path)


def _open_once(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


def _is_at(descriptor: int, path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False
