"""The contact sheet and the plot of the take, looked at as a viewer's software would."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bestshot_trt.clock import clock
from bestshot_trt.export import SheetEntry, write_contact_sheet, write_timeline
from bestshot_trt.export._fonts import font_for, plain_font
from bestshot_trt.export.contact_sheet import Duplicate, _place_pictures

SVG = "{http://www.w3.org/2000/svg}"
RED, GREEN, BLUE = (200, 30, 30), (30, 200, 30), (30, 30, 200)


def flat(color: tuple[int, int, int], width: int = 64, height: int = 36) -> np.ndarray:
    return np.full((height, width, 3), color, np.uint8)


def entry(rank: int = 1, width: int = 64, height: int = 36, **changes: object) -> SheetEntry:
    values: dict[str, object] = {
        "peak_s": 10.0 * rank,
        "start_s": 10.0 * rank - 1,
        "end_s": 10.0 * rank + 2,
        "score": 1.5,
        "pictures": [flat(color, width, height) for color in (RED, GREEN, BLUE)],
        "times": [10.0 * rank - 1, 10.0 * rank, 10.0 * rank + 2],
        "measures": {"sharpness": 1234.5, "exposure penalty": 0.012, "aesthetic": None},
    }
    return SheetEntry(rank=rank, **values | changes)


def area(sheet: Image.Image, color: tuple[int, int, int]) -> int:
    """How many pixels of ``sheet`` have about this colour."""
    return int((np.abs(np.asarray(sheet).astype(int) - color).max(axis=-1) < 12).sum())


@pytest.mark.parametrize(("width", "height"), [(64, 36), (36, 64), (50, 50), (300, 10), (10, 300), (1, 1)])
def test_the_sheet_shows_peak_and_neighbours(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "sheet.jpg"
    write_contact_sheet([entry(width=width, height=height)], path, "take.mp4")
    with Image.open(path) as sheet:
        assert (sheet.format, sheet.width) == ("JPEG", 1600)
        before, peak, after = (area(sheet, color) for color in (RED, GREEN, BLUE))
    assert min(before, after) > 2000
    assert peak > 0.9 * max(before, after)
    assert before == pytest.approx(after, rel=0.2)


def test_the_picture_nearest_to_the_peak_is_the_large_one(tmp_path: Path) -> None:
    path = tmp_path / "sheet.jpg"
    write_contact_sheet([entry(peak_s=9.2)], path, "take.mp4")
    with Image.open(path) as sheet:
        assert area(sheet, RED) > 3 * area(sheet, GREEN)


@given(
    width=st.integers(1, 4000),
    height=st.integers(1, 4000),
    count=st.integers(1, 3),
    room=st.integers(300, 1510),
)
@settings(max_examples=200)
def test_pictures_stay_inside_the_card_and_apart(width: int, height: int, count: int, room: int) -> None:
    blank = np.broadcast_to(np.uint8(0), (height, width, 3))
    boxes = _place_pictures(entry(pictures=[blank] * count, times=[9.0, 10.0, 12.0][:count]), room)
    assert len(boxes) == count
    for box in boxes:
        assert box.left >= 0
        assert box.left + box.width <= room
        assert min(box.width, box.height, box.top + 1) >= 1
    for i, one in enumerate(boxes):
        for other in boxes[i + 1 :]:
            beside = one.left + one.width <= other.left or other.left + other.width <= one.left
            above = one.top + one.height <= other.top or other.top + other.height <= one.top
            assert beside or above


@pytest.mark.parametrize("count", [0, 2, 13, 50])
def test_sheets_of_any_length(tmp_path: Path, count: int) -> None:
    path = tmp_path / "sheet.jpg"
    write_contact_sheet([entry(rank) for rank in range(1, count + 1)], path, "take.mp4")
    with Image.open(path) as sheet:
        sheet.load()
        assert sheet.width == 1600
        assert (area(sheet, GREEN) > 2000 * count) == (count > 0)


def test_more_picks_than_a_jpeg_can_hold(tmp_path: Path) -> None:
    path = tmp_path / "sheet.jpg"
    write_contact_sheet([entry(rank, 36, 64) for rank in range(1, 1001)], path, "take.mp4")
    with Image.open(path) as sheet:
        assert sheet.width * sheet.height <= 80_000_000


@pytest.mark.parametrize("title", ["", "x" * 500, "line\nbreak\udcff\x00", "日本語.mp4"])
def test_any_title_and_any_number(tmp_path: Path, title: str) -> None:
    measures = {f"measure {n}": value for n, value in enumerate([math.nan, math.inf, -1e9, 0.0, None] * 4)}
    write_contact_sheet([entry(12345, measures=measures, score=math.nan)], tmp_path / "sheet.jpg", title)
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.width == 1600


PURPLE = (150, 40, 190)


@pytest.mark.parametrize(("width", "height"), [(64, 36), (36, 64)])
def test_near_duplicates_are_small_beside_what_they_duplicate(tmp_path: Path, width: int, height: int) -> None:
    alike = [Duplicate(peak_s=n, picture=flat(PURPLE, width, height) if n < 3 else None) for n in range(5)]
    write_contact_sheet([entry(width=width, height=height, duplicates=alike)], tmp_path / "with.jpg", "take.mp4")
    write_contact_sheet([entry(width=width, height=height)], tmp_path / "without.jpg", "take.mp4")
    with Image.open(tmp_path / "with.jpg") as sheet, Image.open(tmp_path / "without.jpg") as plain:
        assert area(plain, PURPLE) == 0
        dimmed = tuple(round(0.75 * value + 0.25 * card) for value, card in zip(PURPLE, (36, 38, 41), strict=True))
        assert 1000 < area(sheet, dimmed) < area(sheet, GREEN)
        assert 50 < sheet.height - plain.height < 250


def test_bars_say_where_a_measure_stands(tmp_path: Path) -> None:
    def blue(standing: dict[str, float]) -> int:
        write_contact_sheet([entry(standing=standing)], tmp_path / "sheet.jpg", "take.mp4")
        with Image.open(tmp_path / "sheet.jpg") as sheet:
            return area(sheet, (94, 160, 224))

    nothing, half, full = blue({"sharpness": 0.0}), blue({"sharpness": 0.5}), blue({"sharpness": 1.0})
    assert nothing < 50
    assert full == pytest.approx(2 * half, rel=0.1)
    assert half > 300


def test_a_title_is_shown_in_a_font_that_has_its_letters() -> None:
    lacks = plain_font(32)
    found = font_for("Фильм", 32)
    if found is lacks:
        pytest.skip("this system has no font with Cyrillic letters")
    box = bytes(found.getmask("\U0010fffd"))
    assert all(bytes(found.getmask(letter)) != box for letter in "Фильм")
    assert font_for("take.mp4", 32) is lacks


def test_an_entry_without_pictures_is_refused() -> None:
    with pytest.raises(ValueError, match="0 pictures"):
        entry(pictures=[], times=[])


@given(st.floats(0, 1e6), st.integers(0, 3))
def test_clock_rounds_and_carries(seconds: float, digits: int) -> None:
    hours, minutes, rest = clock(seconds, digits).split(":")
    assert int(minutes) < 60
    assert float(rest) < 60
    assert len(rest.partition(".")[0]) == len(minutes) == 2
    told = 3600 * int(hours) + 60 * int(minutes) + float(rest)
    assert told == pytest.approx(seconds, abs=0.5001 * 10**-digits)


def plot(path: Path, duration: float = 60.0, fps: float = 3.0, **changes: object) -> ET.Element:
    times = np.arange(0, duration, 1 / fps)
    wave = np.sin(times / 7)
    values: dict[str, object] = {
        "times": times,
        "score": wave + 0.1 * np.sin(times * 5),
        "score_smooth": wave,
        "measures": {"sharpness": np.exp(5 + wave), "exposure_penalty": wave**2},
        "picks": [(1, 11.0, 10.0, 13.0), (2, 55.0, 54.0, 57.0)],
        "rejections": [(30.0, "nearer than 5 s to pick 1")],
        "duration": duration,
        "title": "take.mp4",
    }
    write_timeline(path, **values | changes)
    return ET.fromstring(path.read_text(encoding="utf-8"))


def titles(root: ET.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}title")]


def texts(root: ET.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def numbers(path: ET.Element) -> list[tuple[float, float]]:
    pairs = path.attrib["d"].replace("M", "L").split("L")[1:]
    return [(float(x), float(y)) for x, y in (pair.split() for pair in pairs)]


def curves(root: ET.Element) -> list[ET.Element]:
    return [path for path in root.iter(f"{SVG}path") if path.get("stroke-linejoin")]


def test_the_plot_names_picks_rejections_and_times(tmp_path: Path) -> None:
    root = plot(tmp_path / "t.svg")
    assert "pick 1: peak 0:00:11.0, clip 0:00:10.0 to 0:00:13.0" in titles(root)
    assert "rejected peak at 0:00:30.0: nearer than 5 s to pick 1" in titles(root)
    assert {"take.mp4", "1", "2", "0:00:00", "0:01:00", "sharpness (log1p)", "exposure penalty"} <= set(texts(root))


def test_a_pick_sits_on_the_smoothed_curve_and_its_clip_under_it(tmp_path: Path) -> None:
    root = plot(tmp_path / "t.svg")
    group = next(g for g in root.iter(f"{SVG}g") if (g.findtext(f"{SVG}title") or "").startswith("pick 1"))
    dot = group.find(f"{SVG}circle")
    assert dot is not None
    x, y = float(dot.attrib["cx"]), float(dot.attrib["cy"])
    nearest = min(numbers(curves(root)[1]), key=lambda point: abs(point[0] - x))
    assert nearest == (pytest.approx(x, abs=0.2), pytest.approx(y, abs=0.2))
    spans = [r for r in root.iter(f"{SVG}rect") if r.get("class") == "c" and float(r.get("x", 0)) > 0]
    left, width = float(spans[0].attrib["x"]), float(spans[0].attrib["width"])
    assert left < x < left + width
    assert (x - left) / width == pytest.approx(1 / 3, abs=0.01)


def test_twelve_hours_stay_small_and_keep_every_extreme(tmp_path: Path) -> None:
    times = np.arange(0, 43200, 1 / 3)
    noise = np.random.default_rng(1).normal(size=len(times))
    noise[77777] = 50.0
    every = {"score": noise, "score_smooth": noise, "measures": {f"m{n}": noise for n in range(4)}}
    picks = [(n + 1, 400.0 * n, 400.0 * n, 400.0 * n + 3) for n in range(100)]
    rejections = [(6.0 * n, "its picture is too like that of pick 3") for n in range(7000)]
    root = plot(tmp_path / "t.svg", 43200.0, picks=picks, rejections=rejections, **every)
    assert (tmp_path / "t.svg").stat().st_size < 1_000_000
    raw = numbers(curves(root)[0])
    assert min(raw, key=lambda point: point[1])[0] == pytest.approx(96 + 1476 * 77777 / len(times), abs=1)


def test_a_hole_in_the_track_breaks_the_line(tmp_path: Path) -> None:
    times = np.concatenate((np.arange(0, 20, 1 / 3), np.arange(40, 60, 1 / 3)))
    flat_line = np.zeros_like(times)
    root = plot(tmp_path / "t.svg", times=times, score=flat_line, score_smooth=flat_line, measures={})
    assert curves(root)[0].attrib["d"].count("M") == 2


@pytest.mark.parametrize("count", [0, 1, 2])
def test_tracks_of_hardly_any_samples(tmp_path: Path, count: int) -> None:
    values = np.zeros(count)
    root = plot(
        tmp_path / "t.svg",
        times=np.arange(count) / 3,
        score=values,
        score_smooth=values,
        measures={"aesthetic": np.full(count, math.nan)},
        picks=[(1, 0.0, 0.0, 0.3)] * (count > 0),
        rejections=[(0.1, "too near the end")],
        duration=count / 3,
    )
    assert len(curves(root)) == 2 * (count > 0)
    assert "nan" not in (tmp_path / "t.svg").read_text(encoding="utf-8")


def test_text_is_escaped(tmp_path: Path) -> None:
    name = 'a<b>&"c"\x07\udcff.mp4'
    root = plot(tmp_path / "t.svg", title=name, rejections=[(3.0, "<script>")])
    assert 'a<b>&"c"��.mp4' in texts(root)
    assert any("<script>" in title for title in titles(root))


def test_series_of_another_length_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="score_smooth"):
        plot(tmp_path / "t.svg", score_smooth=[1.0])
