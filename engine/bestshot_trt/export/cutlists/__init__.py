"""Cut lists: the moments for an editor, as lists of cuts that point at the take itself and can be trimmed again.

Every format says the same: the moments in time order, named by rank, a marker at each peak with its score and
measures, at an exact standard frame rate. Times are rounded to the nearest frame; what the source's own timecode
is nobody knows here, so its first frame is 00:00:00:00, and every file says so.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ...moments import MomentsDocument

if TYPE_CHECKING:
    from ._cuts import Cuts

__all__ = ["CUT_LISTS", "load_writers", "write_cut_lists"]

CUT_LISTS = ("moments.otio", "moments.fcpxml", "moments_fcp7.xml", "moments.edl", "chapters.ffmeta")
"""The names of all files that `write_cut_lists` writes."""


def load_writers() -> None:
    """Load what `write_cut_lists` needs, which else happens the first time."""
    import opentimelineio  # noqa: F401

    _writers()


def _writers() -> dict[str, Callable[[Cuts, Path], None]]:
    from ._chapters import write_chapters
    from ._edl import write_edl
    from ._fcp7 import write_fcp7
    from ._fcpxml import write_fcpxml
    from ._otio import write_otio

    return dict(zip(CUT_LISTS, (write_otio, write_fcpxml, write_fcp7, write_edl, write_chapters), strict=True))


def write_cut_lists(
    document: MomentsDocument,
    folder: Path,
    *,
    source: Path | None = None,
    audio_channels: int = 0,
    drop_frame: bool = True,
) -> list[Path]:
    """Write the moments of ``document`` to ``folder`` in every format of `CUT_LISTS`, each file whole or not at all.

    Args:
        document: the moments; its take need not be there.
        folder: where the files go; it is made.
        source: where the take lies now, by default where ``document`` says.
        audio_channels: channels of sound in the take; without any, picture alone is cut.
        drop_frame: count in drop-frame timecode at 30000/1001 and 60000/1001 frames a second.

    Raises:
        ExportError: a file cannot be written; finished ones stay.
    """
    from ._cuts import cuts_of

    cuts = cuts_of(document, source or Path(document.source.path), audio_channels, drop_frame=drop_frame)
    paths = []
    for name, write in _writers().items():
        write(cuts, folder / name)
        paths.append(folder / name)
    return paths
