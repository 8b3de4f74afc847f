"""The pictures of the contact sheet, which come from the decoding of the clips where those are encoded."""

from __future__ import annotations

import dataclasses
import importlib
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from takes import UNEVEN, Take, make

import bestshot_trt as bt
from bestshot_trt import pipeline, sheet
from bestshot_trt.results import CONTACT_SHEET

FAST = bt.Config(
    analyze=bt.AnalyzeConfig(score_height=48, model="none"),
    pick=bt.PickConfig(top=2, pre=0.7, post=0.7, min_gap=0.8, window=0.2, diversity=0.0),
    export=bt.ExportConfig(effort="fastest", cut_lists=False),
)
TAKES = {
    "even": Take(ticks=range(100), options={"g": "30"}),
    "turned, of uneven times": Take(
        ticks=[tick + 52 * turn for turn in range(4) for tick in UNEVEN], tick=Fraction(1, 50), rotation=90
    ),
    "short": Take(ticks=range(3)),
}


@pytest.fixture(scope="module", params=TAKES)
def copied(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a take whose clips were copied: for its sheet, pictures were decoded anew."""
    folder = tmp_path_factory.mktemp("sheet")
    source = make(folder / "take.mp4", TAKES[request.param])
    pipeline.run(source, exporting(copy=True), folder / "copied")
    return folder / "copied"


def exporting(**settings: object) -> bt.Config:
    return dataclasses.replace(FAST, export=dataclasses.replace(FAST.export, **settings))


def refuse(*_: object) -> None:
    raise AssertionError("pictures were decoded again for the sheet")


@pytest.mark.parametrize(
    "settings",
    [{}, {"jobs": 2}, {"fps": 12.5}, {"color": "auto"}, {"stabilize": "deshake"}, {"reel": True}],
    ids=str,
)
def test_the_sheet_is_the_same_however_clips_are_made_and_decodes_nothing_that_they_decode(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, object]
) -> None:
    monkeypatch.setattr(sheet, "frames_between", refuse)
    pipeline.export(copied / "moments.json", tmp_path / "out", exporting(**settings))
    assert (tmp_path / "out" / CONTACT_SHEET).read_bytes() == (copied / CONTACT_SHEET).read_bytes()


def test_an_encoder_that_gives_up_half_way_leaves_the_sheet_as_it_is(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bestshot_trt.export import clips, encoders

    def giving_up(*given: object, **named: object) -> object:
        made = encode(*given, **named)
        if given[2].is_nvenc:
            raise bt.ExportError("no session left")
        return made

    encode = clips._encode
    monkeypatch.setattr(clips, "_encode", giving_up)
    monkeypatch.setattr(encoders, "_proof", lambda name, pix_fmt: None)
    monkeypatch.setattr(encoders.Encoder, "options", lambda *_: ["-c:v", "libx264", "-preset", "ultrafast"])
    document = pipeline.export(copied / "moments.json", tmp_path / "out", exporting(encoder="auto"))
    assert document.encoder is not None
    assert document.encoder.startswith("libx264")
    assert (tmp_path / "out" / CONTACT_SHEET).read_bytes() == (copied / CONTACT_SHEET).read_bytes()


def test_a_clip_that_fails_ends_what_is_made_beside_the_clips(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = threading.Event(), threading.Event()

    def endless(*_: object) -> Iterator[tuple[float, object]]:
        try:
            while True:
                begun.set()
                yield 0.0, None
        finally:
            ended.set()

    def failing(*_: object) -> None:
        assert begun.wait(60)
        raise bt.ExportError("no space left on the disk")

    monkeypatch.setattr(sheet, "keyframes_near", endless)
    monkeypatch.setattr(sheet, "_thumbnail", lambda *_: None)
    monkeypatch.setattr(sheet.ScorePicture, "convert", lambda *_: None)
    monkeypatch.setattr(importlib.import_module("bestshot_trt.export"), "write_clip", failing)
    with pytest.raises(bt.ExportError, match="no space left"):
        pipeline.export(copied / "moments.json", tmp_path / "out", exporting())
    assert ended.is_set()
    assert not (tmp_path / "out").exists()
