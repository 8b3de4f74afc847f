"""Clips in a real browser."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from takes import Take, beep_at, make

from bestshot_trt.config import ExportConfig
from bestshot_trt.decode import probe
from bestshot_trt.export import write_clip, write_reel

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

PLAY = """async () => {
    const video = document.querySelector('video');
    await video.play();
    await new Promise((resolve, reject) => { video.onended = resolve; video.onerror = () => reject(video.error); });
    return [video.duration, video.videoWidth, video.videoHeight, video.webkitAudioDecodedByteCount > 0];
}"""


def test_clips_and_reels_play_to_their_end_in_chromium(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mp4", Take(ticks=range(60), options={"bf": "2"}, tone=beep_at(0.5)))
    info = probe(source)
    made = [write_reel(info, [(0.2, 0.8), (1.2, 1.8)], tmp_path / "reel.mp4", ExportConfig(crossfade=0.2))]
    for codec, container in (("h264", "mp4"), ("av1", "mp4"), ("av1", "webm")):
        config = ExportConfig(codec=codec, container=container, effort="fastest")
        made.append(write_clip(info, 0.2, 1.2, tmp_path / f"{codec}.{container}", config))
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page()
        for result in made:
            file = tmp_path / "page.html"
            file.write_text(f'<!doctype html><video muted src="{result.path.name}"></video>')
            page.goto(file.as_uri())
            duration, width, height, sounds = page.evaluate(PLAY)
            assert duration == pytest.approx(result.duration, abs=0.03)
            assert (width, height, sounds) == (128, 48, True)
        browser.close()
