"""Frames of a take as evidence: what engines are compared with the fp32 graph on."""

from __future__ import annotations

from .decode import sample_views
from .embed.prove import FRAMES, Footage
from .frames import ModelView, VideoInfo
from .progress import Progress, silent


def footage(info: VideoInfo, size: int, framing: str, progress: Progress = silent) -> Footage:
    """Up to `FRAMES` frames from all over the take, each as a model of that ``size`` and ``framing`` wants it.

    Raises:
        DecodeError: no frame of it can be decoded.
    """
    pictures, times = sample_views(info, ModelView(size=size, framing=framing), FRAMES, progress)
    return Footage(pictures, times, max(info.duration_claim or 0.0, float(times[-1])))
