"""The highlight reel: all moments in one file, encoded once from the take's own pictures."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import IO

from ..config import ExportConfig
from ..errors import ExportError, shown
from ..files import whole_file
from ..frames import VideoInfo
from ._audio import Sound, fade_ends, write_pcm
from ._ffmpeg import PcmInput, clip_command, running
from ._join import append_pcm, joined
from ._looks import look_of, margin_of
from ._source import Fed, SourcePictures, Timed, at_rate, feed
from ._span import Span, exact_rate
from .clips import ClipResult, check, encoder_options, picture_notes, prepare, rewound, target_of
from .encoders import Encoder, choose_encoder, software_instead

Spans = Sequence[tuple[float, float]]

_LOSSLESS = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", "-bf", "0")


def write_reel(
    info: VideoInfo,
    spans: Spans,
    path: Path,
    config: ExportConfig,
    progress: Callable[[float], None] = lambda _: None,
) -> ClipResult:
    """Write the stretches ``spans`` of a take, in that order, to ``path`` in one encode.

    Pictures come from the take, never from its clips; encoder and form are those of `write_clip`. With
    ``config.crossfade`` seconds each stretch fades into the next, at most over half of the shortest one. Each is
    steadied and coloured as its clip is, on its way through a lossless file.
    ``progress`` is told the seconds that are done. The result's times are those of the reel.

    Raises:
        DecodeError: a stretch cannot be decoded.
        ExportError: the file cannot be encoded or written.
    """
    encoder = choose_encoder(config, hdr=info.color.is_hdr)
    try:
        return _written(info, spans, path, config, encoder, progress)
    except ExportError as error:
        if not encoder.is_nvenc or config.encoder == "nvenc":
            raise
        return _written(info, spans, path, config, software_instead(encoder, str(error)), progress)


def _written(
    info: VideoInfo,
    spans: Spans,
    path: Path,
    config: ExportConfig,
    encoder: Encoder,
    progress: Callable[[float], None],
) -> ClipResult:
    if not spans:
        raise ExportError(f"{shown(path)}: there are no moments to join")
    rate = exact_rate(config.fps) if config.fps else None
    target = target_of(info, encoder, config)
    sources = [
        SourcePictures(
            info=info,
            span=Span.of(info, Fraction(start), Fraction(end), rate),
            target=target,
            margin=margin_of(config),
        )
        for start, end in spans
    ]
    lengths = [source.span.ticks for source in sources]
    fade = min(round(config.crossfade * sources[0].span.timescale), min(lengths) // 2) if len(lengths) > 1 else 0
    whole = Span(timescale=sources[0].span.timescale, start=0, end=sum(lengths) - fade * (len(lengths) - 1))
    with whole_file(path) as temporary, ExitStack() as stack:
        sound, pcm = Sound(), None
        if config.audio and info.has_audio:
            file = stack.enter_context(tempfile.TemporaryFile(dir=temporary.parent))
            sound = _join_sound(sources, fade, file)
            pcm = rewound(file, sound)
        looked = _Looked(sources, stack.enter_context(tempfile.TemporaryDirectory(dir=temporary.parent)), config)
        pictures = _watched(joined((part.timed() for part in looked), lengths, fade), whole, progress)
        fed = _encode(
            looked.first,
            at_rate(pictures, rate, whole) if rate else pictures,
            whole,
            pcm,
            encoder,
            output=temporary,
            path=path,
            config=config,
        )
    notes = [*picture_notes(sources[0], encoder, fed, config), *looked.notes, *sound.notes]
    return ClipResult(
        path=path,
        frames=fed.count,
        start=0.0,
        end=float(whole.seconds(whole.ticks)),
        audio=pcm is not None,
        encoder=encoder.told(),
        notes=(*notes, *_reel_notes(fade, lengths, whole, config)),
    )


class _Looked:
    """``sources`` with the looks of their clips, one after another; the files for it lie in ``folder``."""

    def __init__(self, sources: Sequence[SourcePictures], folder: str, config: ExportConfig) -> None:
        self._sources, self._folder, self._config = sources, Path(folder), config
        self.notes: list[str] = []
        self.first = self._looked(0)

    def __iter__(self) -> Iterator[SourcePictures]:
        yield self.first
        for number in range(1, len(self._sources)):
            yield self._looked(number)
            # The one before may still be fading out; nobody needs those before it, which are large.
            self._file(number - 1).unlink(missing_ok=True)

    def _file(self, number: int) -> Path:
        return self._folder / f"{number}.mp4"

    def _looked(self, number: int) -> SourcePictures:
        """The source ``number``; when any may have a look, all come from lossless files, so that all are alike."""
        from ..decode import probe

        source = self._sources[number]
        if self._config.stabilize == "off" and self._config.color == "off":
            return source
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            prepare(source, Path(name))
            look = look_of(source, Path(name), self._config)
            self.notes += [note for note in look.notes if note not in self.notes]
            if source.target.deep:
                return dataclasses.replace(source, margin=Fraction(0))
            command = clip_command(
                output=self._file(number),
                filters=source.trimmed(look.filters),
                timescale=source.span.timescale,
                ticks=source.span.ticks,
                interlaced=source.keeps_fields,
                sound=None,
                encoder=_LOSSLESS,
            )
            with running(command, source.info.path, folder=Path(name)) as child:
                source.feed(child)
        span = dataclasses.replace(source.span, start=0, end=source.span.ticks)
        return SourcePictures(info=probe(self._file(number)), span=span, target=source.target)


def _encode(
    first: SourcePictures,
    pictures: Timed,
    whole: Span,
    sound: PcmInput | None,
    encoder: Encoder,
    *,
    output: Path,
    path: Path,
    config: ExportConfig,
) -> Fed:
    fed = Fed(first=0, after=whole.ticks)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(first, folder)
        command = clip_command(
            output=output,
            filters=first.chain(),
            timescale=whole.timescale,
            ticks=whole.ticks,
            interlaced=first.keeps_fields,
            sound=sound,
            encoder=encoder_options(first, encoder, output, config),
        )
        inherited = [sound.descriptor] if sound else []
        with running(command, path, inherited=inherited, folder=folder) as child:
            rate = first.rate or first.info.frame_rate
            feed(child, fed.counting(pictures), fed, first.pix_fmt, whole.timescale, rate)
    check(output, fed.count, path)
    return fed


def _watched(pictures: Timed, whole: Span, progress: Callable[[float], None]) -> Timed:
    for tick, frame in pictures:
        progress(float(whole.seconds(tick)))
        yield tick, frame


def _join_sound(sources: Sequence[SourcePictures], fade: int, file: IO[bytes]) -> Sound:
    """The sound of all stretches in ``file``; silence where one has none."""
    joint = Sound()
    for number, source in enumerate(sources):
        span = source.span
        with tempfile.TemporaryFile() as piece:
            sound = write_pcm(source.info, span.seconds(span.start), span.seconds(span.end), piece)
            if not sound.samples:
                piece.truncate(0)
                piece.write(bytes(round(span.seconds(span.ticks) * sound.rate) * 4))
            fade_ends(piece, sound)
            append_pcm(file, piece, round(span.seconds(fade) * sound.rate) if number else 0)
        joint.rate = sound.rate
        joint.samples += sound.samples
        joint.notes += [note for note in sound.notes if note not in joint.notes]
    return joint


def _reel_notes(fade: int, lengths: Sequence[int], whole: Span, config: ExportConfig) -> Iterator[str]:
    made = whole.seconds(fade)
    if len(lengths) > 1 and made < Fraction(config.crossfade) - Fraction(1, 1000):
        yield f"cross-fades of the reel last {float(made):.2f} s, half of the shortest moment"
