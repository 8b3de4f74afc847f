"""Timing on machines that are never quiet: both sides take turns, and only their ratio is trusted."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import BestshotError

Seconds = Callable[[], float]


@dataclass(frozen=True)
class Summary:
    """Median, and the 20th and 80th percentile, of ``runs`` values."""

    median: float
    p20: float
    p80: float
    runs: int


def summarise(values: Sequence[float]) -> Summary:
    """Summary of at least one value.

    Raises:
        ValueError: there are none.
    """
    if not values:
        raise ValueError("nothing was timed: need at least one run")
    p20, median, p80 = (float(value) for value in np.percentile(values, (20, 50, 80)))
    return Summary(median, p20, p80, len(values))


@dataclass(frozen=True)
class Pairs:
    """Seconds of two ways to do one thing, run in turn."""

    ours: tuple[float, ...]
    baseline: tuple[float, ...]

    @property
    def speedup(self) -> Summary:
        """How many times faster ours is, run by run: baseline / ours."""
        return summarise([slow / fast for fast, slow in zip(self.ours, self.baseline, strict=True)])


def paired(ours: Seconds, baseline: Seconds, runs: int, *, warm_up: bool = True) -> Pairs:
    """Time both ``runs`` times in turn, after one run of each that is not counted.

    Each gives its own seconds, so that setting up can be left out.
    """
    if warm_up:
        ours(), baseline()
    pairs = [(ours(), baseline()) for _ in range(runs)]
    return Pairs(tuple(a for a, _ in pairs), tuple(b for _, b in pairs))


@dataclass(frozen=True)
class Spent:
    """What a whole process took, in seconds."""

    wall: float
    cpu: float


def _compiling() -> dict[str, str]:
    """The environment, but for what keeps Python from storing compiled modules: pip stores them for who installs."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def process(command: Sequence[str]) -> Spent:
    """Run ``command`` to its end without its output, from compiled modules as an installed program runs.

    Raises:
        BestshotError: it failed; the message ends with its last words.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    code, words = _ended(command)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if code:
        raise BestshotError(f"{_name(command)} ended with {code}: {words}")
    return Spent(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def _name(command: Sequence[str]) -> str:
    """The program, without its folder; of Python's the module that it runs."""
    return command[2] if list(command[1:2]) == ["-m"] else os.path.basename(command[0])  # noqa: PTH119


def _ended(command: Sequence[str]) -> tuple[int, str]:
    """Exit code and last words of ``command``; when this is interrupted, all that it has started ends with it."""
    with subprocess.Popen(
        command,
        env=_compiling(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        try:
            _, errors = running.communicate()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
            raise
    return running.returncode, (errors.strip().splitlines() or ["no message"])[-1]


def wall_of(command: Sequence[str]) -> Seconds:
    """``command`` as something to time."""
    return lambda: process(command).wall
