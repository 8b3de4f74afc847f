"""OpenTimelineIO: a timeline of the moments that every editor with an OTIO adapter reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...files import write_text
from ._cuts import Cut, Cuts

if TYPE_CHECKING:
    from opentimelineio.opentime import RationalTime, TimeRange
    from opentimelineio.schema import Clip, Timeline, Track

_METADATA = "bestshot-trt"


def write_otio(cuts: Cuts, path: Path) -> None:
    """Write ``cuts`` as an OTIO timeline, whole or not at all.

    Its rates are floats, as OTIO has them; the metadata hold the exact one.

    Raises:
        ExportError: the file cannot be written.
    """
    write_text(path, _timeline(cuts).to_json_string(indent=2) + "\n")


def _timeline(cuts: Cuts) -> Timeline:
    import opentimelineio as otio

    timeline = otio.schema.Timeline(name=cuts.title, global_start_time=_time(cuts, 0), metadata=_about(cuts))
    timeline.tracks.append(_track(cuts, "video", otio.schema.TrackKind.Video))
    if cuts.channels:
        timeline.tracks.append(_track(cuts, "sound", otio.schema.TrackKind.Audio))
    return timeline


def _about(cuts: Cuts) -> dict[str, Any]:
    return {
        _METADATA: {
            "frame_rate": str(cuts.rate.fps),
            "drop_frame": cuts.rate.drop,
            "fingerprint": cuts.fingerprint,
            "notes": list(cuts.notes),
        }
    }


def _track(cuts: Cuts, name: str, kind: str) -> Track:
    import opentimelineio as otio

    track = otio.schema.Track(name=name, kind=kind)
    for cut in cuts.cuts:
        clip = _clip(cuts, cut)
        if kind == otio.schema.TrackKind.Video:
            clip.markers.append(_marker(cuts, cut))
        track.append(clip)
    return track


def _clip(cuts: Cuts, cut: Cut) -> Clip:
    import opentimelineio as otio

    media = otio.schema.ExternalReference(target_url=cuts.uri, available_range=_range(cuts, 0, cuts.duration))
    media.name = cuts.file_name
    exact = {"rank": cut.rank, "start_s": float(cut.start_s), "end_s": float(cut.end_s), "comment": cut.comment}
    return otio.schema.Clip(
        name=cut.name,
        media_reference=media,
        source_range=_range(cuts, cut.start, cut.length),
        metadata={_METADATA: exact},
    )


def _marker(cuts: Cuts, cut: Cut) -> Any:
    import opentimelineio as otio

    return otio.schema.Marker(
        name=f"peak {cut.rank}",
        marked_range=_range(cuts, cut.peak, 0),
        color=otio.schema.MarkerColor.GREEN,
        comment=cut.comment,
    )


def _time(cuts: Cuts, frames: int) -> RationalTime:
    import opentimelineio as otio

    return otio.opentime.RationalTime(frames, float(cuts.rate.fps))


def _range(cuts: Cuts, start: int, length: int) -> TimeRange:
    import opentimelineio as otio

    return otio.opentime.TimeRange(_time(cuts, start), _time(cuts, length))
