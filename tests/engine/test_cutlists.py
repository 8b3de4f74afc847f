from __future__ import annotations

import dataclasses
import json
import os
import re
import urllib.parse
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PureWindowsPath

import pytest

from bestshot_trt import moments, provenance
from bestshot_trt.config import Config
from bestshot_trt.errors import ExportError
from bestshot_trt.export.cutlists import CUT_LISTS, write_cut_lists
from bestshot_trt.export.cutlists._cuts import file_uri
from bestshot_trt.export.cutlists.timecode import Rate

RATES = ["24000/1001", "24", "25", "30000/1001", "30", "50", "60000/1001", "60"]
HOUR = 3600.0
SPANS = [(1, 3605.25, 3608.25, 3606.0), (2, 12.3456789, 15.1, 13.5), (3, 0.0, 0.001, 0.0), (4, HOUR, HOUR + 1, HOUR)]
"""Rank, start, end and peak in seconds; an hour on, rates that are not exact would be 3.6 s off."""
HOSTILE = [
    "take.mp4",
    "a \"b\" 'c' & <d> ]]> --.mp4",
    "line\nbreak\ttab\x01\x7f.mp4",
    "日本語 é 🎬.mov",
    "=;#\\ [CHAPTER] %20 #1?.mp4",
    os.fsdecode(b"caf\xe9-\xff.mov"),
    "lone \ud800 surrogate.mp4",
    "x" * 240 + ".mp4",
    "* FROM CLIP NAME: other.mp4",
]


def document_of(rate="25", path="/media/take.mp4", spans=SPANS, **video):
    fps = Fraction(rate) if rate else None
    track = provenance.Video(
        codec="h264",
        width=1920,
        height=1080,
        rotation=video.pop("rotation", 0),
        time_base=video.pop("time_base", 1 / fps if fps else Fraction(1, 1000)),
        start_pts=7,
        frame_rate=fps,
        stream_index=0,
    )
    pts = video.pop("pts", 7)
    measures = moments.Measures(
        sharpness=512.25, exposure_penalty=0.125, aesthetic=5.5, prompt_similarity=None, contrast=44.5, colourfulness=31
    )
    return moments.MomentsDocument(
        created_by=provenance.PROGRAM,
        source=provenance.Source(path=path, fingerprint="ab12", size_bytes=1, duration_s=4000.0, video=track),
        settings=provenance.Settings.from_config(Config()),
        model="none",
        model_note=None,
        clip_model=None,
        backend=provenance.Backend(name="cpu", fallback_reason=None),
        machine=provenance.Machine(python="3", platform="x", cpu_count=1, versions={}),
        decode=provenance.Decode(lost=(), notes=()),
        moments=tuple(
            moments.Moment(
                rank=rank,
                peak_s=peak,
                peak_pts=pts,
                start_s=start,
                end_s=end,
                score=1.5,
                score_smooth=1.25,
                measures=measures,
                clip=None,
            )
            for rank, start, end, peak in spans
        ),
        rejected=(),
    )


@dataclass(frozen=True)
class Event:
    """One cut as a format gives it: frames of source and of the joined cuts, and the marker's frame in the source."""

    name: str
    start: int
    end: int
    at: int
    peak: int


def write(folder, *args, audio_channels=0, drop_frame=True, **kwargs):
    document = document_of(*args, **kwargs)
    assert [
        p.name for p in write_cut_lists(document, folder, audio_channels=audio_channels, drop_frame=drop_frame)
    ] == [*CUT_LISTS]
    assert sorted(path.name for path in folder.iterdir()) == sorted(CUT_LISTS)
    return document


def whole(seconds, fps):
    frames = Fraction(seconds) * fps
    assert frames.denominator == 1
    return int(frames)


def otio_events(timeline, kind="Video"):
    """Of the first track of ``kind``, by OpenTimelineIO's own reading and arithmetic."""
    found = []
    track = next(track for track in timeline.tracks if track.kind == kind)
    for clip in track:
        cut, at = clip.source_range, track.range_of_child(clip).start_time
        peak = clip.markers[0].marked_range.start_time.to_frames() if clip.markers else -1
        start = cut.start_time.to_frames()
        found.append(Event(clip.name, start, start + cut.duration.to_frames(), at.to_frames(), peak))
    return found


def fcpxml_events(path):
    """By a reading of its own: every time is a fraction of a second, and whole frames of the format."""
    root = ET.parse(path).getroot()
    assert root.get("version") == "1.10"
    form = root.find("resources/format")

    def frames(element, name):
        return whole(Fraction(element.get(name).removesuffix("s")), 1 / Fraction(form.get("frameDuration")[:-1]))

    found = []
    for clip in root.iterfind("library/event/project/sequence/spine/asset-clip"):
        assert [child.tag for child in clip] == ["note", "marker"]
        start = frames(clip, "start")
        found.append(
            Event(
                clip.get("name"),
                start,
                start + frames(clip, "duration"),
                frames(clip, "offset"),
                frames(clip.find("marker"), "start"),
            )
        )
    sequence = root.find("library/event/project/sequence")
    assert frames(sequence, "duration") == sum(event.end - event.start for event in found)
    return found


EVENT = re.compile(r"(\d{3,})  AX       (V    |B    |AA/V ) C        (\S{11}) (\S{11}) (\S{11}) (\S{11})")


def label_number(text, rate):
    """Frames of a timecode by walking over the minutes, unlike the arithmetic under test."""
    hour, minute, second, frame = (int(part) for part in re.split("[:;]", text))
    drops = rate.nominal // 15 if ";" in text else 0
    total = sum(60 * rate.nominal - (drops if m % 10 else 0) for m in range(60 * hour + minute))
    return total + second * rate.nominal + frame - (drops if minute % 10 else 0)


def edl_events(path, rate):
    text = path.read_bytes().decode("ascii")
    lines = text.split("\r\n")
    assert "\n" not in "".join(lines)
    assert lines[1] == ("FCM: DROP FRAME" if rate.drop else "FCM: NON-DROP FRAME")
    found = []
    for index, line in enumerate(lines):
        event = EVENT.fullmatch(line)
        if event is None:
            assert not line or line.startswith(("* ", "TITLE: ", "FCM: "))
            continue
        assert int(event[1]) == len(found) + 1
        start, end, at, until = (label_number(event[group], rate) for group in range(3, 7))
        assert until - at == end - start
        name = next(more.removeprefix("* COMMENT: ") for more in lines[index:] if more.startswith("* COMMENT: "))
        mark = next(more.split()[2] for more in lines[index:] if more.startswith("* LOC: "))
        found.append(Event(name, start, end, at, start + label_number(mark, rate) - at))
    return found


def check(events, document, rate, *, names=True):
    """The cuts are the moments in time order, each end within half a frame, one after the other, marked at the peak."""
    ordered = sorted(document.moments, key=lambda moment: moment.start_s)
    assert len(events) == len(ordered)
    at, half = 0, Fraction(1, 2) / rate.fps
    for event, moment in zip(events, ordered, strict=True):
        assert not names or event.name.startswith(f"{moment.rank:02d} ")
        assert abs(event.start / rate.fps - Fraction(moment.start_s)) <= half
        if moment.end_s - moment.start_s > 2 * half:
            assert abs(event.end / rate.fps - Fraction(moment.end_s)) <= half
        else:
            assert event.end == event.start + 1
        assert abs(event.peak / rate.fps - Fraction(moment.peak_s)) <= half
        assert event.start <= event.peak < event.end
        assert event.at == at
        at += event.end - event.start


@pytest.mark.parametrize("drop", [True, False], ids=["drop", "non-drop"])
@pytest.mark.parametrize("fps", RATES)
def test_every_format_reads_back_to_the_moments(fps, drop, tmp_path):
    otio = pytest.importorskip("opentimelineio")
    document = write(tmp_path, fps, drop_frame=drop)
    rate = Rate.of(Fraction(fps), drop=drop)
    timeline = otio.adapters.read_from_file(str(tmp_path / "moments.otio"))
    assert timeline.metadata["bestshot-trt"]["frame_rate"] == fps
    assert timeline.tracks[0][0].source_range.duration.rate == pytest.approx(float(Fraction(fps)), rel=1e-15)
    expected = otio_events(timeline)
    check(expected, document, rate)
    assert fcpxml_events(tmp_path / "moments.fcpxml") == expected
    assert edl_events(tmp_path / "moments.edl", rate) == expected
    sequence = ET.parse(tmp_path / "moments.fcpxml").getroot().find("library/event/project/sequence")
    assert sequence.get("tcFormat") == ("DF" if rate.drop else "NDF")


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("channels", [0, 1, 2, 6])
def test_the_fcp7_adapter_reads_the_same_cuts(fps, channels, tmp_path):
    pytest.importorskip("otio_fcp_adapter", reason="otio-fcp-adapter is not installed")
    otio = pytest.importorskip("opentimelineio")
    document = write(tmp_path, fps, audio_channels=channels)
    timeline = otio.adapters.read_from_file(str(tmp_path / "moments_fcp7.xml"), adapter_name="fcp_xml")
    check(otio_events(timeline), document, Rate(Fraction(fps)))
    assert [track.kind for track in timeline.tracks] == ["Video"] + ["Audio"] * min(channels, 2)
    for track in timeline.tracks:
        for clip in track:
            assert clip.media_reference.target_url == "file://localhost/media/take.mp4"
            assert clip.media_reference.available_range.duration.to_frames() == round(4000 * Fraction(fps))


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("channels", [0, 1, 2])
def test_the_cmx_adapter_reads_the_same_cuts(fps, channels, tmp_path):
    pytest.importorskip("otio_cmx3600_adapter", reason="otio-cmx3600-adapter is not installed")
    otio = pytest.importorskip("opentimelineio")
    document = write(tmp_path, fps, audio_channels=channels)
    timeline = otio.adapters.read_from_file(str(tmp_path / "moments.edl"), rate=float(Fraction(fps)))
    track = timeline.video_tracks()[0]
    clips = [clip for clip in track if isinstance(clip, otio.schema.Clip)]
    starts = [clip.source_range.start_time.to_frames() for clip in clips]
    lengths = [clip.source_range.duration.to_frames() for clip in clips]
    expected = fcpxml_events(tmp_path / "moments.fcpxml")
    assert starts == [event.start for event in expected]
    assert lengths == [event.end - event.start for event in expected]
    assert {clip.media_reference.target_url for clip in clips} == {"file:///media/take.mp4"}
    assert len(clips) == len(document.moments)


@pytest.mark.parametrize("fps", ["24", "25", "30", "50", "60"])
def test_the_final_cut_adapter_reads_the_same_cuts(fps, tmp_path):
    """At whole rates: the adapter itself cuts others down to whole frames a second."""
    pytest.importorskip("otio_fcpx_xml_adapter", reason="otio-fcpx-xml-adapter is not installed")
    otio = pytest.importorskip("opentimelineio")
    write(tmp_path, fps)
    read = otio.adapters.read_from_file(str(tmp_path / "moments.fcpxml"), adapter_name="fcpx_xml")
    found = []
    for clip in read.find_clips():
        cut, marker = clip.source_range, clip.markers[0].marked_range.start_time
        assert cut.start_time.rate == float(fps)
        found.append((clip.name, cut.start_time.value, cut.duration.value, marker.value))
    assert found == [(e.name, e.start, e.end - e.start, e.peak) for e in fcpxml_events(tmp_path / "moments.fcpxml")]


# Of Apple's DTD for FCPXML 1.10, what these files use: an element's children in order ("?": none or one, "*": any
# number), the attributes that it must have, and others that it may.
FCPXML = {
    "fcpxml": (["resources?", "library"], {"version"}, set()),
    "resources": (["format*", "asset*"], set(), set()),
    "format": ([], {"id"}, {"frameDuration", "width", "height"}),
    "asset": (
        ["media-rep"],
        {"id"},
        {"name", "start", "duration", "hasVideo", "format", "hasAudio", "audioSources", "audioChannels"},
    ),
    "media-rep": ([], {"src"}, {"kind"}),
    "library": (["event*"], set(), set()),
    "event": (["project*"], set(), {"name"}),
    "project": (["sequence"], set(), {"name"}),
    "sequence": (["note?", "spine"], {"format"}, {"duration", "tcStart", "tcFormat"}),
    "spine": (["asset-clip*"], set(), set()),
    "asset-clip": (
        ["note?", "marker*"],
        {"ref"},
        {"name", "offset", "start", "duration", "format", "tcFormat"},
    ),
    "note": ([], set(), set()),
    "marker": ([], {"start", "value"}, {"duration", "note"}),
}


@pytest.mark.parametrize("channels", [0, 2])
@pytest.mark.parametrize("fps", RATES)
def test_fcpxml_is_as_apples_definition_has_it(fps, channels, tmp_path):
    write(tmp_path, fps, audio_channels=channels)
    root = ET.parse(tmp_path / "moments.fcpxml").getroot()
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    for element in root.iter():
        children, needed, allowed = FCPXML[element.tag]
        pattern = "".join(
            f"(?:{re.escape(child.rstrip('?*'))} ){child[len(child.rstrip('?*')) :]}" for child in children
        )
        assert re.fullmatch(pattern, "".join(f"{child.tag} " for child in element)), element.tag
        assert needed <= set(element.attrib) <= needed | allowed, element.tag
        assert {element.get(name) for name in ("ref", "format") if name in element.attrib} <= set(ids)
        for name in ("start", "duration", "offset", "tcStart", "frameDuration"):
            time = re.fullmatch(r"(\d+)(?:/(\d+))?s", element.get(name, "0s"))
            assert int(time[1]) < 2**63
            assert int(time[2] or 1) < 2**31


def test_every_format_has_a_marker_and_the_score_of_each_moment(tmp_path):
    document = write(tmp_path)
    counts = {
        "moments.otio": '"Marker.',
        "moments.fcpxml": "<marker ",
        "moments_fcp7.xml": "<marker>",
        "moments.edl": "* LOC: ",
        "chapters.ffmeta": "[CHAPTER]",
    }
    assert set(counts) == set(CUT_LISTS)
    for name, mark in counts.items():
        text = (tmp_path / name).read_text("utf-8")
        assert text.count(mark) == len(document.moments)
        for rank in range(1, len(document.moments) + 1):
            assert f"rank {rank}, score 1.5, smoothed 1.25" in text.replace("\\=", "=")


def test_sound_comes_along_where_there_is_some(tmp_path):
    otio = pytest.importorskip("opentimelineio")
    write(tmp_path, audio_channels=2)
    timeline = otio.adapters.read_from_file(str(tmp_path / "moments.otio"))
    pictures, sound = otio_events(timeline), otio_events(timeline, "Audio")
    assert [dataclasses.replace(event, peak=-1) for event in pictures] == sound
    asset = ET.parse(tmp_path / "moments.fcpxml").getroot().find("resources/asset")
    assert (asset.get("hasAudio"), asset.get("audioChannels")) == ("1", "2")
    items = {item.get("id"): item for item in ET.parse(tmp_path / "moments_fcp7.xml").getroot().iter("clipitem")}
    assert len(items) == 3 * len(SPANS)
    links = {link.findtext("linkclipref") for item in items.values() for link in item.iterfind("link")}
    assert links == set(items)


def test_chapters_are_read_by_ffmpeg(clips, clip, tmp_path):
    take = clip("-c:v libx264 -preset ultrafast", seconds=1)
    document = write(tmp_path, "30000/1001", path="/media/=;#\\ [x].mp4")
    made = tmp_path / "out.mkv"
    clips.run_ffmpeg("-i", take, "-i", tmp_path / "chapters.ffmeta", "-map_chapters", "1", "-c", "copy", made)
    read = clips.run_ffmpeg("-i", made, "-f", "ffmetadata", "-").decode()
    scale = Fraction(re.search("TIMEBASE=(.*)", read)[1])
    times = [(int(start), int(end)) for start, end in re.findall(r"START=(\d+)\nEND=(\d+)", read)]
    ordered = sorted(document.moments, key=lambda moment: moment.start_s)
    assert len(times) == len(ordered)
    for (start, end), moment in zip(times, ordered, strict=True):
        assert abs(start * scale - Fraction(moment.start_s)) <= Fraction(1, 2000)
        assert abs(end * scale - Fraction(moment.end_s)) <= Fraction(1, 1000)
    titles = [re.sub(r"\\(.)", r"\1", title) for title in re.findall("title=(.*)", read)]
    assert titles[1].startswith("02 =;#\\ [x] (rank 2, score 1.5, smoothed 1.25, peak at 13.500 s; sharpness 512.2,")


def pointed_at(uri):
    """The path of a file URI, as bytes."""
    parts = urllib.parse.urlsplit(uri)
    assert (parts.scheme, parts.query, parts.fragment) == ("file", "", "")
    assert parts.netloc in ("", "localhost")
    return urllib.parse.unquote_to_bytes(parts.path)


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_any_file_name_is_pointed_at_and_breaks_nothing(name, tmp_path):
    otio = pytest.importorskip("opentimelineio")
    write(tmp_path, "30000/1001", path=f"/media/{name}")
    expected = f"/media/{name}".encode("utf-8", "surrogatepass" if "\ud800" in name else "surrogateescape")
    timeline = otio.adapters.read_from_file(str(tmp_path / "moments.otio"))
    check(otio_events(timeline), document_of(), Rate(Fraction(30000, 1001)))
    edl = (tmp_path / "moments.edl").read_bytes().decode("ascii")
    uris = [
        timeline.tracks[0][0].media_reference.target_url,
        ET.parse(tmp_path / "moments.fcpxml").getroot().find("resources/asset/media-rep").get("src"),
        ET.parse(tmp_path / "moments_fcp7.xml").getroot().find(".//pathurl").text,
        re.search(r"^\* FROM CLIP: (\S+)\r$", edl, re.MULTILINE)[1],
    ]
    assert [pointed_at(uri) for uri in uris] == [expected] * 4
    assert len(edl_events(tmp_path / "moments.edl", Rate(Fraction(30000, 1001), drop=True))) == len(SPANS)
    chapters = (tmp_path / "chapters.ffmeta").read_text("utf-8").splitlines()
    assert chapters.count("[CHAPTER]") == len(SPANS)
    assert len(chapters) == 2 + 5 * len(SPANS)


def texts(folder):
    return {name: (folder / name).read_text("utf-8") for name in CUT_LISTS if name != "chapters.ffmeta"}


def test_every_file_says_that_the_start_timecode_is_not_known(tmp_path):
    write(tmp_path)
    for text in texts(tmp_path).values():
        assert "The start timecode of the source is not known here" in text
        assert "frames a second" not in text


@pytest.mark.parametrize(
    ("video", "note", "counted"),
    [
        ({"rate": "29.4"}, "29.4 frames a second on average, perhaps variable", "30000/1001"),
        ({"rate": "10"}, "10 frames a second on average, perhaps variable", "24000/1001"),
        ({"rate": "30", "time_base": Fraction(1, 90000), "pts": 7 + 4000}, "is variable, 30 a second on average", "30"),
        ({"rate": None}, "The frame rate of the source is not known", "25"),
    ],
)
def test_a_rate_that_is_not_constant_and_standard_is_said(video, note, counted, tmp_path):
    document = write(tmp_path, **video)
    for text in texts(tmp_path).values():
        assert note in text
    about = json.loads((tmp_path / "moments.otio").read_text())["metadata"]["bestshot-trt"]
    assert about["frame_rate"] == counted
    check(fcpxml_events(tmp_path / "moments.fcpxml"), document, Rate(Fraction(counted)))


@pytest.mark.parametrize("time_base", [Fraction(1, 1000), Fraction(1, 90000), Fraction(1001, 30000)])
def test_rounded_times_of_a_constant_rate_are_no_variable_rate(time_base, tmp_path):
    pts = 7 + round(101 * Fraction(1001, 30000) / time_base)
    write(tmp_path, "2997/100", time_base=time_base, pts=pts)
    assert "variable" not in (tmp_path / "moments.edl").read_text()


def test_a_portrait_take_is_portrait(tmp_path):
    write(tmp_path, rotation=90)
    form = ET.parse(tmp_path / "moments.fcpxml").getroot().find("resources/format")
    assert (form.get("width"), form.get("height")) == ("1080", "1920")


def test_the_take_may_have_moved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_cut_lists(document_of(), tmp_path / "cuts", source=Path("there/../new.mp4"))
    source = ET.parse(tmp_path / "cuts" / "moments.fcpxml").getroot().find("resources/asset/media-rep").get("src")
    assert source == (tmp_path / "new.mp4").as_uri()


def test_a_path_of_windows_keeps_its_drive():
    assert file_uri(PureWindowsPath("C:\\a b\\c:d.mp4")) == "file:///C:/a%20b/c:d.mp4"


def test_a_peak_edited_out_of_its_clip_is_marked_within(tmp_path):
    write(tmp_path, spans=[(1, 1.0, 2.0, 99.0), (2, 5.0, 6.0, 1.0)])
    assert [event.peak for event in fcpxml_events(tmp_path / "moments.fcpxml")] == [49, 125]


def test_no_moments_make_empty_lists(tmp_path):
    otio = pytest.importorskip("opentimelineio")
    write(tmp_path, spans=[], audio_channels=2)
    assert otio_events(otio.adapters.read_from_file(str(tmp_path / "moments.otio"))) == []
    assert fcpxml_events(tmp_path / "moments.fcpxml") == []


def test_a_thousand_moments_stay_in_time_order(tmp_path):
    document = write(tmp_path, "24", spans=[(1000 - i, 4.0 * i, 4.0 * i + 3, 4.0 * i + 1) for i in range(1000)])
    check(edl_events(tmp_path / "moments.edl", Rate(Fraction(24))), document, Rate(Fraction(24)), names=False)


def test_a_folder_that_takes_no_files_is_an_export_error(tmp_path):
    (tmp_path / "cuts").write_text("mine")
    with pytest.raises(ExportError, match="cuts"):
        write_cut_lists(document_of(), tmp_path / "cuts")
    assert (tmp_path / "cuts").read_text() == "mine"
