"""What the contact sheet and the page show of a take: pictures, decoded for its clips or anew, and measures."""

from __future__ import annotations

import bisect
import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import scoring
from .decode import ScorePicture, frames_between, keyframes_near
from .errors import DecodeError
from .frames import VideoInfo, score_size
from .moments import Measures, Moment, MomentsDocument
from .track import Track

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from .export import Thumbnail
    from .export.contact_sheet import Duplicate, SheetEntry

NEIGHBOUR_S = 0.5
"""Seconds from a peak to the pictures shown beside it."""
SHEET_HEIGHT = 480
MOST_DUPLICATES = 24
"""Near duplicates whose pictures are decoded for one sheet, and `MOST_BESIDE` for one pick."""
MOST_BESIDE = 6
THUMBNAIL_SIDE = 160
SPREAD_THUMBNAILS = 48
"""Keyframes of a page, evenly over the take; and as many more near the best of the rejected peaks."""
REJECTED_THUMBNAILS = 32


class Glimpse:
    """The pictures on screen at some times of a take, caught from its frames while they are decoded for a clip."""

    def __init__(self, info: VideoInfo, times: list[float]) -> None:
        """``times`` are increasing seconds of media time."""
        self.info, self.times = info, times
        self._caught: list[npt.NDArray[np.uint8]] = []

    def __call__(self, frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
        """``frames`` as they are, from the one at the first of the times on; what another pass caught is forgotten."""
        self._caught = []
        convert = ScorePicture(self.info, score_size(self.info.display_size, SHEET_HEIGHT)).convert
        half = self.info.time_base / 2
        pending = list(self.times)
        held: VideoFrame | None = None
        for frame in frames:
            starts = self.info.media_time(frame.pts if frame.pts is not None else self.info.start_pts) - half
            while held is not None and pending and starts > pending[0]:
                pending.pop(0)
                self._caught.append(convert(held))
            held = frame
            yield frame
        if held is not None:
            self._caught += [convert(held) for _ in pending]

    def decoding(self) -> Iterator[VideoFrame]:
        """The frames from the first to the last of the times, decoded for nothing else."""
        return self(frames_between(self.info, self.times[0], Fraction(self.times[-1]) + self.info.time_base))

    def pictures(self) -> list[npt.NDArray[np.uint8]]:
        """uint8 RGB (h, w, 3), one for each of the times; decoded in one go where no frames went by."""
        if len(self._caught) < len(self.times):
            for _ in self.decoding():
                pass
        return self._caught


def times_of(info: VideoInfo, moment: Moment) -> list[float]:
    """When the pictures of ``moment`` on the contact sheet are on screen: its peak and beside it, within its clip."""
    tick = float(info.time_base)
    beside = (moment.peak_s - NEIGHBOUR_S, moment.peak_s, moment.peak_s + NEIGHBOUR_S)
    return sorted({max(min(time, moment.end_s - tick), moment.start_s) for time in beside})


def sheet_entry(
    moment: Moment, glimpse: Glimpse, standing: Mapping[str, float], alike: Sequence[Duplicate] = ()
) -> SheetEntry:
    """One entry of the contact sheet: the pictures of ``moment``, what was measured there, what it stands for.

    Args:
        moment: what is shown.
        glimpse: its pictures at `times_of` it.
        standing: where a measure stands in its take, 0 to 1, by the names that the sheet has for them.
        alike: peaks that were left out because they look like it.
    """
    from .export.contact_sheet import SheetEntry

    return SheetEntry(
        rank=moment.rank,
        peak_s=moment.peak_s,
        start_s=moment.start_s,
        end_s=moment.end_s,
        score=moment.score_smooth,
        pictures=glimpse.pictures(),
        times=glimpse.times,
        measures=_told(moment.measures),
        standing=standing,
        duplicates=alike,
    )


def standings(track: Track, times: Sequence[float]) -> list[dict[str, float]]:
    """Where the measures stand in the take at each of ``times``, 0 to 1 as `scoring.score` has it."""
    terms: dict[str, npt.NDArray[Any]] = {
        "sharpness": scoring.normalize(np.log1p(track.sharpness.astype(np.float64))),
        "exposure penalty": track.exposure_penalty,
        "aesthetic": scoring.normalize(track.aesthetic),
    }
    if not np.isnan(track.prompt_similarity).all():
        terms["prompt similarity"] = scoring.normalize(track.prompt_similarity)
    places = np.searchsorted(track.times, times).clip(0, len(track) - 1)
    return [{name: float(values[place]) for name, values in terms.items()} for place in places]


class Beside:
    """What the sheet and the page show of a take besides the pictures of its picks."""

    def __init__(self, info: VideoInfo, document: MomentsDocument) -> None:
        """Nothing of it is made yet."""
        self._info, self._document = info, document
        self.alike: dict[int, list[Duplicate]] = {}
        """The near duplicates of each pick by its rank, best first, as far as the sheet shows them; one that cannot be
        decoded any more without its picture."""
        self.keyframes: list[Thumbnail] = []
        """All over the take, and near the best of the rejected peaks."""
        self.done, self.total = 0, MOST_DUPLICATES + SPREAD_THUMBNAILS + REJECTED_THUMBNAILS
        """Steps of `made`."""

    def made(self) -> Iterator[None]:
        """Make all of it. It yields at every frame that is decoded: there it can be stopped."""
        yield from self._make_duplicates()
        yield from self._make_keyframes()

    def _make_duplicates(self) -> Iterator[None]:
        from .export.contact_sheet import Duplicate

        for rejection in self._document.rejected:
            if rejection.duplicate_of is None:
                continue
            beside = self.alike.setdefault(rejection.duplicate_of, [])
            picture = None
            if self.done < MOST_DUPLICATES and len(beside) < MOST_BESIDE:
                self.done += 1
                glimpse = Glimpse(self._info, [rejection.peak_s])
                with contextlib.suppress(DecodeError):
                    yield from (None for _ in glimpse.decoding())
                    picture = glimpse.pictures()[0]
            beside.append(Duplicate(peak_s=rejection.peak_s, picture=picture))

    def _make_keyframes(self) -> Iterator[None]:
        info, document = self._info, self._document
        convert = ScorePicture(info, score_size(info.display_size, THUMBNAIL_SIDE)).convert
        spread = (np.arange(SPREAD_THUMBNAILS) * document.source.duration_s / SPREAD_THUMBNAILS).tolist()
        rejected = [rejection.peak_s for rejection in document.rejected[:REJECTED_THUMBNAILS]]
        times = sorted([*spread, *rejected])
        for time, frame in keyframes_near(info, times):
            self.done = self.total - len(times) + bisect.bisect(times, time)
            self.keyframes.append(_thumbnail(convert(frame), time))
            yield


def thumbnails(entries: Sequence[SheetEntry], beside: Beside) -> list[Thumbnail]:
    """Small pictures of the take for its page: of its picks and near duplicates, and keyframes all over it."""
    made = [_thumbnail(entry.pictures[entry.main], entry.times[entry.main]) for entry in entries]
    shown = (alike for entry in entries for alike in entry.duplicates)
    made += [_thumbnail(alike.picture, alike.peak_s) for alike in shown if alike.picture is not None]
    return made + beside.keyframes


def _thumbnail(picture: npt.NDArray[np.uint8], time: float) -> Thumbnail:
    from PIL import Image

    from .export import Thumbnail

    image = Image.fromarray(np.ascontiguousarray(picture))
    image.thumbnail((2 * THUMBNAIL_SIDE, 2 * THUMBNAIL_SIDE), Image.Resampling.LANCZOS, reducing_gap=3)
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=72, optimize=True)
    return Thumbnail(time_s=time, width=image.width, height=image.height, jpeg=file.getvalue())


def _told(measures: Measures) -> dict[str, float | None]:
    told: dict[str, float | None] = {
        "sharpness": measures.sharpness,
        "exposure penalty": measures.exposure_penalty,
        "aesthetic": measures.aesthetic,
    }
    if measures.prompt_similarity is not None:
        told["prompt similarity"] = measures.prompt_similarity
    return told
