from __future__ import annotations

import csv
import dataclasses
import json
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bestshot_trt import moments, provenance
from bestshot_trt.config import Config, PickConfig
from bestshot_trt.errors import ExportError, InputError
from bestshot_trt.frames import ColorInfo, DecodeReport, LostStretch, VideoInfo

VIDEO = provenance.Video(
    codec="hevc",
    width=3840,
    height=2160,
    rotation=90,
    time_base=Fraction(1, 90000),
    start_pts=749700,
    frame_rate=Fraction(30000, 1001),
    stream_index=0,
)
MEASURES = moments.Measures(
    sharpness=512.25,
    exposure_penalty=0.125,
    aesthetic=5.5,
    prompt_similarity=0.25,
    contrast=44.5,
    colourfulness=31.0,
)
MOMENT = moments.Moment(
    rank=1,
    peak_s=755.5,
    peak_pts=68744700,
    start_s=754.5,
    end_s=757.5,
    score=1.25,
    score_smooth=1.125,
    measures=MEASURES,
    clip="01_00h12m34.500s.mp4",
)
DOCUMENT = moments.MomentsDocument(
    created_by=provenance.Program(name="bestshot-trt", version="0.1.0"),
    source=provenance.Source(path="take.mov", fingerprint="ab12", size_bytes=10, duration_s=900.5, video=VIDEO),
    settings=provenance.Settings.from_config(Config(pick=PickConfig(clip_length=(3.0, 7.0)))),
    model="none",
    model_note=None,
    clip_model=None,
    backend=provenance.Backend(name="cpu", fallback_reason="no NVIDIA driver"),
    machine=provenance.Machine(python="3.11", platform="Linux", cpu_count=4, versions={"numpy": "2.0"}),
    decode=provenance.Decode(lost=(LostStretch(start=1.0, end=2.5, samples=4),), notes=("slow path",)),
    moments=(
        MOMENT,
        dataclasses.replace(MOMENT, rank=2, clip=None, measures=dataclasses.replace(MEASURES, prompt_similarity=None)),
    ),
    rejected=(moments.Rejection(peak_s=3.0, score_smooth=0.5, reason="min_gap", detail="2 s from the better peak"),),
)


def renamed(path: str) -> moments.MomentsDocument:
    return dataclasses.replace(DOCUMENT, source=dataclasses.replace(DOCUMENT.source, path=path))


def edited(*keys, value):
    """The document as JSON with the field at ``keys`` replaced, or removed for ``...``."""
    document = json.loads(DOCUMENT.to_json())
    at = document
    for key in keys[:-1]:
        at = at[key]
    if value is ...:
        del at[keys[-1]]
    else:
        at[keys[-1]] = value
    return json.dumps(document)


def test_a_document_survives_the_round_trip(tmp_path):
    path = tmp_path / "moments.json"
    moments.write_json(DOCUMENT, path)
    assert moments.read_json(path) == DOCUMENT


def test_the_json_has_the_documented_shape():
    document = json.loads(DOCUMENT.to_json())
    assert list(document) == [
        *(
            "schema",
            "version",
            "created_by",
            "source",
            "settings",
            "model",
            "model_note",
            "clip_model",
            "backend",
            "machine",
            "decode",
        ),
        *("moments", "rejected", "track", "reel", "encoder"),
    ]
    assert document["schema"] == "bestshot-trt/moments"
    assert document["version"] == 1
    assert document["source"]["video"]["time_base"] == "1/90000"
    assert document["source"]["video"]["frame_rate"] == "30000/1001"
    assert document["settings"]["pick"]["clip_length"] == [3.0, 7.0]
    assert document["settings"]["pick"]["weights"]["prompt"] is None
    assert document["settings"]["export"]["quality"] == 65
    assert document["moments"][1]["clip"] is None
    assert DOCUMENT.to_json().startswith('{\n  "schema"')


def test_every_setting_is_written():
    written = json.loads(DOCUMENT.to_json())["settings"]
    # What `frames` writes comes after a document and is no part of it.
    for section in (field for field in dataclasses.fields(Config) if field.name != "frames"):
        names = {field.name for field in dataclasses.fields(getattr(Config(), section.name))}
        assert set(written[section.name]) == names


@given(st.text(), st.floats(0, 1e9), st.none() | st.floats(-1, 1), st.integers(-(2**62), 2**62))
def test_any_text_and_number_survives_the_round_trip(text, start, prompt, pts):
    measures = dataclasses.replace(MEASURES, prompt_similarity=prompt)
    moment = dataclasses.replace(MOMENT, start_s=start, end_s=start + 1, peak_pts=pts, measures=measures)
    document = dataclasses.replace(renamed(text), moments=(moment,))
    assert moments.MomentsDocument.from_json(document.to_json().encode()) == document


@given(st.lists(st.tuples(st.text(), st.floats(0, 1e9), st.none() | st.integers(1, 9)), max_size=4))
def test_the_json_is_laid_out_as_pythons_own(told):
    odd = [("},\n      {", 1.0, None), ("[{}]", 2.0, 1)]
    rejected = tuple(
        moments.Rejection(peak_s=peak, score_smooth=0.5, reason="min_gap", detail=text, duplicate_of=rank)
        for text, peak, rank in [*told, *odd]
    )
    text = dataclasses.replace(DOCUMENT, rejected=rejected).to_json()
    assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"


def test_a_file_name_that_is_not_utf8_survives(tmp_path):
    name = os.fsdecode(b"caf\xe9-\xff.mov")
    moments.write_json(renamed(name), tmp_path / "m.json")
    raw = (tmp_path / "m.json").read_bytes()
    assert raw.decode("utf-8")
    assert os.fsencode(moments.read_json(tmp_path / "m.json").source.path) == b"caf\xe9-\xff.mov"


def test_readable_text_stays_readable():
    assert "Été 東京.mov" in renamed("Été 東京.mov").to_json()


def test_an_absent_prompt_similarity_is_null_and_other_nans_are_refused():
    absent = dataclasses.replace(MEASURES, prompt_similarity=float("nan"))
    assert absent.prompt_similarity is None
    broken = dataclasses.replace(MOMENT, score=float("nan"))
    with pytest.raises(ValueError, match="Out of range"):
        dataclasses.replace(DOCUMENT, moments=(broken,)).to_json()


def test_numpy_scalars_are_written_as_numbers():
    moment = dataclasses.replace(MOMENT, score=np.float32(0.5), peak_pts=np.int64(7))
    document = json.loads(dataclasses.replace(DOCUMENT, moments=(moment,)).to_json())
    assert document["moments"][0]["score"] == 0.5
    assert document["moments"][0]["peak_pts"] == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        ("[]", "schema is None"),
        ("null", "schema is None"),
        ("{}", "schema is None"),
        (edited("schema", value="bestshot-trt/track"), "schema is 'bestshot-trt/track'"),
        (edited("version", value=2), "version is 2; this program reads 1"),
        (edited("version", value=True), "version is True"),
        (edited("version", value=...), "version is None"),
        (edited("model", value=...), "model is missing"),
        (edited("model", value=7), "model is 7; it must be a text"),
        (edited("source", value=[]), r"source is \[\]; it must be an object"),
        (edited("source", "video", "width", value=...), "source.video.width is missing"),
        (
            edited("source", "video", "width", value=1.5),
            "source.video.width is 1.5; it must be a whole number",
        ),
        (edited("source", "video", "width", value=True), "source.video.width is True"),
        (edited("source", "video", "time_base", value="1/0"), "source.video.time_base is '1/0'"),
        (edited("source", "video", "time_base", value="1e999999999"), "time_base is '1e999999999'"),
        (edited("source", "duration_s", value="900"), "source.duration_s is '900'; it must be a number"),
        (edited("source", "duration_s", value=10**400), "source.duration_s is 1000"),
        (edited("settings", "pick", value=None), "settings.pick is None; it must be an object"),
        (edited("machine", "versions", "numpy", value=2), "machine.versions.numpy is 2"),
        (edited("decode", "lost", 0, "start", value=None), r"decode.lost\[0\].start is None"),
        (edited("decode", "notes", value="a"), "decode.notes is 'a'; it must be a list"),
        (edited("moments", value={}), "moments is {}; it must be a list"),
        (edited("moments", 1, "score", value=None), r"moments\[1\].score is None; it must be a number"),
        (
            edited("moments", 1, "measures", "aesthetic", value=...),
            r"moments\[1\].measures.aesthetic is missing",
        ),
        (edited("moments", 0, "rank", value=0), r"moments\[0\].rank is 0"),
        (edited("moments", 0, "end_s", value=1.0), r"moments\[0\].start_s is 754.5, end_s 1.0"),
        (edited("moments", 0, "start_s", value=-1), r"moments\[0\].start_s is -1"),
        (edited("moments", 0, "clip", value="../../home/x.mp4"), r"moments\[0\].clip is '../../home/x.mp4'"),
        (edited("moments", 0, "clip", value="/etc/x.mp4"), r"moments\[0\].clip is"),
        (edited("moments", 0, "clip", value=""), r"moments\[0\].clip is ''"),
        (edited("rejected", 0, "reason", value=None), r"rejected\[0\].reason is None"),
        (DOCUMENT.to_json().replace("900.5", "NaN"), "NaN is not a finite number"),
        (DOCUMENT.to_json().replace("900.5", "1e999"), "1e999 is not a finite number"),
    ],
    ids=str,
)
def test_a_wrong_document_is_refused_by_file_and_field(text, message):
    with pytest.raises(InputError, match=f"^some.json: .*{message}") as caught:
        moments.MomentsDocument.from_json(text, "some.json")
    assert "\n" not in str(caught.value)


def test_unknown_fields_whole_numbers_and_a_byte_order_mark_are_accepted():
    assert moments.MomentsDocument.from_json(edited("added_later", value=1)) == DOCUMENT
    assert moments.MomentsDocument.from_json(b"\xef\xbb\xbf" + DOCUMENT.to_json().encode()) == DOCUMENT
    again = moments.MomentsDocument.from_json(edited("source", "duration_s", value=900))
    assert isinstance(again.source.duration_s, float)


@pytest.mark.parametrize("make", [lambda p: None, Path.mkdir], ids=["missing", "folder"])
def test_a_path_that_cannot_be_read_is_named(tmp_path, make):
    path = tmp_path / "moments.json"
    make(path)
    with pytest.raises(InputError, match=r"moments\.json: cannot be read"):
        moments.read_json(path)


def test_writing_into_a_file_as_folder_is_an_export_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="cannot be written"):
        moments.write_json(DOCUMENT, tmp_path / "file" / "moments.json")


def test_the_table_has_one_row_per_moment(tmp_path):
    path = tmp_path / "moments.csv"
    clip = os.fsdecode(b'odd, "\xff"\n.mp4')
    document = dataclasses.replace(DOCUMENT, moments=(dataclasses.replace(MOMENT, clip=clip), DOCUMENT.moments[1]))
    moments.write_csv(document, path)
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        *("rank", "start_s", "end_s", "peak_s", "score", "score_smooth", "sharpness", "exposure_penalty"),
        *("aesthetic", "prompt_similarity", "clip"),
    ]
    assert [row["rank"] for row in rows] == ["1", "2"]
    assert [row["prompt_similarity"] for row in rows] == ["0.25", ""]
    assert [row["clip"] for row in rows] == [clip, ""]
    assert float(rows[0]["start_s"]) == 754.5
    assert float(rows[0]["sharpness"]) == 512.25


def test_a_probed_video_is_described_by_the_same_names():
    info = VideoInfo(
        path=Path("take.mov"),
        container="mov",
        pix_fmt="yuv420p10le",
        pixel_aspect=Fraction(1),
        duration_claim=None,
        color=ColorInfo(matrix="bt709", full_range=False, transfer="sdr"),
        interlaced=False,
        has_audio=True,
        **vars(VIDEO),
    )
    assert provenance.Video.from_info(info) == VIDEO


def test_a_decode_report_is_taken_over():
    report = DecodeReport(lost=list(DOCUMENT.decode.lost), notes=["slow path"])
    assert provenance.Decode.from_report(report) == DOCUMENT.decode


def test_this_machine_names_the_libraries_that_make_the_numbers():
    machine = provenance.Machine.here()
    assert machine.versions["numpy"] == np.__version__
    assert {"av", "opencv"} < set(machine.versions)
    assert machine.cpu_count >= 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "00h00m00.000s"),
        (754.5, "00h12m34.500s"),
        (59.9996, "00h01m00.000s"),
        (3599.9994, "00h59m59.999s"),
        (3599.9996, "01h00m00.000s"),
        (0.0004, "00h00m00.000s"),
        (360000 + 61.25, "100h01m01.250s"),
        (Fraction(1001, 30000), "00h00m00.033s"),
    ],
)
def test_timestamps_are_rounded_to_the_millisecond(seconds, text):
    assert moments.format_timestamp(seconds) == text


@given(st.floats(0, 1e6))
def test_a_timestamp_is_within_half_a_millisecond(seconds):
    text = moments.format_timestamp(seconds)
    hours, rest = text.removesuffix("s").split("h")
    minutes, second = rest.split("m")
    assert int(minutes) < 60
    assert float(second) < 60
    back = int(hours) * 3600 + int(minutes) * 60 + Fraction(second)
    assert abs(back - Fraction(seconds)) <= Fraction(1, 2000)


@pytest.mark.parametrize("seconds", [-0.001, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(seconds):
    with pytest.raises(ValueError, match="cannot be written"):
        moments.format_timestamp(seconds)


def test_clip_names_sort_by_rank():
    assert moments.clip_name(1, 754.5) == "01_00h12m34.500s.mp4"
    assert moments.clip_name(7, 0, suffix=".mov", digits=3) == "007_00h00m00.000s.mov"
