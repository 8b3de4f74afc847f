"""An analysis in stretches, broken off and gone on with, joins to the track that one pass gives."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import pytest

from bestshot_trt import analysis
from bestshot_trt.batch.workers import segments
from bestshot_trt.batch.workers.messages import RangeTask
from bestshot_trt.config import AnalyzeConfig, Config
from bestshot_trt.decode import probe
from bestshot_trt.decode._pyav import sampled_frames
from bestshot_trt.frames import DecodeReport
from bestshot_trt.plan import SampleGrid
from bestshot_trt.progress import silent

FPS = 8.0


@pytest.fixture(params=["none", "clip model"])
def config(request: pytest.FixtureRequest, tiny_model: Any) -> AnalyzeConfig:
    return AnalyzeConfig(fps=FPS, model="none" if request.param == "none" else str(tiny_model.path))


@pytest.fixture
def take(clip: Any) -> Path:
    return clip("-c:v libx264 -preset veryfast -bf 3 -g 25", seconds=9)  # type: ignore[no-any-return]


@pytest.fixture
def damaged(take: Path, tmp_path: Path) -> Path:
    data = bytearray(take.read_bytes())
    middle = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2
    data[middle : middle + 600] = bytes(600)
    (tmp_path / "damaged.mp4").write_bytes(data)
    return tmp_path / "damaged.mp4"


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_ranges_join_to_one_pass(take: Path, config: AnalyzeConfig, tmp_path: Path, count: int, made: Any) -> None:
    whole = analysis.analyze(take, Config(analyze=config))
    # Each begins where a batch of the embedder does, as the supervisor cuts them.
    edges = [len(whole) * part // count // 8 * 8 for part in range(count)] + [segments.END]
    for start, stop in reversed(list(itertools.pairwise(edges))):
        task = RangeTask(path=take, config=Config(analyze=config), parts=tmp_path / "parts", within=range(start, stop))
        segments.analyse(task, silent)
    (kind,) = (tmp_path / "parts").iterdir()
    assert segments.missing(kind, range(segments.END)) == []
    made.assert_same(segments.whole(take, config, tmp_path / "parts", silent), whole)


def test_what_was_broken_off_goes_on_from_its_last_part(
    take: Path, config: AnalyzeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Any
) -> None:
    monkeypatch.setattr(segments, "SEGMENT_S", 1.0)
    whole = analysis.analyze(take, Config(analyze=config))
    found, begun = made.broken_off(take, config, tmp_path / "parts", 3.6, 6.1)
    # Of what had been done, less than one segment was done again.
    assert begun >= 5.0
    made.assert_same(found, whole)


def test_ranges_beyond_the_end_do_no_harm(take: Path, config: AnalyzeConfig, tmp_path: Path, made: Any) -> None:
    whole = analysis.analyze(take, Config(analyze=config))
    for start, stop in ((0, 64), (64, 96), (96, 128), (128, segments.END)):
        task = RangeTask(path=take, config=Config(analyze=config), parts=tmp_path, within=range(start, stop))
        segments.analyse(task, silent)
    made.assert_same(segments.whole(take, config, tmp_path, silent), whole)


def test_a_damaged_take_comes_out_as_in_one_pass(
    damaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Any
) -> None:
    config = AnalyzeConfig(fps=FPS, model="none")
    whole = analysis.analyze(damaged, Config(analyze=config))
    assert whole.meta.decode.notes
    monkeypatch.setattr(segments, "SEGMENT_S", 1.0)
    task = RangeTask(path=damaged, config=Config(analyze=config), parts=tmp_path / "parts", within=range(24, 48))
    segments.analyse(task, silent)
    made.assert_same(segments.whole(damaged, config, tmp_path / "parts", silent), whole)


def test_damage_is_told_before_any_picture_that_it_has_touched(take: Path, damaged: Path, clips: Any) -> None:
    sound = clips.sample(probe(take), FPS).samples
    info, report = probe(damaged), DecodeReport()
    touched = 0
    for sampled in sampled_frames(info, SampleGrid(FPS, info.time_base, info.start_pts), report):
        if (sampled.pts, clips.digest(sampled.frame)) not in sound.values():
            touched += 1
            assert report.damaged
    assert touched


def test_parts_of_another_decoder_are_not_asked_for(
    take: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Any
) -> None:
    """A decoder that cannot begin amid a take analyses it in one pass."""
    config = AnalyzeConfig(fps=FPS, model="none")
    whole = analysis.analyze(take, Config(analyze=config))

    class Other:
        name = "other"

        def __init__(self, decoder: Any) -> None:
            self.batches = decoder.batches

    opened = analysis.open_backend

    def other(*arguments: Any) -> Any:
        backend = opened(*arguments)
        return dataclasses.replace(backend, decoder=Other(backend.decoder))

    monkeypatch.setattr(analysis, "open_backend", other)
    made.assert_same(segments.whole(take, config, tmp_path / "parts", silent), whole)
