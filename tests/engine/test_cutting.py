"""All clips of a take, several at a time, with a reel: what is in the folder afterwards."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path

import pytest
from takes import Take, make, read

import bestshot_trt as bt
from bestshot_trt import pipeline
from bestshot_trt.errors import ExportError

FAST = bt.Config(
    analyze=bt.AnalyzeConfig(score_height=48, model="none"),
    pick=bt.PickConfig(top=2, pre=0.2, post=0.3, min_gap=0.8, window=0.2, diversity=0.0),
    export=bt.ExportConfig(effort="fastest", cut_lists=False),
)


def exporting(**settings: object) -> bt.Config:
    return dataclasses.replace(FAST, export=dataclasses.replace(FAST.export, **settings))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cutting")
    source = make(folder / "take.mp4", Take(ticks=range(100), options={"g": "10"}))
    pipeline.run(source, FAST, folder / "one")
    return folder


def test_clips_cut_at_the_same_time_are_those_cut_in_turn(done: Path) -> None:
    document = pipeline.export(done / "one" / "moments.json", done / "both", exporting(jobs=2, reel=True))
    assert [moment.rank for moment in document.moments] == [1, 2]
    assert document.encoder is not None
    assert document.encoder.startswith("libx264")
    for moment in document.moments:
        assert moment.clip is not None
        first, second = (read(done / folder / moment.clip) for folder in ("one", "both"))
        assert (first.numbers, first.times) == (second.numbers, second.times)
    by_time = sorted(document.moments, key=lambda moment: moment.start_s)
    joined = [number for moment in by_time for number in read(done / "one" / str(moment.clip)).numbers]
    assert document.reel == "reel.mp4"
    assert read(done / "both" / "reel.mp4").numbers == joined


def test_an_export_of_another_kind_leaves_nothing_of_the_last(done: Path) -> None:
    folder = done / "changing"
    pipeline.export(done / "one" / "moments.json", folder, exporting(reel=True, container="mkv"))
    assert (folder / "reel.mkv").exists()
    again = pipeline.export(folder / "moments.json", config=exporting(copy=True), overwrite=True)
    assert sorted(path.suffix for path in (folder / "clips").iterdir()) == [".mp4"] * 2
    assert not list(folder.glob("reel.*"))
    assert again.encoder == "copy"
    for moment in again.moments:
        assert moment.clip_start_s is not None
        assert moment.clip_end_s is not None
        assert moment.start_s - 0.4 < moment.clip_start_s <= moment.start_s + 1e-6
        assert moment.clip_end_s > moment.end_s - 0.001


def test_one_clip_that_fails_leaves_the_finished_ones(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export = importlib.import_module("bestshot_trt.export")
    real = export.write_clip

    def failing(info, start, end, path, *rest):
        if path.name.startswith("02"):
            raise ExportError(f"{path}: no space left on the disk")
        return real(info, start, end, path, *rest)

    monkeypatch.setattr(export, "write_clip", failing)
    with pytest.raises(ExportError, match="no space left"):
        pipeline.export(done / "one" / "moments.json", done / "failed", exporting(jobs=2))
    left = sorted(path.name[:2] for path in (done / "failed" / "clips").iterdir())
    assert "01" in left
    assert "02" not in left


def test_an_encoder_that_does_not_work_is_told_before_the_analysis(
    done: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from bestshot_trt.export import encoders

    monkeypatch.setattr(encoders, "_proof", lambda name, pix_fmt: "no such device")
    with pytest.raises(ExportError, match="h264_nvenc does not work here: no such device"):
        pipeline.run(done / "take.mp4", exporting(encoder="nvenc"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_encoder_is_proven_once_in_a_run(done: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from bestshot_trt.export import encoders

    proven = []

    def prove(name: str, pix_fmt: str) -> str | None:
        proven.append(name)
        return real(name, pix_fmt)

    real = encoders.prove_encoder
    monkeypatch.setattr(encoders, "prove_encoder", prove)
    encoders._proof.cache_clear()
    pipeline.run(done / "take.mp4", exporting(encoder="software"), tmp_path / "out")
    assert proven == ["libx264"]
    with pytest.raises(bt.InputError, match="no such file"):
        pipeline.run(tmp_path / "gone.mp4", exporting(codec="av1", encoder="software"), tmp_path / "out")
