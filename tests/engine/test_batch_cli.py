"""``bestshot-trt batch`` and ``best`` as a user meets them."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bestshot_trt import moments


def bestshot(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bestshot_trt", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def footage(clip: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("footage")
    for name, size in (("one/take.mp4", "96x64"), ("two/take.mp4", "64x96")):
        (folder / name).parent.mkdir()
        shutil.copy(clip("-c:v libx264 -preset ultrafast -g 25", size=size, seconds=6), folder / name)
    (folder / "with").mkdir()
    shutil.copy(folder / "one/take.mp4", folder / "with/a copy.mp4")
    (folder / "readme.txt").write_text("not a video")
    (folder / "broken.mp4").write_bytes(b"no video at all" * 100)
    return folder


@pytest.fixture(scope="module")
def done(footage: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    out = tmp_path_factory.mktemp("batch") / "out <&>"
    return out, bestshot("batch", footage, "-o", out, "--model", "none")


def test_every_good_take_has_its_results_and_every_bad_one_its_reason(
    done: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, ran = done
    assert ran.returncode == 1
    assert "broken.mp4  not a video that can be read" in ran.stdout
    assert ran.stdout.splitlines()[-1] == "5 files: 2 done, 1 duplicates, 1 not videos, 1 failed"
    assert "Traceback" not in ran.stderr
    takes = sorted((out / "takes").iterdir())
    assert [take.name.split("-")[0] for take in takes] == ["take", "take"]
    for take in takes:
        document = moments.read_json(take / "moments.json")
        assert document.moments
        assert all((take / (moment.clip or "")).stat().st_size for moment in document.moments)
    summary = json.loads((out / "summary.json").read_text())
    assert summary["counts"]["done"] == 2
    with (out / "summary.csv").open() as file:
        assert sorted(row["state"] for row in csv.DictReader(file)) == ["done", "done", "failed"]
    page = (out / "index.html").read_text()
    assert all(f'src="takes/{take.name}/clips/01_' in page for take in takes)
    assert all(f'href="takes/{take.name}/report.html"' in page for take in takes)
    # What each moment looks like is seen before any clip is read.
    best = summary["best"]
    assert (
        page.count("<video ")
        == page.count('poster="data:image/jpeg;base64,')
        == page.count('preload="none"')
        == len(best)
    )
    assert "5 files: 2 done, 1 duplicate, 1 not videos, " in page
    assert "model: none; without a CLIP model" in page
    raw = {(moment["take"], moment["peak_s"]): moment["raw_score"] for moment in best}
    for take in summary["takes"]:
        assert raw.get((take["take"], take["best_peak_s"]), take["best_raw_score"]) == take["best_raw_score"]


def test_a_take_has_what_a_run_of_its_own_gives(
    footage: Path, done: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    assert bestshot("run", footage / "one/take.mp4", "-o", tmp_path / "run", "--model", "none").returncode == 0
    taken = next(take for take in (done[0] / "takes").iterdir() if '"width": 96' in (take / "moments.json").read_text())
    alone = {p.relative_to(tmp_path / "run") for p in (tmp_path / "run").rglob("*")}
    assert {p.relative_to(taken) for p in taken.rglob("*")} == {*alone, Path("batch.json")}
    for name in ("track.parquet", "moments.csv", "timeline.svg"):
        assert (taken / name).read_bytes() == (tmp_path / "run" / name).read_bytes()


def test_other_clips_are_cut_without_decoding_again(footage: Path, tmp_path: Path) -> None:
    out, take = tmp_path / "out", footage / "one"
    bestshot("batch", take, "-o", out, "--model", "none")
    again = bestshot("batch", take, "-o", out, "--model", "none", "--log-json", "-k", "1")
    events = [json.loads(line) for line in again.stderr.splitlines() if line.startswith("{")]
    assert [event["stages"] for event in events if event["event"] == "given"] == ["pick, export"]
    (found,) = (out / "takes").iterdir()
    assert len(list((found / "clips").iterdir())) == 1
    looked = bestshot("batch", footage, "-o", out, "--model", "none", "-k", "1", "--quality", "30", "--dry-run")
    stages = [line[:21].strip() for line in looked.stdout.splitlines()[:-3]]
    assert sorted(stages) == ["analyze, pick, export", "duplicate", "export", "no video", "would fail"]
    assert json.loads(bestshot("best", out, "--json").stdout)[0]["rank"] == 1


def test_best_lists_the_picks_of_all_takes_by_raw_score(
    done: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    found = json.loads(bestshot("best", done[0], "-k", "3", "--diversity", "0", "--json").stdout)
    scores = [moment["raw_score"] for moment in found]
    assert scores == sorted(scores, reverse=True)
    assert all((done[0] / moment["clip"]).exists() for moment in found)
    every = json.loads(bestshot("best", done[0], "-k", "1000", "--diversity", "0", "--json").stdout)
    diverse = json.loads(bestshot("best", done[0], "-k", "1000", "--diversity", "1.9", "--json").stdout)
    assert len({moment["take"] for moment in every}) == 2
    assert len(diverse) == 1


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    gone = bestshot("batch", tmp_path / "gone", "-o", tmp_path / "out")
    assert (gone.returncode, gone.stderr.count("\n")) == (3, 1)
    assert not (tmp_path / "out").exists()
    (tmp_path / "a.mp4").touch()
    model = bestshot("batch", tmp_path / "a.mp4", "-o", tmp_path / "out", "--model", "no-such-model")
    assert (model.returncode, model.stderr.count("\n")) == (6, 1)
    assert bestshot("best", tmp_path).returncode == 3


def test_figures_for_prometheus(footage: Path, tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    where = tmp_path / "batch.prom"
    bestshot("batch", footage / "one", footage / "broken.mp4", "-o", tmp_path / "out", "--metrics", where)
    text = where.read_text()
    assert 'bestshot_batch_files{state="done"} 1.0' in text
    assert 'bestshot_batch_files{state="failed"} 1.0' in text
    assert "bestshot_batch_files_waiting 0.0" in text


def test_the_load_of_cards_is_shown_and_published(footage: Path, cards: Any, tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    pytest.importorskip("pynvml")
    cards("L4", FAKE_LOAD="86")
    where = tmp_path / "batch.prom"
    bestshot("batch", footage / "one", "-o", tmp_path / "out", "--metrics", where, "--workers", "1")
    text = where.read_text()
    assert 'bestshot_batch_card_load_ratio{card="0",part="decoder"} 0.86' in text
    assert 'bestshot_batch_card_memory_used_bytes{card="0"}' in text


def test_another_prompt_only_picks_again(footage: Path, tiny_model: Any, tmp_path: Path) -> None:
    asked = ("batch", footage / "one", "-o", tmp_path, "--model", tiny_model.path, "--log-json")
    assert bestshot(*asked, "--prompt", "a").returncode == 0
    (take,) = (tmp_path / "takes").iterdir()
    assert moments.read_json(take / "moments.json").settings.pick["prompt"] == ["a"]
    again = bestshot(*asked)
    assert '"stages": "pick, export"' in again.stderr
    document = moments.read_json(take / "moments.json")
    assert document.settings.pick["prompt"] == []
    assert all(moment.measures.prompt_similarity is None for moment in document.moments)


def test_the_hub_is_asked_for_a_model_once_a_batch(
    footage: Path, hub_server: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    shutil.copytree(footage / "one", tmp_path / "in")
    (tmp_path / "in" / "two.mp4").write_bytes((footage / "two" / "take.mp4").read_bytes())
    asked, notes = [], []
    # A hub that has no model at all.
    with hub_server.Hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        for name, takes in (("one", footage / "one"), ("all", tmp_path / "in")):
            hub.asked.clear()
            ran = bestshot(
                "batch", takes, "-o", tmp_path / name, "--backend", "cpu", "--recycle", "1", "--workers", "2"
            )
            assert ran.returncode == 0, ran.stderr
            asked.append(len(hub.asked))
            documents = [moments.read_json(take / "moments.json") for take in (tmp_path / name / "takes").iterdir()]
            notes += [document.model_note for document in documents]
    assert asked[0] == asked[1] > 0
    assert len(notes) == 3
    assert len(set(notes)) == 1
    assert "since no CLIP model is here" in notes[0]


def test_a_table_of_colours_that_changed_under_its_name_cuts_anew(footage: Path, tmp_path: Path) -> None:
    table = tmp_path / "look.cube"

    def given() -> list[str]:
        rows = [f"{r} {g} {b}\n" for b in (0, top) for g in (0, top) for r in (0, top)]
        table.write_text(f"LUT_3D_SIZE 2\n{''.join(rows)}")
        ask = ("batch", footage / "one", "-o", tmp_path / "out", "--model", "none", "--color", table, "--log-json")
        events = [json.loads(line) for line in bestshot(*ask).stderr.splitlines() if line.startswith("{")]
        return [event["stages"] for event in events if event["event"] == "given"]

    top = 1.0
    assert given() == ["analyze, pick, export"]
    assert given() == []
    top = 0.5
    assert given() == ["export"]
