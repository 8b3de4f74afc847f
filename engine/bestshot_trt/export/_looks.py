"""What is done to how a clip looks, between its upright pictures and the encoder.

To add a filter: return it from `look_of`, with the margin it needs around the clip and what there is to
say about it. A pass ahead of the encode (as vid.stab's) runs on the same pictures with
`SourcePictures.run_pass`, and may leave files in ``folder``, which is ffmpeg's working folder in the
encode too: name them without a path.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import ExportConfig

if TYPE_CHECKING:
    from ._source import SourcePictures


@dataclass(frozen=True, kw_only=True)
class Look:
    """ffmpeg filters for upright pictures of the encoder's format, in order, and remarks for the clip."""

    filters: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def margin_of(config: ExportConfig) -> Fraction:
    """Seconds of the take before and after a clip that its look needs; the encode leaves them out again."""
    del config
    return Fraction(0)


def needs_progressive(config: ExportConfig) -> bool:
    """Whether the look needs whole pictures: interlaced ones are then deinterlaced."""
    del config
    return False


def look_of(source: SourcePictures, folder: Path, config: ExportConfig) -> Look:
    """The look of one clip, whose pictures ``source`` gives as often as they are asked for."""
    del source, folder, config
    return Look()
