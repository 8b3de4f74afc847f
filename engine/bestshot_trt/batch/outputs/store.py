"""A batch's results in object storage: read, written and held there below one URI.

A store knows neither folders nor renaming, so a take is in place from when its `RECEIPT` is: that is written last, and
removed before anything else of the take changes. Other batches are known by objects below `STATE`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ...errors import ExportError
from .. import plan
from ..journal import Keys, lives, sign_of_life
from ..sources import remote
from ..sources.attempts import Pause, Unfetched, attempted
from ..sources.fetching import fetch
from ..sources.uris import shown_uri
from ..workers.messages import RECEIPT

_BATCHES, _HELD = f"{plan.STATE}/batches", f"{plan.STATE}/held"
_THREADS = 8
BEAT_S = 20.0


class Store:
    """What lies below ``uri``, for the batch that calls itself ``owner``. Names are relative to it, with ``/``.

    Every method asks again where a fault may pass.

    Raises:
        Unfetched: by each method, where the store cannot be read or written.
    """

    def __init__(self, uri: str, owner: str = "", pause: Pause = time.sleep) -> None:
        self.uri = uri.rstrip("/")
        self.shown = shown_uri(self.uri)
        self.owner, self._pause = owner, pause
        self._export_key = ""

    def _at(self, name: str) -> tuple[Any, str]:
        store, root = remote.store_of(self.uri)
        return store, f"{root.rstrip('/')}/{name}"

    def read(self, name: str) -> bytes | None:
        """The content of an object; None where there is none of this name."""

        def get() -> bytes | None:
            store, path = self._at(name)
            try:
                return bytes(store.cat_file(path))
            except FileNotFoundError:
                return None

        return attempted(f"{self.uri}/{name}", get, self._pause, "read")

    def write(self, name: str, content: bytes) -> None:
        """Make or replace an object."""

        def put() -> None:
            store, path = self._at(name)
            store.pipe_file(path, content)

        attempted(f"{self.uri}/{name}", put, self._pause, "written")

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects, some of which may be gone."""
        for name in names:
            self._remove(name)

    def _remove(self, name: str) -> None:
        def gone() -> None:
            store, path = self._at(name)
            try:
                store.rm_file(path)
            except FileNotFoundError:
                return

        attempted(f"{self.uri}/{name}", gone, self._pause, "written")

    def sizes(self, name: str) -> dict[str, int]:
        """The objects below ``name``, relative to it, and their sizes in bytes."""

        def find() -> dict[str, int]:
            store, path = self._at(name)
            found = store.find(path, detail=True)
            return {str(each)[len(path) :].lstrip("/"): int(told["size"]) for each, told in found.items()}

        return attempted(f"{self.uri}/{name}", find, self._pause, "read")

    def takes(self) -> list[str]:
        """The names of the takes of which anything is there."""

        def look() -> list[str]:
            store, path = self._at(plan.TAKES)
            try:
                found = store.ls(path, detail=False)
            except FileNotFoundError:
                return []
            return sorted(name for each in found if (name := str(each).rstrip("/").rpartition("/")[2]) != plan.TAKES)

        return attempted(f"{self.uri}/{plan.TAKES}", look, self._pause, "read")

    def receipt(self, take: str) -> dict[str, str]:
        """What the results of a take are for; empty where they are not in place."""
        return _plain(self.read(f"{plan.TAKES}/{take}/{RECEIPT}"))

    def receipts(self) -> dict[str, dict[str, str]]:
        """`receipt` of each take whose results are in place."""
        names = self.takes()
        with ThreadPoolExecutor(_THREADS) as threads:
            found = dict(zip(names, threads.map(self.receipt, names), strict=True))
        return {name: receipt for name, receipt in found.items() if receipt}

    def fetch(self, name: str, target: Path) -> None:
        """Write the content of an object to ``target``, whole or not at all."""
        uri = f"{self.uri}/{name}"
        fetch(uri, remote.look_at(uri, self._pause), target, self._pause)

    def put(self, folder: Path, name: str) -> None:
        """Make the objects below ``name`` those in ``folder``; its `RECEIPT` last, if it has one."""
        files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        before = self.sizes(name)
        stale = [each for each in before if each not in files and each != RECEIPT]
        self.remove(f"{name}/{each}" for each in ([RECEIPT] if RECEIPT in before else []) + stale)
        first = {each: path for each, path in files.items() if each != RECEIPT}
        for each, path in first.items():
            self.put_file(path, f"{name}/{each}")
        there = self.sizes(name)
        for each, path in first.items():
            if there.get(each) != path.stat().st_size:
                raise Unfetched(f"{self.shown}/{name}/{each}: is not what was sent; run the batch again")
        if RECEIPT in files:
            self.put_file(files[RECEIPT], f"{name}/{RECEIPT}")

    def put_file(self, file: Path, name: str) -> None:
        """Make or replace an object by the content of ``file``."""

        def put() -> None:
            store, path = self._at(name)
            store.put_file(str(file), path)

        attempted(f"{self.uri}/{name}", put, self._pause, "written")

    def arrive(self) -> None:
        """Prove that the store takes an object, before any long work; it tells others that this batch works.

        Raises:
            ExportError: it does not.
        """
        try:
            self.beat()
        except Unfetched as error:
            reason = str(error).removeprefix(f"{shown_uri(f'{self.uri}/{_BATCHES}/{self.owner}')}: ")
            raise ExportError(f"{self.shown}: results cannot be sent there: {reason}") from error

    def announce(self, keys: Keys) -> None:
        """Tell others which settings this batch has.

        Raises:
            ExportError: one that works has others; what both send of a take would mix.
        """
        self._export_key = keys.export
        self.beat()
        for name in self.sizes(_BATCHES):
            told = _plain(self.read(f"{_BATCHES}/{name}"))
            if not _works(told):
                self._remove(f"{_BATCHES}/{name}")
            elif told["export"] not in ("", keys.export):
                raise ExportError(
                    f"{self.shown}: another batch with other settings is sending results there, on {told['host']}; "
                    "wait for it, or name another -o"
                )

    def beat(self) -> None:
        """Give a sign of life."""
        host, pid, born, now = sign_of_life()
        told = {"host": host, "pid": pid, "born": born, "beat": now, "export": self._export_key}
        self.write(f"{_BATCHES}/{self.owner}", json.dumps(told).encode())

    def hold(self, take: str) -> bool:
        """Hold a take for this batch; False where another one that works does.

        Two that ask in the very same moment may both be told that they hold it, and do it twice.
        """
        name = f"{_HELD}/{take}"
        if self._is_others(self.read(name)):
            return False
        self.write(name, self.owner.encode())
        return not self._is_others(self.read(name))

    def _is_others(self, holder: bytes | None) -> bool:
        owner = (holder or b"").decode(errors="replace")
        return owner not in ("", self.owner) and _works(_plain(self.read(f"{_BATCHES}/{owner}")))

    def let_go(self, takes: Iterable[str]) -> None:
        """Hold these takes no more."""
        self.remove(f"{_HELD}/{take}" for take in takes)

    def leave(self) -> None:
        """Tell others that this batch is over."""
        self._remove(f"{_BATCHES}/{self.owner}")


def _plain(content: bytes | None) -> dict[str, Any]:
    try:
        found = json.loads(content or b"")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _works(told: dict[str, Any]) -> bool:
    try:
        return lives(told["host"], told["pid"], told["born"], told["beat"])
    except (KeyError, TypeError):
        return False
