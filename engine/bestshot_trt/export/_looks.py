"""What is done to how a clip looks, between its upright pictures and the encoder.

To add a filter: return it from `look_of`, with the margin it needs around the clip and what there is to
say about it. A pass ahead of the encode (as vid.stab's) runs on the same pictures, and may leave files in
``folder``, which is ffmpeg's working folder in the encode too: name them without a path.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import ExportConfig
from ..moments import Shake
from ._color import correction_of, sampled, write_curves
from ._cube import read_cube
from ._filters import in_rgb
from ._stabilize import MARGIN, Steadied, steadied

if TYPE_CHECKING:
    from ._source import SourcePictures

_TABLE = "look.cube"


@dataclass(frozen=True, kw_only=True)
class Look:
    """ffmpeg filters for upright pictures of the encoder's format, in order, and remarks for the clip."""

    filters: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    shake: Shake | None = None
    color: str | None = None
    """What is done to colours, in words."""


def margin_of(config: ExportConfig) -> Fraction:
    """Seconds of the take before and after a clip that its look needs; the encode leaves them out again."""
    return Fraction(0) if config.stabilize == "off" else MARGIN


def needs_progressive(config: ExportConfig) -> bool:
    """Whether the look needs whole pictures: interlaced ones are then deinterlaced."""
    return config.stabilize != "off"


def check_look(config: ExportConfig) -> None:
    """Read what the look needs from outside, before any long work.

    Raises:
        ConfigError: the table of colours is missing or malformed.
    """
    if config.color not in ("off", "auto"):
        read_cube(Path(config.color))


def look_of(source: SourcePictures, folder: Path, config: ExportConfig) -> Look:
    """The look of one clip, whose pictures ``source`` gives as often as they are asked for.

    Raises:
        ConfigError: as `check_look`. DecodeError, ExportError: as in the encode.
    """
    steady = Steadied() if config.stabilize == "off" else steadied(source, folder, config.stabilize)
    colored = Look() if config.color == "off" else _colored(source, folder, config.color)
    return Look(
        filters=(*steady.filters, *colored.filters),
        notes=(*steady.notes, *colored.notes),
        shake=steady.shake,
        color=colored.color,
    )


def _colored(source: SourcePictures, folder: Path, color: str) -> Look:
    if source.target.deep:
        return Look(notes=("colours are left alone, since they are HDR; --sdr lets --color work on them",))
    if color != "auto":
        read_cube(Path(color)).write(folder / _TABLE)
        filters = in_rgb(source.picture_matrix, source.keeps_fields, f"lut3d=file={_TABLE}:interp=tetrahedral")
        return Look(filters=filters, color=f"table {Path(color).name}")
    span = source.span
    correction = correction_of(sampled(source.info, span.seconds(span.start), span.seconds(span.end)))
    if correction.is_identity:
        return Look(color=str(correction))
    write_curves(correction, folder / _TABLE)
    filters = in_rgb(source.picture_matrix, source.keeps_fields, f"lut1d=file={_TABLE}:interp=linear")
    return Look(filters=filters, color=str(correction))
