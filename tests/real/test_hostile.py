"""The whole command on every real and hostile file: a right result, or one clear line."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import av
import pytest

from bestshot_trt import track
from bestshot_trt.moments import read_json

pytestmark = pytest.mark.real

TIME_LIMIT_S = 300
BRIEF = ["-k", "2", "--pre", "0.5", "--post", "0.5", "--effort", "fastest"]
DOCUMENTED = {0, 3, 4}
"""Done, no video that can be read, no picture that can be decoded."""
PROGRESS = re.compile(r"(analyze|pictures|export): .* elapsed")
UNREADABLE = {
    "ff_1833894.mp4": 3,
    "ff_1859384.mp4": 4,
    "ff_bug1066943.webm": 3,
    "ff_bug1079747.mp4": 3,
    "ff_garbled.webm": 3,
    "ff_negative_duration.mp4": 4,
}
DAMAGED = {
    "dec_corrupted.mp4": "could not be decoded",
    "ff_1903669.mp4": "could not be decoded",
    "ff_no-container-codec-delay.webm": "cut short",
}


def run(take, folder, *options):
    call = [sys.executable, "-m", "bestshot_trt", "run", take, "-o", folder, *options]
    return subprocess.run(call, capture_output=True, text=True, timeout=TIME_LIMIT_S, check=False)


def test_every_file_ends_in_a_right_result_or_one_clear_line(recording, tmp_path):
    done = run(recording, tmp_path / "out", "--score-height", "144", *BRIEF)
    said = [line for line in done.stderr.splitlines() if not PROGRESS.match(line)]
    assert done.returncode == UNREADABLE.get(recording.name, 0)
    assert done.returncode in DOCUMENTED
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob(".*"))
    if done.returncode:
        assert (done.stdout, len(said)) == ("", 1)
        assert said[0].startswith(f"error: {recording}: ")
        assert not list(tmp_path.iterdir())
        return
    assert said[-1] == f"results are in {tmp_path / 'out'}"
    assert len(said) <= 5
    assert DAMAGED.get(recording.name, "") in done.stderr
    check_results(tmp_path / "out")


def check_results(folder):
    document = read_json(folder / "moments.json")
    analysed = track.read_track(folder / "track.parquet")
    assert 1 <= len(document.moments) <= 2
    assert {path.name for path in (folder / "clips").iterdir()} == {
        moment.clip.removeprefix("clips/") for moment in document.moments
    }
    for moment in document.moments:
        assert moment.peak_s in analysed.times
        assert 0 <= moment.start_s < moment.end_s <= document.source.duration_s + 1e-6
        with av.open(folder / moment.clip) as container:
            assert sum(1 for _ in container.decode(video=0)) > 0
    for name in ("contact_sheet.jpg", "timeline.svg", "moments.csv"):
        assert (folder / name).stat().st_size > 0


def test_a_read_only_take_of_a_name_that_is_not_utf8_works(media, tmp_path):
    take = tmp_path / os.fsdecode(b"caf\xe9 \x80.mp4")
    take.symlink_to(media / "fixtures" / "tc_nasa_13013_rotated.mp4")
    done = run(take, tmp_path / "out", "--score-height", "144", "-q")
    assert (done.returncode, done.stderr) == (0, "")
    check_results(tmp_path / "out")
