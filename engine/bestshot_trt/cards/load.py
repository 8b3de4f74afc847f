"""How busy the cards are while work goes on, as NVML samples it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

_LOAD = Path(__file__).with_name("_load.py")
_STALE = 5
"""Samples that may fail to come before what is known is no longer shown."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """One card at one moment; None for what it does not tell."""

    name: str
    decoder: int | None
    """Percent of the time that its NVDECs were busy."""
    sm: int | None
    """Percent of the time that any kernel ran."""
    used: int | None
    """Bytes of its memory that are taken, by anybody."""
    memory: int | None
    """Bytes of memory it has."""

    def __str__(self) -> str:
        parts = [
            "" if self.decoder is None else f"decoders {self.decoder} %",
            "" if self.sm is None else f"SMs {self.sm} %",
            ""
            if self.used is None or self.memory is None
            else f"memory {self.used / 2**30:.1f} of {self.memory / 2**30:.1f} GiB",
        ]
        return ", ".join(filter(None, parts)) or "tells nothing of its load"


class Loads(AbstractContextManager["Loads"]):
    """Samples all cards every ``every_s`` seconds within its block, in a process that may hang or fail."""

    def __init__(self, every_s: float = 2.0) -> None:
        self._every_s = every_s
        self._latest: tuple[float, tuple[Load, ...]] = (0.0, ())
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Loads:
        command = [sys.executable, "-P", str(_LOAD), f"{self._every_s:g}"]
        with contextlib.suppress(OSError):
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            threading.Thread(target=self._read, args=(self._process,), name="loads", daemon=True).start()
        return self

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._latest = time.monotonic(), tuple(Load(**each) for each in json.loads(line))

    @property
    def latest(self) -> tuple[Load, ...]:
        """The newest sample, in NVML's order of cards; empty where there is none, or it is too old."""
        at, loads = self._latest
        return loads if time.monotonic() - at < _STALE * self._every_s else ()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            # Not waited for: it may be in the kernel, with a dead card.
            self._process.kill()
