"""The ffmpeg child process: its command lines, its pipe, and what its last words meant."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..errors import ExportError, shown

_AUDIO_BIT_RATE = "192k"
_AUDIO_ENCODERS = {".webm": "libopus"}

# Lines ffmpeg adds after the one that tells the reason.
_EPILOGUE = re.compile(
    r"Conversion failed|Nothing was written|Terminating thread|Task finished|Could not open encoder|^\s*$|-> #|"
    r"Error (sending frames|selecting an encoder|while opening encoder|marking filters|submitting|writing trailer|"
    r"closing file|opening output|initializing the muxer)"
)
_SOURCE = re.compile(r"^(\[[^\]]*\]\s*)+")
_NO_SPACE = "No space left on device"


@dataclass(frozen=True, kw_only=True)
class PcmInput:
    """Signed 16-bit little-endian stereo PCM that ffmpeg reads from an inherited file descriptor."""

    descriptor: int
    rate: int


def find_ffmpeg() -> str:
    """Path of the ffmpeg executable that comes with imageio-ffmpeg.

    Raises:
        ExportError: there is none.
    """
    import imageio_ffmpeg

    try:
        found = str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise ExportError(
            "no ffmpeg executable; reinstall imageio-ffmpeg, or name one in IMAGEIO_FFMPEG_EXE"
        ) from error
    return str(Path(found).absolute()) if os.sep in found else found


def clip_command(
    *,
    output: Path,
    filters: str,
    timescale: int,
    ticks: int,
    interlaced: bool,
    sound: PcmInput | None,
    encoder: Sequence[str],
) -> list[str]:
    """Raw pictures in NUT on standard input (and PCM) -> the file ``output``, whose suffix says the container.

    Args:
        output: the file to write.
        filters: the ``-vf`` chain.
        timescale: ticks per second of the clip's video track; the pictures' pts are whole ticks.
        ticks: length of the clip; where the last picture ends.
        interlaced: encode two fields a picture.
        sound: PCM beginning at clip time 0, or None.
        encoder: options of the video encoder.
    """
    suffix = output.suffix.lower()
    command = [*_pictures_in()]
    if sound is not None:
        command += ["-f", "s16le", "-ar", str(sound.rate), "-ch_layout", "stereo"]
        command += ["-i", f"pipe:{sound.descriptor}", "-map", "0:v:0", "-map", "1:a:0"]
        command += ["-c:a", _AUDIO_ENCODERS.get(suffix, "aac"), "-b:a", _AUDIO_BIT_RATE]
    command += ["-map_metadata", "-1", "-vf", filters]
    command += ["-fps_mode", "passthrough", "-enc_time_base:v", f"1:{timescale}", *encoder]
    if interlaced:
        command += ["-flags:v", "+ildct+ilme"]
    # NUT carries no durations. The track ends with whichever picture ends last, so each may claim the rest.
    command += ["-bsf:v", f"setts=pts=PTS:dts=DTS:duration=max(1\\,{ticks}-PTS)"]
    command += _muxing(suffix, timescale)
    return [*command, "-y", f"file:{output.absolute()}"]


def pass_command(filters: str, output: Sequence[str]) -> list[str]:
    """Raw pictures in NUT on standard input through ``filters`` to ``output``: a filter's look ahead."""
    return [*_pictures_in(), "-vf", filters, "-fps_mode", "passthrough", *output]


def _pictures_in() -> list[str]:
    return [find_ffmpeg(), "-hide_banner", "-nostdin", "-loglevel", "error", "-f", "nut", "-i", "pipe:0"]


def _muxing(suffix: str, timescale: int) -> list[str]:
    if suffix not in (".mp4", ".mov"):
        return ["-f", "webm" if suffix == ".webm" else "matroska"]
    # The edit list counts in movie ticks: a coarser scale would cut off a short last picture.
    command = ["-video_track_timescale", str(timescale), "-movie_timescale", str(timescale)]
    return [*command, "-movflags", "+faststart", "-f", suffix.removeprefix(".")]


class Child:
    """A running ffmpeg; feed ``pipe``, then call `finish`."""

    def __init__(self, process: subprocess.Popen[bytes], log: IO[bytes], target: Path) -> None:
        self._process, self._log, self._target = process, log, target

    @property
    def pipe(self) -> IO[bytes]:
        """Its standard input."""
        assert self._process.stdin is not None
        return self._process.stdin

    def finish(self) -> None:
        """Close the pipe and wait for the end.

        Raises:
            ExportError: ffmpeg failed; the message holds its reason.
        """
        with contextlib.suppress(BrokenPipeError):
            self.pipe.close()
        status = self._process.wait()
        if status:
            raise ExportError(f"{shown(self._target)}: {self._complaint(status)}")

    def _complaint(self, status: int) -> str:
        self._log.seek(0)
        text = self._log.read().decode("utf-8", "replace")
        if _NO_SPACE in text:
            return "no space left on the disk; free some, or write elsewhere"
        return f"ffmpeg could not encode the clip: {last_words(text) or f'exit status {status}'}"

    def end(self) -> None:
        """Make sure that it is gone, whatever state it is in."""
        if self._process.poll() is None:
            self._process.kill()
        with contextlib.suppress(OSError):
            self.pipe.close()
        self._process.wait()


@contextlib.contextmanager
def running(
    command: Sequence[str], target: Path, *, inherited: Sequence[int] = (), folder: Path | None = None
) -> Iterator[Child]:
    """Start ffmpeg for the length of a block; however the block is left, the process is gone.

    It gets a session of its own: Ctrl-C in the terminal reaches only this process, which then ends it.
    ``target`` is the file that errors name, ``inherited`` the file descriptors it needs, ``folder``
    its working folder.

    Raises:
        ExportError: it cannot be started.
    """
    # A file, not a pipe, takes its messages: no reader is needed, and it can never block on them.
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=folder,
                pass_fds=tuple(inherited),
                start_new_session=True,
            )
        except OSError as error:
            raise ExportError(f"{command[0]}: ffmpeg cannot be started: {error.strerror}") from error
        child = Child(process, log, target)
        try:
            yield child
        finally:
            child.end()


def last_words(text: str) -> str:
    """The last line of an ffmpeg log that tells a reason, without the part that names the speaker."""
    lines = [line for line in text.splitlines() if not _EPILOGUE.search(line)] or text.splitlines()
    return _SOURCE.sub("", lines[-1]).strip() if lines else ""


def prove_encoder(name: str = "libx264", pix_fmt: str = "yuv420p") -> str | None:
    """Encode a few pictures with the video encoder ``name``; None when it works, else the reason."""
    try:
        command = [find_ffmpeg(), "-hide_banner", "-nostdin", "-loglevel", "error"]
        command += ["-f", "lavfi", "-i", "color=c=gray:s=256x144:r=25", "-frames:v", "3", "-pix_fmt", pix_fmt]
        command += ["-c:v", name, "-f", "null", os.devnull]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    except ExportError as error:
        return str(error)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"ffmpeg cannot be run: {error}"
    if done.returncode == 0:
        return None
    return last_words(done.stderr.decode("utf-8", "replace")) or f"ffmpeg exit status {done.returncode}"
