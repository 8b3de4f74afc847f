"""What a CLIP model sees of real footage, against Pillow on the whole frame."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bestshot_kernels.clip_resize import clip_resize
from bestshot_trt.config import AnalyzeConfig
from bestshot_trt.decode import PyAVDecoder, ScorePicture, probe
from bestshot_trt.decode._pyav import sampled_frames
from bestshot_trt.frames import DecodeReport, ModelView
from bestshot_trt.plan import SampleGrid

ACCURATE = ":flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
FOOTAGE = [
    "night_sky_1080p.mp4",
    "phone_dog_1080p_vfr.mp4",
    "puppies_720p_30s.mp4",
    "gopro_karma_drone.mp4",
    "phone_portrait_rot90.mp4",
]


@pytest.mark.real
@pytest.mark.parametrize("name", FOOTAGE)
def test_the_view_is_pillows_of_the_whole_frame(media, name):
    info = probe(media / "fixtures" / name)
    grid = SampleGrid(1.0, info.time_base, info.start_pts)
    whole = ScorePicture(info, info.display_size, ACCURATE)
    frames = itertools.islice(sampled_frames(info, grid, DecodeReport()), 4)
    wanted = np.concatenate([clip_resize(whole.convert(sampled.frame)[None]) for sampled in frames])
    batch = next(
        PyAVDecoder().batches(info, AnalyzeConfig(fps=1.0), DecodeReport(), ModelView(size=224, framing="crop"))
    )
    difference = np.abs(batch.views.astype(int) - wanted[: len(batch)])
    assert difference.mean() < 0.35
    assert (difference <= 1).mean() > 0.97
