"""Decoding with NVIDIA DALI: segments of a take, many at a time, on the engines of a GPU.

The graph is one for both devices. On the CPU DALI decodes VP9 and Motion JPEG only, which is how it is
tested; with ``device="gpu"`` nothing of this has run yet. What DALI is not given, or fails on, PyAV decodes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..config import AnalyzeConfig
from ..errors import BackendUnavailable, DecodeError
from ..frames import DecodeReport, FrameBatch, ModelView, VideoInfo, score_size
from ..plan import SampleGrid
from ..prefetch import prefetch
from ._dali_graph import Graph
from ._feeder import Feeder
from ._open import open_container, stream_of
from ._picture import ModelPicture, ScorePicture
from ._pyav import PyAVDecoder, finish, stretches
from ._segments import Limits, NotForSegments, Segment, Segmenter, Wanted, why_not_segments

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

BATCH_FRAMES = 16
"""Pictures handed on at a time, at most."""
_CPU_CODECS = ("vp9", "mjpeg")
_NVDEC_FORMATS = {
    "h264": ("yuv420p", "yuvj420p"),
    "hevc": ("yuv420p", "yuvj420p", "yuv420p10le"),
    "vp9": ("yuv420p", "yuvj420p"),
    "mjpeg": ("yuv420p", "yuvj420p"),
}
"""What every NVDEC since 2016 takes and DALI hands out; AV1 is not cut into segments yet."""


def why_not(info: VideoInfo, device: str = "gpu") -> str | None:
    """Why DALI cannot decode this take on ``device``, in words, or None where it may.

    Open groups, and more, are only found in the packets: `DaliDecoder` then goes on with PyAV.
    """
    reason = why_not_segments(info)
    if reason is not None:
        return reason
    if info.color.is_hdr:
        return f"{info.color.transfer.upper()} needs more than the 8 bits that DALI gives"
    if device == "cpu":
        return None if info.codec in _CPU_CODECS else f"DALI decodes no {info.codec} on the CPU"
    if info.pix_fmt not in _NVDEC_FORMATS[info.codec]:
        return f"not every NVDEC takes {info.codec} as {info.pix_fmt}"
    return None


@dataclass(frozen=True, slots=True)
class _Pictures:
    """Pictures on the device, and what they are: one for each wanted."""

    wanted: list[Wanted]
    pixels: Any
    views: Any

    def batches(self, grid: SampleGrid) -> Iterator[FrameBatch]:
        """One picture for each sample."""
        served = [(place, index) for place, wanted in enumerate(self.wanted) for index in wanted.samples]
        for begin in range(0, len(served), BATCH_FRAMES):
            part = served[begin : begin + BATCH_FRAMES]
            places = [place for place, _ in part]
            yield FrameBatch(
                self.pixels[places],
                np.array([grid.time(index) for _, index in part]),
                np.array([self.wanted[place].pts for place in places], np.int64),
                None if self.views is None else self.views[places],
            )


class DaliDecoder:
    """Decodes takes with DALI on ``device``, ``gpu`` or ``cpu``; pictures are CuPy or NumPy arrays.

    ``parallel`` segments are decoded at a time, as many as the card has NVDEC engines. The pictures that
    they give, at full size, take at most ``memory`` bytes; besides, DALI keeps its decoders' surfaces, and
    the host the packets of up to three such batches.

    Times and pts are those of `PyAVDecoder`, exactly. Pixels are not: DALI converts by BT.601 to 8 bits,
    which a matrix corrects but for what was cut off at 0 and 255, interpolates chroma where libswscale's
    default repeats it, and resizes with the bicubic filter of a = -0.5, not -0.6. On soft pictures of
    ordinary saturation score pictures differ by 3 of 255 on average, 12 for 99 % of values; a model's
    views, which PyAV's path makes with exact arithmetic, by 0.5 and 3.

    Raises:
        BackendUnavailable: DALI, or CuPy for the GPU, is not installed.
    """

    name = "dali"

    def __init__(self, device: str = "gpu", *, parallel: int = 4, memory: int = 1 << 30, device_id: int = 0) -> None:
        if device not in ("gpu", "cpu"):
            raise ValueError(f"device is {device!r}; it must be 'gpu' or 'cpu'")
        try:
            import nvidia.dali  # noqa: F401

            if device == "gpu":
                import cupy  # noqa: F401
        except ImportError as error:
            raise BackendUnavailable(f"decoding with DALI: {error}; pip install 'bestshot-trt[gpu]'") from error
        self._device, self._device_id = device, device_id
        self._parallel, self._memory = parallel, memory

    def batches(
        self, info: VideoInfo, config: AnalyzeConfig, report: DecodeReport, view: ModelView | None = None
    ) -> Iterator[FrameBatch]:
        """Score pictures of every sample of the take, in order, with their ``view`` for a model.

        ``report`` is filled in meanwhile; it says what DALI did not decode, and why.

        Raises:
            InputError: the file is gone or changed beyond reading.
        """
        grid = SampleGrid(config.fps, info.time_base, info.start_pts)
        size = score_size(info.display_size, config.score_height)
        graph = Graph(info, size, view, device=self._device, device_id=self._device_id, parallel=self._parallel)
        following, lost = 0, list[int]()
        reason = why_not(info, self._device)
        if reason is None:
            take = _Take(info, grid, report, graph, size, view)
            lost = take.lost
            try:
                with contextlib.closing(take.pictures(self._parallel, self._memory)) as found:
                    for pictures in found:
                        yield from pictures.batches(grid)
                        following = pictures.wanted[-1].samples.stop
                return
            except NotForSegments as refusal:
                reason = str(refusal)
        start = grid.time(following)
        report.notes.append(f"decoded on the CPU{f' from {start:.3f} s on' if following else ''}: {reason}")
        yield from _with_pyav(info, config, report, view, start, graph)
        report.lost[:0] = stretches([index for index in lost if index < following], grid, report.duration)


def _with_pyav(
    info: VideoInfo, config: AnalyzeConfig, report: DecodeReport, view: ModelView | None, start: float, graph: Graph
) -> Iterator[FrameBatch]:
    """The samples from ``start`` seconds on. The take is read again, since they may need what is before."""
    whole = DecodeReport()
    for batch in PyAVDecoder().batches(info, config, whole, view):
        late = batch.times >= start
        if late.any():
            views = None if batch.views is None else graph.on_device(batch.views[late])
            yield FrameBatch(graph.on_device(batch.pixels[late]), batch.times[late], batch.pts[late], views)
    report.packets, report.duration = whole.packets, whole.duration
    report.packets_fed += whole.packets_fed
    report.lost.extend(lost for lost in whole.lost if lost.start >= start)
    report.notes.extend(note for note in whole.notes if note not in report.notes)


class _Take:
    """One take on its way through DALI."""

    def __init__(
        self,
        info: VideoInfo,
        grid: SampleGrid,
        report: DecodeReport,
        graph: Graph,
        size: tuple[int, int],
        view: ModelView | None,
    ) -> None:
        self._info, self._grid, self._report, self._graph = info, grid, report, graph
        self._score = ScorePicture(info, size)
        self._model = ModelPicture(info, view) if view else None
        self._errors = 0
        self.lost: list[int] = []
        """Samples that nothing could decode."""

    def pictures(self, parallel: int, memory: int) -> Generator[_Pictures]:
        """The pictures of every segment, in order.

        Raises:
            NotForSegments: what follows the pictures given cannot be decoded in segments.
        """
        limits = Limits(decoded=min(Limits().decoded, memory))
        segmenter = Segmenter(self._info, self._grid, self._report, limits)
        batches = _in_batches(segmenter.segments(), parallel, memory)
        with contextlib.closing(prefetch(batches, 1)) as ready:
            for batch in ready:
                for segment, pictures in zip(batch, self._decode(batch, segmenter), strict=True):
                    arrived = {wanted.pts for wanted in pictures.wanted}
                    missing = (wanted for wanted in segment.wanted if wanted.pts not in arrived)
                    self.lost.extend(index for wanted in missing for index in wanted.samples)
                    if pictures.wanted:
                        yield pictures
        finish(self._report, self._info, self._grid, segmenter.end_pts, self.lost, self._errors)

    def _decode(self, batch: list[Segment], segmenter: Segmenter) -> Iterator[_Pictures]:
        sound = [segment for segment in batch if not segment.is_damaged]
        decoded: dict[int, tuple[Any, Any]] = {}
        try:
            if sound:
                decoded = {id(s): pictures for s, pictures in zip(sound, self._graph.decode(sound), strict=True)}
        except RuntimeError:
            # DALI does not say which of them it was: each on its own.
            for segment in sound:
                self._try_alone(segment, decoded)
        for segment in batch:
            if id(segment) in decoded:
                yield _Pictures(segment.wanted, *decoded[id(segment)])
            else:
                yield self._rescue(segment, segmenter)

    def _try_alone(self, segment: Segment, decoded: dict[int, tuple[Any, Any]]) -> None:
        try:
            decoded[id(segment)] = self._graph.decode([segment])[0]
        except RuntimeError as error:
            start = self._grid.time(segment.wanted[0].samples[0])
            self._report.notes.append(f"decoded on the CPU around {start:.3f} s: DALI: {_reason(error)}")

    def _rescue(self, segment: Segment, segmenter: Segmenter) -> _Pictures:
        """Decode one segment with every packet of its stretch in a libavcodec decoder of its own."""
        wanted = {each.pts: each for each in segment.wanted}
        found: list[tuple[Wanted, Any, Any]] = []
        with open_container(self._info.path) as container:
            context = stream_of(container, self._info.stream_index).codec_context
            context.thread_type = "AUTO"
            feeder = Feeder(context)
            feeder.feed(segmenter.primer)
            feeder.reset()
            for packet in [*segment.packets, None]:
                for frame in feeder.feed(packet):
                    if frame.pts in wanted and not frame.is_corrupt:
                        with contextlib.suppress(DecodeError):
                            found.append((wanted.pop(frame.pts), *self._convert(frame)))
            self._errors += feeder.errors
        found.sort(key=lambda item: item[0].ordinal)
        if not found:
            return _Pictures([], None, None)
        views = self._graph.on_device(np.stack([view for _, _, view in found])) if self._model else None
        return _Pictures([w for w, _, _ in found], self._graph.on_device(np.stack([p for _, p, _ in found])), views)

    def _convert(self, frame: VideoFrame) -> tuple[Any, Any]:
        # libavfilter may use a picture's memory again for the next one.
        return self._score.convert(frame).copy(), self._model.convert(frame) if self._model else None


def _in_batches(segments: Iterable[Segment], parallel: int, memory: int) -> Iterator[list[Segment]]:
    """As many segments as may be decoded together; those that are ready come before an error is raised."""
    batch: list[Segment] = []
    try:
        for segment in segments:
            is_full = len(batch) == parallel or sum(s.decoded for s in batch) + segment.decoded > memory
            if batch and is_full:
                yield batch
                batch = []
            batch.append(segment)
    except NotForSegments:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def _reason(error: Exception) -> str:
    """What DALI says went wrong, without its report of where."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if "encountered:" in lines[:-1]:
        return lines[lines.index("encountered:") + 1]
    return lines[0] if lines else type(error).__name__
