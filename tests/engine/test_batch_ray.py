"""The same batch on Ray, on this machine, with two workers."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bestshot_trt.batch.workers.ray_worker import share_of


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "bestshot_trt", "batch", *map(str, arguments), "--model", "none", "--log-json"]


def descendants(pid: int) -> list[int]:
    found = []
    # Processes and threads of Ray come and go while they are looked for.
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *descendants(child)]
    return found


def at_work(pid: int) -> list[int]:
    """Processes of Ray below ``pid`` that do a task of the batch."""
    found = []
    for each in descendants(pid):
        try:
            if Path(f"/proc/{each}/cmdline").read_bytes().startswith(b"ray::work"):
                found.append(each)
        except OSError:
            continue
    return found


def results(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.glob("takes/**/*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds processes through /proc")
def test_ray_gives_the_same_results_and_retries_a_worker_that_is_killed(clip: Any, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    footage, out = tmp_path / "in", tmp_path / "out"
    footage.mkdir()
    for name, size in (("a.mp4", "96x64"), ("b.mp4", "64x96")):
        shutil.copy(clip("-c:v libx264 -preset ultrafast -g 25", size=size, seconds=30), footage / name)
    (footage / "bad.mp4").write_bytes(b"no video at all" * 100)
    alone = subprocess.run(command(footage, "-o", out), capture_output=True, text=True, check=False, timeout=300)
    expected = results(out)
    # Results name where they lie.
    shutil.rmtree(out)

    with subprocess.Popen(
        command(footage, "-o", out, "--ray", "local", "--ray-cpus", "0.5", "--workers", "2"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as batch:
        assert batch.stderr is not None
        assert batch.stdout is not None
        events = []
        killed = 0
        for line in batch.stderr:
            if not line.startswith("{"):
                continue
            events.append(json.loads(line))
            if killed or events[-1]["event"] != "given" or events[-1]["path"].endswith("bad.mp4"):
                continue
            deadline = time.monotonic() + 300
            while not (found := at_work(batch.pid)) and time.monotonic() < deadline:
                time.sleep(0.02)
            os.kill(found[0], signal.SIGKILL)
            killed += 1
        said = batch.stdout.read()
    assert killed == 1
    # Ray itself tries again; the batch does not notice.
    assert [event["path"] for event in events if event["event"] == "retry" and "bad" not in event["path"]] == []
    assert said.splitlines() == alone.stdout.splitlines()
    assert said.splitlines()[-1] == "3 files: 2 done, 1 failed"
    assert batch.returncode == 1
    assert results(out) == expected
    assert list((out / ".bestshot" / "work").iterdir()) == []


@pytest.mark.slow
def test_a_long_take_is_shared_by_tasks_of_ray_and_comes_out_as_in_one_pass(clip: Any, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    take, out = tmp_path / "long.mp4", tmp_path / "out"
    shutil.copy(clip("-c:v libx264 -preset ultrafast -g 25", size="96x64", rate="5", seconds=130), take)
    ask = command(take, "-o", out)
    one = subprocess.run([*ask, "--workers", "1"], capture_output=True, text=True, check=False, timeout=300)
    expected = results(out)
    assert one.returncode == 0
    shutil.rmtree(out)
    on_ray = [*ask, "--ray", "local", "--ray-cpus", "0.5", "--workers", "2"]
    two = subprocess.run(on_ray, capture_output=True, text=True, check=False, timeout=300)
    assert two.returncode == 0, two.stderr
    given = [json.loads(line)["stages"] for line in two.stderr.splitlines() if '"given"' in line]
    assert given == ["analyze a part", "analyze a part", "analyze, pick, export"]
    assert results(out) == expected
    assert list((out / ".bestshot" / "parts").iterdir()) == []


@pytest.mark.parametrize(
    ("cards", "share"),
    [
        ({"L4": 2.0}, 0.25),
        ({"H100": 1.0}, 0.1428),
        ({"A100-40G": 1.0, "L40S": 1.0}, 0.3333),
        ({"L4": 1.0, "of next year": 1.0}, 0.33),
        ({}, 0.33),
    ],
)
def test_a_take_asks_for_one_decoder_of_the_clusters_cards(cards: dict[str, float], share: float) -> None:
    resources = {"CPU": 64.0, "GPU": 8.0, **{f"accelerator_type:{name}": count for name, count in cards.items()}}
    assert share_of(resources) == share


def test_without_ray_one_line_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    ask = command(tmp_path / "a.mp4", "-o", tmp_path / "out", "--ray", "auto")
    (tmp_path / "hidden" / "ray").mkdir(parents=True)
    (tmp_path / "hidden" / "ray" / "__init__.py").write_text("raise ModuleNotFoundError('ray')")
    path = os.pathsep.join([str(tmp_path / "hidden"), os.environ.get("PYTHONPATH", "")])
    without = subprocess.run(
        ask, capture_output=True, text=True, check=False, timeout=300, env={**os.environ, "PYTHONPATH": path}
    )
    assert without.returncode == 5
    assert without.stderr.splitlines() == [
        'error: --ray needs Ray, which is not installed: pip install "bestshot-trt[ray]"'
    ]


def test_an_address_at_which_nothing_answers_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    (tmp_path / "a.mp4").touch()
    ask = command(tmp_path / "a.mp4", "-o", tmp_path / "out", "--ray", "127.0.0.1:9")
    ran = subprocess.run(ask, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 5
    assert ran.stderr.startswith("error: --ray 127.0.0.1:9: nothing answers there")
    assert ran.stderr.count("\n") == 1
