"""A batch whose results go to object storage: a real S3 server on this machine, and faults on the way to it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from s3_server import KEYS, Way, serving

from bestshot_trt.batch.journal import Journal, Keys
from bestshot_trt.batch.outputs import outbox
from bestshot_trt.batch.outputs.place import place_of
from bestshot_trt.batch.outputs.shelf import StoredShelf
from bestshot_trt.batch.outputs.store import Store
from bestshot_trt.batch.outputs.summary import Digest
from bestshot_trt.batch.plan import Layout
from bestshot_trt.batch.sources import remote
from bestshot_trt.batch.worklist import Tally

OPTIONS = ("--model", "none", "--fps", "2", "--effort", "fastest")
NAMED = ("report.html",)
"""Names the place where its track lies."""


def command(footage: Path | str, output: Path | str, *options: str | Path) -> list[str]:
    return [sys.executable, "-m", "bestshot_trt", *map(str, ("batch", footage, "-o", output, *OPTIONS, *options))]


def run(arguments: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, capture_output=True, text=True, check=False, timeout=300, env={**os.environ, **environment}
    )


def told(ran: subprocess.CompletedProcess[str], event: str) -> list[dict[str, Any]]:
    lines = (json.loads(line) for line in ran.stderr.splitlines() if line.startswith("{"))
    return [line for line in lines if line["event"] == event]


def local(out: Path) -> dict[str, bytes]:
    """Every take's results, by name."""
    found = {path.relative_to(out).as_posix(): path for path in (out / "takes").rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items()}


class Bucket:
    """Where results go."""

    def __init__(self, client: Any, environment: dict[str, str]) -> None:
        self.client, self.environment = client, environment

    def contents(self, below: str) -> dict[str, bytes]:
        """Every object below a name, without those that only batches read."""
        found = {}
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket="bucket", Prefix=f"{below}/"):
            for told in page.get("Contents", ()):
                name = told["Key"].removeprefix(f"{below}/")
                found[name] = self.client.get_object(Bucket="bucket", Key=told["Key"])["Body"].read()
        return {name: content for name, content in found.items() if not name.startswith(".bestshot/")}

    def takes(self, below: str) -> dict[str, bytes]:
        return {name: each for name, each in self.contents(below).items() if name.startswith("takes/")}


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with serving("bucket") as (client, environment):
        yield Bucket(client, environment)


@pytest.fixture
def way(bucket: Bucket) -> Iterator[Way]:
    way = Way(bucket.environment["AWS_ENDPOINT_URL"])
    yield way
    way.end()


@pytest.fixture
def here(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The store is found in this process too."""
    from s3fs import S3FileSystem

    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    yield
    S3FileSystem.clear_instance_cache()


@pytest.fixture(scope="module")
def whole(footage: Path, bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an uninterrupted batch leaves below a URI."""
    work = tmp_path_factory.mktemp("whole")
    ran = run(command(footage, "s3://bucket/whole", "--work", work), **bucket.environment)
    assert ran.returncode == 0, ran.stderr
    return bucket.contents("whole")


def takes_of(contents: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in contents.items() if name.startswith("takes/")}


def best(place: Path | str, **environment: str) -> str:
    ran = run([sys.executable, "-m", "bestshot_trt", "best", str(place), "-k", "5"], **environment)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_results_in_a_bucket_are_those_of_a_folder(
    footage: Path, bucket: Bucket, whole: dict[str, bytes], tmp_path: Path
) -> None:
    assert run(command(footage, tmp_path / "out")).returncode == 0
    in_folder = local(tmp_path / "out")
    assert takes_of(whole).keys() == in_folder.keys()
    differ = {Path(name).name for name, content in in_folder.items() if whole[name] != content}
    assert differ <= {*NAMED}
    assert whole["index.html"] == (tmp_path / "out" / "index.html").read_bytes()
    assert whole["summary.json"] == (tmp_path / "out" / "summary.json").read_bytes()
    cache = {**bucket.environment, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert best("s3://bucket/whole", **cache) == best(tmp_path / "out")
    # The second time no track is fetched.
    assert best("s3://bucket/whole/", **cache) == best(tmp_path / "out")


def test_a_machine_that_knows_nothing_goes_on_from_what_is_in_the_bucket(
    footage: Path, bucket: Bucket, whole: dict[str, bytes], tmp_path: Path
) -> None:
    ask = ("--work", tmp_path / "empty", "--log-json")
    looked = run(command(footage, "s3://bucket/whole", *ask, "--dry-run"), **bucket.environment)
    assert [line.split()[0] for line in looked.stdout.splitlines()] == ["done", "done", "done", "3"]
    assert not (tmp_path / "empty").exists()
    again = run(command(footage, "s3://bucket/whole", *ask), **bucket.environment)
    assert again.stdout.splitlines()[-1] == "3 files: 0 done, 3 done before"
    assert bucket.takes("whole") == takes_of(whole)
    # A file that was moved is known by its content, and one that has only another selection needs no decoding.
    (tmp_path / "moved").mkdir()
    shutil.copy(footage / "take1.mp4", tmp_path / "moved" / "renamed.mp4")
    copied = command(tmp_path / "moved", "s3://bucket/whole", "--work", tmp_path / "third", "--log-json")
    assert run(copied, **bucket.environment).stdout.splitlines()[-1] == "1 files: 0 done, 1 done before"
    picked = run([*copied, "-k", "1", "--window", "0.5"], **bucket.environment)
    assert [event["stages"] for event in told(picked, "given")] == ["pick, export"]
    changed = {name for name, content in bucket.takes("whole").items() if takes_of(whole).get(name) != content}
    assert {name.split("/")[1].rpartition("-")[0] for name in changed} == {"take1"}
    assert not list((tmp_path / "third" / "takes").iterdir())
    assert not list((tmp_path / "third" / ".bestshot" / "tracks").iterdir())
    # As it was, for the other tests.
    back = command(footage / "take1.mp4", "s3://bucket/whole", "--work", tmp_path / "third")
    assert run(back, **bucket.environment).returncode == 0
    assert {n: c for n, c in bucket.takes("whole").items() if Path(n).name not in NAMED} == {
        n: c for n, c in takes_of(whole).items() if Path(n).name not in NAMED
    }


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL")
@pytest.mark.parametrize("at", [1, 13, 30])
def test_killed_while_it_sends_and_run_again_it_ends_as_if_nothing_had_been(
    footage: Path, bucket: Bucket, way: Way, whole: dict[str, bytes], tmp_path: Path, at: int
) -> None:
    reached, killed, sent = threading.Event(), threading.Event(), []

    def stop(method: str, path: str) -> int | None:
        if method == "PUT" and "/takes/" in path:
            sent.append(path)
            if len(sent) >= at:
                reached.set()
                killed.wait(300)
                return 503
        return None

    way.fault = stop
    below, work = f"killed{at}", tmp_path / "work"
    ask = command(footage, f"s3://bucket/{below}", "--work", work)
    environment = {**os.environ, **bucket.environment}
    batch = subprocess.Popen(
        ask, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**environment, "AWS_ENDPOINT_URL": way.url}
    )
    assert reached.wait(300)
    os.kill(batch.pid, signal.SIGKILL)
    batch.wait()
    killed.set()
    # What is in place before it is run again is whole.
    there = bucket.takes(below)
    for receipt in (name for name in there if name.endswith("/batch.json")):
        take = receipt.removesuffix("batch.json")
        assert {n for n in there if n.startswith(take)} == {n for n in whole if n.startswith(take)}
    # As many takes may be at work as there are workers; those that were finished here or there are not begun again.
    finished = {Path(name).parent.name for name in there if name.endswith("/batch.json")}
    finished |= {folder.name for folder in (work / "takes").iterdir()}
    again = run([*ask, "--log-json"], **bucket.environment)
    assert again.returncode == 0, again.stderr
    begun_again = {Path(event["path"]).stem for event in told(again, "given")}
    assert begun_again.isdisjoint(name.rpartition("-")[0] for name in finished)
    assert bucket.takes(below) == takes_of(whole)
    assert bucket.contents(below).keys() == whole.keys()
    events = Journal(Layout(work).journal).history()
    for take in footage.iterdir():
        begun = [event for path, event, _ in events if Path(path) == take and event in ("started", "done")]
        assert begun[-1] == "done"
        assert begun.count("done") == 1
    assert not list((work / "takes").iterdir())


def test_a_store_that_takes_nothing_is_told_of_before_any_work(
    footage: Path, bucket: Bucket, way: Way, tmp_path: Path
) -> None:
    def refused(uri: str, **environment: str) -> str:
        ran = run(command(footage, uri, "--work", tmp_path / "work"), **{**bucket.environment, **environment})
        assert (ran.returncode, ran.stdout) == (8, "")
        assert not list((tmp_path / "work" / ".bestshot" / "log").iterdir())
        (line,) = ran.stderr.splitlines()
        return line

    cannot = "results cannot be sent there: "
    assert refused("s3://no-such-bucket/a") == f"error: s3://no-such-bucket/a: {cannot}no such bucket; check the name"
    nobody = {**dict.fromkeys(KEYS, ""), "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}
    assert f"{cannot}no credentials for this store" in refused("s3://bucket/a", **nobody)
    way.fault = lambda method, path: 403 if method == "PUT" else None
    assert f"{cannot}the store refuses access" in refused("s3://bucket/a", AWS_ENDPOINT_URL=way.url)
    assert "this kind of URI is not known" in refused("floppy://a")


def test_what_cannot_be_sent_is_kept_and_sent_by_the_next_run(
    footage: Path, bucket: Bucket, way: Way, whole: dict[str, bytes], tmp_path: Path
) -> None:
    way.fault = lambda method, path: 403 if method == "PUT" and "/takes/take1" in path else None
    ask = [*command(footage, "s3://bucket/kept", "--work", tmp_path / "work"), "--log-json"]
    ran = run(ask, **{**bucket.environment, "AWS_ENDPOINT_URL": way.url})
    assert ran.returncode == 1
    assert ran.stdout.splitlines()[-1] == "3 files: 2 done, 1 failed"
    assert "the store refuses access" in ran.stdout
    assert "its results are kept in" in ran.stdout
    assert [name for name in bucket.takes("kept") if name.endswith("batch.json") and "take1" in name] == []
    again = run(ask, **bucket.environment)
    assert again.stdout.splitlines()[-1] == "3 files: 0 done, 3 done before"
    assert told(again, "given") == []
    assert bucket.takes("kept") == takes_of(whole)


def test_a_fault_that_passes_is_not_noticed(
    footage: Path, bucket: Bucket, way: Way, whole: dict[str, bytes], tmp_path: Path
) -> None:
    faults = {"moments.json": [500, 503], "batch.json": [500]}

    def fault(method: str, path: str) -> int | None:
        left = faults.get(path.rpartition("/")[2], [])
        return left.pop() if left and method == "PUT" else None

    way.fault = fault
    ran = run(
        command(footage, "s3://bucket/faults", "--work", tmp_path),
        **{**bucket.environment, "AWS_ENDPOINT_URL": way.url},
    )
    assert ran.stdout.splitlines()[-1] == "3 files: 3 done"
    assert faults == {"moments.json": [], "batch.json": []}
    assert bucket.takes("faults") == takes_of(whole)


def test_a_take_that_is_being_replaced_is_not_in_place(here: None, bucket: Bucket, tmp_path: Path) -> None:
    store = Store("s3://bucket/replaced", "me-1-a")
    old, new = tmp_path / "old", tmp_path / "new"
    for folder, names in ((old, ("batch.json", "moments.json", "a.mp4")), (new, ("batch.json", "moments.json"))):
        folder.mkdir()
        for name in names:
            (folder / name).write_text(f'{{"content": "{folder.name}"}}')
    store.put(old, "takes/one")
    assert store.receipts() == {"one": {"content": "old"}}
    # Only what is new is sent, by the order in which it must be sent the take is absent until its end.
    seen: list[dict[str, dict[str, str]]] = []

    class Watched(Store):
        def put_file(self, file: Path, name: str) -> None:
            seen.append(store.receipts())
            super().put_file(file, name)

    Watched("s3://bucket/replaced", "me-1-a").put(new, "takes/one")
    assert seen == [{}, {}]
    assert store.receipts() == {"one": {"content": "new"}}
    assert sorted(store.sizes("takes/one")) == ["batch.json", "moments.json"]
    with pytest.raises(remote.InputError, match="holds no results of a batch"):
        list(StoredShelf(Store("s3://bucket/nothing"), tmp_path / "mirror").takes())


def test_two_batches_on_one_uri_leave_each_others_takes_alone(
    here: None, footage: Path, bucket: Bucket, whole: dict[str, bytes], tmp_path: Path
) -> None:
    uri = "s3://bucket/shared"
    name = next(name.split("/")[1] for name in whole if name.startswith("takes/take0"))
    other = Store(uri, "other-1-a")
    other.arrive()
    assert other.hold(name)
    ask = [*command(footage, uri, "--work", tmp_path / "work"), "--log-json"]
    environment = {**os.environ, **bucket.environment}
    batch = subprocess.Popen(ask, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert batch.stderr is not None
    done = []
    while len(done) < 2:
        event = json.loads(batch.stderr.readline())
        if event["event"] == "done":
            done.append(Path(event["path"]).name)
    assert sorted(done) == ["take1.mp4", "take2.mp4"]
    # The other one has finished it.
    for key, content in whole.items():
        if key.startswith(f"takes/{name}/"):
            bucket.client.put_object(Bucket="bucket", Key=f"shared/{key}", Body=content)
    other.let_go([name])
    output, _ = batch.communicate(timeout=300)
    assert output.splitlines()[-1] == "3 files: 2 done, 1 done before"
    assert bucket.takes("shared") == takes_of(whole)


def test_a_batch_with_other_settings_waits_for_its_turn(
    here: None, footage: Path, bucket: Bucket, tmp_path: Path
) -> None:
    other = Store("s3://bucket/other", "other-1-a")
    other.arrive()
    other.announce(Keys("a", "b", "c"))
    ask = command(footage, "s3://bucket/other", "--work", tmp_path / "work")
    ran = run(ask, **bucket.environment)
    assert ran.returncode == 8
    assert "s3://bucket/other: another batch with other settings is sending results there" in ran.stderr
    other.leave()
    assert run(ask, **bucket.environment).returncode == 0


def test_no_take_is_begun_while_many_wait_to_be_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(outbox, "_MOST", 2)
    box = outbox.Outbox("memory://full", Layout(tmp_path), "me-1-a")
    box.end()
    job: Any = None
    box.put(job, lambda: None)
    assert not box.full
    box.put(job, lambda: None)
    assert box.full


def test_the_summary_is_there_while_the_batch_goes_on(
    here: None, bucket: Bucket, whole: dict[str, bytes], tmp_path: Path
) -> None:
    for name, content in takes_of(whole).items():
        bucket.client.put_object(Bucket="bucket", Key=f"going/{name}", Body=content)
    place = place_of("s3://bucket/going", tmp_path)
    digest = Digest(place, Tally(5, failures=[("x.mp4", "no such file")]), every_s=0)
    digest.turn()
    deadline = time.monotonic() + 300
    while "index.html" not in bucket.contents("going") and time.monotonic() < deadline:
        time.sleep(0.1)
    summary = json.loads(bucket.contents("going")["summary.json"])
    assert [take["state"] for take in summary["takes"]] == ["done"] * 3
    assert summary["counts"]["failed"] == 1
    digest.end()


def test_half_of_what_was_removed_here_is_never_sent_as_a_take(
    footage: Path, bucket: Bucket, whole: dict[str, bytes], tmp_path: Path
) -> None:
    """A run that is killed while it removes what it has sent."""
    ask = command(footage, "s3://bucket/half", "--work", tmp_path / "work")
    code = (
        "import os, shutil, sys, bestshot_trt.batch.outputs.outbox as outbox; from bestshot_trt.cli import main\n"
        "def half(folder, ignore_errors=False):\n"
        "    [p.unlink() for p in folder.rglob('*.mp4')]; os._exit(9)\n"
        "outbox.shutil = type('half', (), {'rmtree': staticmethod(half)})\n"
        "sys.argv[0] = 'bestshot-trt'; sys.exit(main())"
    )
    assert run([sys.executable, "-c", code, *ask[3:]], **bucket.environment).returncode == 9
    # Somebody removes what was sent.
    for name in bucket.takes("half"):
        bucket.client.delete_object(Bucket="bucket", Key=f"half/{name}")
    assert run(ask, **bucket.environment).returncode == 0
    assert bucket.takes("half") == takes_of(whole)


def test_places_that_are_no_stores(footage: Path, tmp_path: Path) -> None:
    on_web = run(command(footage, "https://user:secret@host/results?key=secret"))
    assert on_web.returncode == 2
    assert on_web.stderr.startswith("error: https://host/results: the web takes no results; name a folder, or a store")
    ran = run(command(footage, tmp_path / "out", "--work", tmp_path / "work"))
    assert ran.returncode == 2
    assert "--work is for results that go to a URI" in ran.stderr
    assert run(command(footage, (tmp_path / "out").as_uri())).returncode == 0
    assert (tmp_path / "out" / "index.html").exists()
