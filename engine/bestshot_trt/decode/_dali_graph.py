"""The DALI pipeline: encoded segments in, the wanted pictures out at full size, on the card.

DALI gives 8-bit RGB by BT.601 whatever the stream's matrix; what makes pictures to measure of it is `_on_device`.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from ..gpu import Gpu
from ._segments import Segment

WAIT_S = 300.0
"""A batch that takes longer than this is given up: a decoder whose card died may never say so."""


class Graph:
    """One pipeline, with one batch on its way at most; after an error `start` builds another."""

    def __init__(self, gpu: Gpu, *, device: str, parallel: int) -> None:
        """``device`` is where DALI decodes, ``gpu`` or ``cpu``; pictures end up on ``gpu`` either way."""
        self._gpu, self._on_gpu, self._parallel = gpu, device == "gpu", parallel
        self._pipeline: Any = None
        self._segments: list[Segment] = []
        self._error: RuntimeError | MemoryError | None = None

    def start(self, segments: list[Segment]) -> None:
        """Begin to decode; an error, here or later, is raised by `finish`."""
        self._segments = segments
        encoded = [np.frombuffer(segment.data, np.uint8) for segment in segments]
        frames = [np.array([wanted.ordinal for wanted in segment.wanted], np.int32) for segment in segments]
        try:
            if self._pipeline is None:
                self._pipeline = self._build()
            self._pipeline.feed_input("encoded", encoded)
            self._pipeline.feed_input("frames", frames)
            self._pipeline.schedule_run()
        except (RuntimeError, MemoryError) as error:
            self._error = error

    def finish(self) -> list[Any]:
        """Pictures (n, h, w, 3) of each segment that was started, uint8 RGB on the card.

        They are ready once its stream has passed, and their memory is DALI's until they are let go of.

        Raises:
            RuntimeError: DALI failed on one of them, or gave another number of pictures than was asked for.
            MemoryError: there is no memory for them.
            BackendUnavailable: nothing came for `WAIT_S` seconds.
        """
        try:
            if self._error is not None:
                raise self._error
            (tensors,) = self._outputs()
            pictures = [self._array(tensors, index) for index in range(len(self._segments))]
            for segment, pixels in zip(self._segments, pictures, strict=True):
                if len(pixels) != len(segment.wanted):
                    raise RuntimeError(f"{len(pixels)} pictures came for {len(segment.wanted)} asked for")
            return pictures
        except (RuntimeError, MemoryError):
            self._pipeline = self._error = None
            raise

    def _outputs(self) -> Any:
        """What the pipeline gives, waited for on a thread that can be left behind."""
        pipeline, found = self._pipeline, list[Any]()

        def wait() -> None:
            try:
                found.append(pipeline.outputs(self._gpu.stream if self._on_gpu else None))
            except BaseException as error:
                found.append(error)

        waiting = threading.Thread(target=wait, name="dali", daemon=True)
        waiting.start()
        waiting.join(WAIT_S)
        if not found:
            raise self._gpu.lost(TimeoutError(f"DALI gave nothing for {WAIT_S:g} s"))
        if isinstance(found[0], BaseException):
            raise found[0]
        return found[0]

    def _array(self, tensors: Any, index: int) -> Any:
        with self._gpu.working():
            if self._on_gpu:
                import cupy

                # Not through __cuda_array_interface__, for which CuPy would wait for the stream.
                return cupy.from_dlpack(tensors[index])
            return self._gpu.upload(np.array(tensors.at(index)))

    def _build(self) -> Any:
        from nvidia.dali import fn, types
        from nvidia.dali.pipeline import Pipeline

        pipeline = Pipeline(
            batch_size=self._parallel,
            num_threads=self._parallel,
            device_id=self._gpu.index if self._on_gpu else None,
            # One batch on its way: two pipelines take turns, so that no batch has to wait for the next to be fed.
            prefetch_queue_depth=1,
        )
        with pipeline:
            encoded = fn.external_source(name="encoded", dtype=types.UINT8, ndim=1)
            frames = fn.external_source(name="frames", dtype=types.INT32, ndim=1)
            pipeline.set_outputs(fn.decoders.video(encoded, frames=frames, device="mixed" if self._on_gpu else "cpu"))
        pipeline.build()
        return pipeline
