"""Whether the disk that results go to takes more: a batch that filled it waits until it does."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from .worklist import Tell

_LOOK_AGAIN_S = 1.0
ROOM = 256 << 20
"""So many bytes must be free before a batch that had filled the disk goes on."""
FULL = 16 << 20
"""With fewer bytes free, a result that cannot be written is the disk's fault and not the take's."""


class Room:
    """The disk of ``root``, looked at by making files in ``folder`` on it; its fullness is told once."""

    def __init__(self, root: Path, folder: Path, tell: Tell) -> None:
        self._root, self._folder, self._tell = root, folder, tell
        self._look_at = 0.0
        self._paused = False

    @property
    def is_full(self) -> bool:
        """Whether so little is free that an encoder may have found no room."""
        return shutil.disk_usage(self._folder).free < FULL

    def say_full(self) -> None:
        """Tell that the batch waits for room."""
        if not self._paused:
            self._paused = True
            self._tell("paused", folder=self._root)

    def wait(self) -> None:
        """Take the disk for full, and look again in a while."""
        self._look_at = time.monotonic() + _LOOK_AGAIN_S
        self.say_full()

    @property
    def is_there(self) -> bool:
        """Whether work may go on; the disk is asked only now and then, and only while the batch waits for it."""
        if not self._paused:
            return True
        if time.monotonic() < self._look_at:
            return False
        self._look_at = time.monotonic() + _LOOK_AGAIN_S
        try:
            with tempfile.TemporaryFile(dir=self._folder) as file:
                os.posix_fallocate(file.fileno(), 0, ROOM)
        except OSError:
            return False
        self._paused = False
        self._tell("resumed", folder=self._root)
        return True
