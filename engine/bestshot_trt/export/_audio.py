"""The sound of a stretch of a take as PCM whose first sample is the stretch's first instant."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import IO, TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..frames import VideoInfo

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

_RATES_KEPT = frozenset({44100, 48000})
_USUAL_RATE = 48000
_BYTES_PER_SAMPLE = 4
"""Two channels of 16 bits."""
_LEAD_IN = Fraction(1)
"""Seconds decoded and dropped ahead of the stretch: decoders need some to settle."""
_JITTER = Fraction(1, 50)
"""Seconds by which a frame's pts may stray from the sample count before it is believed."""
_FADES_PER_SECOND = 100
"""A fade takes 10 ms."""
_INTERLEAVE = 10
"""Seconds by which sound may lie behind the pictures in a file."""


@dataclass(kw_only=True)
class Sound:
    """What became of the sound: ``samples`` of it at ``rate`` Hz are in the file, 0 when it is all silent."""

    rate: int = _USUAL_RATE
    samples: int = 0
    notes: list[str] = field(default_factory=list)


def channels_of(info: VideoInfo) -> int:
    """Channels of the best audio stream of ``info.path``; 0 when there is none, or none that can be opened."""
    import av
    from av.audio.stream import AudioStream

    from ..decode import open_container

    try:
        with open_container(info.path) as container:
            stream = container.streams.best("audio")
            if not isinstance(stream, AudioStream) or stream.codec_context is None:
                return 0
            return int(stream.codec_context.channels)
    except (av.FFmpegError, InputError, ValueError):
        return 0


def write_pcm(info: VideoInfo, start: Fraction, end: Fraction, file: IO[bytes]) -> Sound:
    """Write the best audio stream of ``info.path`` during [start, end) of media time to ``file``.

    The file is signed 16-bit little-endian stereo, exactly ``end - start`` long: sample 0 sounds at
    ``start``, and silence fills what the stream does not cover. Damage never raises; it makes a note.

    Raises:
        OSError: ``file`` cannot be written.
    """
    import av

    from ..decode import open_container

    sound = Sound()
    origin = info.start_pts * info.time_base + start
    try:
        for lead_in in (_LEAD_IN, None):
            file.seek(0)
            file.truncate()
            with open_container(info.path) as container:
                reader = _Reader(container, info, origin, end - start, sound)
                if reader.run(file, lead_in):
                    break
    except (av.FFmpegError, InputError, ValueError) as error:
        sound.notes.append(f"audio cannot be decoded ({getattr(error, 'strerror', None) or error})")
    if not sound.samples and not sound.notes:
        sound.notes.append("the audio track is silent or absent here")
    return sound


class _Reader:
    """One pass over the sound of a container."""

    def __init__(
        self, container: InputContainer, info: VideoInfo, origin: Fraction, length: Fraction, sound: Sound
    ) -> None:
        self._container, self._info, self._sound = container, info, sound
        self._origin, self._length = origin, length
        self._damaged = 0

    def run(self, file: IO[bytes], lead_in: Fraction | None) -> bool:
        """Write the stretch, from a seek ``lead_in`` seconds ahead of it or from the start of the file.

        False when the seek landed too late, so that sound may have been missed.
        """
        from av.audio.stream import AudioStream

        stream = self._container.streams.best("audio")
        # A track of a codec that libavcodec does not know has no context.
        if not isinstance(stream, AudioStream) or stream.codec_context is None:
            self._sound.notes.append("the take has no audio that can be decoded")
            return True
        rate = stream.codec_context.sample_rate
        self._sound.rate = rate if rate in _RATES_KEPT else _USUAL_RATE
        sought = lead_in is not None and self._seek(self._origin - lead_in)
        track = _Track(file, self._sound.rate, self._length)
        for frame in self._resampled(stream):
            at = self._when(frame)
            if at is not None and at >= self._length:
                break
            if sought and at is not None and at > 0 and not track.begun:
                return False
            track.put(at, frame.to_ndarray().astype(np.int16, copy=False).reshape(-1, 2))
        if sought and not track.begun:
            return False
        self._sound.samples = track.samples
        if track.samples:
            track.pad()
        if self._damaged:
            self._sound.notes.append(f"{self._damaged} damaged audio packets were skipped")
        return True

    def _when(self, frame: AudioFrame) -> Fraction | None:
        """Seconds from the start of the stretch to ``frame``, where its time is known."""
        if frame.pts is None or frame.time_base is None:
            return None
        return frame.pts * frame.time_base - self._origin

    def _seek(self, time: Fraction) -> bool:
        import av

        with contextlib.suppress(av.FFmpegError):
            self._container.seek(int(time * 1_000_000), backward=True)
            return True
        return False

    def _resampled(self, stream: AudioStream) -> Iterator[AudioFrame]:
        """Packed 16-bit stereo at the output rate; a new resampler wherever the stream changes."""
        from av.audio.resampler import AudioResampler

        key: tuple[object, ...] = ()
        resampler: AudioResampler | None = None
        for frame in self._decoded(stream):
            if key != (key := (frame.format.name, frame.layout.name, frame.sample_rate)):
                if resampler is not None:
                    yield from resampler.resample(None)
                resampler = AudioResampler("s16", "stereo", self._sound.rate)
            assert resampler is not None
            yield from resampler.resample(frame)
        if resampler is not None:
            yield from resampler.resample(None)

    def _decoded(self, stream: AudioStream) -> Iterator[AudioFrame]:
        """Frames until the pictures are well past the stretch; packets that fail are counted and skipped."""
        import av
        from av.audio.frame import AudioFrame

        video = self._container.streams[self._info.stream_index]
        last = self._origin + self._length + _INTERLEAVE
        packets = self._container.demux(stream, video)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                if packet.stream.index == stream.index:
                    yield from (frame for frame in packet.decode() if isinstance(frame, AudioFrame))
                elif packet.dts is not None and packet.dts * packet.time_base > last:
                    return
            except av.FFmpegError:
                self._damaged += 1
                if packet is None:
                    return


class _Track:
    """PCM written in order, each piece at its time."""

    def __init__(self, file: IO[bytes], rate: int, length: Fraction) -> None:
        self._file, self._rate = file, rate
        self._total = max(1, round(length * rate))
        self._next: int | None = None
        self._written = 0
        self.samples = 0

    @property
    def begun(self) -> bool:
        """Whether any sound has been handed in, kept or not."""
        return self._next is not None

    def put(self, at: Fraction | None, pcm: np.ndarray[tuple[int, ...], np.dtype[np.int16]]) -> None:
        """Add samples (n, 2) that begin ``at`` seconds into the stretch; None: where the last ended."""
        position = self._place(at)
        if position is None:
            return
        self._next = position + len(pcm)
        kept = pcm[max(0, self._written - position) : max(0, self._total - position)]
        if not len(kept):
            return
        self._silence(max(position, 0))
        self._file.write(np.ascontiguousarray(kept, "<i2").tobytes())
        self._written += len(kept)
        self.samples += len(kept)

    def pad(self) -> None:
        """Fill up to the end with silence."""
        self._silence(self._total)
        self._file.flush()

    def _place(self, at: Fraction | None) -> int | None:
        """The index of the next sample: the running count unless the pts says clearly otherwise."""
        if at is None:
            return self._next
        told = round(at * self._rate)
        if self._next is not None and abs(told - self._next) <= _JITTER * self._rate:
            return self._next
        return told

    def _silence(self, until: int) -> None:
        if until > self._written:
            self._file.write(bytes((until - self._written) * _BYTES_PER_SAMPLE))
            self._written = until


def fade_ends(file: IO[bytes], sound: Sound) -> None:
    """Fade the first and the last 10 ms of the PCM in ``file``, so that neither end clicks.

    Raises:
        OSError: ``file`` cannot be written.
    """
    if not sound.samples:
        return
    file.flush()
    total = file.seek(0, 2) // _BYTES_PER_SAMPLE
    length = min(sound.rate // _FADES_PER_SECOND, total // 2)
    ramp = (np.arange(length) + 0.5)[:, None] / max(length, 1)
    for start, weights in ((0, ramp), (total - length, ramp[::-1])):
        file.seek(start * _BYTES_PER_SAMPLE)
        pcm = np.frombuffer(file.read(length * _BYTES_PER_SAMPLE), "<i2").reshape(-1, 2)
        file.seek(start * _BYTES_PER_SAMPLE)
        file.write((pcm * weights).round().astype("<i2").tobytes())
    file.flush()
