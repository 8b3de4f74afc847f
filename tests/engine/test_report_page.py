"""The page in a real browser, opened from disk as a person would."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import bestshot_trt as bt
from bestshot_trt import pipeline
from bestshot_trt.errors import shown as shown_name
from bestshot_trt.export import write_report

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
PATIENCE_S = 300
FAST = bt.Config(
    analyze=bt.AnalyzeConfig(score_height=64),
    pick=bt.PickConfig(top=2, pre=0.4, post=0.6, min_gap=1.0, window=0.5, diversity=0.0),
    export=bt.ExportConfig(effort="fastest"),
)
HOSTILE = [
    "</script><script>document.title='pwned'</script>.mp4",
    "{{facts}}<!--<script>\"'`$(touch x)&amp;.mp4",
    "line\nbreak\u202e4pm.txt \u2028.mp4",
    os.fsdecode(b"caf\xe9-\xff.mp4"),
    "lone \ud800 surrogate 日本語.mp4",
]


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, timeout=PATIENCE_S * 1000)
        yield started
        started.close()


@pytest.fixture
def visit(browser):
    """Opens a page by its path; when the test ends, nothing but what is ``known`` may have gone wrong in it."""
    wrong, contexts, known = [], [], []

    def note(request):
        if not request.url.startswith(("file:", "data:", "blob:")):
            wrong.append(request.url)

    def opened(path, width=1200, scheme="light", ready=True):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        context.set_default_timeout(PATIENCE_S * 1000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: message.type in ("error", "warning") and wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", note)
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.goto(Path(path).absolute().as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        return page

    opened.known = known
    yield opened
    for context in contexts:
        context.close()
    assert [text for text in wrong if not any(part in text for part in known)] == []


@pytest.fixture(scope="module")
def done(clip, tmp_path_factory):
    """The results of a whole run."""
    folder = tmp_path_factory.mktemp("report") / "out"
    take = clip("-c:v libx264 -preset ultrafast -g 10 -pix_fmt yuv420p", size="96x64", rate="10", seconds=12)
    bt.run(take, FAST, folder)
    return folder


def write(folder, track, config, **more):
    bt.write_track(track, folder / "track.parquet")
    document = pipeline.pick(track, config)
    write_report(folder / "report.html", document, track, track_path=folder / "track.parquet", **more)
    return folder / "report.html"


def shown(page):
    """The picks that the page shows: rank, sample, start and end."""
    read = "list => list.map(({dataset: d}) => [d.rank, d.index, d.start, d.end].map(Number))"
    return [tuple(pick) for pick in page.locator("#picks > li").evaluate_all(read)]


def left_out(page):
    count = page.locator("#summary").inner_text().split(" picked, ")[1].split()[0]
    return int(count)


def expected(track, config):
    document = pipeline.pick(track, config)
    index = {time: i for i, time in enumerate(track.times.tolist())}
    picks = [(m.rank, index[m.peak_s], m.start_s, m.end_s) for m in document.moments]
    return picks, len(document.rejected)


def until(page, expression):
    """Wait for ``expression`` by asking again: the page's own policy forbids what the library would do."""
    end = time.monotonic() + PATIENCE_S
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(50)


def set_values(page, **values):
    for name, value in values.items():
        page.locator(f"#{name.replace('_', '-') if name.startswith('weights') else name}").fill(str(value))
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


SETTINGS = [
    {"top": 12, "min_gap": 2.5},
    {"window": 0, "diversity": 0.31, "top": 7},
    {"weights_sharpness": 2.35, "weights_aesthetic": 0.1, "window": 4.7},
    {"weights_exposure": -1.5, "min_gap": 0, "diversity": 0},
    {"weights_aesthetic": 0, "weights_sharpness": 0, "weights_exposure": 0},
]


def config_of(base, values):
    weights = {name.removeprefix("weights_"): v for name, v in values.items() if name.startswith("weights")}
    others = {name: v for name, v in values.items() if not name.startswith("weights")}
    given = {"pick": {**others, **({"weights": weights} if weights else {})}}
    from bestshot_trt.settings import apply

    return apply(base, given, "")


@pytest.mark.parametrize("minutes", [0.5, 3, 12], ids=["short", "all distances kept", "some kept"])
def test_sliders_pick_what_the_command_picks(visit, made, tmp_path, minutes):
    track, config = made.long_track(minutes), bt.Config(pick=bt.PickConfig(clip_length=(2.0, 6.0)))
    page = visit(write(tmp_path, track, config))
    assert (shown(page), left_out(page)) == expected(track, config)
    for values in SETTINGS:
        page.locator("#reset").click() if page.locator("#reset").is_enabled() else None
        set_values(page, **values)
        if not page.locator("#warning").is_visible():
            assert (shown(page), left_out(page)) == expected(track, config_of(config, values)), values
    if minutes < 4:
        assert not page.locator("#warning").is_visible()


def test_the_copied_command_gives_the_same(visit, made, tmp_path):
    folder = tmp_path / 'it\'s "here" $HOME'
    folder.mkdir()
    track = made.long_track(2)
    page = visit(write(folder, track, bt.Config(pick=bt.PickConfig(pre=0.5, normalize="none"))))
    set_values(page, weights_sharpness=0.25, top=9, window=1.1, diversity=0.2)
    page.locator("#copy").click()
    until(page, "document.getElementById('copied').textContent")
    line = page.evaluate("navigator.clipboard.readText()")
    assert line == page.locator("#command").inner_text()
    words = subprocess.run(
        ["bash", "-c", f'bestshot-trt() {{ printf "%s\\0" "$@"; }}; {line}'], capture_output=True, text=True, check=True
    ).stdout.split("\0")[:-1]
    run = subprocess.run([sys.executable, "-m", "bestshot_trt", *words, "--json"], capture_output=True, check=True)
    moments = json.loads(run.stdout)["moments"]
    assert [(start, end) for *_, start, end in shown(page)] == [(m["start_s"], m["end_s"]) for m in moments]
    page.locator("#copy-cut").click()
    assert shlex.split(page.locator("#command").inner_text())[-4:] == [
        "&&", "bestshot-trt", "export", f"{folder}/chosen/moments.json",
    ]  # fmt: skip


def test_what_the_page_cannot_tell_it_says(visit, made, tmp_path, monkeypatch):
    from bestshot_trt.export.report import _facts

    monkeypatch.setattr(_facts, "_LARGEST", 0)
    monkeypatch.setattr(_facts, "_LEAST_ROOM", 50_000)
    track = made.long_track(20, spread=1.0)
    page = visit(write(tmp_path, track, bt.Config()))
    assert not page.locator("#warning").is_visible()
    said = 0
    for tau in (0.1, 0.5, 0.8, 0.9, 1.0, 1.1):
        set_values(page, diversity=tau, window=3, top=30)
        if page.locator("#warning").is_visible():
            assert "too close to call" in page.locator("#warning").inner_text()
            said += 1
        else:
            config = bt.Config(pick=bt.PickConfig(diversity=tau, window=3.0, top=30))
            assert (shown(page), left_out(page)) == expected(track, config)
    assert said


def test_two_hours_stay_below_a_megabyte_and_pick_live(visit, made, tmp_path):
    track = made.long_track(120, width=512)
    path = write(tmp_path, track, bt.Config())
    assert len(track) == 21_600
    assert path.stat().st_size < 1_000_000
    page = visit(path)
    set_values(page, window=3)
    config = bt.Config(pick=bt.PickConfig(window=3.0))
    assert page.locator("#warning").is_visible() or (shown(page), left_out(page)) == expected(track, config)


def test_a_click_plays_the_clip(visit, done):
    page = visit(done / "report.html")
    page.locator(".play").first.click()
    video = page.locator("#player video")
    until(page, "document.querySelector('#player video').currentTime > 0.1")
    assert video.evaluate("v => v.videoWidth") == 96
    assert video.evaluate("v => v.duration") == pytest.approx(1.0, abs=0.11)
    assert page.locator("#player .message").inner_text() == ""
    page.keyboard.press("Escape")
    assert not page.locator("#player").is_visible()
    assert page.evaluate("document.activeElement.className") == "play"


def test_clicking_a_pick_in_the_curve_plays_it_too(visit, done):
    page = visit(done / "report.html")
    document = json.loads((done / "moments.json").read_text())
    box = page.locator("#chart").bounding_box()
    time = document["moments"][0]["peak_s"] / document["source"]["duration_s"]
    page.mouse.click(box["x"] + 10 + time * (box["width"] - 20), box["y"] + 150)
    until(page, "document.querySelector('#player video').currentTime > 0.1")
    assert page.locator("#player h2").inner_text().startswith("Moment 1")


def test_a_moment_without_a_clip_says_so(visit, done):
    page = visit(done / "report.html")
    set_values(page, top=30, min_gap=0)
    page.locator(".pick", has_text="no clip of just this").last.locator("button").click()
    said = page.locator("#player .message").inner_text()
    assert "No clip that shows this time was cut" in said or "which shows this time" in said


def test_a_clip_that_is_gone_says_so(visit, done, tmp_path):
    shutil.copy(done / "report.html", tmp_path / "report.html")
    # Chromium itself logs the missing file, sooner or later.
    visit.known.append("ERR_FILE_NOT_FOUND")
    page = visit(tmp_path / "report.html")
    page.locator(".play").first.click()
    until(page, "document.querySelector('#player .message').textContent")
    assert "no longer beside this page" in page.locator("#player .message").inner_text()


def test_the_page_is_worked_by_keys(visit, done):
    page = visit(done / "report.html")
    page.locator("#chart").focus()
    outline = page.locator("#chart").evaluate("e => getComputedStyle(e).outlineStyle")
    page.keyboard.press("Home")
    assert page.locator("#readout").inner_text().startswith("0:00:00.0")
    page.keyboard.press("ArrowRight")
    assert page.locator("#readout").inner_text().startswith("0:00:00.3")
    whole = page.locator("#view").inner_text()
    page.keyboard.press("+")
    assert page.locator("#view").inner_text() != whole
    page.keyboard.press("0")
    assert page.locator("#view").inner_text() == whole
    page.keyboard.press("n")
    assert "Pick" in page.locator("#readout").inner_text()
    page.keyboard.press("Enter")
    assert page.locator("#player").is_visible()
    page.keyboard.press("Escape")
    order = []
    page.locator("#theme").focus()
    for _ in range(30):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
    wanted = ["zoom-in", "chart", "weights-aesthetic", "weights-aesthetic-range", "top", "copy", "play"]
    assert [name for name in order if name in wanted][: len(wanted)] == wanted
    assert outline in ("solid", "auto")
    names = "list => list.filter(e => !(e.labels?.length || e.ariaLabel || e.textContent.trim())).map(e => e.id)"
    assert page.locator("button, input, canvas").evaluate_all(names) == []


def test_wheel_drag_and_buttons_zoom(visit, done):
    page = visit(done / "report.html")
    view = page.locator("#view")
    views = [view.inner_text()]
    box = page.locator("#chart").bounding_box()
    middle = box["x"] + box["width"] / 2
    page.mouse.move(middle, box["y"] + 150)
    assert page.locator("#tip").is_visible()
    assert "score" in page.locator("#tip").inner_text()
    assert page.locator("#tip img").count() == 1
    page.mouse.wheel(0, -100)
    until(page, f"document.getElementById('view').textContent !== {json.dumps(views[-1])}")
    views.append(view.inner_text())
    page.locator("#zoom-fit").click()
    assert view.inner_text() == views[0]
    page.mouse.move(middle, box["y"] + 150)
    page.mouse.down()
    page.mouse.move(middle + 200, box["y"] + 150, steps=4)
    page.mouse.up()
    views.append(view.inner_text())
    page.locator("#zoom-out").click()
    views.append(view.inner_text())
    assert len(set(views)) == 4
    page.locator("#layers input").first.check()
    assert page.locator("#chart").bounding_box()["height"] > box["height"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_in_either_theme(visit, done, scheme):
    page = visit(done / "report.html", width=360, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    colour = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(colour)
    assert before == {"light": "rgb(244, 245, 247)", "dark": "rgb(23, 25, 28)"}[scheme]
    page.locator("#theme").click()
    page.locator("#theme").click() if scheme == "dark" else None
    assert page.evaluate(colour) != before


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_names_and_prompts_are_text(visit, made, tmp_path, name):
    base = made.long_track(0.5)
    arrays = {key: getattr(base, key) for key in ("times", "sharpness", "aesthetic")}
    track = made.track_of(
        prompt=np.linspace(0, 1, len(base)), embedding=base.embedding, path=f"/media/{name}", texts=(name,), **arrays
    )
    page = visit(write(tmp_path, track, bt.Config()))
    assert page.locator("h1").inner_text() == shown_name(Path(f"/media/{name}").name).replace("  ", " ")
    assert "pwned" not in page.title() or page.title().startswith("</script>")
    assert shown_name(name) in page.locator("#prompts").text_content()
    assert page.locator("script").count() == 4
    line = page.locator("#command").text_content()
    words = subprocess.run(
        ["bash", "-c", f'bestshot-trt() {{ printf "%s\\0" "$@"; }}; {line}'], capture_output=True, check=True
    ).stdout.split(b"\0")
    data = name.encode("utf-8", "surrogatepass" if "\ud800" in name else "surrogateescape")
    assert b"--prompt=" + data in words


def test_picking_alone_has_no_pictures_and_says_so(visit, done, tmp_path):
    pipeline.pick_to(done / "track.parquet", tmp_path / "chosen", FAST)
    page = visit(tmp_path / "chosen" / "report.html")
    assert page.locator("#no-pictures").is_visible()
    assert page.locator(".pick").count() == 2
    page.locator(".play").first.click()
    assert "No clip that shows this time" in page.locator("#player .message").inner_text()
    page.keyboard.press("Escape")
    bt.export(tmp_path / "chosen" / "moments.json", config=FAST)
    page = visit(tmp_path / "chosen" / "report.html")
    assert not page.locator("#no-pictures").is_visible()
    assert page.locator(".pick img").count() == 2


def test_moments_edited_by_hand_are_shown_and_said(visit, done, tmp_path):
    track = bt.read_track(done / "track.parquet")
    document = json.loads((done / "moments.json").read_text())
    document["moments"] = document["moments"][1:]
    edited = bt.MomentsDocument.from_json(json.dumps(document))
    write_report(tmp_path / "report.html", edited, track)
    page = visit(tmp_path / "report.html")
    assert "was edited" in page.locator("#warning").inner_text()
    assert len(shown(page)) == 1
    assert page.locator("#no-track").is_visible()
    set_values(page, window=0.7)
    assert not page.locator("#warning").is_visible()


def test_a_number_that_is_no_setting_is_refused(visit, done):
    page = visit(done / "report.html")
    before = shown(page)
    for value in ("0", "1.5", "1001", ""):
        set_values(page, top=value)
        assert "It must be at least 1, at most 1000." in page.locator(".error:visible").inner_text()
    assert shown(page) == before
