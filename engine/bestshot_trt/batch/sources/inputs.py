"""From what a user names to files: folders, globs, list files and standard input."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from ...errors import InputError, shown
from ..workers.messages import Elsewhere
from . import remote
from .uris import is_uri, name_of, shown_uri, stands_for_many

_VIDEO_SUFFIXES = frozenset(
    (
        *(".mp4", ".m4v", ".mov", ".qt", ".mkv", ".webm", ".avi", ".mts", ".m2ts", ".ts", ".mpg", ".mpeg", ".vob"),
        *(".mxf", ".flv", ".wmv", ".asf", ".3gp", ".3g2", ".ogv", ".dv", ".gxf"),
    )
)
_GLOB = frozenset("*?[")


@dataclass(frozen=True)
class Footage:
    """One file to look at."""

    path: Path
    """Where it lies; of a file elsewhere only its name, until it is fetched."""
    asked: bool
    """Whether it was named, or has a name as videos have: then it is a failure that it holds no video."""
    uri: str | None = None
    """What it is to be fetched from."""
    origin: str | None = None
    """The same as it may be shown: without passwords and signatures."""
    place: Elsewhere | None = None
    """Where it is read from, when it is not to be fetched."""

    @property
    def source(self) -> Path | str:
        """What to call it."""
        return self.origin or self.path


def expand(
    specs: Iterable[str], *, without: Path, without_uri: str | None = None, stdin: TextIO | None = None
) -> list[Footage]:
    """The files that ``specs`` name, each once, in order.

    A folder stands for every file below it, hidden ones left out; ``@list.txt`` for the names in it, a line each;
    ``-`` for those on ``stdin``. URIs are looked at only where they stand for many; one that cannot be listed is left
    to fail when its turn comes. ``without`` and ``without_uri`` have results below them, which are not footage.

    Raises:
        InputError: a name stands for nothing.
    """
    results = without.resolve()
    found: dict[str, Footage] = {}
    for spec in specs:
        for item in _expanded(spec, stdin):
            if item.uri is not None:
                if without_uri is None or not item.uri.startswith(f"{without_uri}/"):
                    found.setdefault(item.uri, item)
            elif not item.path.resolve().is_relative_to(results):
                found.setdefault(os.path.realpath(item.path), item)
    if not found:
        raise InputError("no files to look at; name videos, or a folder that holds some")
    return list(found.values())


def _expanded(spec: str, stdin: TextIO | None) -> Iterator[Footage]:
    if spec == "-":
        yield from _listed(stdin or (), Path(), "standard input")
    elif spec.startswith("@"):
        listing = Path(spec[1:])
        try:
            lines = listing.read_text("utf-8-sig", errors="surrogateescape").splitlines()
        except OSError as error:
            raise InputError(f"{shown(listing)}: cannot be read: {error.strerror or error}") from error
        yield from _listed(lines, listing.parent, shown(listing))
    else:
        yield from _named(spec)


def _listed(lines: Iterable[str], folder: Path, origin: str) -> Iterator[Footage]:
    """The names in ``lines``; relative ones count from ``folder``. Empty lines and ``#`` remarks do not count."""
    for number, line in enumerate(lines, 1):
        name = line.rstrip("\r\n")
        if not name.strip() or name.startswith("#"):
            continue
        try:
            yield from _named(name if is_uri(name) else str(folder / name))
        except InputError as error:
            raise InputError(f"{origin}, line {number}: {error}") from None


def _named(name: str) -> Iterator[Footage]:
    if is_uri(name):
        yield from _elsewhere(name)
        return
    path = Path(name)
    if path.is_dir():
        yield from _below(path)
    elif path.exists() or not _GLOB & set(name):
        if not path.exists():
            raise InputError(f"{shown(path)}: no such file or folder; check the path")
        yield Footage(path, asked=True)
    else:
        # pathlib's own glob takes no absolute pattern.
        matches = sorted(glob.glob(name, recursive=True))  # noqa: PTH207
        if not matches:
            raise InputError(f"{shown(name)}: matches no file; check the pattern")
        for match in matches:
            if Path(match).is_dir():
                yield from _below(Path(match))
            else:
                yield _in_folder(Path(match))


def _elsewhere(uri: str) -> Iterator[Footage]:
    many = stands_for_many(uri)
    try:
        found = remote.listed(uri) if many else [uri]
    except InputError:
        found, many = [uri], False
    for each in found:
        name = Path(name_of(each))
        asked = not many or name.suffix.lower() in _VIDEO_SUFFIXES
        yield Footage(name, asked=asked, uri=each, origin=shown_uri(each))


def _below(folder: Path) -> Iterator[Footage]:
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(where, name)
            if not name.startswith(".") and path.is_file():
                yield _in_folder(path)


def _in_folder(path: Path) -> Footage:
    return Footage(path, asked=path.suffix.lower() in _VIDEO_SUFFIXES)
