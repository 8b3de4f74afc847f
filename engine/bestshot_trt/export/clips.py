"""Cutting one moment out of a take as a clip of its own, to the frame."""

from __future__ import annotations

import tempfile
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO

from ..config import ExportConfig
from ..errors import ExportError, InputError, shown
from ..files import whole_file
from ..frames import VideoInfo
from ..moments import Shake
from ._audio import Sound, fade_ends, write_pcm
from ._ffmpeg import PcmInput, clip_command, running
from ._filters import TONE_TABLE, Target
from ._hdr import mastering_of
from ._looks import Look, look_of, margin_of, needs_progressive
from ._source import Fed, SourcePictures, Watch
from ._span import Span, exact_rate
from ._tone import write_cube
from .encoders import Encoder, choose_encoder, software_instead


@dataclass(frozen=True, kw_only=True)
class ClipResult:
    """What was written: ``frames`` pictures over ``duration`` seconds, with sound or not, and why.

    ``start`` and ``end`` are where on the take it begins and ends, in seconds of media time.
    """

    path: Path
    frames: int
    start: float
    end: float
    audio: bool
    encoder: str
    """What encoded it, and why it was not NVENC where that was welcome; ``copy`` where nothing did."""
    notes: tuple[str, ...]
    shake: Shake | None = None
    color: str | None = None
    """As in `moments.Moment`."""

    @property
    def duration(self) -> float:
        """Its length in seconds."""
        return self.end - self.start


def write_clip(
    info: VideoInfo,
    start: Fraction | float,
    end: Fraction | float,
    path: Path,
    config: ExportConfig,
    stop: threading.Event | None = None,
    watch: Watch | None = None,
) -> ClipResult:
    """Write what is on screen during [start, end) seconds of media time to ``path``, encoded anew.

    The first and the last picture are those on screen at ``start`` and just before ``end``; every
    picture keeps its own time to the tick, counted from ``start``, unless ``config.fps`` asks for a
    constant rate. Pixels are upright, 4:2:0 and limited range; HDR stays 10-bit HDR in HEVC and AV1, and is
    else tone-mapped to BT.709. Interlaced pictures stay interlaced where the encoder can and they are not
    turned. The suffix of ``path`` says the container. Damaged sound makes a note, never an error. ``stop``,
    set from another thread, ends it; nothing is left then. The take's frames go through ``watch``, anew where an
    encoder gave up.

    Raises:
        DecodeError: the pictures cannot be decoded.
        ExportError: nothing is on screen then, or the file cannot be encoded or written.
    """
    start, end = Fraction(start), Fraction(end)
    if start < 0 or end <= start:
        raise ExportError(
            f"{shown(path)}: no clip from {float(start):g} s to {float(end):g} s; its end must come later"
        )
    encoder = choose_encoder(config, hdr=info.color.is_hdr)
    try:
        return _written(info, start, end, path, config, encoder, stop, watch)
    except ExportError as error:
        # What a few grey pictures proved may still fail: a size too small, no session left.
        if not encoder.is_nvenc or config.encoder == "nvenc":
            raise
        return _written(info, start, end, path, config, software_instead(encoder, str(error)), stop, watch)


def _written(
    info: VideoInfo,
    start: Fraction,
    end: Fraction,
    path: Path,
    config: ExportConfig,
    encoder: Encoder,
    stop: threading.Event | None,
    watch: Watch | None,
) -> ClipResult:
    rate = exact_rate(config.fps) if config.fps else None
    span = Span.of(info, start, end, rate)
    source = SourcePictures(
        info=info,
        span=span,
        target=target_of(info, encoder, config),
        margin=margin_of(config),
        rate=rate,
        stop=stop,
        watch=watch,
        goes_on=True,
    )
    with whole_file(path) as temporary, ExitStack() as stack:
        sound, pcm = Sound(), None
        if config.audio and info.has_audio:
            # Unnamed and beside the output: gone with the process, and on a disk that is known to be large.
            file = stack.enter_context(tempfile.TemporaryFile(dir=temporary.parent))
            sound = write_pcm(info, span.seconds(span.start), span.seconds(span.end), file)
            fade_ends(file, sound)
            pcm = rewound(file, sound)
        made = _encode(source, pcm, encoder, output=temporary, path=path, config=config)
    begun = float(span.seconds(span.start))
    return ClipResult(
        path=path,
        frames=made.fed.count,
        start=begun,
        end=begun + float(span.seconds(span.ticks)),
        audio=pcm is not None,
        encoder=encoder.told(),
        notes=(*made.told, *sound.notes),
        shake=made.look.shake,
        color=made.look.color,
    )


def target_of(info: VideoInfo, encoder: Encoder, config: ExportConfig) -> Target:
    """What ``encoder`` takes of this take: HDR stays where the codec has 10 bits and nobody asked for SDR."""
    hdr = info.color.is_hdr and not config.sdr and encoder.codec != "h264"
    return Target(
        pix_fmt=encoder.pix_fmt(hdr),
        hdr=hdr,
        fields=encoder.keeps_fields and not needs_progressive(config),
        height=config.height and config.height // 2 * 2,
    )


def rewound(file: IO[bytes], sound: Sound) -> PcmInput | None:
    """``file`` of PCM ready to be read from its start; None when there is no sound in it."""
    if not sound.samples:
        return None
    file.flush()
    file.seek(0)
    return PcmInput(descriptor=file.fileno(), rate=sound.rate)


@dataclass(frozen=True, kw_only=True)
class _Encoded:
    fed: Fed
    told: tuple[str, ...]
    look: Look


def _encode(
    source: SourcePictures,
    sound: PcmInput | None,
    encoder: Encoder,
    *,
    output: Path,
    path: Path,
    config: ExportConfig,
) -> _Encoded:
    span = source.span
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(source, folder)
        look = look_of(source, folder, config)
        command = clip_command(
            output=output,
            filters=source.trimmed(look.filters),
            timescale=span.timescale,
            ticks=span.ticks,
            interlaced=source.keeps_fields,
            sound=sound,
            encoder=encoder_options(source, encoder, output, config),
        )
        inherited = [sound.descriptor] if sound else []
        with running(command, path, inherited=inherited, folder=folder) as child:
            fed = source.feed(child)
    check(output, fed.count, path)
    return _Encoded(fed=fed, told=(*picture_notes(source, encoder, fed, config), *look.notes), look=look)


def prepare(source: SourcePictures, folder: Path) -> None:
    """Put the tables that the chain of ``source`` reads into ffmpeg's working ``folder``."""
    if source.info.color.is_hdr and not source.target.hdr:
        write_cube(folder / TONE_TABLE, source.info.color.transfer)


def encoder_options(source: SourcePictures, encoder: Encoder, output: Path, config: ExportConfig) -> list[str]:
    """Options of the video encoder for ``source``: quality, HDR metadata, and the tag that players of HEVC want."""
    mastering = mastering_of(source.first) if source.target.hdr else None
    options = encoder.options(config, mastering.parameters(encoder.name) if mastering else None)
    if encoder.codec == "hevc" and output.suffix.lower() in (".mp4", ".mov"):
        options += ["-tag:v", "hvc1"]
    return options


def check(output: Path, frames: int, path: Path) -> None:
    """Compare the pictures in the finished file with those that went in.

    Raises:
        ExportError: some are missing, or the file cannot be read.
    """
    from ..decode import open_container

    try:
        with open_container(output) as container:
            stream = container.streams.video[0]
            found = stream.frames or sum(packet.size > 0 for packet in container.demux(stream))
    except InputError as error:
        raise ExportError(f"{shown(path)}: ffmpeg wrote no readable file; try again") from error
    if found != frames:
        raise ExportError(f"{shown(path)}: ffmpeg wrote {found} of {frames} pictures; free disk space and try again")


def picture_notes(source: SourcePictures, encoder: Encoder, fed: Fed, config: ExportConfig) -> list[str]:
    """What is to be said about how the pictures were encoded."""
    info = source.info
    notes = []
    if encoder.failed:
        notes.append(f"encoded by {encoder.name}, since NVENC failed: {encoder.reason}")
    if info.color.is_hdr:
        notes.append(_hdr_note(source, encoder, config))
    if source.keeps_fields and source.fields is not None:
        notes.append(f"stays interlaced, {'top' if source.fields.top_first else 'bottom'} field first")
    elif source.fields is not None:
        notes.append("deinterlaced, since it is turned, scaled, stabilised, tone-mapped, or in a codec without fields")
    if fed.converted:
        notes.append("the picture size or format changes within the clip; all of it has the first one's")
    return notes


def _hdr_note(source: SourcePictures, encoder: Encoder, config: ExportConfig) -> str:
    transfer = source.info.color.transfer.upper()
    if source.target.hdr:
        lost = "; NVENC writes no mastering metadata" if encoder.is_nvenc and mastering_of(source.first) else ""
        return f"{transfer} stays HDR, as 10-bit {encoder.codec.upper()}{lost}; --sdr tone-maps it"
    why = "" if config.sdr else "; --codec hevc or av1 keeps it"
    return f"{transfer} was tone-mapped to SDR BT.709{why}"
