"""The DALI pipeline: encoded segments in, upright score pictures and model views of the wanted frames out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..frames import ModelView, VideoInfo
from ._segments import Segment

_LUMA = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
    "smpte240m": (0.212, 0.087),
}
"""Weights of red and blue in luma (ITU-T H.273, table 4)."""


def _to_rgb(matrix: str) -> npt.NDArray[np.float64]:
    """(Y, Cb, Cr) to (R, G, B), with Cb and Cr in [-0.5, 0.5]."""
    red, blue = _LUMA[matrix]
    green = 1 - red - blue
    on_red, on_blue = 2 * (1 - red), 2 * (1 - blue)
    return np.array([[1, 0, on_red], [1, -blue * on_blue / green, -red * on_red / green], [1, on_blue, 0]])


def correction(matrix: str) -> npt.NDArray[np.float64] | None:
    """What turns RGB that was made with BT.601, as DALI's always is, into that of ``matrix``; (3, 3) or None.

    It cannot bring back what BT.601 cut off at 0 and 255.
    """
    if matrix == "bt601":
        return None
    product: npt.NDArray[np.float64] = _to_rgb(matrix) @ np.linalg.inv(_to_rgb("bt601"))
    return product


class Graph:
    """A pipeline for one take; after an error in it, `decode` builds another."""

    def __init__(
        self,
        info: VideoInfo,
        size: tuple[int, int],
        view: ModelView | None,
        *,
        device: str,
        device_id: int,
        parallel: int,
    ) -> None:
        self._info, self._size, self._view = info, size, view
        self._device, self._device_id, self._parallel = device, device_id, parallel
        self._pipeline: Any = None

    def decode(self, segments: list[Segment]) -> list[tuple[Any, Any]]:
        """(score pictures (n, h, w, 3), views (n, size, size, 3) or None) of each segment, uint8 RGB on the device.

        Raises:
            RuntimeError: DALI failed on one of them, or gave another number of pictures than was asked for.
        """
        try:
            if self._pipeline is None:
                self._pipeline = self._build()
            outputs = self._pipeline.run(
                encoded=[np.frombuffer(segment.data, np.uint8) for segment in segments],
                frames=[np.array([wanted.ordinal for wanted in segment.wanted], np.int32) for segment in segments],
            )
            pictures = [self._of_one(outputs, i) for i in range(len(segments))]
            for segment, (pixels, _) in zip(segments, pictures, strict=True):
                if len(pixels) != len(segment.wanted):
                    raise RuntimeError(f"{len(pixels)} pictures came for {len(segment.wanted)} asked for")
            return pictures
        except RuntimeError:
            self._pipeline = None
            raise

    def _of_one(self, outputs: Any, index: int) -> tuple[Any, Any]:
        pixels = self._array(outputs[0], index)
        return pixels, self._framed(self._array(outputs[1], index)) if self._view else None

    def _array(self, tensors: Any, index: int) -> Any:
        if self._device == "cpu":
            # A copy: the pipeline keeps its buffers.
            return np.array(tensors.at(index))
        import cupy

        return cupy.array(cupy.asarray(tensors[index]))

    def _framed(self, scaled: Any) -> Any:
        """The model's squares out of the scaled pictures, black where there are bars."""
        from bestshot_kernels.clip_resize import place

        assert self._view is not None
        size = self._view.size
        width, height = self._info.display_size
        placed = place(height, width, size, self._view.framing)
        square = self.on_device(np.zeros((len(scaled), size, size, 3), np.uint8))
        square[:, *placed.covered(size)] = scaled[:, *placed.seen(size)]
        return square

    def on_device(self, pixels: npt.NDArray[np.uint8]) -> Any:
        """``pixels`` where this graph's pictures are."""
        if self._device == "cpu":
            return pixels
        import cupy

        return cupy.asarray(pixels)

    def _build(self) -> Any:
        from nvidia.dali import fn, types
        from nvidia.dali.pipeline import Pipeline

        on_gpu = self._device == "gpu"
        pipeline = Pipeline(
            batch_size=self._parallel,
            num_threads=self._parallel,
            device_id=self._device_id if on_gpu else None,
            # Needed to give inputs to run().
            prefetch_queue_depth=1,
        )
        with pipeline:
            encoded = fn.external_source(name="encoded", dtype=types.UINT8, ndim=1)
            frames = fn.external_source(name="frames", dtype=types.INT32, ndim=1)
            video = fn.decoders.video(encoded, frames=frames, device="mixed" if on_gpu else "cpu")
            pipeline.set_outputs(*(self._upright(self._colored(self._scaled(video, size))) for size in self._sizes()))
        pipeline.build()
        return pipeline

    def _sizes(self) -> list[tuple[int, int]]:
        """(width, height) of every output, upright."""
        if self._view is None:
            return [self._size]
        from bestshot_kernels.clip_resize import place

        width, height = self._info.display_size
        placed = place(height, width, self._view.size, self._view.framing)
        return [self._size, (placed.width, placed.height)]

    def _scaled(self, video: Any, size: tuple[int, int]) -> Any:
        from nvidia.dali import fn, types

        width, height = size[::-1] if self._info.rotation % 180 else size
        if (width, height) == (self._info.width, self._info.height):
            return video
        return fn.resize(video, resize_x=width, resize_y=height, interp_type=types.INTERP_CUBIC, antialias=True)

    def _colored(self, video: Any) -> Any:
        from nvidia.dali import fn, types

        matrix = correction(self._info.color.matrix)
        if matrix is None:
            return video
        return fn.coord_transform(video, M=[float(value) for value in matrix.flat], dtype=types.UINT8)

    def _upright(self, video: Any) -> Any:
        from nvidia.dali import fn

        rotation = self._info.rotation
        if rotation == 180:
            return fn.flip(video, horizontal=1, vertical=1)
        if rotation:
            turned = fn.transpose(video, perm=[0, 2, 1, 3], transpose_layout=False, output_layout="FHWC")
            return fn.flip(turned, horizontal=int(rotation == 90), vertical=int(rotation == 270))
        return video
