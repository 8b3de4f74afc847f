from __future__ import annotations

import os

import pytest

from bestshot_trt import files
from bestshot_trt.errors import ExportError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_text_is_written_as_utf8_with_its_line_ends_as_given(tmp_path):
    files.write_text(tmp_path / "new" / "a.txt", "é\n東\r\n")
    assert (tmp_path / "new" / "a.txt").read_bytes() == "é\n東\r\n".encode()
    assert names(tmp_path / "new") == ["a.txt"]


def test_an_older_file_is_replaced(tmp_path):
    path = tmp_path / "a.txt"
    files.write_text(path, "old, and longer")
    files.write_text(path, "new")
    assert path.read_text() == "new"


def test_until_the_end_a_reader_sees_the_older_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with files.whole_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent
        assert temporary.suffix == ".txt"
        assert temporary.name.startswith(".")
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_write_that_breaks_off_leaves_no_trace(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def break_off():
        with files.whole_file(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        break_off()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_name_near_the_limit_of_the_file_system_works(tmp_path):
    path = tmp_path / ("n" * 251 + ".txt")
    files.write_text(path, "x")
    assert path.read_text() == "x"


def test_a_name_that_is_not_utf8_works(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.txt")
    files.write_text(path, "x")
    assert path.read_text() == "x"


def test_a_folder_in_the_way_is_an_export_error(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(ExportError, match=r"a\.txt: cannot be written: "):
        files.write_text(tmp_path / "a.txt", "x")
    assert names(tmp_path) == ["a.txt"]


def test_a_file_as_parent_is_an_export_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match=r"a\.txt: cannot be written: (Not a directory|File exists)"):
        files.write_text(tmp_path / "file" / "a.txt", "x")


def test_nothing_written_is_an_export_error(tmp_path):
    with (
        pytest.raises(ExportError, match=r"a\.txt: cannot be written: No such file"),
        files.whole_file(tmp_path / "a.txt"),
    ):
        pass
