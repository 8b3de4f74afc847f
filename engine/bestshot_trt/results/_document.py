"""A document of moments that comes back to be cut: the take that it is of, and whether its moments can be."""

from __future__ import annotations

import itertools
from pathlib import Path

from ..decode import probe
from ..errors import InputError, shown
from ..frames import VideoInfo
from ..moments import MomentsDocument
from ..source import fingerprint
from ._folder import MOMENTS_JSON

_SPARE_S = 0.001
"""How far a moment may end after the take: a second written with fewer digits."""


def open_source(document: MomentsDocument, beside: Path) -> VideoInfo:
    """The take that ``document`` was made from, at its path or, moved together, ``beside`` the document.

    Raises:
        InputError: it is gone, or another file than the one that was analysed.
    """
    path = Path(document.source.path)
    found = [candidate for candidate in (path, beside / path.name) if candidate.is_file()]
    for candidate in found:
        if fingerprint(candidate) == document.source.fingerprint:
            return probe(candidate)
    if found:
        raise InputError(f"{shown(found[0])}: is not the file that was analysed; analyze it again")
    raise InputError(f"{shown(path)}: no such file; put the take back there, or beside {MOMENTS_JSON}")


def check_spans(document: MomentsDocument, name: str) -> None:
    """Refuse moments, perhaps edited by hand, that cannot all be cut; ``name`` begins the message.

    Raises:
        InputError: one reaches beyond the take, or two would have one file.
    """
    duration = document.source.duration_s
    for moment in document.moments:
        if moment.end_s > duration + _SPARE_S:
            raise InputError(
                f"{name}: moment {moment.rank} ends at {moment.end_s:g} s, but the take at {duration:g} s; correct it"
            )
    for one, other in itertools.pairwise(sorted(document.moments, key=lambda moment: moment.rank)):
        if one.rank == other.rank:
            raise InputError(f"{name}: two moments are of rank {one.rank}; number them apart")
