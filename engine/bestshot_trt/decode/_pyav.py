"""Decoding on the CPU with libavcodec through PyAV: only the packets that sampled frames depend on.

Closed groups are decoded side by side, each by a decoder with one thread; where groups hang together
or are too large, one continuous decoder with all of libav's threads runs through the take, and so it does
from somewhat before the first damage on. What comes out is compared with what was asked for;
a picture that stays out (dropping packets can make libavcodec guess its reorder depth anew, and damage
swallows pictures) is decoded again from its own group, whole, in a decoder of its own. Only what is missing
after that is reported as lost.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..config import AnalyzeConfig
from ..errors import DecodeError
from ..frames import DecodeReport, FrameBatch, ModelView, VideoInfo, score_size
from ..plan import SampleGrid
from ..prefetch import prefetch
from ..streams import stream_at
from ._feeder import Damaged
from ._open import parser_of, reopen_container, stream_of
from ._planned import Planned
from ._report import stretches
from ._section import WHOLE, Sampled, Section
from ._unplanned import Unplanned

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

PREFETCH_FRAMES = 6
"""Decoded frames waiting to be measured: 18 MB at 1080p, 75 MB at 4K (8-bit 4:2:0)."""
DAMAGE_LEAD_S = 60.0
"""So much before damage the one decoder begins that shows it: what it conceals depends on what it has seen."""


class PyAVDecoder:
    """Decodes on the CPU: any codec, container and pixel format that libavcodec reads."""

    name = "pyav"

    def __init__(self, within: range = WHOLE) -> None:
        self._within = within

    def between(self, within: range) -> PyAVDecoder:
        """A decoder that gives only the samples whose indices are in ``within``, the same as in a whole pass.

        Where it ends before the take does, the report's duration is that of what was seen.
        """
        return PyAVDecoder(within)

    def batches(
        self, info: VideoInfo, config: AnalyzeConfig, report: DecodeReport, view: ModelView | None = None
    ) -> Iterator[FrameBatch]:
        """Score pictures of every sample of the take, in order, with their ``view`` for a model.

        ``report`` is filled in meanwhile.

        Raises:
            InputError: the file is gone or changed beyond reading.
        """
        size = score_size(info.display_size, config.score_height)
        grid = SampleGrid(config.fps, info.time_base, info.start_pts)
        unusable: list[int] = []
        with contextlib.closing(prefetch(sampled_frames(info, grid, report, self._within), PREFETCH_FRAMES)) as frames:
            # Frames are decoded by now, which needs no NumPy.
            from ._batch import Pictures

            pictures = Pictures(info, size, view)
            for sampled in frames:
                try:
                    pictures.convert(sampled.frame)
                except DecodeError:
                    unusable.extend(sampled.samples)
                    report.damaged = True
                    continue
                for index in sampled.samples:
                    if pictures.add(grid.time(index), sampled.pts):
                        yield pictures.batch()
        if pictures:
            yield pictures.batch()
        report.lost.extend(stretches(unusable, grid, report.duration))


def sampled_frames(info: VideoInfo, grid: SampleGrid, report: DecodeReport, within: range = WHOLE) -> Iterator[Sampled]:
    """The decoded picture of every sample in ``within``, in order, bit-identical to a full decode.

    Raises:
        InputError: the file is gone or changed beyond reading.
    """
    following = within.start
    notes = len(report.notes)
    lost: list[int] = []
    try:
        for sampled in _one_pass(info, grid, report, within, lost, side_by_side=stream_at(info.path) is None):
            following = sampled.samples.stop
            yield sampled
    except Damaged:
        report.packets = report.packets_fed = 0
        del report.notes[notes:]
        lost[:] = [index for index in lost if index < following]
        lead = int(DAMAGE_LEAD_S * grid.fps)
        rest = range(following, within.stop)
        yield from _one_pass(info, grid, report, rest, lost, lead=lead, side_by_side=False)


def _one_pass(
    info: VideoInfo,
    grid: SampleGrid,
    report: DecodeReport,
    within: range,
    lost: list[int],
    *,
    lead: int = 0,
    side_by_side: bool,
) -> Iterator[Sampled]:
    with reopen_container(info) as container:
        stream = stream_of(container, info.stream_index)
        parser = parser_of(stream, info.codec)
        if parser is None or not parser.frames_only:
            yield from Unplanned(info, grid, report, within, lost).run(container, stream)
        else:
            section: Section[Packet[VideoStream]] = Section(within, lead)
            planned = Planned(info, grid, report, parser, section, lost, side_by_side=side_by_side)
            yield from planned.run(container, stream)
