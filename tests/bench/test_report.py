"""The report: every figure from the newest row of its setting, charts that can be read, and the README's table."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from bench import report, rows  # noqa: E402
from bench.charts import Chart, Point  # noqa: E402

HERE = {"cpu": "A <CPU>", "cores": 2, "commit": "abc", "versions": {"numpy": "2"}, "gpus": [], "driver": None}


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own, which counts as the project's, with a README beside it."""
    monkeypatch.setattr(rows, "RESULTS", tmp_path)
    monkeypatch.setattr(rows, "OURS", tmp_path)
    monkeypatch.setattr(report, "README", tmp_path / "README.md")
    (tmp_path / "README.md").write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    return tmp_path


def spread(median: float) -> dict[str, Any]:
    return {"median": median, "p20": median * 0.9, "p80": median * 1.1, "runs": 3}


def score(speedup: float, **rest: Any) -> dict[str, Any]:
    row = {"case": "score", "input": "a<b>.mp4", "settings": {"fps": 3.0, "model": "none"}, "unit": "s"}
    take = {"codec": "h264", "picture": "1280x720", "frame_rate": 30}
    return {**row, "take": take, "ours": spread(1), "footage_s": 30.0, "speedup": spread(speedup), **rest}


def written() -> tuple[str, str, str]:
    markdown, page, readme = (path.read_text() for path in report.write())
    return markdown, page, readme


def test_the_newest_row_of_each_setting_is_shown_with_its_file() -> None:
    rows.save([score(2.0)], HERE, "score")
    newest = rows.save([score(3.0)], HERE, "score")
    rows.save([score(4.0, settings={"fps": 5.0, "model": "none"})], {**HERE, "commit": "def"}, "score")
    markdown, page, readme = written()
    assert "3x (2.7 to 3.3)" in markdown
    assert "4x (3.6 to 4.4)" in markdown
    assert "2x (1.8" not in markdown + page
    assert markdown.count(newest.name) == 2, "once beside the target, once in the table of rows"
    assert "| no model, against the plain recipe | 3.00x | 2.5x, never under 1.3x: met |" in readme
    assert "commits: abc, def" in markdown


def test_every_figure_of_the_readme_is_in_the_report_with_the_rows_it_rests_on() -> None:
    start = {"case": "start", "settings": {"what": "help"}, "unit": "s", "ours": spread(0.4)}
    rows.save([score(3.0), start], HERE, "score")
    markdown, _, readme = written()
    table = re.findall(r"^\| ([^|]+) \| ([^|]+) \| .*: (?:not )?met \|$", readme, re.MULTILINE)
    assert [name for name, _ in table] == ["no model, against the plain recipe", "--help"]
    for name, measured in table:
        (line,) = [line for line in markdown.splitlines() if line.startswith(f"| {name} |")]
        assert measured in line
        assert re.search(r"`a-cpu/[^`]+\.json`", line)
    assert "under 0.3 s: not met" in readme
    assert readme.startswith("before\n")
    assert readme.endswith("after\n")
    assert "old" not in readme


def test_a_red_row_stays_until_it_is_measured_again() -> None:
    red = {"case": "score", "input": "a<b>.mp4", "settings": {"fps": 3.0, "model": "none"}, "red": "it differs"}
    rows.save([score(3.0)], HERE, "score")
    rows.save([red], HERE, "score")
    markdown, page, readme = written()
    assert "red: it differs" in markdown
    assert "<details open>" in page
    assert "red: it differs | 2.5x, never under 1.3x: not met" in readme
    rows.save([score(2.9)], HERE, "score")
    assert "it differs" not in "".join(written())


def test_machines_are_never_mixed_and_the_newest_is_the_readmes() -> None:
    rows.save([score(2.0)], HERE, "score")
    other = rows.save([score(5.0)], {**HERE, "cpu": "Other"}, "score")
    other.write_text(re.sub(r'"time": "\d+', '"time": "2999', other.read_text()))
    markdown, _, readme = written()
    assert "On Other, 2 cores, of commit abc:" in readme
    assert "5.00x" in readme
    assert "2.00x" not in readme
    assert markdown.index("## Other, 2 cores") < markdown.index("## A <CPU>, 2 cores")


def test_what_was_not_measured_is_never_a_figure() -> None:
    rows.save([{"case": "kernels", "settings": {"on": "GPU"}, "skipped": "no GPU"}, score(3.0)], HERE, "kernels")
    markdown, _, readme = written()
    assert "GPU" not in readme
    assert "| frame_stats on a GPU, against a copy | 70 % | not measured here |" in markdown


def test_charts_are_drawn_to_scale_with_spread_target_and_words() -> None:
    rows.save([score(2.0), score(4.0, input="other.mp4")], HERE, "score")
    _, page, _ = written()
    assert "a<b>" not in page
    drawings = [ET.fromstring(text) for text in re.findall(r"<svg.*?</svg>", page)]
    fast, real_time = drawings
    bars = [float(bar.get("width", 0)) for bar in fast.iter("rect")]
    assert bars[1] == pytest.approx(2 * bars[0], abs=0.2)
    assert len([line for line in fast.iter("line") if line.get("class") == "target"]) == 2
    assert not [line for line in real_time.iter("line") if line.get("class") == "target"]
    assert "times as fast" in [text.text for text in fast.iter("text")]
    assert "30x" in [text.text for text in real_time.iter("text")]


def test_values_of_very_different_size_are_dots_on_a_logarithmic_axis() -> None:
    points = tuple(Point(str(value), value, value, value, str(value)) for value in (0.01, 1.0, 100.0))
    drawing = ET.fromstring(Chart("t", "s", points).svg())
    x = [float(dot.get("cx", 0)) for dot in drawing.iter("circle")]
    assert x[2] - x[1] == pytest.approx(x[1] - x[0], abs=0.2)
    assert not list(drawing.iter("rect"))


def test_a_readme_without_the_marks_is_an_error_and_not_overwritten(results: Path) -> None:
    rows.save([score(3.0)], HERE, "score")
    (results / "README.md").write_text("no marks\n")
    with pytest.raises(ValueError, match="needs the two lines"):
        report.write()
    assert (results / "README.md").read_text() == "no marks\n"


def test_the_rows_that_are_kept_make_the_report_that_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ours = REPOSITORY / "bench" / "results"
    monkeypatch.setattr(rows, "RESULTS", ours)
    machines = report._machines()
    assert report._markdown(machines) == (ours / "report.md").read_text()
    readme = (REPOSITORY / "README.md").read_text()
    assert report.with_table(readme, machines[0]) == readme
