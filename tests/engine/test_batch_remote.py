"""A batch over files in object storage and on the web, from real servers on this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from s3_server import KEYS, serving

from bestshot_trt import moments
from bestshot_trt.batch import plan
from bestshot_trt.batch.journal import Journal, Keys
from bestshot_trt.batch.sources import attempts, fetching, remote, staging
from bestshot_trt.batch.sources.inputs import expand
from bestshot_trt.source import fingerprint


def bestshot(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bestshot_trt", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, env={**os.environ, **environment}
    )


def told(ran: subprocess.CompletedProcess[str], event: str) -> list[dict[str, Any]]:
    lines = (json.loads(line) for line in ran.stderr.splitlines() if line.startswith("{"))
    return [line for line in lines if line["event"] == event]


class Web:
    """A folder served over HTTP/1.1; ``faults`` are taken one a GET, by its path."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[tuple[str, str, str | None]] = []
        self.faults: dict[str, list[str]] = {}
        self.ranges = True
        self.is_read = threading.Event()
        """Set when what comes of a "cut" has been read."""
        web = self

        class Handler(SimpleHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments, directory=str(folder))

            def log_message(self, *arguments: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self._answer()

            def do_GET(self) -> None:
                self._answer()

            def _answer(self) -> None:
                path = Path(self.translate_path(self.path))
                asked = self.headers.get("Range") if web.ranges else None
                web.asked.append((self.command, path.name, asked))
                faults = web.faults.get(path.name, [])
                fault = faults.pop(0) if faults and (self.command == "GET" or faults[0].isdigit()) else ""
                if fault.isdigit() or not path.is_file():
                    self.send_response(int(fault or 404))
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                content = path.read_bytes()
                start, stop = 0, len(content)
                if asked:
                    first, _, last = asked.removeprefix("bytes=").partition("-")
                    start, stop = int(first), min(stop, int(last) + 1 if last else stop)
                self.send_response(206 if asked else 200)
                if asked:
                    self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
                self.send_header("Content-Length", str(stop - start))
                self.send_header("ETag", f'"{fingerprint(path)}"')
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(content[start : start + {"cut": 1000, "hang": 200_000}.get(fault, stop - start)])
                    if fault == "hang":
                        self.wfile.flush()
                        time.sleep(20)
                    self.close_connection = fault == "cut"
                    if fault == "cut":
                        # A client that hears of the end with the bytes may throw both away.
                        self.wfile.flush()
                        web.is_read.wait(300)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        # Batches are killed amid what they send or fetch: nothing to tell of, least of all while pytest reads code.
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def gets(self, name: str) -> list[str | None]:
        return [asked for method, path, asked in self.asked if method == "GET" and path == name]

    def end(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    pytest.importorskip("aiohttp")
    (tmp_path / "www").mkdir()
    web = Web(tmp_path / "www")
    yield web
    web.end()


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    """A bucket ``footage`` on an S3 server: the client to fill it with, and the environment that finds it."""
    with serving("footage") as found:
        yield found


def test_a_batch_over_a_bucket_gives_what_local_files_give_and_fetches_nothing_twice(
    bucket: Any, clip: Any, tmp_path: Path
) -> None:
    client, environment = bucket
    take, other = (clip("-c:v libx264 -preset ultrafast -g 25", size=size, seconds=3) for size in ("96x64", "64x96"))
    for key, path in (("day1/a.mp4", take), ("day1/sub/copy of a.mp4", take), ("day1/b.mp4", other)):
        client.upload_file(str(path), "footage", key)
    client.put_object(Bucket="footage", Key="day1/notes.txt", Body=b"not a video")
    out = tmp_path / "out"
    ask = ("batch", "s3://footage/day1/", "s3://footage/gone.mp4", "-o", out, "--model", "none", "--log-json")
    ran = bestshot(*ask, **environment)
    assert ran.returncode == 1, ran.stderr
    assert ran.stdout.splitlines() == [
        "gone.mp4  no such file; check the name",
        "5 files: 2 done, 1 duplicates, 1 not videos, 1 failed",
    ]
    assert "Traceback" not in ran.stderr
    # A copy is known by its blocks, without being fetched.
    assert sorted(event["path"] for event in told(ran, "fetching")) == [
        *("s3://footage/day1/a.mp4", "s3://footage/day1/b.mp4", "s3://footage/day1/notes.txt"),
    ]
    assert list((out / ".bestshot" / "work").iterdir()) == []
    (found,) = (out / "takes").glob("a-*")
    document = moments.read_json(found / "moments.json")
    assert document.source.path == "s3://footage/day1/a.mp4"
    assert all((found / (moment.clip or "")).stat().st_size for moment in document.moments)
    # What was fetched is gone; cut lists name the take as it would lie beside its results.
    (cuts,) = (found / "cuts").glob("*.edl")
    assert f"{found.as_uri()}/a.mp4" in cuts.read_text()
    (tmp_path / "local").mkdir()
    shutil.copy(take, tmp_path / "local" / "a.mp4")
    bestshot("batch", tmp_path / "local", "-o", tmp_path / "alike", "--model", "none")
    alike = next((tmp_path / "alike" / "takes").iterdir())
    assert alike.name == found.name
    local = moments.read_json(alike / "moments.json")
    assert local.moments == document.moments

    again = bestshot(*ask, **environment)
    assert (told(again, "fetching"), len(told(again, "before"))) == ([], 2)
    # Other content under a known name is looked at again, and found to be done.
    client.upload_file(str(other), "footage", "day1/a.mp4")
    client.upload_file(str(take), "footage", "day1/b.mp4")
    assert told(bestshot(*ask, **environment), "fetching") == []


def test_a_pattern_in_a_bucket_and_what_cannot_be_had(bucket: Any, tmp_path: Path, monkeypatch: Any) -> None:
    client, environment = bucket
    for key in ("p/a.mp4", "p/b.mov", "p/c.txt", "p/.hidden.mp4"):
        client.put_object(Bucket="footage", Key=key, Body=b"x")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    names = [item.source for item in expand(["s3://footage/p/*.m*", "s3://footage/p/"], without=tmp_path)]
    assert names == ["s3://footage/p/a.mp4", "s3://footage/p/b.mov", "s3://footage/p/c.txt"]
    for uri, reason in (
        ("s3://footage/none/*.mp4", "stands for no file"),
        ("s3://no-such-bucket/*.mp4", "no such file|stands for no file"),
    ):
        with pytest.raises(remote.InputError, match=reason):
            remote.listed(uri)
    with pytest.raises(remote.InputError, match="s3://footage/p: is a folder; end it with /"):
        remote.look_at("s3://footage/p")
    with pytest.raises(remote.InputError, match="this kind of URI is not known"):
        remote.look_at("floppy://a/b.mp4")


def test_without_credentials_or_library_one_line_and_the_batch_goes_on(bucket: Any, clip: Any, tmp_path: Path) -> None:
    _, environment = bucket
    take = clip("-c:v libx264 -preset ultrafast -g 25", seconds=3)
    without = dict.fromkeys(KEYS, "") | {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": environment["AWS_ENDPOINT_URL"],
        "HOME": str(tmp_path),
    }
    ran = bestshot("batch", take, "s3://footage/x.mp4", "-o", tmp_path / "a", "--model", "none", **without)
    assert "x.mp4  no credentials for this store" in ran.stdout
    assert ran.stdout.splitlines()[-1] == "2 files: 1 done, 1 failed"
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "gcsfs.py").write_text("raise ModuleNotFoundError('gcsfs')")
    path = os.pathsep.join([str(hidden), os.environ.get("PYTHONPATH", "")])
    ran = bestshot("batch", take, "gs://footage/x.mp4", "-o", tmp_path / "a", "--model", "none", PYTHONPATH=path)
    assert (
        'x.mp4  the library for this kind of store is not installed: pip install "bestshot-trt[remote]"' in ran.stdout
    )
    assert ran.stdout.splitlines()[-1] == "2 files: 0 done, 1 done before, 1 failed"


def test_a_broken_transfer_goes_on_where_it_broke(web: Web, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(attempts, "_FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(fetching, "CHUNK", 4000)
    content = os.urandom(20_000)
    (tmp_path / "www" / "a.mp4").write_bytes(content)
    uri = f"{web.url}/a.mp4"
    look = remote.look_at(uri)
    web.faults["a.mp4"] = ["cut", "503"]
    write = fetching._Sink.write

    def written(sink: Any, piece: bytes) -> None:
        write(sink, piece)
        web.is_read.set()

    monkeypatch.setattr(fetching._Sink, "write", written)
    fetching.fetch(uri, look, tmp_path / "got.mp4")
    assert (tmp_path / "got.mp4").read_bytes() == content
    assert web.gets("a.mp4")[0] is None
    assert any((asked or "").startswith("bytes=1000-") for asked in web.gets("a.mp4"))
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


def test_what_changes_or_never_comes_leaves_nothing_behind(web: Web, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(attempts, "_FIRST_WAIT_S", 0.01)
    file = tmp_path / "www" / "a.mp4"
    file.write_bytes(b"a" * 5000)
    uri = f"{web.url}/a.mp4"
    look = remote.look_at(uri)
    file.write_bytes(b"b" * 5000)
    with pytest.raises(remote.InputError, match="changed while it was fetched"):
        fetching.fetch(uri, look, tmp_path / "got" / "a.mp4")
    web.faults["a.mp4"] = ["500"] * 100
    with pytest.raises(remote.InputError, match=r"a\.mp4: cannot be fetched after 5 attempts"):
        remote.look_at(uri)
    web.faults["a.mp4"] = ["403"] * 100
    with pytest.raises(remote.InputError, match="refuses access"):
        remote.look_at(uri)
    assert list((tmp_path / "got").iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only there it shows whether the machine was down")
def test_killed_amid_a_fetch_the_next_batch_goes_on_with_it(web: Web, clip: Any, tmp_path: Path) -> None:
    take = clip("-c:v mjpeg -q:v 2", ".avi", size="320x240", seconds=4)
    assert 300_000 < take.stat().st_size < 4 << 20
    for name in ("a.avi", "other.avi"):
        shutil.copy(take, tmp_path / "www" / name)
    out = tmp_path / "out"
    ask = ("batch", f"{web.url}/a.avi", "-o", out, "--model", "none", "--log-json")
    blocks = -(-take.stat().st_size // (256 << 10))
    begun = _killed_amid_a_fetch(web, blocks, ask, out)
    before = len(web.gets("a.avi"))
    ran = bestshot(*ask)
    assert ran.returncode == 0, ran.stderr
    assert f"bytes={begun}-" in "".join(f"{asked}," for asked in web.gets("a.avi")[before:])
    assert None not in web.gets("a.avi")[before:]
    (found,) = (out / "takes").iterdir()
    assert moments.read_json(found / "moments.json").source.fingerprint == fingerprint(take)
    assert list((out / ".bestshot" / "work").iterdir()) == []
    # What was begun takes no room from a batch that has no use for it.
    bound = str((take.stat().st_size + 100) / 2**30)
    out = tmp_path / "again"
    _killed_amid_a_fetch(web, blocks, ("batch", f"{web.url}/a.avi", "-o", out, "--model", "none"), out)
    ran = bestshot("batch", f"{web.url}/other.avi", "-o", out, "--model", "none", "--stage-space", bound)
    assert ran.stdout == "1 files: 1 done\n"


def _killed_amid_a_fetch(web: Web, blocks: int, ask: tuple[Any, ...], out: Path) -> int:
    """The bytes that had come by then; ``blocks`` are asked for to know the file."""
    web.faults["a.avi"] = [*[""] * blocks, *["hang"] * 20]
    batch = popen(*ask)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        begun = [part for part in (out / ".bestshot" / "work").rglob(".*.part") if part.stat().st_size >= 150_000]
        if begun:
            break
        time.sleep(0.05)
    batch.kill()
    batch.wait()
    web.faults.clear()
    return begun[0].stat().st_size


@pytest.mark.parametrize("ranges", [True, False])
def test_takes_on_the_web_within_the_bound_of_disk(web: Web, clip: Any, tmp_path: Path, ranges: bool) -> None:
    web.ranges = ranges
    sizes = []
    for name, size in (("a.mp4", "96x64"), ("b.mp4", "64x96")):
        shutil.copy(clip("-c:v libx264 -preset ultrafast -g 25", size=size, seconds=3), tmp_path / "www" / name)
        sizes.append((tmp_path / "www" / name).stat().st_size)
    (tmp_path / "www" / "large.mp4").write_bytes(os.urandom(5 << 20))
    bound = str((max(sizes) + 100) / 2**30)
    uris = [f"{web.url}/{name}?token=secret" for name in ("a.mp4", "b.mp4", "large.mp4")]
    out = tmp_path / "out"
    ran = bestshot("batch", *uris, "-o", out, "--model", "none", "--stage-space", bound, "--log-json")
    assert ran.stdout.splitlines()[-1] == "3 files: 2 done, 1 failed"
    # Read in parts, it is found to hold no video.
    assert ("not a video" if ranges else "more than --stage-space") in ran.stdout
    assert "secret" not in ran.stdout + ran.stderr + "".join(p.read_text() for p in out.glob("summary.*"))
    assert len(told(ran, "fetching")) == 2
    assert list((out / ".bestshot" / "work").iterdir()) == []
    listing = tmp_path / "list.txt"
    listing.write_text(f"{uris[0]}\n{web.url}/a.mp4\n{web.url}/gone.mp4\n")
    looked = bestshot("batch", f"@{listing}", "-o", out, "--model", "none", "--dry-run").stdout.splitlines()
    assert looked[0] == f"done                  {web.url}/a.mp4, 0:00:03"
    # Another address may be other content, of which nothing is fetched to learn how long it is.
    about = "" if ranges else "about "
    assert looked[1].startswith(f"analyze, pick, export {web.url}/a.mp4, {about}0:00:0")
    assert looked[2] == f"would fail            {web.url}/gone.mp4: no such file; check the name"
    assert " MiB for fetched takes; " in looked[-1]


def popen(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bestshot_trt", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_full_disk_holds_fetching_up_until_there_is_room(web: Web, clip: Any, disk: Any, tmp_path: Path) -> None:
    shutil.copy(clip("-c:v libx264 -preset ultrafast -g 25", seconds=3), tmp_path / "www" / "a.mp4")
    with disk(tmp_path / "disk", f"{staging.SPARE + (16 << 20)}") as folder:
        ballast = folder / "ballast"
        ballast.write_bytes(bytes(32 << 20))
        batch = popen("batch", f"{web.url}/a.mp4", "-o", folder / "out", "--model", "none", "--log-json")
        assert batch.stderr is not None
        events = []
        for line in batch.stderr:
            events.append(json.loads(line)["event"])
            if events[-1] == "paused":
                ballast.unlink()
        assert batch.wait(300) == 0
    heard = [event for event in events if event not in ("started", "progress")]
    assert heard == ["paused", "resumed", "fetching", "given", "done"]


@pytest.mark.parametrize("is_told", [True, False])
def test_a_disk_that_fills_up_amid_a_fetch_is_waited_for(
    web: Web, disk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_told: bool
) -> None:
    (tmp_path / "www" / "a.mp4").write_bytes(os.urandom(2 << 20))
    monkeypatch.setattr(staging, "SPARE", 1 << 16)
    look = remote.look_at(f"{web.url}/a.mp4")
    for module in (remote, fetching):
        monkeypatch.setattr(module, "look_once", lambda uri: look if is_told else remote.Look(None, None))
    events: list[str] = []
    (footage,) = expand([f"{web.url}/a.mp4"], without=tmp_path / "out")
    journal = Journal(tmp_path / "journal.sqlite")
    with disk(tmp_path / "disk", "1M") as folder:
        stage = staging.Stage(
            [footage], folder, folder / "fetched", 1 << 30, 1, journal, lambda event, **_: events.append(event)
        )
        room = shutil.disk_usage
        # Another program takes the room between the look at it and the fetch.
        monkeypatch.setattr(staging.shutil, "disk_usage", lambda path: room("/"))
        came: list[str | None] = []
        end = time.monotonic() + 300
        while not came and time.monotonic() < end:
            for item, content, _ in stage.identified():
                stage.fetch(plan.Job(item, content, "a", Keys("", "", ""), None, "analyze, pick, export"))
            came += [reason for _, reason in stage.fetched()]
            if "fetching" in events:
                monkeypatch.setattr(staging.shutil, "disk_usage", room)
            if events[-1:] == ["paused"]:
                assert list((folder / "fetched").rglob("*.mp4")) == []
                subprocess.run(["mount", "-o", "remount,size=8M", folder], check=True)
            time.sleep(0.01)
        stage.end()
    journal.close()
    assert came == [None]
    assert events == ["fetching", "paused", "resumed", "fetching"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_dry_run_reads_only_so_much_of_a_remote_take_that_it_knows_its_length(
    web: Web, clip: Any, tmp_path: Path, ranges: bool
) -> None:
    web.ranges = ranges
    content = clip("-c:v libx264 -preset ultrafast -g 25", seconds=3).read_bytes()
    # A box that players skip makes a large file of it.
    filler = 40 << 20
    (tmp_path / "www" / "a.mp4").write_bytes(content + filler.to_bytes(4) + b"free" + bytes(filler - 8))
    out = tmp_path / "out"
    ask = ("batch", f"{web.url}/a.mp4", "-o", out, "--model", "none", "--dry-run", "--json")
    looked = bestshot(*ask, BESTSHOT_SPEEDS=str(tmp_path / "none"))
    (file,) = json.loads(looked.stdout)["files"]
    assert not out.exists()
    if not ranges:
        # Taken for footage of 20 Mbit/s.
        assert (file["duration_is_guessed"], file["duration_s"]) == (True, pytest.approx(filler / 2.5e6, rel=0.1))
        return
    assert (file["duration_is_guessed"], file["duration_s"]) == (False, pytest.approx(3))
    asked = [(asked or "bytes=0-").removeprefix("bytes=").partition("-") for asked in web.gets("a.mp4")]
    assert sum(int(last or filler) - int(first) for first, _, last in asked) < filler / 2
