"""Clips without encoding: packets as they are in the take, from a keyframe to where pictures can stop."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..config import ExportConfig
from ..errors import BestshotError, ExportError, shown
from ..files import whole_file
from ..frames import VideoInfo
from .clips import ClipResult

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame

_SETTLE = 16
"""Packets after one in whose company a picture may still be shown earlier: H.264's and HEVC's largest reordering."""
_SEEK_BACK = (0, 2, 10, 60)
"""Seconds before the start to seek to, one after another, in search of a keyframe."""
_INTERLEAVE = 10
"""Seconds by which sound and pictures of one time may lie apart in a file."""
_RUN_UP = 2
"""Seconds read ahead of the keyframe, for sound that lies before it in the file."""
_FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}


class _Seen(NamedTuple):
    """The times of a packet."""

    pts: int
    duration: int


@dataclass(frozen=True, kw_only=True)
class _Cut:
    """Which packets: ``count`` of them from the keyframe with pts ``start`` on, shown until ``end``."""

    count: int
    start: int
    end: int


def copy_clip(
    info: VideoInfo, start: Fraction | float, end: Fraction | float, path: Path, config: ExportConfig
) -> ClipResult:
    """Write the pictures and the sound of [start, end) seconds of media time to ``path`` without encoding them.

    It begins at the last keyframe at or before ``start`` and ends where no picture after ``end`` is missing
    between others, so it may be longer at both ends: the result's ``start`` and ``end`` say where it is.
    Rotation, colour tags and the sound's codec stay; the suffix of ``path`` says the container.

    Raises:
        DecodeError: there is no such stretch.
        ExportError: the packets have no times, the container does not hold this codec, the take does not decode right
            from its keyframes on, or the file cannot be written.
    """
    start, end = Fraction(start), Fraction(end)
    found = _find(info, start, end, path)
    with whole_file(path) as temporary:
        audio, notes = _copy(info, found, temporary, path, config)
        _check(info, found, temporary, path)
    begun, ended = info.media_time(found.start), info.media_time(found.end)
    return ClipResult(
        path=path,
        frames=found.count,
        start=float(begun),
        end=float(ended),
        audio=audio,
        encoder="copy",
        notes=tuple(notes),
    )


def _find(info: VideoInfo, start: Fraction, end: Fraction, path: Path) -> _Cut:
    """Where to begin and how many packets to take."""
    from ..decode import open_container, packets_of, seek, stream_of

    first = info.start_pts + start / info.time_base + Fraction(1, 2)
    after = info.start_pts + end / info.time_base - Fraction(1, 2)
    for back in (*_SEEK_BACK, None):
        with open_container(info.path) as container:
            stream = stream_of(container, info.stream_index)
            if back is not None and not seek(container, stream, int(first - Fraction(back) / info.time_base)):
                continue
            cut = _cut(packets_of(container, stream), first, after)
            if cut is not None:
                return cut
    raise ExportError(f"{shown(path)}: the take's packets tell no times or keyframes to cut at; leave out --copy")


def _check(info: VideoInfo, cut: _Cut, temporary: Path, path: Path) -> None:
    """Decode the copy's first picture and compare it with the take's.

    They differ where a stream says things once, at its start: old x264's 4:4:4 comes out green without them.
    """
    from ..decode import frames_between, probe

    begin = info.media_time(cut.start)
    try:
        copied = probe(temporary)
        made = next(frames_between(copied, 0, Fraction(1, 1000)))
        same = _pixels(made) == _pixels(next(frames_between(info, begin, begin + Fraction(1, 1000))))
    except BestshotError:
        same = False
    if not same:
        raise ExportError(f"{shown(path)}: the take does not decode right from its keyframes on; leave out --copy")


def _pixels(frame: VideoFrame) -> bytes:
    picture = frame.reformat(format="rgb24")
    return picture.to_ndarray().tobytes()


def _cut(packets: Iterable[Packet[Any]], first: Fraction, after: Fraction) -> _Cut | None:
    """The cut among ``packets`` in decoding order; None when they begin too late or have no times."""
    group: list[_Seen] = []
    settling = 0
    for packet in packets:
        if packet.pts is None:
            return None
        if packet.is_keyframe and packet.pts <= first:
            group, settling = [], 0
        elif not group:
            if packet.pts > first and packet.is_keyframe:
                return None
            continue
        group.append(_Seen(packet.pts, packet.duration or 0))
        settling += packet.pts >= after
        if settling > _SETTLE:
            break
    return _ended(group, after) if group else None


def _ended(group: list[_Seen], after: Fraction) -> _Cut:
    """The shortest beginning of ``group`` that shows all before ``after`` and has no gap.

    Pictures of an open group that are shown before its keyframe are left out: they need the group before.
    """
    start = group[0].pts
    group = [group[0], *(packet for packet in group[1:] if packet.pts > start)]
    later = list(itertools.accumulate((packet.pts for packet in reversed(group)), min))[::-1]
    reach = itertools.accumulate((packet.pts for packet in group), max)
    for count, (latest, upcoming) in enumerate(zip(reach, [*later[1:], None], strict=True), 1):
        if upcoming is None or (upcoming >= after and upcoming > latest):
            last = max(group[:count], key=lambda packet: packet.pts)
            end = upcoming if upcoming is not None else last.pts + max(last.duration, 1)
            return _Cut(count=count, start=start, end=end)
    raise AssertionError("the last packet has none upcoming")


def _copy(info: VideoInfo, cut: _Cut, temporary: Path, path: Path, config: ExportConfig) -> tuple[bool, list[str]]:
    import av

    from ..decode import open_container

    try:
        with open_container(info.path) as source, av.open(str(temporary), "w", format=_FORMATS[path.suffix]) as output:
            return _mux(source, output, info, cut, path, config)
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ExportError(
            f"{shown(path)}: {path.suffix} cannot hold the take's {info.codec} as it is ({reason}); "
            "choose --container mkv, or leave out --copy"
        ) from error


def _mux(
    source: InputContainer, output: OutputContainer, info: VideoInfo, cut: _Cut, path: Path, config: ExportConfig
) -> tuple[bool, list[str]]:
    video = source.streams[info.stream_index]
    streams: dict[int, Any] = {video.index: output.add_stream_from_template(video, opaque=True)}
    notes: list[str] = []
    sound = source.streams.best("audio") if config.audio and info.has_audio else None
    if sound is not None:
        try:
            streams[sound.index] = output.add_stream_from_template(sound, opaque=True)
        except ValueError as error:
            notes.append(f"the sound cannot be copied into this container ({error})")
    heard = copied = 0
    for packet in _shifted(source, info, cut, list(streams)):
        heard += packet.stream.index != video.index
        packet.stream = streams[packet.stream.index]
        output.mux(packet)
        copied += packet.stream.index == 0
    if copied != cut.count:
        raise ExportError(f"{shown(path)}: the take's packets are not found again after a seek; leave out --copy")
    return heard > 0, notes


def _shifted(source: InputContainer, info: VideoInfo, cut: _Cut, indices: list[int]) -> Iterator[Packet[Any]]:
    """The packets of the cut and of the sound during it, their times counted from its first picture."""
    begin, end = cut.start * info.time_base, cut.end * info.time_base
    _seek_ahead(source, begin)
    left, begun = cut.count, False
    for packet in source.demux(*(source.streams[index] for index in indices)):
        when = packet.dts if packet.dts is not None else packet.pts
        if not packet.size or when is None or packet.time_base is None:
            continue
        time = when * packet.time_base
        if time >= end + _INTERLEAVE:
            return
        if packet.stream.index == info.stream_index:
            begun |= packet.pts == cut.start
            wanted = begun and left > 0 and packet.pts is not None and packet.pts >= cut.start
            left -= wanted
        else:
            wanted = time < end and time + (packet.duration or 0) * packet.time_base > begin
        if wanted:
            yield _moved(packet, -round(begin / packet.time_base))


def _seek_ahead(source: InputContainer, begin: Fraction) -> None:
    """Go to where the packets of ``begin`` and some before it are read, or stay at the start of the file."""
    import av

    with contextlib.suppress(av.FFmpegError):
        source.seek(int((begin - _RUN_UP) * 1_000_000), backward=True)


def _moved(packet: Packet[Any], ticks: int) -> Packet[Any]:
    if packet.pts is not None:
        packet.pts += ticks
    if packet.dts is not None:
        packet.dts += ticks
    elif packet.pts is not None:
        # Matroska stores no decoding times; those of the first packets after a seek cannot be told yet.
        packet.dts = packet.pts - _SETTLE * (packet.duration or 1)
    return packet
