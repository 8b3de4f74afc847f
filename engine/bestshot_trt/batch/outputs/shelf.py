"""Where the finished takes of a batch are read: in its folder, or in a store, with what is needed of it kept here."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ... import moments
from ...errors import ExportError, InputError, shown
from ...files import whole_file
from ...moments import MomentsDocument
from ...track import open_track
from .. import plan
from ..workers.messages import RECEIPT
from .store import Store

_PEAKS = "peaks.npy"
_THREADS = 8


class Shelf:
    """The takes below ``root`` whose results are in place."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __bool__(self) -> bool:
        """Whether there are takes, in place or not."""
        return (self.root / plan.TAKES).is_dir()

    def takes(self) -> Iterator[tuple[str, MomentsDocument]]:
        """Name and document of each, by name.

        Raises:
            InputError: there is no batch here.
        """
        if not self:
            raise InputError(f"{shown(self.root)}: holds no results of a batch; name the folder given to batch -o")
        for take in sorted((self.root / plan.TAKES).iterdir()):
            if plan.receipt_of(take):
                yield take.name, moments.read_json(take / plan.MOMENTS)

    def peaks(self, take: str) -> npt.NDArray[np.float32]:
        """The unit embeddings (moments, d) at the peaks of a take's moments.

        Raises:
            InputError: its track cannot be read.
        """
        folder = self.root / plan.TAKES / take
        return _peaks(folder, moments.read_json(folder / plan.MOMENTS))

    def holds(self, take: str, name: str) -> bool:
        """Whether a take has a file of this name."""
        return (self.root / plan.TAKES / take / name).exists()

    def read(self, take: str, name: str) -> bytes | None:
        """The content of a take's file; None where there is none that can be read."""
        return _content(self.root / plan.TAKES / take / name)


class StoredShelf(Shelf):
    """The takes in ``store``; documents and embeddings of their moments are kept in ``mirror`` as they are read."""

    def __init__(self, store: Store, mirror: Path) -> None:
        super().__init__(mirror)
        self._store = store
        mirror.mkdir(parents=True, exist_ok=True)

    def __bool__(self) -> bool:
        """Whether there are takes, in place or not."""
        return bool(self._store.takes())

    def takes(self) -> Iterator[tuple[str, MomentsDocument]]:
        """Name and document of each, by name.

        Raises:
            InputError: there is no batch there, or it cannot be read.
        """
        names = self._store.takes()
        if not names:
            raise InputError(f"{self._store.shown}: holds no results of a batch; name the URI given to batch -o")
        with ThreadPoolExecutor(_THREADS) as threads:
            there = list(threads.map(self._kept, names))
        for name, kept in zip(names, there, strict=True):
            if kept:
                yield name, moments.read_json(self.root / name / plan.MOMENTS)

    def _kept(self, take: str) -> bool:
        """Bring the take's document here, if its results are in place."""
        receipt = self._store.read(f"{plan.TAKES}/{take}/{RECEIPT}")
        kept = self.root / take
        if receipt is None:
            return False
        if _content(kept / RECEIPT) == receipt and (kept / plan.MOMENTS).exists():
            return True
        shutil.rmtree(kept, ignore_errors=True)
        document = self._store.read(f"{plan.TAKES}/{take}/{plan.MOMENTS}")
        # One that is just being replaced is not in place.
        if document is None or self._store.read(f"{plan.TAKES}/{take}/{RECEIPT}") != receipt:
            return False
        _write(kept / plan.MOMENTS, document)
        _write(kept / RECEIPT, receipt)
        return True

    def peaks(self, take: str) -> npt.NDArray[np.float32]:
        """The unit embeddings (moments, d) at the peaks of a take's moments; its track is fetched once.

        Raises:
            InputError: the track cannot be had or read.
        """
        kept = self.root / take / _PEAKS
        try:
            return np.asarray(np.load(kept, allow_pickle=False), np.float32)
        except (OSError, ValueError):
            pass
        document = moments.read_json(self.root / take / plan.MOMENTS)
        with tempfile.TemporaryDirectory(dir=self.root) as folder:
            self._store.fetch(f"{plan.TAKES}/{take}/{plan.TRACK}", Path(folder, plan.TRACK))
            found = _peaks(Path(folder), document)
        _write_peaks(kept, found)
        return found

    def holds(self, take: str, name: str) -> bool:
        """Whether a take has a file of this name: `batch` writes them all."""
        return True

    def read(self, take: str, name: str) -> bytes | None:
        """The content of a take's file; None where there is none.

        Raises:
            InputError: it cannot be had.
        """
        return self._store.read(f"{plan.TAKES}/{take}/{name}")


def note(folder: Path, kept: Path) -> None:
    """Keep in ``kept`` what `StoredShelf` needs of the results in ``folder``, which are in the store."""
    shutil.rmtree(kept, ignore_errors=True)
    try:
        _write_peaks(kept / _PEAKS, _peaks(folder, moments.read_json(folder / plan.MOMENTS)))
        for name in (plan.MOMENTS, RECEIPT):
            _write(kept / name, (folder / name).read_bytes())
    except (InputError, ExportError, OSError):
        # Then it is read from the store.
        shutil.rmtree(kept, ignore_errors=True)


def _peaks(folder: Path, document: MomentsDocument) -> npt.NDArray[np.float32]:
    track = open_track(folder / plan.TRACK)
    rows = [int(np.argmin(np.abs(track.times - moment.peak_s))) for moment in document.moments]
    vectors = [np.asarray(track.embedding[row], np.float32) for row in rows]
    return np.array([vector / max(float(np.linalg.norm(vector)), 1e-12) for vector in vectors], np.float32)


def _write(path: Path, content: bytes) -> None:
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def _write_peaks(path: Path, vectors: npt.NDArray[np.float32]) -> None:
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, vectors, allow_pickle=False)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
