"""Telling a score track from other files, before NumPy and pyarrow are loaded, which `track` needs."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from .errors import ConfigError, ExportError, shown
from .files import check_folder

SCHEMA = "bestshot-trt/track"


def check_output(path: Path, source: Path, *, overwrite: bool) -> None:
    """Make sure that a track can be written to ``path``, and that only an older track is replaced there.

    Raises:
        ConfigError: ``path`` is the take, or exists and ``overwrite`` is False, or is no track.
        ExportError: it is a folder, or its folder takes no files.
    """
    if path.exists() and source.exists() and path.samefile(source):
        raise ConfigError(f"{shown(path)}: is the take itself; name another file with -o, as track.parquet")
    if path.is_dir():
        inside = shown(path / "track.parquet")
        raise ExportError(f"{shown(path)}: is a folder; name a file in it with -o, as {inside}")
    if path.exists():
        if not overwrite:
            raise ConfigError(f"{shown(path)}: already exists; add --overwrite, or name another file with -o")
        if not has_track(path):
            raise ConfigError(f"{shown(path)}: is not a score track, so it is not replaced; name another file with -o")
    check_folder(path.parent)


def has_track(path: Path) -> bool:
    """Whether ``path`` ends as a whole score track does: as Parquet, with this program's key in its footer.

    Nothing else of it is looked at, so that it costs nothing; `open_track` may still refuse it.
    """
    # A pipe would wait.
    if not path.is_file():
        return False
    with contextlib.suppress(OSError), path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 8))
        length, magic = int.from_bytes(file.read(4), "little"), file.read()
        if magic == b"PAR1" and length + 8 <= size:
            file.seek(size - 8 - length)
            return SCHEMA.encode() in file.read(length)
    return False
