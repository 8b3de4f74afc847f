"""What a pass through a take enters in its report: packets, stretches that were lost, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from ..frames import DecodeReport, LostStretch, VideoInfo
from ..plan import SampleGrid
from ._open import packets_of
from ._probe import plausible_pts

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

CLAIM_SLACK_S = 1.0
"""So much less video than the container announces is worth a note."""


def demuxed(
    container: InputContainer, stream: VideoStream, info: VideoInfo, report: DecodeReport
) -> Iterator[Packet[VideoStream]]:
    """The packets of ``stream``, counted, impossible times taken off; what is wrong with them is noted."""
    stray = 0
    plausible = plausible_pts(info)
    for packet in packets_of(container, stream, report.notes):
        report.packets += 1
        if packet.pts is not None and packet.pts not in plausible:
            stray += 1
            packet.pts = packet.dts = None
        yield packet
    if stray:
        report.notes.append(f"{stray} packet{'s' if stray > 1 else ''} with an impossible time left out")


def stretches(lost: list[int], grid: SampleGrid, duration: Fraction) -> Iterator[LostStretch]:
    """Neighbouring lost samples as stretches of media time, none beyond the take."""
    runs: list[list[int]] = []
    for index in sorted(lost):
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    for first, last in runs:
        end = min(grid.time(last + 1), float(duration))
        yield LostStretch(start=grid.time(first), end=end, samples=last - first + 1)


def finish(report: DecodeReport, info: VideoInfo, grid: SampleGrid, end_pts: int, lost: list[int], errors: int) -> None:
    """Enter what is known at the end of the take: its duration, and which stretches were lost."""
    report.damaged |= bool(lost or errors)
    report.duration = grid.media_time(end_pts)
    report.lost.extend(stretches(lost, grid, report.duration))
    if errors:
        report.notes.append(f"libavcodec reported damage in {errors} packet{'s' if errors > 1 else ''}")
    missing = (info.duration_claim or 0) - report.duration
    if missing > CLAIM_SLACK_S:
        report.notes.append(
            f"the file announces {info.duration_claim:.1f} s, but its video ends after {float(report.duration):.1f} s; "
            "it may be cut short"
        )
