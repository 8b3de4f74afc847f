"""A batch that is killed at any moment and run again ends as one that was not, and does nothing twice that was done."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from bestshot_trt.batch.journal import Journal
from bestshot_trt.batch.plan import Layout

OPTIONS = ("--model", "none", "--fps", "2", "--workers", "2", "-q", "--effort", "fastest")


def command(footage: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "bestshot_trt", "batch", str(footage), "-o", str(out), *OPTIONS]


def contents(out: Path) -> dict[str, bytes]:
    """Every result by its name; what is hidden is not one. Reports name where they are, which differs."""
    paths = [path for path in out.rglob("*") if path.is_file()]
    named = {path.relative_to(out).as_posix(): path for path in paths}
    home = str(out).encode()
    return {
        name: path.read_bytes().replace(home, b"OUT")
        for name, path in named.items()
        if not name.startswith(".bestshot/")
    }


@pytest.fixture(scope="module")
def uninterrupted(footage: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole") / "out"
    subprocess.run(command(footage, out), check=True, capture_output=True)
    found = contents(out)
    assert sum(name.endswith("moments.json") for name in found) == 3
    return found


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def assert_recovers(footage: Path, out: Path, uninterrupted: dict[str, bytes]) -> None:
    """Run to the end, ``out`` has what an uninterrupted batch leaves, and nothing finished was done again."""
    subprocess.run([*command(footage, out), "--retry-failed"], check=True, capture_output=True)
    found = contents(out)
    told = {"summary.json"}  # how much of it was done before
    assert {n: b for n, b in found.items() if n not in told} == {
        n: b for n, b in uninterrupted.items() if n not in told
    }
    assert not list((out / ".bestshot" / "work").iterdir())
    assert not list((out / ".bestshot" / "tracks").iterdir())
    journal = Journal(Layout(out).journal)
    made: Counter[str] = Counter()
    finished = set()
    for path, event, detail in journal.history():
        # Nothing is begun again once it was entered as done; results that were in place may be entered again.
        assert not (event == "started" and path in finished), (path, detail)
        if event == "done":
            finished.add(path)
            made[path] += detail != "found in place"
    assert len(finished) == 3
    assert max(made.values()) == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
@pytest.mark.parametrize("victim", ["supervisor", "worker"])
def test_killed_and_run_again_it_ends_as_if_nothing_had_been(
    footage: Path, uninterrupted: dict[str, bytes], tmp_path: Path, victim: str
) -> None:
    out = tmp_path / "out"
    chance = random.Random(victim)
    for _ in range(int(os.environ.get("BESTSHOT_KILLS", "4"))):
        batch = subprocess.Popen(command(footage, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.2, 2.5))
        for pid in [batch.pid] if victim == "supervisor" else children(batch.pid)[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if victim == "supervisor":
            batch.wait()
        else:
            batch.wait(300)
    assert_recovers(footage, out, uninterrupted)


@pytest.fixture(scope="module")
def faulty_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("no C compiler, or not on Linux")
    library = tmp_path_factory.mktemp("disk") / "faulty.so"
    source = Path(__file__).with_name("faulty_disk.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", source, "-o", library, "-ldl"], check=True)
    return library


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kill", "io", "short"])
def test_writes_that_fail_leave_nothing_that_a_later_run_would_take_for_whole(
    footage: Path, uninterrupted: dict[str, bytes], faulty_disk: Path, tmp_path: Path, kind: str
) -> None:
    out = tmp_path / "out"
    chance = random.Random(kind)
    for _ in range(int(os.environ.get("BESTSHOT_FAULTS", "4"))):
        disk = {"LD_PRELOAD": str(faulty_disk), "FAULTY_BELOW": str(out), "FAULTY_KIND": kind}
        disk["FAULTY_EVERY"] = str(int(10 ** chance.uniform(1, 2.7)))
        done = subprocess.run(
            command(footage, out),
            env={**os.environ, **disk},
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert "Traceback" not in done.stderr
    assert_recovers(footage, out, uninterrupted)


KILLED_AMID_THE_SUMMARY = """
import os, sys
from pathlib import Path
from bestshot_trt import files
from bestshot_trt.batch.outputs.summary import write_summary
from bestshot_trt.batch.worklist import Tally
files._fsync = lambda path: os._exit(9)
write_summary(Path(sys.argv[1]), Tally(0))
"""


def test_killed_amid_its_summary_it_leaves_no_file_to_see_and_a_later_batch_clears_up(
    footage: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", KILLED_AMID_THE_SUMMARY, out], check=False)
    assert done.returncode == 9
    (left,) = (path for path in out.rglob("*") if path.is_file())
    assert left.parent == out / ".bestshot"
    os.utime(left, (0, 0))
    subprocess.run(command(footage, out), check=True, capture_output=True)
    assert not left.exists()


def test_two_batches_on_one_folder_share_the_work(
    footage: Path, uninterrupted: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    both = [subprocess.Popen(command(footage, out), stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [batch.wait(300) for batch in both] == [0, 0]
    assert {n: b for n, b in contents(out).items() if n != "summary.json"} == {
        n: b for n, b in uninterrupted.items() if n != "summary.json"
    }
    events = Counter(event for _, event, _ in Journal(Layout(out).journal).history())
    assert (events["started"], events["done"]) == (3, 3)
