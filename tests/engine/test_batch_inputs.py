"""What a batch's arguments stand for."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from bestshot_trt.batch import plan
from bestshot_trt.batch.sources.inputs import expand
from bestshot_trt.errors import InputError


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.mp4", "day1/b.mov", "day1/notes.txt", "day1/.hidden.mp4", ".trash/c.mp4", "out/takes/d.mp4"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*specs: str, stdin: str = "") -> list[tuple[str, bool]]:
    found = expand(specs, without=Path("out"), stdin=io.StringIO(stdin))
    return [(os.path.relpath(item.path), item.asked) for item in found]


def test_a_folder_is_every_file_below_it_but_hidden_ones_and_results(tree: Path) -> None:
    assert names(".") == [("a.mp4", True), ("day1/b.mov", True), ("day1/notes.txt", False)]


def test_patterns_lists_and_stdin(tree: Path) -> None:
    assert names("day1/*.mov") == [("day1/b.mov", True)]
    assert names("**/*.txt") == [("day1/notes.txt", False)]
    Path("day1/list.txt").write_text("# takes of day 1\nb.mov\n\n../a.mp4\n")
    assert names("@day1/list.txt") == [("day1/b.mov", True), ("a.mp4", True)]
    assert names("-", stdin="a.mp4\nday1/b.mov\n") == [("a.mp4", True), ("day1/b.mov", True)]


def test_a_file_named_twice_is_one(tree: Path) -> None:
    Path("link.mp4").symlink_to("a.mp4")
    assert names("a.mp4", "./a.mp4", str(tree / "a.mp4"), "link.mp4") == [("a.mp4", True)]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("gone.mp4", "gone.mp4: no such file"),
        ("*.avi", r"\*.avi: matches no file"),
        ("@gone.txt", "gone.txt: cannot be read"),
        ("@list.txt", "list.txt, line 2: .*gone.mov: no such file"),
        ("out", "no files to look at"),
    ],
)
def test_what_stands_for_nothing_is_an_error(tree: Path, spec: str, said: str) -> None:
    Path("list.txt").write_text("a.mp4\ngone.mov\n")
    with pytest.raises(InputError, match=said):
        names(spec)


def test_takes_of_one_name_get_folders_of_their_own() -> None:
    one = plan.name_of(Path("card1/GOPR0001.MP4"), "sha256-blocks:0123456789abcdef")
    other = plan.name_of(Path("card2/GOPR0001.MP4"), "sha256-blocks:fedcba9876543210")
    assert (one, other) == ("GOPR0001-01234567", "GOPR0001-fedcba98")
    assert plan.name_of(Path("../..mp4"), "sha256-blocks:0123456789abcdef") == "take-01234567"
    long = plan.name_of(Path("ü" * 120 + ".mp4"), "sha256-blocks:0123456789abcdef")
    assert len(long.encode()) < 80
