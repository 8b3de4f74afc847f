"""From a decoder's full-size RGB, or PyAV's pictures, to batches on the card."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BackendUnavailable
from ..frames import FrameBatch, ModelView, VideoInfo
from ..gpu import Gpu
from ..plan import SampleGrid
from ._section import overlap
from ._segments import Wanted

BATCH_FRAMES = 16
"""Pictures handed on at a time, at most."""
HELD = 2
"""Segments whose pictures wait for the kernels that read them, at most."""
MADE_WITH = "bt601"
"""The matrix by which DALI makes RGB of every stream."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Pictures of one segment and which they are, one for each wanted."""

    wanted: list[Wanted]
    full: Any = None
    """uint8 RGB (n, h, w, 3) on the card, as DALI made it: full size, not yet upright."""
    full_range: bool = False
    """Whether it was made as of full range."""
    pixels: npt.NDArray[np.uint8] | None = None
    """Where PyAV decoded: score pictures (n, h, w, 3) on the host,"""
    views: npt.NDArray[np.uint8] | None = None
    """and a model's, (n, size, size, 3)."""

    def within(self, samples: range) -> Decoded:
        """What of it serves these ``samples``; nothing may be wanted of it then."""
        served = [(place, overlap(each.samples, samples)) for place, each in enumerate(self.wanted)]
        kept = [place for place, some in served if some]
        part = slice(kept[0], kept[-1] + 1) if kept else slice(0)
        wanted = [Wanted(each.ordinal, each.pts, overlap(each.samples, samples)) for each in self.wanted[part]]
        pictures = (self.full, self.pixels, self.views)
        full, pixels, views = (None if some is None else some[part] for some in pictures)
        return Decoded(wanted, full, self.full_range, pixels, views)


class OnDevice:
    """Makes score pictures and a model's views of one take on the card."""

    def __init__(self, gpu: Gpu, info: VideoInfo, size: tuple[int, int], view: ModelView | None) -> None:
        self._gpu, self._info, self._size, self._view = gpu, info, size, view
        self._held: list[tuple[Any, Any]] = []
        self._most = BATCH_FRAMES

    def batches(self, decoded: Decoded, grid: SampleGrid) -> Iterator[FrameBatch]:
        """One picture for each sample, in order. What is not given yet is made when the next is asked for.

        Raises:
            BackendUnavailable: the card is gone, or has not the memory for one picture.
        """
        begin = 0
        while begin < len(decoded.wanted):
            wanted = decoded.wanted[begin : begin + self._most]
            try:
                with self._gpu.working():
                    pixels, views = self._made(decoded, slice(begin, begin + self._most))
            except MemoryError as error:
                self._fewer(error)
                continue
            yield from self._sampled(wanted, pixels, views, grid)
            begin += len(wanted)
        self._hold(decoded.full)

    def uploaded(self, batch: FrameBatch) -> Iterator[FrameBatch]:
        """Pictures on the host as ones on the card.

        Raises:
            BackendUnavailable: the card is gone, or has not the memory for one picture.
        """
        begin = 0
        while begin < len(batch):
            part = batch.part(slice(begin, begin + self._most))
            try:
                with self._gpu.working():
                    views = None if part.views is None else self._gpu.upload(part.views)
                    pixels = self._gpu.upload(part.pixels)
            except MemoryError as error:
                self._fewer(error)
                continue
            yield FrameBatch(pixels, part.times, part.pts, views)
            begin += len(part)

    def _fewer(self, error: MemoryError) -> None:
        """Make half as many pictures at a time from here on."""
        if self._most == 1:
            raise BackendUnavailable(
                f"{self._gpu}: not enough memory for a single picture ({error}); "
                "end other programs that use it, or use --backend cpu"
            ) from error
        self._most //= 2
        self._let_go(0)
        self._gpu.relieve()

    def _made(self, decoded: Decoded, part: slice) -> tuple[Any, Any]:
        if decoded.full is None:
            assert decoded.pixels is not None
            views = None if decoded.views is None else self._gpu.upload(decoded.views[part])
            return self._gpu.upload(decoded.pixels[part]), views
        from bestshot_kernels.clip_resize.cuda import clip_resize
        from bestshot_kernels.convert.cuda import recode
        from bestshot_kernels.convert.ycbcr import Made
        from bestshot_kernels.score_resize.cuda import score_resize

        full, color, turn = decoded.full[part], self._info.color, self._info.rotation
        made = decoded.full_range
        pixels = score_resize(full, self._size, color.matrix, color.full_range, rotation=turn, made_full_range=made)
        if self._view is None:
            return pixels, None
        upright = recode(full, Made(MADE_WITH, made), Made(color.matrix, color.full_range), rotation=turn)
        width, height = self._info.display_size
        return pixels, clip_resize(upright, self._view.size, self._view.framing, display=(height, width))

    def _sampled(self, wanted: list[Wanted], pixels: Any, views: Any, grid: SampleGrid) -> Iterator[FrameBatch]:
        served = [(place, index) for place, each in enumerate(wanted) for index in each.samples]
        for begin in range(0, len(served), BATCH_FRAMES):
            part = served[begin : begin + BATCH_FRAMES]
            places = [place for place, _ in part]
            with self._gpu.working():
                of_samples = self._taken(pixels, places)
                views_of_samples = None if views is None else self._taken(views, places)
            yield FrameBatch(
                of_samples,
                np.array([grid.time(index) for _, index in part]),
                np.array([wanted[place].pts for place in places], np.int64),
                views_of_samples,
            )

    @staticmethod
    def _taken(pictures: Any, places: list[int]) -> Any:
        """The pictures at ``places``, which rise; a picture that serves several samples comes as often."""
        if places[-1] - places[0] == len(places) - 1 and len(set(places)) == len(places):
            return pictures[places[0] : places[-1] + 1]
        import cupy

        return cupy.concatenate([pictures[place : place + 1] for place in places])

    def _hold(self, full: Any) -> None:
        """Keep DALI's memory until what was queued on it has run."""
        if full is not None:
            import cupy

            with self._gpu.working():
                self._held.append((self._gpu.stream.record(cupy.cuda.Event(block=True, disable_timing=True)), full))
            self._let_go(HELD)

    def _let_go(self, most: int) -> None:
        """Wait until at most ``most`` segments are held."""
        while len(self._held) > most:
            with self._gpu.working():
                self._held.pop(0)[0].synchronize()

    def close(self) -> None:
        """Let go of all memory of DALI's."""
        self._let_go(0)
