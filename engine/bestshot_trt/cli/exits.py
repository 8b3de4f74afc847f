"""How a command ends: one table from the kind of error to the exit code, and one line that says why."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

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
INTERRUPTED = 130
TERMINATED = 143


class _Terminated(KeyboardInterrupt):
    """SIGTERM, ended the same way as Ctrl-C: temporary files go, then the process."""


def _on_terminate(signum: int, frame: FrameType | None) -> None:
    raise _Terminated


@contextmanager
def reported(*, verbose: bool) -> Iterator[None]:
    """Turn errors of the work inside into one line on stderr and the exit code of their kind."""
    if hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, _on_terminate)
    try:
        yield
    except BestshotError as error:
        say(f"error: {error}")
        raise typer.Exit(EXIT_CODES[type(error)]) from None
    except _Terminated:
        say("terminated; finished files stay, nothing half-written was left")
        raise typer.Exit(TERMINATED) from None
    except KeyboardInterrupt:
        say("interrupted; finished files stay, nothing half-written was left")
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        # Whoever read stdout has gone; what is left to print has no reader.
        sys.stderr.close()
        raise typer.Exit(0) from None
    except typer.Exit:
        raise
    except Exception as error:
        if verbose:
            raise
        say(f"internal error: {type(error).__name__}: {_first_line(error)}; run again with -v and report the traceback")
        raise typer.Exit(INTERNAL_ERROR) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["no message"])[0]


def say(text: str) -> None:
    """Print one line for the person at the terminal, on stderr."""
    print(text, file=sys.stderr, flush=True)
