"""The demo take: a synthetic film of painted views, with sound."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from ..errors import ExportError, shown
from ..files import whole_file
from ..prefetch import prefetch
from ..progress import Progress, silent
from ._shots import DURATION_S, HEIGHT, SHOTS, WIDTH, Picture, Shot

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

FPS = 30
SAMPLE_RATE = 48_000
VIDEO_ENCODER: Final = "libx264"
DISSOLVE_S = 0.4
"""Seconds over which one stretch turns into the next, half on each side."""


def make_take(path: Path, progress: Progress = silent) -> None:
    """Render the take to ``path``: 1280x720 H.264 at 30 fps and AAC in MP4, whole or not at all.

    Raises:
        ExportError: it cannot be encoded or written.
    """
    import av

    with whole_file(path) as temporary:
        try:
            with av.open(str(temporary), "w") as container:
                _encode(container, progress)
        except (av.FFmpegError, ValueError) as error:
            raise ExportError(f"{shown(path)}: the demo take cannot be encoded: {error}") from error


def _encode(container: OutputContainer, progress: Progress) -> None:
    video: VideoStream = container.add_stream(VIDEO_ENCODER, rate=FPS)
    video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    video.codec_context.gop_size, video.codec_context.max_b_frames = 2 * FPS, 2
    video.options = {"preset": "superfast", "crf": "20"}
    audio: AudioStream = container.add_stream("aac", rate=SAMPLE_RATE, layout="stereo")
    audio.bit_rate = 128_000
    _tag_bt709(video)
    with contextlib.closing(prefetch(_frames(), FPS // 2)) as frames:
        for index, frame in enumerate(frames):
            container.mux(video.encode(frame))
            if index % FPS == 0:
                _encode_sound(container, audio, index // FPS)
                progress("render", index // FPS, DURATION_S)
    container.mux(video.encode(None))
    container.mux(audio.encode(None))
    progress("render", DURATION_S, DURATION_S)


def _tag_bt709(video: VideoStream) -> None:
    context = video.codec_context
    context.colorspace, context.color_primaries, context.color_trc = 1, 1, 1
    context.color_range = 1


def _frames() -> Iterator[VideoFrame]:
    import av

    for index, picture in enumerate(_pictures()):
        frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(
            format="yuv420p", dst_colorspace="ITU709", interpolation="FAST_BILINEAR"
        )
        frame.pts, frame.time_base = index, Fraction(1, FPS)
        yield frame


def _encode_sound(container: OutputContainer, audio: AudioStream, second: int) -> None:
    import av

    samples = _sound(second)
    frame = av.AudioFrame.from_ndarray(samples, "fltp", "stereo")
    frame.sample_rate, frame.pts = SAMPLE_RATE, second * SAMPLE_RATE
    frame.time_base = Fraction(1, SAMPLE_RATE)
    container.mux(audio.encode(frame))


def _sound(second: int) -> npt.NDArray[np.float32]:
    """One second of a soft chord that swells and fades every five, float32 (2, SAMPLE_RATE)."""
    chords = ((220.0, 277.18, 329.63), (196.0, 246.94, 293.66), (174.61, 220.0, 261.63))
    time = second + np.arange(SAMPLE_RATE) / SAMPLE_RATE
    swell = np.sin(np.pi * (time % 5) / 5) ** 2
    notes = chords[second // 5 % len(chords)]
    sides = [sum(np.sin(2 * np.pi * (note + detune) * time) for note in notes) for detune in (-0.4, 0.4)]
    return np.asarray(0.06 * swell * np.stack(sides), np.float32)


def _pictures() -> Iterator[Picture]:
    """Every frame of the take in order, uint8 RGB (HEIGHT, WIDTH, 3)."""
    import cv2

    from ._scenes import SCENES, paint

    scenes = {name: paint(name) for name in SCENES}
    for index in range(DURATION_S * FPS):
        time = index / FPS
        (shot, share), *others = _mix(time)
        picture = _film(shot, scenes[shot.scene], time)
        for other, rest in others:
            second = _film(other, scenes[other.scene], time)
            picture = np.asarray(cv2.addWeighted(picture, share, second, rest, 0), np.uint8)
        yield picture


def _mix(time: float) -> list[tuple[Shot, float]]:
    """The shots on screen at ``time`` and their shares, which add up to 1: two in a dissolve, else one."""
    number = next(i for i, shot in enumerate(SHOTS) if shot.planted.holds(time))
    planted = SHOTS[number].planted
    since, left = time - planted.start_s, planted.end_s - time
    neighbour = number - 1 if since < left else number + 1
    share = max(0.0, 0.5 - min(since, left) / DISSOLVE_S)
    if not share or not 0 <= neighbour < len(SHOTS):
        return [(SHOTS[number], 1.0)]
    return [(SHOTS[number], 1 - share), (SHOTS[neighbour], share)]


def _film(shot: Shot, scene: Picture, time: float) -> Picture:
    """The picture of ``shot`` at ``time``: the camera eases from its first view to its last."""
    import cv2

    planted = shot.planted
    share = min(1.0, max(0.0, (time - planted.start_s) / (planted.end_s - planted.start_s)))
    ease = 0.5 - 0.5 * math.cos(math.pi * share)
    x, y, width = (
        getattr(shot.first, name) + ease * (getattr(shot.last, name) - getattr(shot.first, name))
        for name in ("x", "y", "width")
    )
    rows, columns = scene.shape[:2]
    scale = width * columns / WIDTH
    left, top = x * columns - scale * WIDTH / 2, y * rows - scale * HEIGHT / 2
    framing = np.array([[scale, 0, left], [0, scale, top]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    framed = cv2.warpAffine(scene, framing, (WIDTH, HEIGHT), flags=flags, borderMode=cv2.BORDER_REFLECT)
    return shot.fault(np.asarray(framed, np.uint8))
