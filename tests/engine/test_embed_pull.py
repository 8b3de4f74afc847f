from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bestshot_trt.embed import _download, _hub, heads, model_folder, models, pull, text
from bestshot_trt.embed.model_folder import open_folder
from bestshot_trt.embed.models import Download, HeadSpec, HubSource
from bestshot_trt.errors import ModelUnavailable

REPOSITORY = "someone/tiny"
TOWER = f"{REPOSITORY}/onnx/vision_model.onnx"
TEXT_TOWER = f"{REPOSITORY}/onnx/text_model.onnx"
TOKENIZER = f"{REPOSITORY}/tokenizer.json"
HEAD = b"in place of a head"
PATIENCE_S = 300.0
why_unreachable = _hub.why_unreachable


def _load(name):
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="module")
def contents(zoo):
    """What the hub has: towers and a tokeniser, as bytes."""
    import json

    merges = json.dumps({"model": {"merges": [" ".join(pair) for pair in zoo.MERGES]}})
    return {
        "lfs": {
            TOWER: zoo.tiny_visual_tower().SerializeToString(),
            TEXT_TOWER: zoo.tiny_text_tower().SerializeToString(),
        },
        "small": {TOKENIZER: merges.encode()},
    }


@pytest.fixture
def hub(contents, monkeypatch):
    """A local hub that `HF_ENDPOINT` names, online, waited for however busy this machine is."""
    import huggingface_hub.constants

    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(_hub, "STALLED_S", PATIENCE_S)
    monkeypatch.setattr(_hub, "ANSWER_S", PATIENCE_S)
    monkeypatch.setattr(_hub, "why_unreachable", lambda url, timeout=PATIENCE_S: why_unreachable(url, PATIENCE_S))
    monkeypatch.setattr(_download, "PAUSE_S", 0.005)
    with _load("hub_server").Hub(**{kind: dict(files) for kind, files in contents.items()}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def spec(hub, zoo, monkeypatch):
    """A model of the hub's, in the registry; its head is stood in for."""
    hub.elsewhere["/head.pth"] = HEAD
    spec = dataclasses.replace(
        models.SPECS[0],
        name="Tiny",
        width=16,
        size=32,
        head=HeadSpec(
            name="tiny_linear",
            download=Download(path=f"{hub.cdn}/head.pth", sha256=hashlib.sha256(HEAD).hexdigest(), size=None),
            licence="MIT",
        ),
        source=HubSource(
            repository=REPOSITORY,
            revision=hub.commit,
            visual=Download(path="onnx/vision_model.onnx", sha256=None, size=None),
            text=Download(path="onnx/text_model.onnx", sha256=None, size=None),
            tokenizer=Download(path="tokenizer.json", sha256=None, size=None),
        ),
        reference=None,
    )
    monkeypatch.setattr(models, "SPECS", (spec,))
    monkeypatch.setattr(heads, "read_head", lambda path: zoo.tiny_head())
    monkeypatch.setattr(text, "_CLIP_MERGES", text._digest(zoo.MERGES))
    return spec


@pytest.fixture
def root(tmp_path):
    return tmp_path / "models"


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_model_is_fetched_and_made_into_one_that_runs(spec, root, hub, zoo):
    folder = pull.pull(spec, root=root)
    assert folder.path == root / "Tiny"
    assert names(root) == ["Tiny"]
    assert names(folder.path) == ["head.npz", "model.json", "visual.fp32.onnx", "visual.fp32.onnx.data"]
    assert model_folder.check_hashes(folder) == []
    assert open_folder(folder.path) == folder
    card = folder.card
    assert (card.name, card.pretrained, card.width, card.size) == ("Tiny", "openai", 16, 32)
    assert card.made_from["hub"] == REPOSITORY
    assert card.made_from["revision"] == hub.commit
    assert card.made_from["files"][TOWER] == hashlib.sha256(hub.lfs[TOWER]).hexdigest()
    assert card.head.sha256 == hashlib.sha256(HEAD).hexdigest()


def test_what_is_fetched_is_announced_once_and_told_in_megabytes(spec, root, hub, capfd):
    told, lines = [], []
    pull.pull(spec, root=root, progress=lambda *said: told.append(said), announce=lines.append)
    size = (len(hub.lfs[TOWER])) / 1e6
    assert lines == [f"downloading Tiny: {size:.0f} MB from 127.0.0.1:{hub.port} ({REPOSITORY})"]
    downloads = [said[1:3] for said in told if said[0] == "download Tiny" and said[3] == "MB"]
    assert downloads[-1][0] == pytest.approx(size + len(HEAD) / 1e6)
    assert {total for _, total in downloads} == {size}
    assert [done for done, _ in downloads] == sorted(done for done, _ in downloads)
    assert capfd.readouterr() == ("", "")


def test_a_model_that_is_there_costs_no_request(spec, root, hub):
    first = pull.pull(spec, root=root, text=True)
    hub.asked.clear()
    assert pull.pull(spec, root=root, text=True) == first
    assert pull.pull(spec, root=root) == first
    assert hub.asked == []


def test_forced_it_is_fetched_again(spec, root, hub):
    first = pull.pull(spec, root=root)
    hub.asked.clear()
    assert pull.pull(spec, root=root, force=True) == first
    assert len(hub.gets("vision")) == 1
    assert names(root) == ["Tiny"]


@pytest.mark.parametrize("broken", ["visual.fp32.onnx", "head.npz"])
def test_a_model_with_a_file_missing_is_fetched_again(spec, root, broken):
    folder = pull.pull(spec, root=root)
    (folder.path / broken).unlink()
    assert model_folder.check_hashes(pull.pull(spec, root=root)) == []


def test_the_text_tower_comes_when_asked_for(spec, root, hub):
    folder = pull.pull(spec, root=root, text=True)
    assert names(folder.path) == [
        *("head.npz", "model.json", "text.fp32.onnx", "text.fp32.onnx.data", "tokenizer.json"),
        *("visual.fp32.onnx", "visual.fp32.onnx.data"),
    ]
    assert model_folder.check_hashes(folder) == []
    assert text.Tokenizer.open(folder.file("tokenizer.json"))(["the"]).shape == (1, 77)
    assert set(folder.card.made_from["files"]) == {TOWER, TEXT_TOWER, TOKENIZER, spec.head.download.path}


def test_the_text_tower_can_come_later(spec, root, hub):
    first = pull.pull(spec, root=root)
    assert hub.gets("text_model") == []
    later = pull.add_text(first)
    assert model_folder.check_hashes(later) == []
    assert open_folder(first.path) == later
    assert later.card.digest == first.card.digest
    assert later == pull.pull(spec, root=root, text=True) == pull.add_text(later)
    assert len(hub.gets("vision")) == len(hub.gets("text_model")) == len(hub.gets("tokenizer")) == 1
    assert names(root) == ["Tiny"]


def test_a_text_tower_that_does_not_come_leaves_the_model_as_it_was(spec, root, hub):
    first = pull.pull(spec, root=root)
    hub.fail("corrupt", "text_model")
    with pytest.raises(ModelUnavailable, match=r"text_model.onnx: what came is not the file it should be"):
        pull.add_text(first)
    assert open_folder(first.path) == first
    assert model_folder.check_hashes(first) == []


def test_an_exported_model_is_not_given_a_text_tower_from_elsewhere(spec, root, hub, tiny_model, tmp_path):
    card = dataclasses.replace(
        tiny_model.card, name="Tiny", files={k: v for k, v in tiny_model.card.files.items() if "text" not in k}
    )
    exported = model_folder.ModelFolder(tmp_path, card)
    with pytest.raises(ModelUnavailable, match=r"was not pulled.*export it again"):
        pull.add_text(exported)
    assert hub.asked == []


@contextlib.contextmanager
def soon_given_up():
    """Within it, what brings nothing for 2 s is given up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_hub, "STALLED_S", 2.0)
        yield


FAULTS = {
    "not found": (("status", "vision", {"method": "HEAD", "status": 404}), "HTTP 404"),
    "refused": (("status", "vision", {"method": "HEAD", "status": 401}), "HTTP 401.*HF_TOKEN"),
    "content not found": (("status", "vision", {"status": 404}), "HTTP 404"),
    "server error": (("status", "vision", {"method": "HEAD"}), "HTTP 500"),
    "server error in the content": (("status", "vision", {}), "HTTP 500"),
    "busy": (("status", "vision", {"status": 429}), "HTTP 429"),
    "wrong content": (("corrupt", "cdn", {}), "its hash differs"),
    "wrong head": (("corrupt", "cdn/head", {}), "head.pth: what came is not the file"),
    "no head": (("status", "head", {"status": 404}), "head.pth: the server answers HTTP 404"),
    "cut short": (("short", "vision", {"after": 0}), "broke off after 0 of"),
    "broken off": (("cut", "vision", {"after": 0}), "vision_model.onnx: localhost"),
    "stalled": (("stall", "vision", {"after": 5000}), "nothing came from localhost:.* for 2 s"),
    "stalled at once": (("stall", "vision", {"after": 0}), "nothing came from localhost:.* for 2 s"),
    "in a circle": (("loop", "vision", {}), "redirected in a circle"),
    "in a circle from the start": (("loop", "vision", {"method": "HEAD"}), "redirected in a circle|nothing came"),
    "not a hub": (("bare", "vision", {"method": "HEAD"}), "does not answer as a Hugging Face hub; check HF_ENDPOINT"),
    "endless": (("long", "vision", {}), "more came than the"),
    "down": (("status", "", {"method": "HEAD", "status": 503}), "cannot be reached: it answers HTTP 503"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_fault_there_is_no_model_and_a_later_pull_works(fault, spec, root, hub):
    (kind, where, how), words = FAULTS[fault]
    hub.fail(kind, where, **how)
    impatient = soon_given_up() if kind in ("stall", "loop") else contextlib.nullcontext()
    with impatient, pytest.raises(ModelUnavailable, match=words) as raised:
        pull.pull(spec, root=root)
    message = str(raised.value)
    assert message.startswith("Tiny: ")
    assert "\n" not in message
    assert "get it with: bestshot-trt models pull Tiny" in message
    assert "--model PATH" in message
    assert model_folder.installed(root) == []
    assert not (root / "Tiny").exists()
    hub.faults.clear()
    assert model_folder.check_hashes(pull.pull(spec, root=root)) == []
    assert names(root) == ["Tiny"]


@pytest.mark.parametrize("fault", ["wrong content", "cut short", "down"])
def test_after_a_fault_the_older_model_is_still_there(fault, spec, root, hub):
    older = pull.pull(spec, root=root)
    (kind, where, how), _ = FAULTS[fault]
    hub.fail(kind, where, **how)
    with pytest.raises(ModelUnavailable):
        pull.pull(spec, root=root, force=True)
    assert model_folder.installed(root) == [older]
    assert model_folder.check_hashes(older) == []


def test_a_hash_known_beforehand_is_held_against_what_the_hub_announces(spec, root, hub):
    wrong = dataclasses.replace(spec.source.visual, sha256="0" * 64)
    changed = dataclasses.replace(spec, source=dataclasses.replace(spec.source, visual=wrong))
    with pytest.raises(ModelUnavailable, match="another file there than this version of bestshot-trt knows"):
        pull.pull(changed, root=root)
    assert hub.gets("vision") == []


def test_a_pinned_revision_must_be_the_one_that_answers(spec, root, hub):
    hub.commit = "f" * 40
    with pytest.raises(ModelUnavailable, match="another file there than this version of bestshot-trt knows"):
        pull.pull(spec, root=root)


def test_a_branch_is_pinned_to_the_commit_of_the_first_answer(spec, root, hub):
    floating = dataclasses.replace(spec, source=dataclasses.replace(spec.source, revision="main"))
    folder = pull.pull(floating, root=root, text=True)
    assert folder.card.made_from["revision"] == hub.commit
    assert [asked.path for asked in hub.asked if "/main/" in asked.path] == [
        f"/{REPOSITORY}/resolve/main/onnx/vision_model.onnx"
    ]


def test_what_breaks_off_goes_on_from_there(spec, root, hub):
    hub.fail("cut", "vision", after=4000, times=2)
    assert model_folder.check_hashes(pull.pull(spec, root=root)) == []
    assert [asked.range for asked in hub.gets("vision")] == [None, "bytes=4000-", "bytes=8000-"]


def test_the_next_pull_goes_on_where_the_last_one_failed(spec, root, hub):
    hub.fail("stall", "vision", after=5000)
    with soon_given_up(), pytest.raises(ModelUnavailable):
        pull.pull(spec, root=root)
    hub.faults.clear()
    hub.asked.clear()
    lines = []
    pull.pull(spec, root=root, announce=lines.append)
    assert [asked.range for asked in hub.gets("vision")] == ["bytes=5000-"]
    assert hub.gets("cdn/head") == []
    assert "here already" in lines[0]


@pytest.mark.parametrize("kind", ["cut", "short"])
def test_a_connection_that_breaks_again_and_again_gets_there_in_the_end(kind, spec, root, hub):
    hub.fail(kind, "vision", after=1000)
    assert model_folder.check_hashes(pull.pull(spec, root=root)) == []
    assert len(hub.gets("vision")) == -(-len(hub.lfs[TOWER]) // 1000)


def test_a_server_that_always_begins_anew_is_given_up(spec, root, hub):
    hub.fail("cut", "vision", after=1000, times=1)
    hub.fail("status", "cdn/someone", status=416)
    with pytest.raises(ModelUnavailable, match="does not go on where the download stopped"):
        pull.pull(spec, root=root)


@pytest.mark.parametrize("oddity", ["no-range", "wrong-range", "no-size", "slow"])
def test_servers_with_habits_are_understood(oddity, spec, root, hub):
    hub.fail("cut", "vision", after=4000, times=1)
    hub.fail(oddity, "vision", times=1)
    assert model_folder.check_hashes(pull.pull(spec, root=root)) == []


def test_a_damaged_part_is_thrown_away(spec, root, hub):
    part = root / ".downloads" / "Tiny" / f"{hashlib.sha256(hub.lfs[TOWER]).hexdigest()}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(len(hub.lfs[TOWER]) - 10))
    assert model_folder.check_hashes(pull.pull(spec, root=root)) == []
    assert [asked.range for asked in hub.gets("vision")] == [f"bytes={len(hub.lfs[TOWER]) - 10}-", None]


@pytest.mark.parametrize("size", [0, 20])
def test_a_part_longer_than_the_file_is_thrown_away(size, spec, root, hub):
    part = root / ".downloads" / "Tiny" / f"{hashlib.sha256(HEAD).hexdigest()}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(len(HEAD) + size))
    assert model_folder.check_hashes(pull.pull(spec, root=root)) == []


def test_the_token_is_for_the_hub_alone(spec, root, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    pull.pull(spec, root=root)
    told = {asked.path.split("?")[0] for asked in hub.asked if asked.token}
    assert told == {f"/{REPOSITORY}/resolve/{hub.commit}/onnx/vision_model.onnx"}


KILLED = """
import os, sys
sys.path.insert(0, {tests!r})
import hashlib, model_zoo
from bestshot_trt.embed import heads, model_folder, models, pull
from bestshot_trt.embed.models import Download, HeadSpec, HubSource
import dataclasses
file = lambda path: Download(path=path, sha256=None, size=None)
spec = dataclasses.replace(
    models.SPECS[0], name="Tiny", width=16, size=32,
    head=HeadSpec(name="tiny", download=Download(path={url!r} + "/head.pth", sha256={digest!r}, size=None), licence=""),
    source=HubSource(repository="someone/tiny", revision={commit!r}, visual=file("onnx/vision_model.onnx"),
                     text=file("onnx/text_model.onnx"), tokenizer=file("tokenizer.json")),
)
models.SPECS = (spec,)
heads.read_head = lambda path: model_zoo.tiny_head()
from pathlib import Path
pull.pull(spec, root=Path({root!r}))
"""


@pytest.fixture
def other_process(hub, spec, root):
    """Starts a pull in a process of its own."""
    script = KILLED.format(
        tests=str(Path(__file__).parents[1]),
        url=hub.cdn,
        digest=spec.head.download.sha256,
        commit=hub.commit,
        root=str(root),
    )
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    started = []

    def start():
        started.append(subprocess.Popen([sys.executable, "-c", script], env=environment, stderr=subprocess.PIPE))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_for(condition):
    until = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < until, "it did not happen within 300 s"
        time.sleep(0.01)


def parts(root, size):
    return [path for path in root.glob(".downloads/Tiny/*.part") if path.stat().st_size == size]


def test_a_killed_pull_leaves_nothing_broken_and_its_part_is_used(spec, root, hub, other_process):
    hub.fail("stall", "vision", after=7000, times=1)
    process = other_process()
    wait_for(lambda: parts(root, 7000))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert model_folder.installed(root) == []
    assert not (root / "Tiny").exists()
    hub.asked.clear()
    assert model_folder.check_hashes(pull.pull(spec, root=root)) == []
    assert [asked.range for asked in hub.gets("vision")] == ["bytes=7000-"]
    assert names(root) == ["Tiny"]


def test_two_processes_fetch_a_model_once(spec, root, hub, other_process):
    hub.fail("held", "vision")
    process = other_process()
    wait_for(lambda: hub.gets("vision"))
    told = []

    def progress(stage, *_):
        told.append(stage)
        hub.go_on.set()

    folder = pull.pull(spec, root=root, progress=progress)
    assert process.wait() == 0
    assert model_folder.check_hashes(folder) == []
    assert len(hub.gets("vision")) == 1
    assert set(told) == {"wait for another pull of Tiny"}
    assert names(root) == ["Tiny"]


def test_many_at_once_all_get_it(spec, root, hub):
    got = []
    threads = [threading.Thread(target=lambda: got.append(pull.pull(spec, root=root, text=True))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 4
    assert all(folder == got[0] for folder in got)
    assert model_folder.check_hashes(got[0]) == []
    assert len(hub.gets("vision")) == 1
    assert names(root) == ["Tiny"]


def test_where_locks_do_not_work_a_pull_still_does(spec, root, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    assert model_folder.check_hashes(pull.pull(spec, root=root)) == []
    assert names(root) == ["Tiny"]


def offline(hub, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def nobody_listens(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")


def black_hole(hub, monkeypatch):
    """A server that takes the call and says nothing."""
    hub.silent = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{hub.silent.getsockname()[1]}")


def no_names(hub, monkeypatch):
    """A resolver that does not come back."""
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(600))


def not_an_address(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "hub.example")


def dead_proxy(hub, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")


WITHOUT = {
    offline: "HF_HUB_OFFLINE is set",
    nobody_listens: "[Cc]onnection refused",
    black_hole: "timed out|no answer within 0.3 s",
    no_names: "no answer within 0.3 s",
    not_an_address: "",
    dead_proxy: "refused",
}


@pytest.mark.parametrize("cut_off", WITHOUT, ids=lambda case: case.__name__)
def test_without_a_hub_a_pull_ends_at_once_and_says_why(cut_off, spec, root, hub, monkeypatch, request):
    assert pull.is_reachable()
    # The session has read the proxy settings; it must read them again.
    _hub.hub().close_session()
    request.addfinalizer(_hub.hub().close_session)
    cut_off(hub, monkeypatch)
    hub.asked.clear()
    if cut_off in (black_hole, no_names):
        monkeypatch.setattr(_hub, "why_unreachable", lambda url, timeout=0.3: why_unreachable(url, 0.3))
    assert not pull.is_reachable()
    with pytest.raises(ModelUnavailable, match=f"cannot be reached: .*({WITHOUT[cut_off]}).*models pull Tiny"):
        pull.pull(spec, root=root)
    assert names(root) == []
    assert hub.gets() == []


def test_a_head_that_cannot_be_reached_is_found_out_before_the_tower_is_fetched(spec, root, hub):
    download = dataclasses.replace(spec.head.download, path="http://127.0.0.1:1/head.pth")
    with pytest.raises(ModelUnavailable, match=r"127\.0\.0\.1:1 cannot be reached"):
        pull.pull(dataclasses.replace(spec, head=dataclasses.replace(spec.head, download=download)), root=root)
    assert hub.gets() == []


def test_a_full_disk_is_found_out_before_anything_is_fetched(spec, root, hub, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 10**6))
    with pytest.raises(ModelUnavailable, match=r"it takes .* MB for a while, and 1 MB are free; free some space"):
        pull.pull(spec, root=root)
    assert hub.gets() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_named(spec, root):
    root.mkdir()
    root.chmod(0o500)
    with pytest.raises(ModelUnavailable, match=r"cannot be written: Permission denied.*BESTSHOT_MODELS"):
        pull.pull(spec, root=root)


def test_a_file_in_place_of_the_models_folder_is_named(spec, root):
    root.write_text("")
    with pytest.raises(ModelUnavailable, match=r"models.*cannot be written: .*BESTSHOT_MODELS"):
        pull.pull(spec, root=root)


def test_what_is_no_model_is_not_replaced(spec, root):
    (root / "Tiny").mkdir(parents=True)
    (root / "Tiny" / "thesis.txt").write_text("years of work")
    with pytest.raises(ModelUnavailable, match="Tiny: is there already and is no model folder"):
        pull.pull(spec, root=root, force=True)
    assert (root / "Tiny" / "thesis.txt").read_text() == "years of work"


def test_a_tower_that_is_none_is_refused(spec, root, hub):
    hub.lfs[TOWER] = b"<html>login</html>"
    with pytest.raises(ModelUnavailable, match="a tower of someone/tiny is not an ONNX graph"):
        pull.pull(spec, root=root)
    assert not (root / "Tiny").exists()


def test_importing_it_is_cheap():
    code = (
        "import sys, bestshot_trt.embed.pull\n"
        "print(sorted({'huggingface_hub', 'onnx', 'onnxruntime', 'httpx', 'httpx2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_head_can_be_had_alone(spec, root, hub):
    with pull.head_file(spec, root=root) as path:
        assert path.read_bytes() == HEAD
    assert names(root) == []
    hub.fail("corrupt", "head")
    with (
        pytest.raises(ModelUnavailable, match="give the file of tiny_linear with --head"),
        pull.head_file(spec, root=root),
    ):
        raise AssertionError("there is no head")


def test_a_head_had_alone_leaves_a_part_of_the_tower_where_it_is(spec, root, hub):
    hub.fail("stall", "vision", after=5000, times=1)
    with soon_given_up(), pytest.raises(ModelUnavailable):
        pull.pull(spec, root=root)
    with pull.head_file(spec, root=root):
        pass
    assert model_folder.check_hashes(pull.pull(spec, root=root)) == []
    assert [asked.range for asked in hub.gets("vision")] == [None, "bytes=5000-"]
