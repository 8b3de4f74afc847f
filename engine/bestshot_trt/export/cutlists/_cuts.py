"""What all cut lists say, in frames: where the take lies, how fast it runs, and its moments in time order."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePath
from urllib.parse import quote

from ..._version import __version__
from ...errors import shown
from ...moments import Moment, MomentsDocument
from ...provenance import Video
from .timecode import Rate, nearest_rate

_RATE_TOLERANCE = Fraction(1, 5000)
"""Relative error of an average rate; 24 and 24000/1001 are a thousandth apart."""
_GRID_TOLERANCE = Fraction(1, 50)
"""Part of a frame by which a picture may lie off the grid of frames, besides a tick of its time base."""
_UNKNOWN_RATE = Fraction(25)
START_NOTE = "The start timecode of the source is not known here: its first frame is counted as 00:00:00:00."


@dataclass(frozen=True, kw_only=True)
class Cut:
    """One moment: frames [``start``, ``end``) of the source, with the frame of its peak, one of them.

    ``start_s`` and ``end_s`` are the moment's own times in seconds; the others are texts of one line.
    """

    rank: int
    name: str
    start: int
    end: int
    peak: int
    start_s: Fraction
    end_s: Fraction
    comment: str

    @property
    def length(self) -> int:
        """Frames in the clip."""
        return self.end - self.start


@dataclass(frozen=True, kw_only=True)
class Cuts:
    """All cuts of one take, in time order, and what an editor needs to know of the take."""

    title: str
    file_name: str
    uri: str
    """Absolute ``file://`` URI of the source, percent-encoded."""
    fingerprint: str
    rate: Rate
    duration: int
    """Frames in the source."""
    width: int
    """Pixels, after rotation."""
    height: int
    channels: int
    """Channels of sound in the source; 0 when it has none."""
    cuts: tuple[Cut, ...]
    notes: tuple[str, ...]
    """What a reader should know, in lines of words."""

    def placed(self) -> Iterable[tuple[int, Cut]]:
        """Each cut with the frame at which it begins when all are joined."""
        at = 0
        for cut in self.cuts:
            yield at, cut
            at += cut.length

    @property
    def length(self) -> int:
        """Frames of all cuts joined."""
        return sum(cut.length for cut in self.cuts)


def cuts_of(document: MomentsDocument, source: Path, channels: int, *, drop_frame: bool) -> Cuts:
    """The moments of ``document`` as frames of ``source``, times rounded to the nearest frame."""
    video = document.source.video
    fps, rate_note = _rate(video, document.moments)
    rate = Rate.of(fps, drop=drop_frame)
    path = Path(os.path.abspath(source))  # noqa: PTH100 (resolves "..", but follows no links)
    digits = max(2, len(str(len(document.moments))))
    title = shown(path.stem) or "take"
    ordered = sorted(document.moments, key=lambda moment: (moment.start_s, moment.rank))
    cuts = tuple(_cut(moment, rate, f"{moment.rank:0{digits}d} {title}") for moment in ordered)
    sides = (video.height, video.width) if video.rotation % 180 else (video.width, video.height)
    written_by = f"Moments picked by bestshot-trt {__version__}, in time order; the number in a name is the rank."
    return Cuts(
        title=title,
        file_name=shown(path.name),
        uri=file_uri(path),
        fingerprint=shown(document.source.fingerprint),
        rate=rate,
        duration=max([rate.frames(document.source.duration_s), 1, *(cut.end for cut in cuts)]),
        width=sides[0],
        height=sides[1],
        channels=channels,
        cuts=cuts,
        notes=(written_by, START_NOTE, *([rate_note] if rate_note else [])),
    )


def file_uri(path: PurePath) -> str:
    """``path``, which is absolute, as a ``file://`` URI of ASCII; bytes of a name that are no text stay those bytes."""
    text = path.as_posix()
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        data = text.encode("utf-8", "surrogatepass")
    return ("file://" if text.startswith("/") else "file:///") + quote(data, safe="/:" if path.drive else "/")


def _cut(moment: Moment, rate: Rate, name: str) -> Cut:
    start = rate.frames(moment.start_s)
    end = max(rate.frames(moment.end_s), start + 1)
    return Cut(
        rank=moment.rank,
        name=name,
        start=start,
        end=end,
        # A moment edited by hand may not hold its peak any more; its comment gives the peak's time.
        peak=min(max(rate.frames(moment.peak_s), start), end - 1),
        start_s=Fraction(moment.start_s),
        end_s=Fraction(moment.end_s),
        comment=_comment(moment),
    )


def _comment(moment: Moment) -> str:
    values = {name.replace("_", " "): value for name, value in vars(moment.measures).items() if value is not None}
    measured = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
    return (
        f"rank {moment.rank}, score {moment.score:.4g}, smoothed {moment.score_smooth:.4g}, "
        f"peak at {moment.peak_s:.3f} s; {measured}"
    )


def _rate(video: Video, moments: Iterable[Moment]) -> tuple[Fraction, str | None]:
    """The standard rate to count in, and in words why the take does not run at just that one."""
    claimed = video.frame_rate
    if claimed is None or claimed <= 0:
        note = f"The frame rate of the source is not known: frames are counted at {_UNKNOWN_RATE} a second."
        return _UNKNOWN_RATE, note
    rate = nearest_rate(claimed)
    if abs(claimed / rate - 1) > _RATE_TOLERANCE:
        return rate, (
            f"The source runs at {float(claimed):.6g} frames a second on average, perhaps variable: "
            f"times are given to the nearest frame at {rate} a second."
        )
    if not all(_on_grid(video, rate, moment.peak_pts) for moment in moments):
        return rate, (
            f"The frame rate of the source is variable, {float(claimed):.6g} a second on average: "
            f"times are given to the nearest frame at {rate} a second."
        )
    return rate, None


def _on_grid(video: Video, rate: Fraction, pts: int) -> bool:
    """Whether the picture of ``pts`` begins where a frame of a constant ``rate`` does."""
    at = (pts - video.start_pts) * video.time_base * rate
    return abs(at - round(at)) <= video.time_base * rate + _GRID_TOLERANCE
