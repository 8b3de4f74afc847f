"""A model's pictures of frames from all over a take, for comparing models on it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..config import AnalyzeConfig
from ..errors import DecodeError, shown
from ..frames import DecodeReport, ModelView, VideoInfo
from ..progress import Progress, silent
from ._pyav import PyAVDecoder


def sample_views(
    info: VideoInfo, view: ModelView, count: int, progress: Progress = silent
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """Up to ``count`` frames, evenly spaced, decoded on the CPU.

    Returns:
        uint8 RGB (n, size, size, 3) and their sampling times float64 (n,) in seconds of media time, n at least 1.

    Raises:
        DecodeError: no frame can be decoded.
    """
    duration = max(1.0, info.duration_claim or count)
    config = AnalyzeConfig(fps=min(AnalyzeConfig.fps, count / duration))
    views: list[npt.NDArray[np.uint8]] = []
    times: list[float] = []
    for batch in PyAVDecoder().batches(info, config, DecodeReport(), view):
        assert batch.views is not None
        views += [picture.copy() for picture in batch.views]
        times += [float(time) for time in batch.times]
        progress("read frames", times[-1], info.duration_claim)
        if len(views) >= count:
            break
    if not views:
        raise DecodeError(f"{shown(info.path)}: none of its pictures can be decoded; give another take")
    return np.stack(views[:count]), np.array(times[:count])
