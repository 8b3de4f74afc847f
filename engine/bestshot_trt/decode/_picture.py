"""Decoded frame -> score picture: upright, square pixels, scaled, 8-bit RGB.

The same libavfilter chain as ``ffmpeg -vf scale=W:H -pix_fmt rgb24`` (bicubic, ffmpeg's default
flags), so that anyone can recompute the picture bit for bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
import numpy.typing as npt

from ..errors import DecodeError, shown
from ..frames import ModelView, VideoInfo

if TYPE_CHECKING:
    from fractions import Fraction

    from av.video.frame import VideoFrame

Sample = TypeVar("Sample", np.uint8, np.uint16)
_TURNS = {
    0: [],
    90: [("transpose", "clock")],
    180: [("hflip", ""), ("vflip", "")],
    270: [("transpose", "cclock")],
}
_EXACT = ":flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact:param0=0:param1=0.5"
_SAME_ARITHMETIC = ":flags=bicubic+accurate_rnd"
"""What ffmpeg's default flags come to when it scales to RGB, and do not when it scales to planes."""
_PLANAR_420 = ("yuv420p", "yuvj420p")
_MOST, _GREY = 255, 128
_GREYISH = 7
"""How far a chroma sample may lie from grey to add less than 16 to any channel: in any matrix at most 2.15 times it."""
_FEW = 0.01
_ALIKE = 4
"""So many frames after one that overshot are taken to do it too, and are not tried."""
_LONGEST = 32
"""Times its square that a scaled picture may be long."""


class _Chain:
    """One graph of filters that makes one picture of each frame."""

    def __init__(self, frame: VideoFrame, time_base: Fraction, steps: list[tuple[str, str]]) -> None:
        """``frame`` has the size and the format of all frames to come."""
        import av.filter
        from av.video.format import VideoFormat

        self._graph = av.filter.Graph()
        self._graph.threads = 1
        self._source = last = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=VideoFormat(frame.format.name), time_base=time_base
        )
        for name, arguments in [*steps, ("buffersink", "")]:
            step = self._graph.add(name, arguments) if arguments else self._graph.add(name)
            last.link_to(step)
            last = step
        self._sink = last
        self._graph.configure()

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        self._source.push(frame)
        return cast("VideoFrame", self._sink.pull())


class ScorePicture:
    """Converts frames of one take to pictures of one size (width, height). Not thread-safe.

    libswscale has no fast code for scaling to RGB, but has for scaling to planes. So 4:2:0 is scaled to 4:2:2 planes,
    and those are converted: the very same arithmetic, with the scaled planes held as bytes between, in seven tenths
    of the time. Only where the filter overshoots what a byte holds does RGB differ; such frames go the whole way.
    """

    def __init__(self, info: VideoInfo, size: tuple[int, int], flags: str = "") -> None:
        """``flags`` are more arguments of libswscale, for another filter or arithmetic than ffmpeg's default."""
        self.size = size
        self._flags = flags
        self._info = info
        self._key: tuple[object, ...] = ()
        self._whole: _Chain | None = None
        self._planes: _Chain | None = None
        self._packed: _Chain | None = None
        self._overshooting = 0

    def convert(self, frame: VideoFrame) -> npt.NDArray[np.uint8]:
        """The score picture of ``frame`` as uint8 RGB (h, w, 3).

        Raises:
            DecodeError: libavfilter cannot convert it; its header lies about its colours, say.
        """
        import av

        try:
            return self._convert(frame)
        except av.FFmpegError as error:
            raise DecodeError(f"{shown(self._info.path)}: a picture cannot be converted: {error.strerror}") from error

    def _convert(self, frame: VideoFrame) -> npt.NDArray[np.uint8]:
        key = (frame.width, frame.height, frame.format.name)
        if key != self._key:
            # A stream may change its format half way; every picture still gets the take's size.
            self._key, self._whole, self._planes, self._packed = key, None, None, None
        scaled = self._by_planes(frame) if self._has_fast_planes(frame) else None
        if scaled is None:
            self._whole = self._whole or _Chain(frame, self._info.time_base, self._steps())
            scaled = self._whole(frame)
        if not self._info.color.is_hdr:
            return _interleaved(scaled, self.size, np.uint8)
        from bestshot_kernels.convert import tone_map

        wide = _interleaved(scaled, self.size, np.uint16)
        return tone_map(wide[None], self._info.color.transfer).reshape(wide.shape)

    def _has_fast_planes(self, frame: VideoFrame) -> bool:
        """Whether ``frame`` is of the common kind, scaled both ways; others take other paths in libswscale."""
        turned = self._info.rotation % 180 != 0
        width, height = (frame.height, frame.width) if turned else (frame.width, frame.height)
        common = frame.format.name in _PLANAR_420 and not self._flags and not self._info.color.is_hdr
        return common and width != self.size[0] and height != self.size[1]

    def _by_planes(self, frame: VideoFrame) -> VideoFrame | None:
        """``frame`` scaled as planes and then converted; None where that may lose what the filter overshot."""
        if self._overshooting:
            self._overshooting -= 1
            return None
        self._planes = self._planes or _Chain(frame, self._info.time_base, self._plane_steps())
        planes = self._planes(frame)
        if not _is_within(planes, full_range=self._info.color.full_range):
            self._overshooting = _ALIKE
            return None
        if self._packed is None:
            steps = [("scale", self._scale(_SAME_ARITHMETIC)), ("format", "pix_fmts=rgb24")]
            self._packed = _Chain(planes, self._info.time_base, steps)
        return self._packed(planes)

    def _steps(self) -> list[tuple[str, str]]:
        pixels = "rgb48le" if self._info.color.is_hdr else "rgb24"
        return [*self._upright(), ("scale", self._scale(self._flags)), ("format", f"pix_fmts={pixels}")]

    def _plane_steps(self) -> list[tuple[str, str]]:
        color = self._info.color
        kept = f":out_color_matrix={color.matrix}:out_range={'full' if color.full_range else 'limited'}"
        return [*self._upright(), ("scale", self._scale(_SAME_ARITHMETIC) + kept), ("format", "pix_fmts=yuv422p")]

    def _upright(self) -> list[tuple[str, str]]:
        # Unknown tags keep libswscale from refusing rare transfer values; tone mapping is done here.
        return [("setparams", "color_trc=unknown:color_primaries=unknown"), *_TURNS[self._info.rotation]]

    def _scale(self, flags: str) -> str:
        color, (width, height) = self._info.color, self.size
        scale = f"{width}:{height}{flags}"
        if color.matrix != "rgb":
            scale += f":in_color_matrix={color.matrix}:in_range={'full' if color.full_range else 'limited'}"
        return scale


def _is_within(planes: VideoFrame, *, full_range: bool) -> bool:
    """Whether RGB is the same as though the 8-bit 4:2:2 ``planes`` were not cut off at what a byte holds.

    It is where no sample is 0 or 255. In limited range these are 16 below black and 20 above white: with little colour
    such a pixel is black or white however far it went.
    """
    luma, *chroma = (
        np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)[:, : plane.width]
        for plane in planes.planes
    )
    if any(_reaches_an_end(plane) for plane in chroma):
        return False
    if not _reaches_an_end(luma):
        return True
    ends = (luma == 0) | (luma == _MOST)
    if full_range or np.count_nonzero(ends) > ends.size * _FEW:
        return False
    rows, columns = np.nonzero(ends)
    return all(abs(plane[rows, columns // 2].astype(int) - _GREY).max() <= _GREYISH for plane in chroma)


def _reaches_an_end(plane: npt.NDArray[np.uint8]) -> bool:
    return not plane.min() or plane.max() == _MOST


class ModelPicture:
    """Makes a model's square picture from the decoded frame, at the frame's own resolution. Not thread-safe.

    libswscale goes from the frame to the model's size in one step, with Pillow's filter (the bicubic one of
    a = -0.5, antialiased) and its exact arithmetic: on camera footage 97 % of the values and more are within 1 of
    what Pillow makes of the frame in RGB, in a fifth of the time.
    """

    def __init__(self, info: VideoInfo, view: ModelView) -> None:
        from bestshot_kernels.clip_resize import place

        width, height = info.display_size
        self._view = view
        self._place = place(height, width, view.size, view.framing)
        # The scaled picture of a thread of a frame would be thousands of pixels long: the kernel makes only its middle.
        self._is_thread = max(self._place.width, self._place.height) > _LONGEST * view.size
        size = info.display_size if self._is_thread else (self._place.width, self._place.height)
        self._scaled = ScorePicture(info, size, _EXACT)

    def convert(self, frame: VideoFrame) -> npt.NDArray[np.uint8]:
        """uint8 RGB (size, size, 3) of ``frame``.

        Raises:
            DecodeError: libavfilter cannot convert it.
        """
        from bestshot_kernels.clip_resize import clip_resize

        scaled = self._scaled.convert(frame)
        size = self._view.size
        if self._is_thread:
            square: npt.NDArray[np.uint8] = clip_resize(scaled[None], size, self._view.framing)[0]
            return square
        square = np.zeros((size, size, 3), np.uint8)
        square[self._place.covered(size)] = scaled[self._place.seen(size)]
        return square


def _interleaved(frame: VideoFrame, size: tuple[int, int], dtype: type[Sample]) -> npt.NDArray[Sample]:
    """A view of a packed RGB frame as (h, w, 3), without the padding of its lines."""
    width, height = size
    rows = np.frombuffer(memoryview(frame.planes[0]), dtype).reshape(height, -1)
    return rows[:, : width * 3].reshape(height, width, 3)
