"""How a command ends: one table from the kind of error to the exit code, and one line that says why."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TextIO

import typer

from ..errors import (
    BackendUnavailable,
    BestshotError,
    ConfigError,
    DecodeError,
    EngineMismatch,
    ExportError,
    InputError,
    ModelUnavailable,
    shown,
)

EXIT_CODES: dict[type[BestshotError], int] = {
    ConfigError: 2,
    InputError: 3,
    DecodeError: 4,
    BackendUnavailable: 5,
    ModelUnavailable: 6,
    EngineMismatch: 7,
    ExportError: 8,
}
INTERNAL_ERROR = 70
SIGNALLED = 128
"""Added to a signal's number: 130 for Ctrl-C, 143 for SIGTERM."""

_REPEAT_S = 1.0
"""A signal that follows another within this time is the same wish, and does not disturb the clean-up."""

# Typer carries its own copy of Click from 0.26 on; the class common to both is found through this one.
_ClickError: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


class Stopped(KeyboardInterrupt):
    """A signal to end, raised so that temporary files go before the process does."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class _Listener:
    def __init__(self) -> None:
        self._last = float("-inf")

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if now - self._last >= _REPEAT_S:
            self._last = now
            raise Stopped(signum)


def _on_stop(handler: Any) -> None:
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # What the caller had ignored, as nohup does, stays ignored.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def run_app() -> int:
    """Run the command that ``sys.argv`` names; returns the exit code."""
    try:
        _on_stop(_Listener())
        from .app import app

        return app(standalone_mode=False, prog_name="bestshot-trt") or 0
    except _ClickError as error:
        _say_usage(error)
        return EXIT_CODES[ConfigError]
    except (ExportError, OSError) as error:
        # The commands report their own errors; this is the help or the version without a place to go.
        _discard(sys.stdout)
        say(f"error: {error}" if isinstance(error, ExportError) else f"error: standard output: {error.strerror}")
        return EXIT_CODES[ExportError]
    except KeyboardInterrupt as error:
        return _stopped(error)


@contextmanager
def reported(*, verbose: bool) -> Iterator[None]:
    """Turn errors of the work inside into one line on stderr and the exit code of their kind."""
    try:
        yield
    except BestshotError as error:
        say(f"error: {error}")
        raise typer.Exit(_code_of(error)) from None
    except KeyboardInterrupt as error:
        raise typer.Exit(_stopped(error)) from None
    except typer.Exit:
        raise
    except Exception as error:
        if verbose:
            traceback.print_exc()
        say(f"internal error: {type(error).__name__}: {_first_line(error)}; run again with -v and report the traceback")
        raise typer.Exit(INTERNAL_ERROR) from error


def _code_of(error: BestshotError) -> int:
    return next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind))


def _stopped(error: KeyboardInterrupt) -> int:
    # Python gives signals back to the system at its end; another Ctrl-C must not change the exit code then.
    _on_stop(signal.SIG_IGN)
    signum = error.signum if isinstance(error, Stopped) else int(signal.SIGINT)
    word = "interrupted" if signum == signal.SIGINT else "terminated"
    say(f"{word}; finished files stay, nothing half-written was left")
    return SIGNALLED + signum


def _say_usage(error: Any) -> None:
    """What is wrong with the command line, and where to read more; nothing where help was shown instead."""
    text = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "bestshot-trt"
    dashed = "; write ./ before a file name that begins with a dash" if type(error).__name__ == "NoSuchOption" else ""
    if text:
        say(f"error: {text}; see {command} --help{dashed}")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["no message"])[0]


def say(text: str) -> None:
    """Print one line for the person at the terminal, on stderr. When nobody reads it, the work goes on."""
    if sys.stderr is None:
        return
    try:
        print(shown(text), file=sys.stderr, flush=True)
    except OSError:
        _discard(sys.stderr)


def put(text: str, *, encoding: str | None = None) -> None:
    """Write results to stdout. A reader that has gone, as ``head`` does, is no error.

    Raises:
        ExportError: stdout cannot take it.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode(encoding or sys.stdout.encoding, "backslashreplace"))
        sys.stdout.buffer.flush()
    except OSError as error:
        _discard(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            raise ExportError(f"standard output: cannot be written: {error.strerror or error}") from error


def _discard(stream: TextIO) -> None:
    """Let go of what ``stream`` still holds, which Python would try again to write at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
