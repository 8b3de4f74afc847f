from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import shutil

import pytest
import typer
from typer.testing import CliRunner

from bestshot_trt.cli import models as commands
from bestshot_trt.embed import build, model_folder, pull
from bestshot_trt.embed.model_folder import open_folder
from bestshot_trt.errors import ModelUnavailable

COMMANDS = ("list", "pull", "export", "verify", "path")


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """An empty models folder."""
    monkeypatch.setenv("BESTSHOT_MODELS", str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.fixture
def cli(cli, kept, monkeypatch, tmp_path):
    """Runs ``bestshot-trt models`` in an empty folder, with an empty models folder."""
    monkeypatch.chdir(tmp_path)
    return functools.partial(cli, "models")


@pytest.fixture
def tiny(tiny_model, kept):
    """A copy of the tiny model among the models, under its own name."""
    return open_folder(shutil.copytree(tiny_model.path, kept / "tiny"))


@pytest.fixture
def registered(tiny_model, kept):
    """A copy of the tiny model that passes for ViT-B/32."""
    shutil.copytree(tiny_model.path, kept / "ViT-B-32")
    return model_folder.write_card(kept / "ViT-B-32", dataclasses.replace(tiny_model.card, name="ViT-B-32"))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(cli, command):
    ended = cli(command, "--help")
    assert ended.code == 0
    assert "Example:" in ended.out
    assert "bestshot-trt models" in ended.out


def test_the_group_lists_its_commands_in_whole_sentences():
    group = typer.Typer()
    group.add_typer(commands.app, name="models")
    shown = CliRunner().invoke(group, ["models", "--help"], env={"COLUMNS": "120"}).output
    assert all(command in shown for command in COMMANDS)
    assert "Check that a model computes what it should." in shown


def test_list_tells_what_is_here_and_how_to_get_the_rest(cli, registered, tiny):
    ended = cli("list")
    assert (ended.code, ended.err) == (0, "")
    heading, *lines = ended.out.splitlines()
    rows = {line.split()[0]: line for line in lines}
    assert heading.split() == ["model", "weights", "default", "width", "size", "precisions", "text", "where"]
    assert set(rows) == {"ViT-B-32", "ViT-B-16", "ViT-L-14", "tiny"}
    assert rows["ViT-B-32"].split()[1:] == ["random", "cpu", "16", "3", "MB", "fp32", "yes", str(registered.path)]
    assert "gpu" in rows["ViT-L-14"].split()
    assert rows["ViT-L-14"].endswith("not here; get it with: bestshot-trt models pull ViT-L-14")


def test_list_as_json_says_all_of_it(cli, registered):
    ended = cli("list", "--json")
    rows = {row["name"]: row for row in json.loads(ended.out)}
    assert rows["ViT-B-32"]["path"] == str(registered.path)
    assert rows["ViT-B-32"]["default_on"] == ["cpu"]
    assert rows["ViT-B-32"]["bytes"] == sum(file.size for file in registered.card.files.values())
    assert rows["ViT-B-32"]["precisions"] == ["fp32"]
    assert rows["ViT-B-32"]["text"] is True
    assert rows["ViT-B-16"]["path"] is None
    assert rows["ViT-L-14"]["licence"] == "MIT"


def test_path_is_alone_on_stdout(cli, kept, registered, tiny):
    assert cli("path") == (0, f"{kept}\n", "")
    assert cli("path", "vit-b/32") == (0, f"{registered.path}\n", "")
    assert cli("path", "tiny") == (0, f"{tiny.path}\n", "")


def test_what_is_not_here_is_said_with_how_to_get_it(cli, kept):
    ended = cli("path", "ViT-L-14")
    assert (ended.code, ended.out) == (6, "")
    assert ended.err == f"error: ViT-L-14 is not in {kept}; get it with: bestshot-trt models pull ViT-L-14\n"
    assert cli("verify", "nothing").code == 6
    assert "no such folder" in cli("verify", "no/thing").err
    assert "must be" in cli("pull", "ViT-Z").err


def test_pull_announces_fetches_and_says_where_it_is(cli, monkeypatch, registered):
    asked = {}

    def fake(spec, *, text, force, progress, announce):
        asked.update(name=spec.name, text=text, force=force)
        announce("downloading it: 1 MB")
        return registered

    monkeypatch.setattr(pull, "pull", fake)
    ended = cli("pull", "vit-b/32", "--text", "--force")
    assert asked == {"name": "ViT-B-32", "text": True, "force": True}
    assert ended.err == "downloading it: 1 MB\n"
    assert ended.out == f"ViT-B-32/random (text.fp32, visual.fp32; 3 MB) is in {registered.path}\n"
    assert cli("pull", "ViT-B-32", "-q") == (0, "", "")
    assert asked["text"] is False


def test_pull_makes_other_precisions(cli, monkeypatch, registered):
    monkeypatch.setattr(pull, "pull", lambda spec, **_: registered)
    assert "visual.fp16" in cli("pull", "ViT-B-32", "--precision", "fp32,fp16").out
    assert open_folder(registered.path).has("visual", "fp16")
    ended = cli("pull", "ViT-B-32", "--precision", "fp8")
    assert ended.code == 2
    assert ended.err == "error: precision 'fp8'; it must be one or more of fp32,fp16,int8\n"


def test_offline_pull_fails_in_one_line(cli):
    ended = cli("pull", "ViT-B-32")
    assert ended.code == 6
    assert ended.err.count("\n") == 1
    assert "huggingface.co cannot be reached: HF_HUB_OFFLINE is set" in ended.err


@pytest.fixture
def exported(monkeypatch, tiny_model):
    """What export would have been asked, without torch."""
    asked = {}

    def fake(spec, folder, **how):
        asked.update(how, name=spec.name, folder=folder)
        return tiny_model

    monkeypatch.setattr(build, "export_openclip", fake)
    return asked


def test_export_goes_among_the_models_with_the_head_fetched(cli, monkeypatch, exported, kept, tmp_path):
    @contextlib.contextmanager
    def fetched(spec, *, progress):
        yield tmp_path / "fetched.pth"

    monkeypatch.setattr(pull, "head_file", fetched)
    assert cli("export", "ViT-B-32").code == 0
    assert exported["folder"] == kept / "ViT-B-32"
    assert exported["precisions"] == ["fp32", "fp16"]
    assert exported["weights"] == build.REGISTERED
    assert exported["head"] == tmp_path / "fetched.pth"


def test_export_with_its_own_head_and_folder_needs_no_network(cli, exported, tmp_path):
    ended = cli("export", "ViT-L-14", "-o", "here", "--head", "head.pth", "--random", "--precision", "fp32")
    assert ended.code == 0
    assert (str(exported["folder"]), str(exported["head"])) == ("here", "head.pth")
    assert (exported["weights"], exported["precisions"]) == (None, ["fp32"])
    cli("export", "ViT-L-14", "-o", "here", "--head", "head.pth", "--weights", "laion400m_e31")
    assert exported["weights"] == "laion400m_e31"


def test_a_head_that_cannot_be_fetched_can_be_given(cli, exported):
    ended = cli("export", "ViT-B-32")
    assert ended.code == 6
    assert "github.com cannot be reached" in ended.err
    assert "with --head" in ended.err
    assert exported == {}


def test_random_weights_stay_out_of_the_models_folder(cli, exported):
    ended = cli("export", "ViT-B-32", "--random")
    assert ended.code == 2
    assert "name one with -o" in ended.err
    assert exported == {}


def test_an_older_model_is_not_exported_over_unasked(cli, exported, registered):
    ended = cli("export", "ViT-B-32", "--head", "head.pth")
    assert ended.code == 8
    assert "holds a model already; give --overwrite" in ended.err
    assert cli("export", "ViT-B-32", "--head", "head.pth", "--overwrite").code == 0


def test_verify_prints_a_line_for_each_check(cli, tiny):
    ended = cli("verify", "tiny")
    assert (ended.code, ended.err) == (0, "")
    *lines, last = ended.out.splitlines()
    assert "pass  files" in lines[0]
    assert all(line.startswith(("pass  ", "  -   ")) for line in lines)
    passed = sum(line.startswith("pass") for line in lines)
    assert last == f"{passed} passed, 0 failed"
    assert cli("verify", str(tiny.path)).out == ended.out


def test_a_failed_check_is_exit_code_1(cli, tiny):
    (tiny.path / "head.npz").write_bytes(b"")
    ended = cli("verify", "tiny")
    assert ended.code == 1
    assert "FAIL  files" in ended.out
    assert json.loads(cli("verify", "tiny", "--json").out)["passed"] is False


def test_verify_makes_int8_and_admits_it_on_real_frames(cli, tiny, clip):
    take = clip("-c:v libx264 -preset ultrafast -g 10", size="96x64", rate="10", seconds=4)
    assert "judged on real footage only" in cli("verify", "tiny", "--int8").out
    assert open_folder(tiny.path).card.parity == {}
    ended = cli("verify", "tiny", "--int8", "--frames", take)
    assert ended.code == 0
    assert "12 frames" in ended.out
    assert open_folder(tiny.path).card.parity["int8"] >= 0.99


def test_a_take_that_is_none_is_refused(cli, tiny):
    ended = cli("verify", "tiny", "--frames", "missing.mp4")
    assert ended.code == 3
    assert "missing.mp4: no such file" in ended.err


def test_errors_of_the_library_are_one_line(cli, monkeypatch):
    def fail(spec, **_):
        raise ModelUnavailable("ViT-B-32: why; what to do")

    monkeypatch.setattr(pull, "pull", fail)
    assert cli("pull", "ViT-B-32") == (6, "", "error: ViT-B-32: why; what to do\n")
