"""`bestshot-trt doctor` says what works here, and why not where it does not; GPUs are in test_doctor_gpu.py."""

import importlib
import sys
import types

import pytest

from bestshot_trt import doctor
from bestshot_trt.doctor import REQUIRED, Check, inspect, is_healthy

# The package's public function of the same name hides the folder from a plain import.
export = importlib.import_module("bestshot_trt.export")


def by_name(checks):
    return {check.name: check for check in checks}


@pytest.fixture(scope="module")
def here():
    return inspect()


@pytest.fixture
def instant(monkeypatch):
    """Encoders are taken to work, so that a test of something else need not wait for them."""
    monkeypatch.setattr(export, "prove_encoder", lambda name: None)


def unimportable(monkeypatch, *names):
    for name in names:
        for part in [part for part in sys.modules if part.startswith(f"{name}.")]:
            monkeypatch.delitem(sys.modules, part)
        monkeypatch.setitem(sys.modules, name, None)


def test_this_machine_is_healthy(here):
    assert is_healthy(here)


def test_names_are_unique_and_texts_are_one_line(here):
    assert len(by_name(here)) == len(here)
    for check in here:
        assert check.value
        assert all(text.isprintable() for text in (check.name, check.value, check.hint))


def test_whatever_does_not_work_has_a_hint(here):
    assert [check.name for check in here if check.ok is False and not check.hint] == []


def test_models_that_are_not_there_are_no_fault(here):
    assert "no CLIP model" in by_name(here)["models"].value


def test_long_reasons_become_one_line():
    check = Check("encoder x", False, "first\n  second\tthird\x1b[31m", "do\nthis")
    assert check.value == "first second third\\x1b[31m"
    assert check.hint == "do this"


@pytest.mark.parametrize("name", REQUIRED)
def test_each_required_check_decides(here, name):
    without = [check for check in here if check.name != name]
    assert not is_healthy(without)
    assert not is_healthy([*without, Check(name, False, "broken", "repair it")])


def test_a_broken_encoder_is_unhealthy_and_says_why(monkeypatch):
    def prove(name):
        return "Unknown encoder\n'libx264'" if name == "libx264" else None

    monkeypatch.setattr(export, "prove_encoder", prove)
    checks = inspect()
    broken = by_name(checks)["encoder libx264"]
    assert (broken.ok, broken.value) == (False, "Unknown encoder 'libx264'")
    assert broken.hint
    assert not is_healthy(checks)


def test_an_encoder_that_is_not_needed_does_not_make_it_unhealthy(monkeypatch):
    monkeypatch.setattr(export, "prove_encoder", lambda name: None if name == "libx264" else "Cannot load libcuda.so.1")
    checks = inspect()
    assert by_name(checks)["encoder h264_nvenc"].value == "Cannot load libcuda.so.1"
    assert "not needed" in by_name(checks)["encoder h264_nvenc"].hint
    assert is_healthy(checks)


def test_no_pyav_is_unhealthy_with_a_pip_line(instant, monkeypatch):
    unimportable(monkeypatch, "av")
    checks = inspect()
    assert by_name(checks)["decoder h264"].ok is False
    assert "pip install" in by_name(checks)["PyAV"].hint
    assert not is_healthy(checks)


def test_a_decoder_that_is_not_there_is_missing(instant, monkeypatch):
    monkeypatch.setitem(doctor.DECODERS, "prores", ("no_such_decoder",))
    checks = inspect()
    assert by_name(checks)["decoder prores"].value == "missing"
    assert "H.264" in by_name(checks)["decoder prores"].hint
    assert is_healthy(checks)


def test_no_ffmpeg_is_reported(tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "nothing"))
    checks = inspect()
    assert by_name(checks)["ffmpeg"].ok is False
    assert "IMAGEIO_FFMPEG_EXE" in by_name(checks)["ffmpeg"].hint
    assert not is_healthy(checks)


def test_a_folder_that_takes_no_files_is_unhealthy(instant, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)
    checks = inspect()
    assert by_name(checks)["folder"].ok is False
    assert "Permission denied" in by_name(checks)["folder"].value
    assert not is_healthy(checks)


def test_a_full_disk_gets_a_hint(instant, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: types.SimpleNamespace(free=10 << 20))
    folder = by_name(inspect())["folder"]
    assert folder.ok
    assert "free some space" in folder.hint
