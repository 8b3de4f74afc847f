"""Decoded frames as stills: whole pictures of what interlaced footage holds in two halves, at full resolution."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from ..errors import DecodeError, shown
from ..frames import VideoInfo
from ._picture import ScorePicture

if TYPE_CHECKING:
    from av.filter import Graph
    from av.video.frame import VideoFrame

_BEST = ":flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"


class StillPicture:
    """Converts frames of one take at its own resolution: upright, square pixels, 8-bit RGB, HDR tone-mapped."""

    def __init__(self, info: VideoInfo) -> None:
        self._picture = ScorePicture(info, info.display_size, _BEST)

    def convert(self, frame: VideoFrame) -> npt.NDArray[np.uint8]:
        """uint8 RGB (h, w, 3) of ``frame``, in `VideoInfo.display_size`; it stays valid.

        Raises:
            DecodeError: libavfilter cannot convert it.
        """
        return self._picture.convert(frame).copy()


def progressive(info: VideoInfo, frames: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
    """``frames`` as they are, or those of an interlaced take deinterlaced (bwdif, one for each), with their times.

    Raises:
        DecodeError: libavfilter cannot deinterlace them.
    """
    import av

    if not info.interlaced:
        yield from frames
        return
    graph: Graph | None = None
    shape: tuple[object, ...] = ()
    try:
        for frame in frames:
            now = (frame.width, frame.height, frame.format.name)
            if graph is None or now != shape:
                yield from _rest(graph)
                graph, shape = _deinterlacer(info, frame), now
            graph.push(frame)
            yield from _ready(graph)
        yield from _rest(graph)
    except av.FFmpegError as error:
        raise DecodeError(f"{shown(info.path)}: a picture cannot be deinterlaced: {error.strerror}") from error


def _deinterlacer(info: VideoInfo, frame: VideoFrame) -> Graph:
    import av.filter
    from av.video.format import VideoFormat

    graph = av.filter.Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=VideoFormat(frame.format.name), time_base=info.time_base
    )
    graph.link_nodes(source, graph.add("bwdif", "mode=send_frame:deint=all"), graph.add("buffersink")).configure()
    return graph


def _ready(graph: Graph) -> Iterator[VideoFrame]:
    import av

    while True:
        try:
            yield cast("VideoFrame", graph.pull())
        except (av.BlockingIOError, av.EOFError):
            return


def _rest(graph: Graph | None) -> Iterator[VideoFrame]:
    if graph is not None:
        graph.push(None)
        yield from _ready(graph)
