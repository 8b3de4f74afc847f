"""Whatever a worker does, it takes one file's attempt and not the batch."""

from __future__ import annotations

import sqlite3
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from bestshot_trt.batch import room, supervisor
from bestshot_trt.batch.journal import Journal
from bestshot_trt.batch.plan import Layout
from bestshot_trt.batch.sources import inputs
from bestshot_trt.batch.worklist import Tally
from bestshot_trt.config import AnalyzeConfig, BatchConfig, Config, PickConfig
from bestshot_trt.errors import ConfigError

STAND_IN = Path(__file__).resolve().parents[1] / "batch_stand_in.py"


class Batch:
    """Files of given names, and what a batch over them with stand-in workers came to."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.footage, self.out, self.notes = folder / "in", folder / "out", folder / "notes.txt"
        self.footage.mkdir()
        self.notes.touch()
        for name in names:
            (self.footage / name).write_text(name)
        self.events: list[tuple[str, dict[str, Any]]] = []

    def run(
        self, config: Config | None = None, devices: tuple[str | None, ...] = (None,), **batch: Any
    ) -> tuple[Tally, list[str]]:
        """The tally, and the names that workers were given, in order."""
        self.notes.write_text("")
        self.events = []
        boss = supervisor.Supervisor(
            inputs.expand([str(self.footage)], without=self.out),
            self.out,
            config or Config(),
            # Long enough that no worker which only has little of the machine is taken to hang.
            BatchConfig(**{"workers": 2, "stall": 120.0, **batch}),
            lambda event, **fields: self.events.append((event, fields)),
            devices=devices,
            command=[sys.executable, str(STAND_IN), str(self.notes)],
        )
        tally = boss.run()
        assert not boss.workers
        return tally, self.notes.read_text().splitlines()

    def told(self, event: str) -> list[dict[str, Any]]:
        return [fields for name, fields in self.events if name == event]


@pytest.fixture
def batch(tmp_path: Path) -> Any:
    return lambda *names: Batch(tmp_path, *names)


def reasons(tally: Tally) -> dict[str, str]:
    return {Path(path).name: reason for path, reason in tally.failures}


def test_hang_crash_leak_and_failure_are_contained(batch: Any) -> None:
    made = batch("a.mp4", "bad.mp4", "crash.mp4", "hang.mp4", "leak.mp4", "z.mp4")
    tally, given = made.run(memory=0.2, stall=8.0)
    assert tally.done == 2
    found = reasons(tally)
    assert found["bad.mp4"] == "bad.mp4: is broken"
    assert "SIGSEGV" in found["crash.mp4"]
    assert "nothing moved for 8 s" in found["hang.mp4"]
    assert "more than 0.2 GiB" in found["leak.mp4"]
    # Each that failed had one more attempt, in a fresh worker.
    assert [given.count(f"{name} auto") for name in ("a.mp4", *found)] == [1, 2, 2, 2, 2]


def test_an_attempt_that_hangs_is_made_good_by_the_next(batch: Any) -> None:
    tally, given = batch("once.mp4", "a.mp4").run(stall=8.0)
    assert (tally.done, tally.failures) == (2, [])
    assert given.count("once.mp4 auto") == 2


def test_on_a_gpu_the_third_attempt_is_on_the_cpu(batch: Any) -> None:
    _, given = batch("bad.mp4").run(devices=("0",))
    assert given == ["bad.mp4 auto", "bad.mp4 auto", "bad.mp4 cpu"]


def test_what_is_done_or_failed_stays_so_until_settings_change(batch: Any) -> None:
    made = batch("a.mp4", "bad.mp4")
    made.run()
    tally, given = made.run()
    assert (given, tally.before, list(reasons(tally))) == ([], 1, ["bad.mp4"])
    tally, given = made.run(retry_failed=True)
    assert given == ["bad.mp4 auto"] * 2
    made.run(Config(pick=PickConfig(top=2)))
    assert [fields["stages"] for fields in made.told("given")] == ["pick, export", *["analyze, pick, export"] * 2]
    made.run(Config(analyze=AnalyzeConfig(fps=5), pick=PickConfig(top=2)))
    assert made.told("given")[0]["stages"] == "analyze, pick, export"


def test_the_same_content_is_worked_on_once(batch: Any) -> None:
    made = batch("a.mp4")
    (made.footage / "copy").mkdir()
    (made.footage / "copy" / "b.mp4").write_text("a.mp4")
    tally, given = made.run()
    assert (given, tally.done, tally.duplicates) == (["a.mp4 auto"], 1, 1)


def test_a_long_take_is_shared_by_workers_that_would_be_idle(batch: Any) -> None:
    tally, given = batch("long.mp4", "short.mp4").run(workers=6)
    assert (tally.done, tally.failures) == (2, [])
    # 600 s at 3 a second in three stretches, at multiples of 64; then the whole, which joins them.
    stretches = [f"long.mp4 {start}" for start in (0, 576, 1152)]
    assert sorted(given) == sorted([*stretches, "long.mp4 auto", "short.mp4 auto"])
    assert all(given.index(stretch) < given.index("long.mp4 auto") for stretch in stretches)


def test_a_stretch_whose_worker_crashes_costs_the_take_no_attempt(batch: Any) -> None:
    made = batch("longcrash.mp4")
    tally, given = made.run(workers=3)
    assert sorted(given) == sorted(
        [*(f"longcrash.mp4 {start}" for start in (0, 576, 1152)), *["longcrash.mp4 auto"] * 2]
    )
    assert "SIGSEGV" in reasons(tally)["longcrash.mp4"]


def test_a_full_disk_pauses_and_resumes_without_costing_an_attempt(batch: Any) -> None:
    made = batch("a.mp4", "full.mp4")
    tally, given = made.run()
    assert (tally.done, tally.failures) == (2, [])
    assert given.count("full.mp4 auto") == 2
    assert [event for event, _ in made.events if event in ("paused", "resumed")] == ["paused", "resumed"]


def test_an_encoder_that_had_no_room_pauses_too(batch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "FULL", 1 << 62)
    made = batch("roomless.mp4")
    tally, _ = made.run()
    assert (tally.done, made.told("retry")) == (1, [])
    assert [event for event, _ in made.events if event in ("paused", "resumed")] == ["paused", "resumed"]


def test_out_of_memory_goes_on_with_fewer_workers(batch: Any) -> None:
    made = batch("hungry.mp4", "a.mp4", "b.mp4")
    tally, given = made.run(workers=3, devices=("0",))
    assert (tally.done, tally.failures, made.told("retry")) == (3, [], [])
    assert [fields["workers"] for fields in made.told("fewer")] == [2, 1]
    assert given.count("hungry.mp4 auto") == 3


@pytest.mark.parametrize("budget", ["1", "40%"])
def test_more_failures_than_allowed_stop_the_batch(batch: Any, budget: str) -> None:
    tally, _ = batch("bad1.mp4", "bad2.mp4", "bad3.mp4", "y.mp4").run(max_failures=budget, workers=1)
    assert tally.stopped is not None
    assert len(tally.failures) == 2


@pytest.mark.parametrize("budget", ["1.5", "-1", "many", "%"])
def test_a_budget_that_is_none_is_refused(budget: str) -> None:
    with pytest.raises(ConfigError, match="max_failures"):
        BatchConfig(max_failures=budget)


def test_a_journal_that_another_batch_is_just_making_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    done = threading.Timer(0.5, other.execute, ("COMMIT",))
    done.start()
    try:
        Journal(path).close()
    finally:
        done.join()
        other.close()


def test_a_take_held_by_a_batch_that_lives_is_waited_for_and_a_dead_ones_taken_over(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    one, other = Journal(layout.journal), Journal(layout.journal)
    assert one.claim("content", "name", "path") is not None
    assert other.claim("content", "name", "path") is None
    one.close()
    assert other.claim("content", "name", "path") is not None
    # As if its process had been killed: the lease is there, the process is not.
    other._db.execute("UPDATE owners SET born = 'another boot'")
    third = Journal(layout.journal)
    assert third.claim("content", "name", "path") is not None
    assert not third.is_alive(other.owner)
