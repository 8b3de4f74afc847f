"""The demo take: a synthetic film of painted views, with faults where they are known to be."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import numpy.typing as npt

from ..errors import ExportError, shown
from ..files import whole_file
from ..prefetch import prefetch
from ..progress import Progress, silent

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

DURATION_S = 40
FPS = 30
WIDTH, HEIGHT = 1280, 720
SAMPLE_RATE = 48_000
VIDEO_ENCODER: Final = "libx264"
DISSOLVE_S = 0.4
"""Seconds over which one stretch turns into the next, half on each side."""

Picture = npt.NDArray[np.uint8]
Expect = Literal["picked", "avoided", "duplicate"]


@dataclass(frozen=True)
class Planted:
    """A stretch [``start_s``, ``end_s``) of the take, and what a run must make of it.

    ``picked``: a moment's peak lies inside, before those of all other stretches. ``avoided``: none
    does. ``duplicate``: none does, and a peak inside was turned down as a near duplicate.
    """

    name: str
    start_s: float
    end_s: float
    expect: Expect
    why: str

    def holds(self, time: float) -> bool:
        """Whether ``time`` in seconds lies in the stretch."""
        return self.start_s <= time < self.end_s


@dataclass(frozen=True)
class _View:
    """A framing of a scene: its middle as shares of the canvas, and its width as a share of it."""

    x: float
    y: float
    width: float


@dataclass(frozen=True)
class _Shot:
    """How one planted stretch is filmed: the scene, the move of the camera, the fault added."""

    planted: Planted
    scene: str
    first: _View
    last: _View
    fault: Callable[[Picture], Picture]


def _faultless(picture: Picture) -> Picture:
    return picture


def _out_of_focus(picture: Picture) -> Picture:
    import cv2

    small = cv2.resize(picture, (WIDTH // 8, HEIGHT // 8), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), 2.5)
    return np.asarray(cv2.resize(soft, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8)


def _levels(gain: float, offset: float) -> Callable[[Picture], Picture]:
    """A fault that maps every value to ``gain`` times it plus ``offset``, clipped."""
    table = np.clip(np.arange(256) * gain + offset, 0, 255).astype(np.uint8)

    def fault(picture: Picture) -> Picture:
        import cv2

        return np.asarray(cv2.LUT(picture, table), np.uint8)

    return fault


def _hazy(picture: Picture) -> Picture:
    import cv2

    grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    pale = cv2.addWeighted(picture, 0.06, grey, 0.18, 128)
    return np.asarray(cv2.GaussianBlur(pale, (0, 0), 1.5), np.uint8)


_GOOD = "sharp, colourful, well exposed"
_LAKE = _View(0.51, 0.50, 0.80)

# Every moment of a bad stretch is within min_gap (5 s) of a good peak: no ripple on the bottom of a
# valley can take one of the K places.
_SHOTS = (
    _Shot(
        Planted("camera raised", 0, 1.5, "avoided", "not yet in focus"),
        "lake",
        _View(0.40, 0.70, 0.60),
        _View(0.49, 0.50, 0.82),
        _out_of_focus,
    ),
    _Shot(
        Planted("lake", 1.5, 6, "picked", f"{_GOOD}: the first view"),
        "lake",
        _View(0.49, 0.50, 0.82),
        _View(0.53, 0.50, 0.78),
        _faultless,
    ),
    _Shot(
        Planted("out of focus", 6, 9, "avoided", "the focus hunts"),
        "lake",
        _View(0.53, 0.50, 0.78),
        _View(0.44, 0.46, 0.70),
        _out_of_focus,
    ),
    _Shot(
        Planted("balloons", 9, 13.5, "picked", f"{_GOOD}: a second view"),
        "balloons",
        _View(0.48, 0.50, 0.92),
        _View(0.52, 0.47, 0.80),
        _faultless,
    ),
    _Shot(
        Planted("over-exposed", 13.5, 17, "avoided", "most of it is burnt out"),
        "balloons",
        _View(0.52, 0.47, 0.80),
        _View(0.46, 0.55, 0.80),
        _levels(2.0, 90),
    ),
    _Shot(
        Planted("lake again", 17, 21, "duplicate", "the first view once more, the camera at rest"),
        "lake",
        _LAKE,
        _LAKE,
        _levels(0.9, 12),
    ),
    _Shot(
        Planted("under-exposed", 21, 24.5, "avoided", "nearly black"),
        "harbour",
        _View(0.40, 0.56, 0.70),
        _View(0.44, 0.55, 0.78),
        _levels(0.07, 0),
    ),
    _Shot(
        Planted("harbour", 24.5, 29, "picked", f"{_GOOD}: a third view"),
        "harbour",
        _View(0.44, 0.55, 0.78),
        _View(0.54, 0.55, 0.82),
        _faultless,
    ),
    _Shot(
        Planted("haze", 29, 32.5, "avoided", "flat and grey"),
        "harbour",
        _View(0.54, 0.55, 0.82),
        _View(0.50, 0.50, 0.80),
        _hazy,
    ),
    _Shot(
        Planted("reef", 32.5, 37.5, "picked", f"{_GOOD}: a fourth view"),
        "reef",
        _View(0.46, 0.52, 0.80),
        _View(0.54, 0.52, 0.86),
        _faultless,
    ),
    _Shot(
        Planted("camera lowered", 37.5, 40, "avoided", "out of focus, on its way down"),
        "reef",
        _View(0.54, 0.52, 0.86),
        _View(0.40, 0.84, 0.32),
        _out_of_focus,
    ),
)

PLANTED: tuple[Planted, ...] = tuple(shot.planted for shot in _SHOTS)
"""What is planted in the take, in order; together they fill it."""


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


def _mix(time: float) -> list[tuple[_Shot, float]]:
    """The shots on screen at ``time`` and their shares, which add up to 1: two in a dissolve, else one."""
    number = next(i for i, shot in enumerate(_SHOTS) if shot.planted.holds(time))
    planted = _SHOTS[number].planted
    since, left = time - planted.start_s, planted.end_s - time
    neighbour = number - 1 if since < left else number + 1
    share = max(0.0, 0.5 - min(since, left) / DISSOLVE_S)
    if not share or not 0 <= neighbour < len(_SHOTS):
        return [(_SHOTS[number], 1.0)]
    return [(_SHOTS[number], 1 - share), (_SHOTS[neighbour], share)]


def _film(shot: _Shot, scene: Picture, time: float) -> Picture:
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
