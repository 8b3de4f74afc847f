"""The journal of an output folder as it is, only read: for looking ahead."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from ..journal import TABLES, Journal


class Past(Journal):
    """What batches have noted at ``path`` so far; nothing where there is no journal, or none that can be read."""

    def __init__(self, path: Path) -> None:
        self.path, self.owner = path, ""
        try:
            self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
            self.rows()
        except sqlite3.Error:
            self._db = sqlite3.connect(":memory:")
            self._db.executescript(TABLES)

    def note_content(self, path: str, size: int, mtime_ns: int, content: str) -> None:
        """Nothing is noted."""

    def close(self) -> None:
        """Let go of the file."""
        with contextlib.suppress(sqlite3.Error):
            self._db.close()
