"""What was done and what is being done, in SQLite beside the results: the batch resumes from here.

A take is known by its content. Whoever works on one holds it by a lease: its owner's process must live, or, on
another machine, have given a sign of life lately; otherwise the next batch takes it over.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..errors import ExportError, shown

SILENT_S = 60.0
"""An owner on another machine that gave no sign of life for so long is taken for dead."""
BEAT_S = 5.0
_WAIT_S = 30.0
_FULL_AGAIN_S = 1.0
_AGAIN_S = 0.02
_COSTS = 500

Result = TypeVar("Result")

TABLES = """
CREATE TABLE IF NOT EXISTS owners (owner TEXT PRIMARY KEY, host TEXT, pid INTEGER, born TEXT, beat REAL);
CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, content TEXT);
CREATE TABLE IF NOT EXISTS takes (
    content TEXT PRIMARY KEY, name TEXT, path TEXT, state TEXT, owner TEXT, reason TEXT,
    analyze_key TEXT, pick_key TEXT, export_key TEXT, footage_s REAL, seconds REAL);
CREATE TABLE IF NOT EXISTS history (
    id INTEGER PRIMARY KEY, at REAL, owner TEXT, content TEXT, path TEXT, event TEXT, detail TEXT);
CREATE TABLE IF NOT EXISTS costs (id INTEGER PRIMARY KEY, measured TEXT);
"""


@dataclass(frozen=True)
class Keys:
    """What a take's results depend on, each key with all that comes before it."""

    analyze: str
    pick: str
    export: str


@dataclass(frozen=True)
class Row:
    """One take in the journal."""

    content: str
    name: str
    path: str
    state: str
    """``running``, ``done``, ``failed`` or ``skipped`` (no video, and nobody said it was one)."""
    owner: str | None
    reason: str | None
    keys: Keys
    footage_s: float
    seconds: float


class Journal:
    """The journal of one output folder, opened by one batch.

    Where the disk is full, writing to it waits until it is not; ``when_full`` is called each time it looks.

    Raises:
        ExportError: it cannot be created or opened.
    """

    def __init__(self, path: Path, when_full: Callable[[], None] = lambda: None) -> None:
        self.path = path
        self._when_full = when_full
        self.owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)
            self._begin()
        except (OSError, sqlite3.Error) as error:
            raise ExportError(f"{shown(path)}: the journal cannot be opened: {error}; name another -o") from error

    def _begin(self) -> None:
        """Make what is not there yet. Where two begin at once, SQLite gives up on one of them without waiting."""
        until = time.monotonic() + _WAIT_S
        while True:
            try:
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                self._db.executescript(TABLES)
                self._db.execute("INSERT INTO owners VALUES (?, ?, ?, ?, ?)", (self.owner, *sign_of_life()))
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
            time.sleep(_AGAIN_S)

    def close(self) -> None:
        """Let go of what this batch still holds, and of the file."""

        def leave() -> None:
            self._db.execute("UPDATE takes SET state = 'waiting', owner = NULL WHERE owner = ?", (self.owner,))
            self._db.execute("DELETE FROM owners WHERE owner = ?", (self.owner,))

        # Where that fails, whoever comes next finds that this owner is gone.
        with contextlib.suppress(sqlite3.Error):
            self._once(leave)
        self._db.close()

    def _once(self, change: Callable[[], Result]) -> Result:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            result = change()
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        return result

    def _change(self, change: Callable[[], Result]) -> Result:
        """All of ``change`` or nothing, however long the disk is full."""
        while True:
            try:
                return self._once(change)
            except sqlite3.OperationalError as error:
                if "full" not in str(error):
                    raise ExportError(f"{shown(self.path)}: the journal cannot be written: {error}") from error
            self._when_full()
            time.sleep(_FULL_AGAIN_S)

    def beat(self) -> None:
        """Give a sign of life."""
        self._change(lambda: self._db.execute("UPDATE owners SET beat = ? WHERE owner = ?", (time.time(), self.owner)))

    def is_alive(self, owner: str | None) -> bool:
        """Whether ``owner`` still works."""
        found = self._db.execute("SELECT host, pid, born, beat FROM owners WHERE owner = ?", (owner,)).fetchone()
        if found is None:
            return False
        return lives(*found)

    def content_of(self, path: str, size: int, mtime_ns: int) -> str | None:
        """The fingerprint noted for a file that has not changed since."""
        found = self._db.execute(
            "SELECT content FROM files WHERE path = ? AND size = ? AND mtime_ns = ?", (path, size, mtime_ns)
        ).fetchone()
        return found[0] if found else None

    def note_content(self, path: str, size: int, mtime_ns: int, content: str) -> None:
        """Remember the fingerprint of a file."""
        row = (path, size, mtime_ns, content)
        self._change(lambda: self._db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", row))

    def row(self, content: str) -> Row | None:
        """The take of this content, if it was ever looked at."""
        found = self._db.execute("SELECT * FROM takes WHERE content = ?", (content,)).fetchone()
        return None if found is None else _row(found)

    def rows(self) -> list[Row]:
        """Every take, by name."""
        return [_row(found) for found in self._db.execute("SELECT * FROM takes ORDER BY name")]

    def claim(self, content: str, name: str, path: str) -> Row | None:
        """Hold a take for this batch; None when another one that lives holds it. The row is as it was before."""

        def take() -> Row | None:
            row = self.row(content)
            if row is None:
                row = Row(content, name, path, "waiting", None, None, Keys("", "", ""), 0.0, 0.0)
                self._db.execute(
                    "INSERT INTO takes VALUES (?, ?, ?, 'running', ?, NULL, '', '', '', 0, 0)",
                    (content, name, _text(path), self.owner),
                )
                return row
            if row.state == "running" and row.owner != self.owner and self.is_alive(row.owner):
                return None
            self._db.execute(
                "UPDATE takes SET state = 'running', owner = ?, path = ? WHERE content = ?",
                (self.owner, _text(path), content),
            )
            return row

        return self._change(take)

    def restore(self, row: Row) -> None:
        """Put a claimed take back as it was found."""
        self._change(
            lambda: self._db.execute(
                "UPDATE takes SET state = ?, owner = NULL WHERE content = ?", (row.state, row.content)
            )
        )

    def finish(self, content: str, keys: Keys, *, footage_s: float, seconds: float, stages: str, path: str) -> None:
        """Enter a take whose results are in place."""

        def enter() -> None:
            self._db.execute(
                "UPDATE takes SET state = 'done', owner = NULL, reason = NULL, analyze_key = ?, pick_key = ?, "
                "export_key = ?, footage_s = ?, seconds = ? WHERE content = ?",
                (keys.analyze, keys.pick, keys.export, footage_s, seconds, content),
            )
            self._note(content, path, "done", stages)

        self._change(enter)

    def fail(self, content: str, keys: Keys, reason: str, *, path: str, state: str = "failed") -> None:
        """Enter a take that is given up with these settings, or ``skipped``."""

        def enter() -> None:
            self._db.execute(
                "UPDATE takes SET state = ?, owner = NULL, reason = ?, analyze_key = ?, pick_key = ?, export_key = ? "
                "WHERE content = ?",
                (state, reason, keys.analyze, keys.pick, keys.export, content),
            )
            self._note(content, path, state, reason)

        self._change(enter)

    def note(self, content: str, path: str, event: str, detail: str = "") -> None:
        """Add an event to the history."""
        self._change(lambda: self._note(content, path, event, detail))

    def _note(self, content: str, path: str, event: str, detail: str) -> None:
        self._db.execute(
            "INSERT INTO history (at, owner, content, path, event, detail) VALUES (?, ?, ?, ?, ?, ?)",
            (time.time(), self.owner, content, _text(path), event, detail),
        )

    def note_cost(self, measured: str) -> None:
        """Remember what a take cost, in one line."""
        self._change(lambda: self._db.execute("INSERT INTO costs (measured) VALUES (?)", (measured,)))

    def costs(self) -> list[str]:
        """The latest such lines, in order; none in the journal of an older version."""
        latest = "SELECT measured FROM costs ORDER BY id DESC LIMIT ?"
        try:
            return [line for (line,) in self._db.execute(latest, (_COSTS,))][::-1]
        except sqlite3.OperationalError:
            return []

    def history(self) -> list[tuple[str, str, str]]:
        """(path, event, detail) of everything that happened, in order."""
        return list(self._db.execute("SELECT path, event, detail FROM history ORDER BY id"))


def _row(found: tuple[str, ...]) -> Row:
    content, name, path, state, owner, reason, analyze, pick, export, footage, seconds = found
    return Row(content, name, path, state, owner, reason, Keys(analyze, pick, export), float(footage), float(seconds))


def _text(path: str) -> str:
    """``path`` as SQLite takes it: bytes of a name that are not UTF-8 are shown as such."""
    return path if path.isprintable() else shown(path)


def sign_of_life() -> tuple[str, int, str, float]:
    """What tells others that this process works: host, process id, when it began, and the time now."""
    return socket.gethostname(), os.getpid(), _born(os.getpid()), time.time()


def lives(host: str, pid: int, born: str, beat: float) -> bool:
    """Whether whoever gave that sign of life still works; on another machine, whether it was lately."""
    if host == socket.gethostname():
        return _born(pid) == born
    return time.time() - beat < SILENT_S


def _born(pid: int) -> str:
    """When the process began, so that a later one of the same number is not taken for it; empty when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return _born_elsewhere(pid)
    state, *rest = stat.rpartition(")")[2].split()
    return "" if state == "Z" else rest[18]


def _born_elsewhere(pid: int) -> str:
    """Without /proc, no more is known than whether there is such a process."""
    if Path("/proc/self").exists():
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "alive"
