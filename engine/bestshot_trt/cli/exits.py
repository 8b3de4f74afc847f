"""How a command ends: one table from the kind of error to the exit code, and one line that says why."""

from __future__ import annotations

import contextlib
import copy
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
_ASK_AGAIN_S = 3.0
"""Time to clean up in, before a signal counts as lost."""

# Typer carries its own copy of Click from 0.26 on; the class common to both is found through this one.
_ClickError: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


class Stopped(KeyboardInterrupt):
    """A signal to end, raised so that temporary files go before the process does."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class _Listener:
    """Raises `Stopped` for a signal, and again when that got lost, as it may while a library is being imported."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self._last = float("-inf")

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if now - self._last < _REPEAT_S:
            return
        self._last = now
        self.signum = self.signum or signum
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, _ASK_AGAIN_S)
        raise Stopped(self.signum)

    def heed(self) -> None:
        """Raise the stop again that a library swallowed. For the steps of the work, not for clean-up.

        Raises:
            Stopped: a signal came.
        """
        if self.signum is not None:
            raise Stopped(self.signum)


_listener = _Listener()
heed_stop = _listener.heed


def _on_stop(handler: Any) -> None:
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM"):
        number = getattr(signal, name, None)
        # What nohup has set to be ignored stays so; a script's background job, though, must still end on SIGINT.
        kept = name == "SIGHUP" and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        if number is not None and not kept:
            signal.signal(number, handler)


def _quiet_swallowed_stops() -> None:
    """A library that swallows a stop in one of its callbacks shall not print it; `heed_stop` and a timer ask again."""
    excepthook, unraisablehook = sys.excepthook, sys.unraisablehook
    sys.excepthook = lambda kind, error, trace: None if issubclass(kind, Stopped) else excepthook(kind, error, trace)
    sys.unraisablehook = lambda args: None if issubclass(args.exc_type, Stopped) else unraisablehook(args)


def run_app() -> int:
    """Run the command that ``sys.argv`` names; returns the exit code."""
    try:
        _on_stop(_listener)
        code = _run_app()
        # Python gives signals back to the system at its end; a late Ctrl-C must not change the exit code then.
        _on_stop(signal.SIG_IGN)
        return code
    except KeyboardInterrupt as error:
        return _stopped(error)


def _run_app() -> int:
    from .app import app

    try:
        return _narrowed(app, sys.argv[1:])(standalone_mode=False, prog_name="bestshot-trt") or 0
    except _ClickError as error:
        _say_usage(error)
        return EXIT_CODES[ConfigError]
    except (ExportError, OSError) as error:
        # The commands report their own errors; this is the help or the version without a place to go.
        _discard(sys.stdout)
        say(f"error: {error}" if isinstance(error, ExportError) else f"error: standard output: {error.strerror}")
        return EXIT_CODES[ExportError]


def _narrowed(app: typer.Typer, arguments: list[str]) -> typer.Typer:
    """``app`` with the one command that ``arguments`` begin with: building the others takes a quarter of its start."""
    named = [command for command in app.registered_commands if arguments[:1] == [_name_of(command)]]
    if not named:
        return app
    narrow = copy.copy(app)
    narrow.registered_commands, narrow.registered_groups = named, []
    return narrow


def _name_of(command: typer.models.CommandInfo) -> str | None:
    return command.name or (command.callback.__name__ if command.callback else None)


@contextmanager
def reported(*, verbose: bool) -> Iterator[None]:
    """Turn errors of the work inside into one line on stderr and the exit code of their kind."""
    # Here and not earlier, since Typer sets a hook of its own when it is called.
    _quiet_swallowed_stops()
    try:
        yield
    except typer.Exit:
        raise
    except KeyboardInterrupt as error:
        raise typer.Exit(_stopped(error)) from None
    except Exception as error:
        raise typer.Exit(_failed(error, verbose=verbose)) from None


def _failed(error: Exception, *, verbose: bool) -> int:
    if _listener.signum is not None:
        # What failed is what the signal had broken off.
        return _stopped(Stopped(_listener.signum))
    if isinstance(error, BestshotError):
        say(f"error: {error}")
        return _code_of(error)
    if verbose:
        traceback.print_exc()
    say(f"internal error: {type(error).__name__}: {_first_line(error)}; run again with -v and report the traceback")
    return INTERNAL_ERROR


def _code_of(error: BestshotError) -> int:
    return next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind))


def _stopped(error: KeyboardInterrupt) -> int:
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
