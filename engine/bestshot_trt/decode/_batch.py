"""Decoded frames to batches of pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..frames import FrameBatch, ModelView, VideoInfo
from ._picture import ModelPicture, ScorePicture

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

BATCH_FRAMES = 4


class Pictures:
    """Collects converted pictures until they are a batch; the buffers are used again for the next one."""

    def __init__(self, info: VideoInfo, size: tuple[int, int], view: ModelView | None) -> None:
        self._score = ScorePicture(info, size)
        self._model = ModelPicture(info, view) if view else None
        self._pixels = np.empty((BATCH_FRAMES, size[1], size[0], 3), np.uint8)
        self._views = np.empty((BATCH_FRAMES, view.size, view.size, 3), np.uint8) if view else None
        self._picture = self._pixels[0]
        self._view: npt.NDArray[np.uint8] | None = None
        self._times: list[float] = []
        self._pts: list[int] = []

    def __len__(self) -> int:
        return len(self._times)

    def convert(self, frame: VideoFrame) -> None:
        """Make the pictures of ``frame``, for the samples to come.

        Raises:
            DecodeError: it cannot be converted.
        """
        self._picture = self._score.convert(frame)
        self._view = self._model.convert(frame) if self._model else None

    def add(self, time: float, pts: int) -> bool:
        """One sample of the frame converted last; returns whether the batch is full."""
        index = len(self._times)
        self._pixels[index] = self._picture
        if self._views is not None and self._view is not None:
            self._views[index] = self._view
        self._times.append(time)
        self._pts.append(pts)
        return len(self._times) == BATCH_FRAMES

    def batch(self) -> FrameBatch:
        """What was added since the last batch."""
        count = len(self._times)
        times, pts = np.array(self._times), np.array(self._pts, np.int64)
        self._times, self._pts = [], []
        views = None if self._views is None else self._views[:count]
        return FrameBatch(self._pixels[:count], times, pts, views)
