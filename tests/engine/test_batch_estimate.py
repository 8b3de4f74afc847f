"""What a batch says beforehand of time and disk, and on the way of the time that is left."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bestshot_trt.batch import plan
from bestshot_trt.batch.estimates import rates
from bestshot_trt.batch.estimates.dry_run import look_ahead
from bestshot_trt.batch.estimates.lengths import lengths_of
from bestshot_trt.batch.estimates.outlook import Outlook
from bestshot_trt.batch.estimates.rates import Circumstances, Measured, Rates, Work
from bestshot_trt.batch.journal import Keys
from bestshot_trt.batch.sources.inputs import Footage, expand
from bestshot_trt.batch.workers.messages import Cost, Failed, Length, Moved
from bestshot_trt.batch.workers.splitting import PART, Stretch
from bestshot_trt.config import BatchConfig, Config, PickConfig
from bestshot_trt.source import fingerprint

STAND_IN = Path(__file__).resolve().parents[1] / "batch_stand_in.py"
HD_S = 1920 * 1080 * 30.0


@pytest.fixture(autouse=True)
def speeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This machine's file of speeds, empty."""
    monkeypatch.setenv(rates.VARIABLE, str(tmp_path / "speeds.jsonl"))
    return tmp_path / "speeds.jsonl"


def here(place: str = "cpu", config: Config | None = None) -> Circumstances:
    return rates.circumstances_of(config or Config(), place)


def measured(times_real: float, finish_s: float = 0.0, workers: int = 1, **other: Any) -> Measured:
    """A take of 100 s in HD, of 10 MB and with 10 s of clips, analysed at so many times real time."""
    cost = Cost(
        footage_s=100.0,
        pixels=100 * HD_S,
        analyze_s=100 / times_real,
        finish_s=finish_s,
        track_bytes=1000,
        other_bytes=5000,
    )
    return Measured(
        **{**vars(here()), "model": "none", "workers": workers, "size": 10**7, "cut": 10 * HD_S, "cost": cost, **other}
    )


def hour(takes: int = 1, size: float = 1.0) -> Work:
    return Work(takes=takes, new=takes, analyzed=takes, footage_s=3600.0, pixels=3600 * HD_S * size)


def test_a_larger_picture_takes_longer_by_its_pixels() -> None:
    found = Rates(here(), Config(), [measured(10.0)])
    assert found.seconds(hour(), 1) == pytest.approx(360)
    assert found.seconds(hour(size=4), 1) == pytest.approx(1440)


def test_takes_that_are_only_cut_cost_what_cutting_cost() -> None:
    found = Rates(here(), Config(), [measured(10.0, finish_s=7.0)])
    assert found.seconds(Work(takes=3, cut=30 * HD_S), 1) == pytest.approx(21)
    # Clips half as long, or of half the pixels.
    assert found.seconds(Work(takes=3, cut=15 * HD_S), 1) == pytest.approx(10.5)
    assert found.seconds(Work(), 1) == 0


def test_what_every_take_costs_is_told_from_what_its_length_costs() -> None:
    def take(seconds: float) -> Measured:
        like = measured(10.0)
        cost = dataclasses.replace(like.cost, pixels=seconds * HD_S, analyze_s=2 + seconds / 10)
        return dataclasses.replace(like, cost=cost)

    found = Rates(here(), Config(), [take(10), take(100), take(400)])
    assert found.seconds(hour(100), 1) == pytest.approx(100 * 2 + 360)
    # Noise may not make a take cost less than nothing.
    odd = dataclasses.replace(take(10), cost=dataclasses.replace(take(10).cost, analyze_s=0.1))
    assert Rates(here(), Config(), [odd, take(400)]).seconds(hour(100), 1) > 0


def test_workers_share_the_cores_but_each_gpu_is_another() -> None:
    shared = Rates(here(), Config(), [measured(10.0, workers=2)])
    assert shared.seconds(hour(8), 2) == shared.seconds(hour(8), 4) == pytest.approx(180)
    on_gpus = Rates(here("gpu"), Config(), [measured(100.0, workers=2, place="gpu")])
    assert on_gpus.seconds(hour(8), 2) == pytest.approx(18)
    assert on_gpus.seconds(hour(8), 8) == pytest.approx(4.5)
    # One take keeps no more than one busy.
    assert on_gpus.seconds(hour(1), 8) == pytest.approx(36)


def test_it_is_told_which_takes_an_estimate_goes_by() -> None:
    other = here(config=Config(pick=PickConfig(top=2)))
    for folder, machine, told in (
        ([measured(1.0)], [measured(2.0)], "as the last take with these settings in this folder went"),
        (
            [measured(1.0, analyze="other")],
            [measured(2.0)] * 3,
            "as the last 3 takes with these settings on this machine",
        ),
        ([], [measured(2.0, analyze="other")], "as the last take with other settings on this machine went"),
        ([measured(1.0, place="gpu")], [measured(1.0, machine="another")], "assumed"),
    ):
        assert Rates(here(), Config(), folder, machine).analysis_basis.startswith(told)
        assert Rates(other, Config(), folder, machine).analysis_basis.startswith(told)
    # The model that the settings came to the last time counts.
    pulled = Rates(here(), Config(), [measured(10.0), measured(1.0, model="ViT-B-32")])
    assert pulled.seconds(hour(), 1) == pytest.approx(3600)


def test_a_take_of_which_only_the_size_is_known_is_guessed_from_others() -> None:
    assert Rates(here(), Config(), [measured(10.0)]).guess(10**8).footage_s == pytest.approx(1000)
    assert Rates(here(), Config(), []).guess(2_500_000).footage_s == pytest.approx(1)


def test_speeds_outlive_a_batch_and_lines_of_other_versions_do_not_matter(speeds: Path) -> None:
    rates.remember([measured(3.0)])
    speeds.write_text('{"machine": "old"}\nnonsense\n' + speeds.read_text())
    rates.remember([measured(4.0)])
    assert rates.of_this_machine() == [measured(3.0), measured(4.0)]


def test_the_time_left_goes_by_bytes_and_by_what_workers_have_done(tmp_path: Path) -> None:
    files = []
    for name, size in (("long.mp4", 90_000), ("short.mp4", 10_000)):
        (tmp_path / name).write_bytes(bytes(size))
        files.append(Footage(tmp_path / name, asked=True))
    outlook = Outlook(files, Config(), here(), [measured(10.0)])

    class Busy:
        doing: Any = type("Doing", (), {"footage": files[0]})
        moved: Moved | None = None

    # 100 kB are a second of footage.
    assert outlook.seconds_left([], 1) == pytest.approx(0.1)
    outlook.hear("given", {"path": files[0].source, "stages": "analyze, pick, export"})
    Busy.moved = Moved(stage="analyze", done=5, total=10, unit="s")
    assert outlook.seconds_left([Busy], 1) == pytest.approx(0.055)  # type: ignore[list-item]
    outlook.hear("done", {"path": files[0].source})
    assert outlook.seconds_left([], 1) == pytest.approx(0.01)
    outlook.hear("duplicate", {"path": files[1].source})
    assert outlook.seconds_left([], 1) == 0


def test_of_remote_takes_nothing_is_told_before_one_has_shown_how_large_they_are() -> None:
    files = [Footage(Path(f"{name}.mp4"), asked=True, uri=f"s3://x/{name}.mp4") for name in "abc"]
    outlook = Outlook(files, Config(), here(), [])
    assert outlook.seconds_left([], 1) == 0
    outlook.hear("given", {"path": files[0].source, "stages": plan.ALL})
    assert outlook.seconds_left([], 1) == 0
    outlook.learn(measured(10.0))
    outlook.hear("done", {"path": files[0].source})
    assert outlook.seconds_left([], 1) == pytest.approx(20)


def test_a_take_that_workers_share_gets_done_by_all_of_them(tmp_path: Path) -> None:
    take = tmp_path / "long.mp4"
    take.write_bytes(bytes(10**6))
    (file,) = expand([str(take)], without=tmp_path / "out")
    outlook = Outlook([file], Config(), here(), [measured(10.0)])
    whole = outlook.seconds_left([], 1)
    job = plan.Job(file, "", "long", Keys("", "", ""), None, plan.ALL)

    class Busy:
        """At ``done`` of 10 s of the take, which are 30 samples; it began with the sample ``start``."""

        def __init__(self, start: int | None, done: float) -> None:
            self.doing: Any = job if start is None else Stretch(job, range(start, 30))
            self.moved = Moved(stage="analyze", done=done, total=10.0, unit="s")

    outlook.hear("given", {"path": take, "stages": PART})
    both = [Busy(0, 2.0), Busy(15, 8.0)]
    assert outlook.seconds_left(both, 1) == pytest.approx(whole / 2)  # type: ignore[arg-type]
    # What is left then is to join the parts.
    outlook.hear("given", {"path": take, "stages": plan.ALL})
    assert outlook.seconds_left([Busy(None, 0.0)], 1) < whole / 10  # type: ignore[list-item]


def test_a_file_that_crashes_or_hangs_whoever_opens_it_takes_nothing_along(tmp_path: Path) -> None:
    names = ["a.mp4", "unopenable crash.mp4", "unopenable hang.mp4", "long.mp4"]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "notes").touch()
    footage = [Footage(tmp_path / name, asked=True) for name in names]
    command = [sys.executable, str(STAND_IN), str(tmp_path / "notes")]
    first, crash, hang, last = lengths_of(footage, 2.0, command)
    assert (first, last) == (Length(seconds=2.0), Length(seconds=600.0))
    assert isinstance(crash, Failed)
    assert "SIGSEGV" in crash.reason
    assert isinstance(hang, Failed)
    assert "nothing moved for 2 s" in hang.reason


def test_a_dry_run_counts_what_an_interrupted_batch_has_analysed(clip: Any, tmp_path: Path) -> None:
    take, out = tmp_path / "a.mp4", tmp_path / "out"
    shutil.copy(clip("-c:v libx264 -preset ultrafast -g 25", size="96x64", seconds=6), take)
    layout, config = plan.Layout(out), Config()
    content, keys = fingerprint(take), plan.keys_of(config, "")
    (file,) = expand([str(take)], without=out)

    def left() -> tuple[float, str]:
        found = look_ahead([file], out, config, BatchConfig(workers=1))
        return found.work.footage_s, found.files[0].note

    assert left() == (pytest.approx(6), "")
    parts = layout.parts(content, keys.analyze)
    (parts / "cpu-1234").mkdir(parents=True)
    # Six samples are two seconds.
    (parts / "cpu-1234" / "000000000003-000000000009.parquet").touch()
    assert left() == (pytest.approx(4), "0:00:02 of it analyzed already")
    layout.track(content, keys.analyze).parent.mkdir()
    layout.track(content, keys.analyze).touch()
    assert left() == (0, "analyzed already")


def bestshot(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bestshot_trt", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_a_dry_run_tells_what_is_left_and_what_its_figures_go_by(clip: Any, tmp_path: Path) -> None:
    footage, out = tmp_path / "in", tmp_path / "out"
    footage.mkdir()
    shutil.copy(clip("-c:v libx264 -preset ultrafast -g 25", size="96x64", seconds=6), footage / "a.mp4")
    (footage / "broken.mp4").write_bytes(b"no video at all" * 100)
    ask = ("batch", footage, "--model", "none")

    def looked(*more: str | Path) -> Any:
        return json.loads(bestshot(*ask, "--dry-run", "--json", *more).stdout)

    before = looked("-o", out)
    assert not out.exists()
    assert [each["what"] for each in before["files"]] == ["analyze, pick, export", "would fail"]
    assert before["files"][0]["duration_s"] == pytest.approx(6)
    assert before["estimate"]["basis"].startswith("assumed")
    assert bestshot(*ask, "-o", out).returncode == 1
    after = looked("-o", out)
    assert [each["what"] for each in after["files"]] == ["done", "failed before"]
    assert (after["estimate"]["seconds"], after["estimate"]["bytes"]) == (0, 0)
    again = looked("-o", out, "--retry-failed", "-k", "1")
    assert [each["what"] for each in again["files"]] == ["pick, export", "would fail"]
    assert again["estimate"]["footage_s"] == 0 < again["estimate"]["seconds"]
    shutil.copy(clip("-c:v libx264 -preset ultrafast -g 25", size="64x96", seconds=6), footage / "b.mp4")
    assert looked("-o", out)["estimate"]["basis"].endswith("with these settings in this folder went")
    elsewhere = looked("-o", tmp_path / "elsewhere")["estimate"]
    assert elsewhere["basis"].endswith("with these settings on this machine went")
    (take,) = (out / "takes").iterdir()
    made = sum(path.stat().st_size for path in take.rglob("*") if path.is_file())
    assert elsewhere["bytes"] == pytest.approx(2 * made, rel=0.05)
    lines = bestshot(*ask, "-o", out, "--dry-run").stdout.splitlines()
    assert lines[-3] == "3 files: 1 to analyze, pick and cut, 1 done, 1 failed before"
    assert lines[-2].endswith(
        "with 1 worker for 0:00:06 of footage, as the last take with these settings in this folder went"
    )
    assert "of disk for results; " in lines[-1]
