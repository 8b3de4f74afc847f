"""Steadier clips by vid.stab or deshake, kept only where they measure steadier."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ..moments import Shake
from ._ffmpeg import pass_command, running
from ._shake import MEASURED_SIDE, shake_of_frames

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from ._source import SourcePictures

MARGIN = Fraction(1)
"""Seconds of the take before and after a clip that are stabilised with it: its ends get as steady as the rest."""
STEADY = 0.03
"""A shake of less, in percent of the short side a frame, is that of a tripod: such clips are left alone."""
_ENOUGH = 0.9
"""What is kept has at most this share of the shake that there was."""
_SMOOTHING_S = Fraction(1, 2)
"""vid.stab smooths the camera's path over so long before and after a picture."""
_USUAL_RATE = 30
_TRANSFORMS = "shake.trf"
_DETECT = f"vidstabdetect=shakiness=8:accuracy=15:mincontrast=0.1:result={_TRANSFORMS}"
"""It follows flatter pictures than by default: in soft light, a contrast of 0.25 leaves it nothing to follow."""
_SMALL = "small.nut"
_FINE = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "12", "-bf", "0")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Steadied:
    """Filters that steady the clip (none where it stays as it is), what was measured, and remarks."""

    filters: tuple[str, ...] = ()
    shake: Shake | None = None
    notes: tuple[str, ...] = ()


def steadied(source: SourcePictures, folder: Path, method: str) -> Steadied:
    """How to steady the clip of ``source`` by ``method``, ``vidstab`` or ``deshake``.

    The picture is enlarged (vid.stab's optimal static zoom) or mirrored (deshake) where it would have borders; what
    the zoom leaves open at the worst moments shows the picture before. Passes run ahead in ``folder``.

    Raises:
        DecodeError, ExportError: as in the encode.
    """
    if source.target.deep:
        return Steadied(notes=("not stabilised: filters for that take 8 bits; add --sdr",))
    detect = (_DETECT,) if method == "vidstab" else ()
    before = _measured(source, detect, folder)
    if before is None:
        return Steadied(notes=("not stabilised: too little detail, or too few pictures, to measure its shake",))
    if before < STEADY:
        return Steadied(shake=Shake(method=method, before=before, after=before, kept=False))
    look = (_transform(source) if method == "vidstab" else "deshake=rx=32:ry=32:edge=mirror",)
    after = _measured(source, look, folder)
    kept = after is not None and after <= _ENOUGH * before
    shake = Shake(method=method, before=before, after=before if after is None else after, kept=kept)
    return Steadied(filters=look if kept else (), shake=shake)


def _transform(source: SourcePictures) -> str:
    rate = source.rate or source.info.frame_rate or Fraction(_USUAL_RATE)
    smoothing = min(max(round(rate * _SMOOTHING_S), 5), 60)
    return f"vidstabtransform=input={_TRANSFORMS}:smoothing={smoothing}:optzoom=1:crop=keep:interpol=bicubic"


def _measured(source: SourcePictures, look: tuple[str, ...], folder: Path) -> float | None:
    """The shake of the clip after ``look``, which sees the margin too."""
    whole = dataclasses.replace(source, target=dataclasses.replace(source.target, height=None))
    command = pass_command(whole.trimmed((*look, _smaller(whole))), [*_FINE, "-f", "nut", "-y", _SMALL])
    with running(command, source.info.path, folder=folder) as child:
        whole.feed(child)
    return shake_of_frames(_pictures(folder / _SMALL))


def _smaller(source: SourcePictures) -> str:
    info = source.shown_info
    share = min(1.0, MEASURED_SIDE / min(info.width, info.height))
    width, height = (max(2, round(side * share / 2) * 2) for side in (info.width, info.height))
    if info.rotation % 180:
        width, height = height, width
    return f"scale={width}:{height}:flags=area"


def _pictures(path: Path) -> Iterator[VideoFrame]:
    import av

    with av.open(str(path)) as container:
        yield from container.decode(video=0)
