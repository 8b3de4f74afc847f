"""What was picked, on a disk: the moments as JSON and CSV, and with the track a plot and the page."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .. import moments
from ..cutting import CLIPS
from ..moments import MomentsDocument
from ..track import Track
from ._folder import CUT_LIST_NAMES, CUTS, MOMENTS_CSV, MOMENTS_JSON, REPORT, TIMELINE, listed, remove_empty

if TYPE_CHECKING:
    from ..export import Thumbnail


def write_selection(
    document: MomentsDocument,
    track: Track | None,
    folder: Path,
    *,
    cut_lists: bool = False,
    thumbnails: Sequence[Thumbnail] = (),
    home: Path | str | None = None,
) -> None:
    """Write the moments as CSV and JSON, and with ``track`` the plot of its scores and the page; the JSON last.

    ``home`` is where ``folder`` will lie in the end, if it is to be moved: a path, or a URI.

    Clips that ``folder``'s own older document lists and this one does not are then removed, and so are the
    cut lists of that older document unless ``cut_lists``: unless those in ``folder`` are this document's.

    Raises:
        ExportError: a file cannot be written.
    """
    kept = {*(moment.clip for moment in document.moments), document.reel, *(CUT_LIST_NAMES if cut_lists else ())}
    stale = listed(folder) - kept
    if track is not None:
        _write_timeline(document, track, folder / TIMELINE)
        _write_report(document, track, folder, thumbnails, home or folder)
    moments.write_csv(document, folder / MOMENTS_CSV)
    moments.write_json(document, folder / MOMENTS_JSON)
    for name in stale:
        with contextlib.suppress(OSError):
            (folder / name).unlink()
    if stale:
        remove_empty(folder / CLIPS, folder / CUTS)


def _write_timeline(document: MomentsDocument, track: Track, path: Path) -> None:
    from ..export.timeline_plot import write_timeline

    write_timeline(
        path,
        times=track.times,
        score=track.score,
        score_smooth=track.score_smooth,
        measures=_drawn(track),
        picks=[(m.rank, m.peak_s, m.start_s, m.end_s) for m in document.moments],
        rejections=[(r.peak_s, f"{r.reason}: {r.detail}") for r in document.rejected],
        duration=float(track.meta.duration),
        title=Path(document.source.path).name,
    )


def _write_report(
    document: MomentsDocument, track: Track, folder: Path, thumbnails: Sequence[Thumbnail], home: Path | str
) -> None:
    from ..export import write_report

    # The page's command names a track on a disk.
    path = None if document.track is None or isinstance(home, str) else home / document.track
    write_report(folder / REPORT, document, track, track_path=path, thumbnails=thumbnails)


def _drawn(track: Track) -> dict[str, npt.NDArray[np.float32]]:
    """The measures that bear on the score, by name."""
    names = ["sharpness", "exposure_penalty", "aesthetic"]
    if not np.isnan(track.prompt_similarity).all():
        names.append("prompt_similarity")
    return {name: getattr(track, name) for name in names}
