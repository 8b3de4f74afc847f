"""Remote takes read as streams: the same results as of a file, and none of a take that cannot be read whole."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from s3_server import Way, serving

from bestshot_trt import analysis, errors
from bestshot_trt.batch.sources import attempts, remote, streaming
from bestshot_trt.batch.sources.streaming import reading
from bestshot_trt.batch.workers.messages import Elsewhere
from bestshot_trt.config import AnalyzeConfig, Config
from bestshot_trt.source import fingerprint
from bestshot_trt.track import COLUMNS

H264 = "-c:v libx264 -preset ultrafast -g 25"


@pytest.fixture(scope="module")
def bucket() -> Iterator[tuple[Any, dict[str, str]]]:
    with serving("footage") as found:
        yield found


@pytest.fixture
def way(bucket: tuple[Any, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> Iterator[Way]:
    """How this process and those it starts reach the store."""
    from s3fs import S3FileSystem

    _, environment = bucket
    way = Way(environment["AWS_ENDPOINT_URL"])
    for name, value in {**environment, "AWS_ENDPOINT_URL": way.url}.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    yield way
    S3FileSystem.clear_instance_cache()
    way.end()


def batch(footage: str, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bestshot_trt", "batch", footage, "-o", str(out), "--model", "none", "--log-json"]
    return subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=300)


def told(ran: subprocess.CompletedProcess[str], event: str) -> list[dict[str, Any]]:
    lines = (json.loads(line) for line in ran.stderr.splitlines() if line.startswith("{"))
    return [line for line in lines if line["event"] == event]


def contents(out: Path) -> dict[str, bytes]:
    """Every result by its name. Reports and cut lists name where they are, which differs."""
    found = {path.relative_to(out).as_posix(): path for path in (out / "takes").rglob("*") if path.is_file()}
    return {name: path.read_bytes().replace(str(out).encode(), b"OUT") for name, path in found.items()}


@pytest.mark.parametrize(
    ("options", "suffix"),
    [
        pytest.param(H264, ".mp4", id="moov at the end"),
        pytest.param(f"{H264} -movflags +faststart", ".mp4", id="moov first"),
        pytest.param(f"{H264} -movflags frag_keyframe+empty_moov", ".mp4", id="fragmented"),
        pytest.param(f"{H264} -bf 2", ".mkv", id="mkv"),
        pytest.param("-c:v libvpx -deadline realtime -b:v 300k", ".webm", id="webm"),
        pytest.param(H264, ".ts", id="transport stream"),
        pytest.param("-c:v mjpeg", ".avi", id="avi"),
        pytest.param("-c:v mpeg2video -g 12", ".mpg", id="program stream"),
    ],
)
def test_a_stream_gives_the_samples_of_the_file(
    way: Way, bucket: Any, clip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, suffix: str
) -> None:
    # Of so small blocks that few of a take are in memory.
    monkeypatch.setattr(streaming, "_BLOCK", 5000)
    monkeypatch.setattr(streaming, "_KEPT", 6)
    take = clip(options, suffix, size="128x96", seconds=4)
    assert take.stat().st_size > 6 * 5000
    bucket[0].upload_file(str(take), "footage", f"formats/{take.name}")
    uri = f"s3://footage/formats/{take.name}"
    config = Config(analyze=AnalyzeConfig(model="none", fps=5))
    known = analysis.analyze(take, config)
    absent = tmp_path / f"absent{suffix}"
    with reading(absent, Elsewhere(uri, remote.look_at(uri))):
        assert fingerprint(absent) == fingerprint(take)
        track = analysis.analyze(absent, config)
    for name in COLUMNS.values():
        np.testing.assert_array_equal(getattr(track, name), getattr(known, name), err_msg=name)
    assert (track.meta.duration, track.meta.decode) == (known.meta.duration, known.meta.decode)
    assert (track.meta.source.fingerprint, track.meta.source.size_bytes, track.meta.source.video) == (
        known.meta.source.fingerprint,
        known.meta.source.size_bytes,
        known.meta.source.video,
    )
    with pytest.raises(errors.InputError, match="no such file"):
        analysis.analyze(absent, config)


def test_a_take_larger_than_the_bound_of_disk_has_all_results(way: Way, bucket: Any, clip: Any, tmp_path: Path) -> None:
    take = clip(H264, ".mkv", size="128x96", seconds=4)
    bucket[0].upload_file(str(take), "footage", "large/a.mkv")
    bound = take.stat().st_size / 2 / 2**30
    (tmp_path / "fetched").mkdir()
    (tmp_path / "read").mkdir()
    options = ("-k", "2", "--effort", "fastest", "--stabilize", "vidstab", "--reel", "--color", "auto")
    fetched = batch("s3://footage/large/", tmp_path / "fetched" / "out", *options)
    streamed = batch("s3://footage/large/", tmp_path / "read" / "out", *options, "--stage-space", f"{bound:.9f}")
    assert (fetched.returncode, streamed.returncode) == (0, 0), streamed.stderr
    assert len(told(fetched, "fetching")) == 1
    assert told(streamed, "fetching") == []
    assert contents(tmp_path / "read" / "out") == contents(tmp_path / "fetched" / "out")
    # In stretches for many workers, and without a bound.
    (tmp_path / "asked").mkdir()
    asked = batch("s3://footage/large/", tmp_path / "asked" / "out", *options, "--stream", "--workers", "2")
    assert told(asked, "fetching") == []
    assert contents(tmp_path / "asked" / "out") == contents(tmp_path / "fetched" / "out")


def test_what_cannot_be_read_to_its_end_has_no_results(way: Way, bucket: Any, clip: Any, tmp_path: Path) -> None:
    take = clip(H264, ".mkv", size="128x96", seconds=4)
    # Not called as videos are: then a file without video is left out, but one that cannot be read is a failure.
    bucket[0].upload_file(str(take), "footage", "broken/a.bin")
    gets: list[str] = []

    def broken(method: str, path: str) -> int | None:
        gets.extend([path] if method == "GET" and path.endswith("a.bin") else [])
        return 403 if len(gets) > 1 else None

    way.fault = broken
    ran = batch("s3://footage/broken/", tmp_path / "out", "--stream")
    assert ran.returncode == 1, ran.stdout
    assert "the store refuses access" in ran.stdout
    assert not (tmp_path / "out" / "takes").exists()
    way.fault = lambda method, path: None
    # It is tried again without being told to.
    assert batch("s3://footage/broken/", tmp_path / "out", "--stream").stdout == "1 files: 1 done\n"


@pytest.mark.parametrize("after", range(0, 30, 3))
def test_a_read_that_fails_is_never_taken_for_the_end(
    way: Way, bucket: Any, clip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(streaming, "_BLOCK", 5000)
    take = clip(H264, ".ts", size="128x96", seconds=4)
    bucket[0].upload_file(str(take), "footage", "cut/a.ts")
    uri = "s3://footage/cut/a.ts"
    look = remote.look_at(uri)
    gets: list[str] = []

    def broken(method: str, path: str) -> int | None:
        gets.extend([path] if method == "GET" and path.endswith("a.ts") else [])
        return 403 if len(gets) > after else None

    way.fault = broken
    config = Config(analyze=AnalyzeConfig(model="none", fps=5))
    with (
        pytest.raises(attempts.Unfetched, match=r"a\.ts: the store refuses access"),
        reading(tmp_path / "a.ts", Elsewhere(uri, look)),
    ):
        analysis.analyze(tmp_path / "a.ts", config)
        streaming.streams.check(tmp_path / "a.ts")


def test_faults_that_pass_and_takes_that_change(
    way: Way, bucket: Any, clip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_BLOCK", 5000)
    monkeypatch.setattr(attempts, "_FIRST_WAIT_S", 0.01)
    take = clip(H264, ".mp4", size="128x96", seconds=4)
    bucket[0].upload_file(str(take), "footage", "changes/a.mp4")
    uri = "s3://footage/changes/a.mp4"
    look = remote.look_at(uri)
    gets: list[str] = []

    def now_and_then(method: str, path: str) -> int | None:
        gets.extend([path] if method == "GET" and path.endswith("a.mp4") else [])
        return 503 if method == "GET" and len(gets) % 4 == 1 else None

    way.fault = now_and_then
    config = Config(analyze=AnalyzeConfig(model="none", fps=5))
    with reading(tmp_path / "a.mp4", Elsewhere(uri, look)):
        track = analysis.analyze(tmp_path / "a.mp4", config)
        streaming.streams.check(tmp_path / "a.mp4")
    assert len(gets) > 8
    np.testing.assert_array_equal(track.sharpness, analysis.analyze(take, config).sharpness)
    way.fault = lambda method, path: None
    bucket[0].put_object(Bucket="footage", Key="changes/a.mp4", Body=os.urandom(take.stat().st_size))
    with (
        pytest.raises(attempts.Unfetched, match=r"a\.mp4: changed while it was read"),
        reading(tmp_path / "a.mp4", Elsewhere(uri, look)),
    ):
        analysis.analyze(tmp_path / "a.mp4", config)


def test_a_reader_reads_as_a_file_does(way: Way, bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "_BLOCK", 100)
    monkeypatch.setattr(streaming, "_KEPT", 2)
    content = os.urandom(1010)
    (tmp_path / "file").write_bytes(content)
    bucket[0].put_object(Bucket="footage", Key="bytes", Body=content)
    look = remote.look_at("s3://footage/bytes")
    stream = streaming.RemoteStream(Elsewhere("s3://footage/bytes", look))
    theirs = stream.open("file")
    with (tmp_path / "file").open("rb") as ours:
        for seek, size in (((0, 0), 10), ((95, 0), 10), ((-5, 2), 50), ((0, 2), 1), ((-300, 2), -1), ((20, 0), 0)):
            assert theirs.seek(*seek) == ours.seek(*seek)
            assert theirs.read(size) == ours.read(size)
            assert theirs.tell() == ours.tell()
        ours.seek(0)
        theirs.seek(0)
        assert shutil.copyfileobj(theirs, (tmp_path / "copy").open("wb"), 33) is None
    stream.end()
    assert theirs.seek(0) == 0
