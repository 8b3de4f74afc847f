"""Decoding with NVIDIA DALI: segments of a take, many at a time, on the engines of a GPU.

DALI decodes VP9 and Motion JPEG on the CPU too, which is how it is tested; with ``device="gpu"`` nothing of this has
run yet. What DALI is not given, or fails on, PyAV decodes; pictures end up on the card either way.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections import deque
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..config import AnalyzeConfig
from ..errors import BackendUnavailable, DecodeError
from ..frames import DecodeReport, FrameBatch, ModelView, VideoInfo, score_size
from ..gpu import Gpu
from ..plan import SampleGrid
from ..prefetch import prefetch
from ._dali_batches import Bounds, by_turns, in_batches, sound_of
from ._dali_graph import Graph
from ._dali_takes import why_not
from ._feeder import Feeder
from ._on_device import Decoded, OnDevice
from ._open import open_container, stream_of
from ._picture import ModelPicture, ScorePicture
from ._pyav import PyAVDecoder
from ._remux import NotForSegments
from ._report import finish, stretches
from ._section import WHOLE, overlap
from ._segments import Limits, Segment, Segmenter, Wanted
from ._witness import made_full_range

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

GRAPHS = 2
"""Pipelines that take turns, so that the engines have work while one's pictures are taken over."""
BATCH_BYTES = 1 << 30
"""Full-size pictures of one batch, at most; a twelfth of the free memory where that is less."""
_SHARE = 12


class DaliDecoder:
    """Decodes takes with DALI on ``device``, ``gpu`` or ``cpu``; pictures are CuPy arrays on ``gpu``.

    As many segments are decoded at a time as the card has NVDEC engines, in two batches by turns. What is bounded in
    bytes is their pictures at full size; besides, DALI keeps its decoders' surfaces, and the host the packets of up to
    three batches.

    Times and pts are those of `PyAVDecoder`, exactly. Score pictures are libswscale's of planes that are won back from
    DALI's RGB, near exact where no channel was cut off; model's views are Pillow's of that RGB.

    Raises:
        BackendUnavailable: DALI is not installed.
    """

    name = "dali"

    def __init__(
        self, gpu: Gpu, device: str = "gpu", *, parallel: int | None = None, memory: int | None = None
    ) -> None:
        """``parallel`` and ``memory``, bytes of a batch's pictures, are what suits the card where they are None."""
        if device not in ("gpu", "cpu"):
            raise ValueError(f"device is {device!r}; it must be 'gpu' or 'cpu'")
        try:
            import nvidia.dali  # noqa: F401
        except ImportError as error:
            raise BackendUnavailable(f"decoding with DALI: {error}; pip install 'bestshot-trt[gpu]'") from error
        self._gpu, self._device = gpu, device
        self._parallel, self._memory = parallel, memory
        self._within = WHOLE

    def between(self, within: range) -> DaliDecoder:
        """A decoder that gives only the samples whose indices are in ``within``, the same as in a whole pass.

        The take is read from its start and cut into the same segments. Those of the stretch are decoded, and the very
        first one, whose picture is compared with libavcodec's. The report's duration is that of what was seen.
        """
        decoder = copy.copy(self)
        decoder._within = within
        return decoder

    def batches(
        self, info: VideoInfo, config: AnalyzeConfig, report: DecodeReport, view: ModelView | None = None
    ) -> Iterator[FrameBatch]:
        """Score pictures of every sample of the take, in order, with their ``view`` for a model.

        ``report`` is filled in meanwhile; it says what DALI did not decode, and why.

        Raises:
            InputError: the file is gone or changed beyond reading.
            BackendUnavailable: the card is gone.
        """
        grid = SampleGrid(config.fps, info.time_base, info.start_pts)
        size = score_size(info.display_size, config.score_height)
        given, following, lost = 0, 0, list[int]()
        reason = why_not(info, self._device, self._gpu)
        with contextlib.closing(OnDevice(self._gpu, info, size, view)) as pictures:
            if reason is None:
                take = _Take(info, grid, report, self._gpu, size, view, self._within)
                lost = take.lost
                try:
                    with contextlib.closing(take.decoded(self._device, self._bounds())) as found:
                        for decoded in found:
                            yield from pictures.batches(decoded, grid)
                            given = decoded.wanted[-1].samples.stop
                    return
                except NotForSegments as refusal:
                    reason, following = str(refusal), max(given, refusal.following)
            since = f" from {grid.time(following):.3f} s on" if following else ""
            report.notes.append(f"decoded on the CPU{since}: {reason}")
            within = range(max(following, self._within.start), self._within.stop)
            yield from _with_pyav(pictures, info, config, report, view, within)
        report.lost[:0] = stretches([index for index in lost if index < following], grid, report.duration)

    def _bounds(self) -> Bounds:
        memory = self._memory or min(BATCH_BYTES, self._gpu.free_bytes() // _SHARE)
        return Bounds(self._parallel or self._gpu.decoders, memory)


def _with_pyav(
    pictures: OnDevice,
    info: VideoInfo,
    config: AnalyzeConfig,
    report: DecodeReport,
    view: ModelView | None,
    within: range,
) -> Iterator[FrameBatch]:
    """The samples in ``within``. The take is read again, since they may need what is before."""
    own = DecodeReport()
    for batch in PyAVDecoder(within).batches(info, config, own, view):
        report.damaged |= own.damaged
        yield from pictures.uploaded(batch)
    report.damaged |= own.damaged
    report.packets, report.duration = own.packets, own.duration
    report.packets_fed += own.packets_fed
    report.lost.extend(own.lost)
    report.notes.extend(note for note in own.notes if note not in report.notes)


class _Take:
    """One take on its way through DALI."""

    def __init__(
        self,
        info: VideoInfo,
        grid: SampleGrid,
        report: DecodeReport,
        gpu: Gpu,
        size: tuple[int, int],
        view: ModelView | None,
        within: range,
    ) -> None:
        self._info, self._grid, self._report, self._gpu, self._within = info, grid, report, gpu, within
        self._score = ScorePicture(info, size)
        self._model = ModelPicture(info, view) if view else None
        self._errors = 0
        self._full_range: bool | None = None
        self._is_complete = False
        self.lost: list[int] = []
        """Samples that nothing could decode."""

    def decoded(self, device: str, bounds: Bounds) -> Generator[Decoded]:
        """The pictures of every segment in the section, in order.

        Raises:
            NotForSegments: what follows the pictures given cannot be decoded in segments.
            BackendUnavailable: the card is gone.
        """
        limits = Limits(decoded=min(Limits().decoded, bounds.memory))
        segmenter = Segmenter(self._info, self._grid, self._report, limits)
        graphs = deque(Graph(self._gpu, device=device, parallel=bounds.parallel) for _ in range(GRAPHS))
        with contextlib.closing(prefetch(in_batches(self._needed(segmenter), bounds), 1)) as ready:
            for batch, graph in by_turns(ready, graphs):
                for segment, decoded in zip(batch, self._taken_over(batch, graph, segmenter, bounds), strict=True):
                    self._account(segment, decoded)
                    part = decoded.within(self._within)
                    if part.wanted:
                        yield part
        info = dataclasses.replace(self._info, duration_claim=None) if self._is_complete else self._info
        finish(self._report, info, self._grid, segmenter.end_pts, self.lost, self._errors)

    def _needed(self, segmenter: Segmenter) -> Generator[Segment]:
        """The segments that hold samples of the section, and before them the take's first, which tells its range."""
        with contextlib.closing(segmenter.segments()) as segments:
            for place, segment in enumerate(segments):
                if not place or overlap(segment.samples, self._within):
                    yield segment
                self._is_complete = segment.samples.stop >= self._within.stop
                if self._is_complete:
                    return

    def _account(self, segment: Segment, decoded: Decoded) -> None:
        """Enter what is missing of a segment, and whether the section still is what it would be in a whole pass."""
        arrived = {wanted.pts for wanted in decoded.wanted}
        missing = (wanted for wanted in segment.wanted if wanted.pts not in arrived)
        self.lost.extend(index for wanted in missing for index in overlap(wanted.samples, self._within))
        # Where DALI does not decode the take's first segment, a whole pass learns of its range from a later one.
        is_unknown = self._full_range is None and self._within.start > 0
        self._report.damaged |= bool(self.lost or self._errors) or is_unknown

    def _taken_over(
        self, batch: list[Segment], graph: Graph, segmenter: Segmenter, bounds: Bounds
    ) -> Iterator[Decoded]:
        sound = sound_of(batch)
        found: dict[int, Any] = {}
        try:
            if sound:
                found = {id(s): pictures for s, pictures in zip(sound, graph.finish(), strict=True)}
        except (RuntimeError, MemoryError) as error:
            if isinstance(error, MemoryError):
                bounds.memory //= 2
            # DALI does not say which of them it was: each on its own.
            for segment in sound:
                self._try_alone(segment, graph, found)
        for segment in batch:
            if id(segment) in found:
                pictures = found.pop(id(segment))
                yield Decoded(segment.wanted, pictures, self._made_full_range(segment, pictures, segmenter))
            else:
                yield self._rescue(segment, segmenter)

    def _made_full_range(self, segment: Segment, pictures: Any, segmenter: Segmenter) -> bool:
        """Found out once a take: all of its segments are tagged alike."""
        if self._full_range is None:
            with self._gpu.working():
                self._full_range = made_full_range(self._info, segment, pictures, segmenter.primer)
        return self._full_range

    def _try_alone(self, segment: Segment, graph: Graph, found: dict[int, Any]) -> None:
        """Decode one segment that was in a batch that failed, unless the card itself is gone."""
        self._gpu.check()
        self._gpu.relieve()
        graph.start([segment])
        try:
            found[id(segment)] = graph.finish()[0]
        except (RuntimeError, MemoryError) as error:
            self._gpu.check()
            start = self._grid.time(segment.wanted[0].samples[0])
            self._report.notes.append(f"decoded on the CPU around {start:.3f} s: DALI: {_reason(error)}")

    def _rescue(self, segment: Segment, segmenter: Segmenter) -> Decoded:
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
            return Decoded([])
        views = np.stack([view for _, _, view in found]) if self._model else None
        return Decoded([w for w, _, _ in found], pixels=np.stack([p for _, p, _ in found]), views=views)

    def _convert(self, frame: VideoFrame) -> tuple[Any, Any]:
        # libavfilter may use a picture's memory again for the next one.
        return self._score.convert(frame).copy(), self._model.convert(frame) if self._model else None


def _reason(error: Exception) -> str:
    """What DALI says went wrong, without its report of where."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if "encountered:" in lines[:-1]:
        return lines[lines.index("encountered:") + 1]
    return lines[0] if lines else type(error).__name__
