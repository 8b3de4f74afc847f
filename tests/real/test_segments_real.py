"""Real takes, damaged ones among them, analysed in stretches: the track of one pass, bit for bit."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from takes import CONCEALED

from bestshot_trt import analysis, errors
from bestshot_trt.batch.workers import segments
from bestshot_trt.batch.workers.messages import RangeTask
from bestshot_trt.config import AnalyzeConfig, Config
from bestshot_trt.progress import silent
from bestshot_trt.track import COLUMNS

pytestmark = pytest.mark.real
COUNTS = [int(count) for count in os.environ.get("BESTSHOT_RANGES", "3").split(",")]


def test_stretches_join_to_one_pass(recording: Path, tmp_path: Path) -> None:
    if recording.name in CONCEALED:
        pytest.skip("two passes over it differ")
    config = AnalyzeConfig(model="none", score_height=64)
    try:
        whole = analysis.analyze(recording, Config(analyze=config))
    except errors.BestshotError as error:
        with pytest.raises(type(error)) as caught:
            segments.whole(recording, config, tmp_path, silent)
        assert str(caught.value) == str(error)
        return
    for count in COUNTS:
        edges = sorted({len(whole) * part // count for part in range(count)})
        for start, stop in itertools.pairwise([*edges, segments.END]):
            parts = tmp_path / str(count)
            task = RangeTask(path=recording, config=Config(analyze=config), parts=parts, within=range(start, stop))
            segments.analyse(task, silent)
        found = segments.whole(recording, config, tmp_path / str(count), silent)
        assert found.meta == whole.meta
        for name in COLUMNS.values():
            assert np.asarray(getattr(found, name)).tobytes() == np.asarray(getattr(whole, name)).tobytes(), name
