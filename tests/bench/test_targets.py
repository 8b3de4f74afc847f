"""The suite's steps, going on where it was stopped, and what rows say of the targets."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from bench import __main__ as command  # noqa: E402
from bench import inputs, rows, steps, suites, targets  # noqa: E402
from bench.cases import CASES  # noqa: E402
from bench.registry import Case  # noqa: E402

HERE = {"cpu": "A CPU", "cores": 2, "commit": "abc"}
H264 = "-c:v libx264 -preset veryfast -bf 2 -g 25 -pix_fmt yuv420p"


def target(name: str) -> targets.Target:
    (found,) = [each for each in targets.TARGETS if name == each.name] or [
        each for each in targets.TARGETS if name in each.name
    ]
    return found


def score(speedup: float, **rest: Any) -> dict[str, Any]:
    figures = {"median": speedup, "p20": speedup, "p80": speedup, "runs": 1}
    row = {"case": "score", "settings": {"fps": 3.0, "model": "none"}, "footage_s": 30, "speedup": figures}
    return {**row, "file": f"{speedup}.json", **rest}


def test_a_target_is_met_by_the_median_and_missed_by_one_take_under_the_least() -> None:
    plain = target("no model, against the plain recipe")
    assert plain.verdict([score(2.0), score(2.6), score(9.0)]).met is True
    assert plain.verdict([score(1.2), score(2.6), score(9.0)]).met is False
    assert plain.verdict([score(2.0), score(2.4), score(9.0)]).met is False
    assert plain.verdict([score(2.6)]).files == ("2.6.json",)


def test_other_rows_do_not_count() -> None:
    plain = target("no model, against the plain recipe")
    short, faster = score(0.1, footage_s=9), score(0.1, settings={"fps": 5.0, "model": "none"})
    clip = score(0.1, settings={"fps": 3.0, "model": "ViT-B-32", "precision": "fp32", "recipe's CLIP": "onnx"})
    assert plain.verdict([short, faster, clip, score(3.0)]).met is True
    assert target("ViT-B/32 in fp32").verdict([clip]).met is False
    assert target("ViT-B/32 in int8").verdict([clip]).met is None


def test_made_takes_count_only_without_real_ones() -> None:
    plain = target("no model, against the plain recipe")
    made = score(1.0, input="made-h264-1080p-10s.mp4")
    assert plain.verdict([made, score(3.0, input="a.mp4")]) == plain.verdict([score(3.0, input="a.mp4")])
    assert plain.verdict([made]).met is False


def test_nothing_measured_is_neither_met_nor_missed_and_red_is_missed() -> None:
    plain = target("no model, against the plain recipe")
    assert plain.verdict([]) == targets.Verdict(targets.NO_ROWS, None)
    skipped = {"case": "kernels", "settings": {"on": "GPU", "what": "frame_stats"}, "skipped": "no GPU"}
    assert target("frame_stats").verdict([skipped]).met is None
    red = {"case": "score", "input": "a.mp4", "settings": {"fps": 3.0, "model": "none"}, "red": "the picture differs"}
    assert plain.verdict([red, score(9.0)]).met is False


def test_decode_is_judged_by_whether_pictures_can_be_left_out() -> None:
    def decode(speedup: float, fed: float, codec: str = "h264") -> dict[str, Any]:
        return {**score(speedup), "case": "decode", "packets_fed": fed, "take": {"codec": codec}}

    rows = [decode(1.8, 0.5), decode(0.98, 1.0), decode(0.99, 0.5, "hevc")]
    assert target("with non-reference pictures").verdict(rows).met is True
    assert target("decoding other takes").verdict(rows).met is True
    assert target("decoding other takes").verdict([*rows, decode(0.9, 1.0)]).met is False


HELP = {"case": "start", "settings": {"what": "help"}}
GPU = {
    "case": "gpu",
    "settings": {"model": "ViT-L-14"},
    "ours": {"median": 150},
    "load": {"nvdec_percent": {"median": 90}},
}


@pytest.mark.parametrize(
    ("name", "row", "met"),
    [
        ("--help", {**HELP, "ours": {"median": 0.29, "p20": 0, "p80": 1}}, True),
        (
            "--help",
            {**HELP, "ours": {"median": 0.31, "p20": 0, "p80": 1}},
            False,
        ),
        ("peak memory", {"case": "memory", "ratio": 1.05, "long": 500}, True),
        ("peak memory", {"case": "memory", "ratio": 1.05, "long": 580}, False),
        ("peak memory", {"case": "memory", "ratio": 1.2, "long": 100}, False),
        ("embed, no model", {"case": "outside", "settings": {"model": "none"}, "outside_share": 0.09}, True),
        ("embed, no model", {"case": "outside", "settings": {"model": "none"}, "outside_share": 0.11}, False),
        ("frame_stats", {"case": "kernels", "settings": {"on": "GPU", "what": "frame_stats"}, "of_copy": 0.6}, False),
        ("NVDEC busy", GPU, True),
        ("a GPU, end to end with ViT-L/14", {**GPU, "ours": {"median": 149}}, False),
    ],
)
def test_each_target_has_its_limit(name: str, row: dict[str, Any], met: bool) -> None:
    assert target(name).verdict([row]).met is met
    assert ("NOT MET" in targets.table([row])) is not met


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """A case that notes each time it is run, and results in a folder of the test's own."""
    seen: list[str] = []

    def measure(request: Any, path: Path) -> Any:
        seen.append(f"{path.name} {request.fps:g}")
        yield {"red": "broken"} if path.name == "bad.mp4" else {"settings": {"fps": request.fps}}

    monkeypatch.setitem(CASES, "score", Case("score", "", measure, True))
    monkeypatch.setattr(rows, "RESULTS", tmp_path)
    return seen


def test_a_stopped_suite_goes_on_where_it_was(counted: list[str]) -> None:
    todo = [steps.Step(case="score", inputs=(name,)) for name in ("/footage/a.mp4", "/footage/bad.mp4")]
    list(itertools.islice(steps.walk(todo, HERE), 1))
    assert counted == ["a.mp4 3"]
    found = list(steps.walk(todo, HERE))
    assert counted == ["a.mp4 3", "bad.mp4 3"]
    assert [row["input"] for row in found] == ["a.mp4", "bad.mp4"]
    list(steps.walk(todo, HERE))
    assert counted[2:] == ["bad.mp4 3"]


def test_another_commit_machine_or_setting_is_measured_anew(counted: list[str]) -> None:
    (todo,) = [steps.Step(case="score", inputs=("a.mp4",))]
    for environment in (HERE, {**HERE, "commit": "def"}, {**HERE, "cores": 4}, {**HERE, "commit": "abc-dirty"}):
        list(steps.walk([todo], environment))
    list(steps.walk([todo], {**HERE, "commit": "abc-dirty"}))
    list(steps.walk([steps.Step(case="score", inputs=("a.mp4",), fps=5)], HERE))
    list(steps.walk([todo], HERE, again=True))
    assert counted == [*["a.mp4 3"] * 5, "a.mp4 5", "a.mp4 3"]


def test_no_row_tells_where_files_lie(counted: list[str], tmp_path: Path) -> None:
    list(steps.walk([steps.Step(case="score", inputs=("/secret/place/a.mp4",))], HERE))
    (file,) = tmp_path.rglob("*.json")
    assert "secret" not in file.read_text()
    assert inputs.label("loop:/secret/a.mp4:60") == "loop:a.mp4:60"


def test_the_suite_has_every_codec_size_model_and_rate() -> None:
    models = [Path("ViT-B-32"), Path("ViT-L-14")]
    whole = [step for step in suites.suite(models, quick=False, runs=1) if step.case == "score" and step.clip == "onnx"]
    assert len(whole) == len({step.key for step in whole}) == 4 * 3 * 3 * 3
    quick = [step for step in suites.suite(models, quick=True, runs=1) if step.case == "score" and step.clip == "onnx"]
    assert len(quick) == len({step.key for step in quick}) == 1 + 3 + 2 + 2 + 2
    assert {step.case for step in suites.suite(models, quick=True, runs=1)} <= CASES.keys()


@pytest.mark.parametrize(("quick", "usual"), [(True, "10"), (False, "60")])
def test_the_suites_made_takes_are_as_long_as_asked(quick: bool, usual: str) -> None:
    def lengths(seconds: int | None) -> set[str]:
        steps = suites.suite([], quick=quick, runs=1, seconds=seconds)
        return {step.inputs[0].split(":")[3] for step in steps if step.case == "score"}

    assert lengths(None) == {usual}
    assert lengths(20) == {"20"}


def test_targets_leave_short_takes_out_and_say_so(
    clip: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = clip(H264, seconds=4)
    assert targets.seconds_of(f"loop:{short}:600") == 600
    monkeypatch.setattr(sys, "argv", ["bench", "targets", str(short)])
    assert command.main() == 2
    printed = capsys.readouterr()
    assert "left out, it is shorter than 10 s" in printed.out
    assert "name takes" in printed.err


def test_targets_measure_what_can_be_measured_and_use_part_of_a_long_take_with_a_model(
    clip: Any, tiny_model: Any
) -> None:
    take = clip(H264, seconds=4)
    found = list(targets.steps([f"loop:{take}:600"], tiny_model.path, 2))
    assert {step.case for step in found} >= {"start", "pick", "kernels", "decode", "outside", "score", "memory"}
    assert {step.inputs for step in found if step.model and step.case == "score"} == {(f"loop:{take}:60",)}
    assert {step.runs for step in found if step.case == "decode"} == {1}
    assert found[-1].inputs == ("made:h264:1080p:60",)


def test_an_input_that_is_not_there_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "targets", str(tmp_path / "none.mp4")])
    assert command.main() == 2
    assert "none.mp4" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["bench", "decode", "loop:x"])
    assert command.main() == 2
    assert "need loop:FILE:SECONDS" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["decode", "made:h264:720p:1", "--fps", "0"], "fps is 0.0; it must be above 0"),
        (["score", "made:h264:720p:1", "--model", "nowhere"], "nowhere: no such folder"),
        (["suite", "--model", "nowhere"], "nowhere: no such folder"),
        (["targets", "loop:nowhere.mp4:20"], "nowhere.mp4: no such file"),
    ],
)
def test_a_wrong_setting_is_one_line_before_anything_is_measured(
    counted: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    assert command.main() == 2
    out, err = capsys.readouterr()
    assert (out, counted) == ("", [])
    assert words in err
    assert len(err.splitlines()) == 1


def test_a_take_that_cannot_be_made_is_red_and_the_others_go_on(
    clip: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there, missing = f"loop:{clip(H264)}:5", f"loop:{tmp_path}/missing.mp4:5"
    red, good = steps.measured(steps.Step(case="decode", inputs=(missing, there), runs=1), tmp_path)
    assert red["red"] == "missing.mp4: no such file; check the path"
    assert good["speedup"]["runs"] == 1
    assert str(tmp_path) not in capsys.readouterr().out


def test_a_suite_that_is_terminated_leaves_no_process_and_no_files(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path / "made")}
    (tmp_path / "made").mkdir()
    command = [sys.executable, "-m", "bench", "suite", "--quick", "--results", str(tmp_path / "rows")]
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL) as running:
        while not list((tmp_path / "made").rglob("made-*")) and running.poll() is None:
            time.sleep(0.05)
        running.terminate()
        assert running.wait() == 130
    assert list((tmp_path / "made").iterdir()) == []
