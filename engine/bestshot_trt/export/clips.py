"""Cutting one moment out of a take as a clip of its own, to the frame."""

from __future__ import annotations

import dataclasses
import itertools
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ..config import ExportConfig
from ..errors import ExportError, InputError, shown
from ..files import whole_file
from ..frames import VideoInfo
from ._audio import Sound, write_pcm
from ._ffmpeg import Child, PcmInput, clip_command, running
from ._filters import TONE_TABLE, Fields, clip_filters, keeps_fields, source_tags
from ._raw import carrier_format, write_nut
from ._tone import write_cube

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_FINEST_TIMESCALE = 10_000
_LARGEST_TIMESCALE = 100_000_000
_BOTTOM_FIRST = (3, 4)
"""libavcodec's AV_FIELD_BB and AV_FIELD_TB: the bottom field is displayed first."""


@dataclass(frozen=True, kw_only=True)
class ClipResult:
    """What was written: ``frames`` pictures over ``duration`` seconds, with sound or not, and why."""

    path: Path
    frames: int
    duration: float
    audio: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Span:
    """[start, end) of media time in whole ticks of ``timescale`` a second, from ``start_pts`` on."""

    timescale: int
    start: int
    end: int

    @classmethod
    def of(cls, info: VideoInfo, start: Fraction, end: Fraction) -> _Span:
        """Ticks in which every pts of the take is whole; both ends go to the nearest."""
        scale = _timescale(info.time_base)
        return cls(timescale=scale, start=round(start * scale), end=round(end * scale))

    @property
    def ticks(self) -> int:
        return max(1, self.end - self.start)

    def seconds(self, tick: int) -> Fraction:
        return Fraction(tick, self.timescale)


def _timescale(time_base: Fraction) -> int:
    """Ticks per second that hold every multiple of ``time_base``, at least ten thousand.

    Time bases finer than 10 ns, which no camera writes, are rounded to a microsecond.
    """
    scale = time_base.denominator
    while scale < _FINEST_TIMESCALE:
        scale *= 2
    return scale if scale <= _LARGEST_TIMESCALE else 1_000_000


def write_clip(
    info: VideoInfo, start: Fraction | float, end: Fraction | float, path: Path, config: ExportConfig
) -> ClipResult:
    """Write what is on screen during [start, end) seconds of media time to ``path`` as H.264 in MP4.

    The first and the last picture are those on screen at ``start`` and just before ``end``; every
    picture keeps its own time to the tick, counted from ``start``. Pixels are upright, 8-bit 4:2:0
    and limited range, HDR is tone-mapped to BT.709. Interlaced pictures stay interlaced unless
    they are turned. Sound is AAC; damaged sound makes a note, never an error.

    Raises:
        DecodeError: the pictures cannot be decoded.
        ExportError: nothing is on screen then, or the file cannot be encoded or written.
    """
    start, end = Fraction(start), Fraction(end)
    if start < 0 or end <= start:
        raise ExportError(
            f"{shown(path)}: no clip from {float(start):g} s to {float(end):g} s; its end must come later"
        )
    span = _Span.of(info, start, end)
    with whole_file(path) as temporary, ExitStack() as stack:
        sound, pcm = Sound(), None
        if config.audio and info.has_audio:
            # Unnamed and beside the output: gone with the process, and on a disk that is known to be large.
            file = stack.enter_context(tempfile.TemporaryFile(dir=temporary.parent))
            sound = write_pcm(info, span.seconds(span.start), span.seconds(span.end), file)
            pcm = _rewound(file, sound)
        frames, notes = _encode(info, span, pcm, output=temporary, path=path, config=config)
    return ClipResult(
        path=path,
        frames=frames,
        duration=float(span.seconds(span.ticks)),
        audio=pcm is not None,
        notes=(*notes, *sound.notes),
    )


def _rewound(file: IO[bytes], sound: Sound) -> PcmInput | None:
    if not sound.samples:
        return None
    file.flush()
    file.seek(0)
    return PcmInput(descriptor=file.fileno(), rate=sound.rate)


def _encode(
    info: VideoInfo, span: _Span, sound: PcmInput | None, *, output: Path, path: Path, config: ExportConfig
) -> tuple[int, list[str]]:
    from ..decode import frames_between

    pictures = frames_between(info, span.seconds(span.start), span.seconds(span.end))
    first = next(pictures)
    info = dataclasses.replace(info, width=first.width, height=first.height)
    fields = _fields(info) if info.interlaced else None
    pix_fmt = carrier_format(first)
    command = clip_command(
        output=output,
        filters=clip_filters(info, pix_fmt, source_tags(info, first), fields),
        timescale=span.timescale,
        ticks=span.ticks,
        interlaced=fields is not None and keeps_fields(info),
        sound=sound,
        config=config,
    )
    timed = _timed(itertools.chain([first], pictures), info, span)
    inherited = [sound.descriptor] if sound else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if info.color.is_hdr:
            write_cube(folder / TONE_TABLE, info.color.transfer)
        with running(command, path, inherited=inherited, folder=folder) as child:
            frames, converted = _feed(child, timed, pix_fmt, span.timescale, info.frame_rate)
    _check(output, frames, path)
    return frames, _notes(info, fields, converted)


def _feed(
    child: Child,
    timed: Iterable[tuple[int, VideoFrame]],
    pix_fmt: str,
    timescale: int,
    rate: Fraction | None,
) -> tuple[int, bool]:
    try:
        written = write_nut(timed, pix_fmt, timescale, rate, child.pipe)
    except BrokenPipeError:
        child.finish()
        raise
    child.finish()
    return written


def _timed(frames: Iterable[VideoFrame], info: VideoInfo, span: _Span) -> Iterator[tuple[int, VideoFrame]]:
    """Each frame with its clip time in ticks: 0 at the start, and later than the one before."""
    last = -1
    for frame in frames:
        if frame.pts is None:
            continue
        tick = round(info.media_time(frame.pts) * span.timescale) - span.start
        last = max(tick, last + 1, 0)
        yield last, frame


def _fields(info: VideoInfo) -> Fields:
    """The field order that the stream declares; top first, as in HD, when it declares none."""
    from ..decode import open_container, stream_of

    with open_container(info.path) as container:
        order = stream_of(container, info.stream_index).codec_context.field_order
    return Fields(top_first=int(order) not in _BOTTOM_FIRST)


def _check(output: Path, frames: int, path: Path) -> None:
    """Compare the pictures in the finished file with those that went in."""
    from ..decode import open_container

    try:
        with open_container(output) as container:
            found = container.streams.video[0].frames
    except InputError as error:
        raise ExportError(f"{shown(path)}: ffmpeg wrote no readable file; try again") from error
    if found != frames:
        raise ExportError(f"{shown(path)}: ffmpeg wrote {found} of {frames} pictures; free disk space and try again")


def _notes(info: VideoInfo, fields: Fields | None, converted: bool) -> list[str]:
    notes = []
    if info.color.is_hdr:
        notes.append(f"{info.color.transfer.upper()} was tone-mapped to SDR BT.709")
    if fields is not None and keeps_fields(info):
        notes.append(f"stays interlaced, {'top' if fields.top_first else 'bottom'} field first")
    elif fields is not None:
        notes.append("deinterlaced, since it is turned or tone-mapped")
    if converted:
        notes.append("the picture size or format changes within the clip; all of it has the first one's")
    return notes
