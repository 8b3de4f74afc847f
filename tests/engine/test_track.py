from __future__ import annotations

import contextlib
import dataclasses
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bestshot_trt import moments, provenance, records, track
from bestshot_trt.errors import ExportError, InputError
from bestshot_trt.frames import LostStretch
from bestshot_trt.stored import StoredRows, _page_header

META = track.TrackMeta(
    created_by=provenance.Program(name="bestshot-trt", version="0.1.0"),
    source=provenance.Source(
        path=os.fsdecode(b"caf\xe9.mov"),
        fingerprint="ab12",
        size_bytes=10,
        duration_s=20020 / 3,
        video=provenance.Video(
            codec="h264",
            width=1920,
            height=1080,
            rotation=0,
            time_base=Fraction(1, 90000),
            start_pts=-3003,
            frame_rate=None,
            stream_index=1,
        ),
    ),
    duration=Fraction(20020, 3),
    analyze={"fps": 3.0, "model": "none"},
    model="none",
    model_note=None,
    clip_model=None,
    prompt=(),
    avoid=(),
    backend=provenance.Backend(name="cpu", fallback_reason=None),
    machine=provenance.Machine(python="3.11", platform="Linux", cpu_count=4, versions={}),
    decode=provenance.Decode(lost=(LostStretch(start=1.0, end=2.0, samples=3),), notes=()),
)
SERIES = [
    *("sharpness", "exposure_penalty", "contrast", "colourfulness", "aesthetic", "prompt_similarity"),
    *("score", "score_smooth"),
]


def make(count=7, width=5, seed=0, **changes):
    random = np.random.default_rng(seed)
    arrays = {name: random.random(count, dtype=np.float32) for name in SERIES}
    arrays |= {
        "times": np.arange(count) / 3,
        "pts": np.arange(count) * 30000 - 3003,
        "embedding": random.standard_normal((count, width), dtype=np.float32),
    }
    return track.Track(**{**arrays, "meta": META, **changes})


def same(a, b):
    arrays = [*SERIES, "times", "pts", "embedding"]
    for name in arrays:
        left, right = getattr(a, name), getattr(b, name)
        np.testing.assert_array_equal(left, right, err_msg=name)
        assert left.dtype == right.dtype
    return a.meta == b.meta


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "take.track.parquet"
    track.write_track(make(), path)
    return path


@settings(max_examples=25)
@given(st.sampled_from([0, 1, 2, 31]), st.sampled_from([1, 3, 512]), st.booleans(), st.integers(0, 9))
def test_a_track_survives_the_round_trip(tmp_path_factory, count, width, prompt, seed):
    changes = {} if prompt else {"prompt_similarity": np.full(count, np.nan, np.float32)}
    before = make(count, width, seed, **changes)
    path = tmp_path_factory.mktemp("track") / "t.parquet"
    track.write_track(before, path)
    after = track.read_track(path)
    assert same(before, after)
    assert len(after) == count
    assert after.embedding.shape == (count, width)


@pytest.mark.parametrize(
    "count", [track.SMALLEST_ROW_GROUP - 1, track.SMALLEST_ROW_GROUP, 2 * track.SMALLEST_ROW_GROUP + 1]
)
def test_a_track_of_several_row_groups_survives_the_round_trip(tmp_path, count):
    before = make(count, width=2)
    track.write_track(before, tmp_path / "t.parquet")
    assert same(before, track.read_track(tmp_path / "t.parquet"))


def test_embeddings_that_are_not_finite_or_not_contiguous_survive(tmp_path):
    embedding = np.asfortranarray(make(4).embedding)
    embedding[0, 0], embedding[1, 1] = np.nan, np.inf
    before = make(4, embedding=embedding)
    track.write_track(before, tmp_path / "t.parquet")
    assert same(before, track.read_track(tmp_path / "t.parquet"))


def test_other_programs_see_the_documented_columns(written):
    table = pq.read_table(written)
    assert table.column_names == [
        *("time_s", "pts", "sharpness", "exposure_penalty", "aesthetic", "prompt_similarity", "score"),
        *("score_smooth", "embedding", "contrast", "colourfulness"),
    ]
    assert table.schema.field("embedding").type.list_size == 5
    assert table.column("embedding")[2].as_py() == make().embedding[2].tolist()
    assert table.column("time_s").to_pylist() == make().times.tolist()


def test_without_a_prompt_the_column_is_null(tmp_path):
    track.write_track(make(3, prompt_similarity=np.full(3, np.nan, np.float32)), tmp_path / "t.parquet")
    assert pq.read_table(tmp_path / "t.parquet").column("prompt_similarity").to_pylist() == [None] * 3


def test_a_path_that_is_not_utf8_works(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.parquet"))
    track.write_track(make(), path)
    assert same(make(), track.read_track(path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"times": np.array([0.0, 2.0, 1.0])}, "times do not increase"),
        ({"times": np.array([0.0, 1.0, 1.0])}, "times do not increase"),
        ({"times": np.array([0.0, 1.0, np.nan])}, "times holds a value that is not finite"),
        ({"times": np.array([-1.0, 1.0, 2.0])}, "times span -1 to 2 s; they must lie in 0 to 6673.33 s"),
        ({"times": np.array([0.0, 1.0, 6674.0])}, "times span 0 to 6674 s"),
        ({"sharpness": np.array([0, -1, 0], np.float32)}, "sharpness holds a value below 0"),
        ({"times": np.zeros(3, np.float32)}, r"times is float32 \(3,\); need float64 \(3,\)"),
        ({"pts": np.zeros(3)}, "pts is float64"),
        ({"score": np.zeros(2, np.float32)}, r"score is float32 \(2,\); need float32 \(3,\)"),
        ({"score": np.array([0, np.nan, 0], np.float32)}, "score holds a value that is not finite"),
        ({"sharpness": np.array([0, np.inf, 0], np.float32)}, "sharpness holds"),
        ({"prompt_similarity": np.array([0, np.nan, 0], np.float32)}, "prompt_similarity holds"),
        ({"embedding": np.zeros(3, np.float32)}, r"embedding is float32 \(3,\); need float32 \(3, d\)"),
        ({"embedding": np.zeros((3, 0), np.float32)}, "embedding is"),
        ({"embedding": np.zeros((2, 5), np.float32)}, "embedding is"),
        ({"embedding": np.zeros((3, 5))}, "embedding is float64"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(changes, message):
    with pytest.raises(ValueError, match=message):
        make(3, **changes)


def refused(path, message):
    with pytest.raises(InputError, match=message) as caught:
        track.read_track(path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    refused(tmp_path / "none.parquet", "No such file")


def test_a_folder_is_refused(tmp_path):
    refused(tmp_path, "cannot be read as a score track")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1PAR1", b"hello" * 100], ids=str)
def test_a_file_that_is_not_parquet_is_refused(tmp_path, content):
    (tmp_path / "x.parquet").write_bytes(content)
    refused(tmp_path / "x.parquet", "cannot be read as a score track")


def test_damage_anywhere_is_an_input_error_or_another_number(written):
    whole, random = written.read_bytes(), np.random.default_rng(0)
    for place in random.integers(0, len(whole), 300):
        damaged = bytearray(whole)
        damaged[place] ^= int(random.integers(1, 256))
        written.write_bytes(damaged)
        with contextlib.suppress(InputError):
            assert isinstance(track.read_track(written), track.Track)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(written, share):
    whole = written.read_bytes()
    written.write_bytes(whole[: int(len(whole) * share)])
    refused(written, "cannot be read as a score track")


def test_a_foreign_parquet_file_is_refused(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "x.parquet")
    refused(tmp_path / "x.parquet", "not a score track of bestshot-trt")


def rewritten(path, change):
    table = pq.read_table(path)
    pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), path)
    return path


def replaced(table, name, values):
    return table.set_column(table.column_names.index(name), name, values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns(["score"]), "column score is missing"),
        (lambda t: t.append_column("pts", t["pts"]), "column pts is there more than once"),
        (lambda t: replaced(t, "pts", t["time_s"]), "column pts is double; it must be int64"),
        (lambda t: replaced(t, "embedding", t["time_s"]), "column embedding is double"),
        (lambda t: replaced(t, "score", pa.array([None] * 7, pa.float32())), "column score has empty cells"),
        (lambda t: t.slice(0, 7).take(pa.array([1, 0, 2])), "times do not increase"),
        (
            lambda t: replaced(t, "prompt_similarity", pa.array([None, 0, 0, 0, 0, 0, 0], pa.float32())),
            "prompt_similarity holds",
        ),
    ],
    ids=["missing", "twice", "type", "no-list", "null", "order", "half-a-prompt"],
)
def test_a_track_with_wrong_columns_is_refused(written, change, message):
    refused(rewritten(written, change), message)


def with_meta(path, text):
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({track.META_KEY: text}), path)
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        (records.dumps(META, track.SCHEMA, 2), "version is 2; this program reads 1"),
        (records.dumps(META, moments.SCHEMA, 1), "schema is 'bestshot-trt/moments'"),
        (records.dumps(META, track.SCHEMA, 1).replace("20020/3", "soon"), "duration is 'soon'"),
    ],
    ids=["json", "version", "schema", "duration"],
)
def test_a_track_with_wrong_metadata_is_refused(written, text, message):
    refused(with_meta(written, text), message)


def test_extra_columns_and_another_order_are_accepted(written):
    def shuffle(table):
        return table.append_column("extra", pa.array(range(7))).select(["extra", *table.column_names[::-1]])

    assert same(make(), track.read_track(rewritten(written, shuffle)))


def test_a_failed_write_leaves_the_old_track(written, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(ExportError, match="No space left"):
        track.write_track(make(2), written)
    assert same(make(), track.read_track(written))
    assert list(written.parent.iterdir()) == [written]


def test_a_track_cannot_be_reassigned():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make().times = np.zeros(7)


def test_embeddings_left_in_the_file_read_as_those_in_memory(tmp_path):
    random = np.random.default_rng(0)
    count = 2 * track.SMALLEST_ROW_GROUP + 5
    whole = dataclasses.replace(make(count), embedding=random.normal(size=(count, 6)).astype(np.float32))
    track.write_track(whole, tmp_path / "t.parquet")
    lazy = track.open_track(tmp_path / "t.parquet").embedding
    assert isinstance(lazy, StoredRows)
    assert (lazy.shape, len(lazy), lazy.dtype, lazy.ndim) == ((count, 6), count, np.float32, 2)
    for index in (0, track.SMALLEST_ROW_GROUP - 1, track.SMALLEST_ROW_GROUP, count - 1):
        np.testing.assert_array_equal(lazy[index], whole.embedding[index])
    np.testing.assert_allclose(lazy @ np.ones(6, np.float32), whole.embedding.sum(axis=1), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(lazy), whole.embedding)


def test_embeddings_left_in_the_file_outlive_its_replacement(tmp_path):
    path = tmp_path / "t.parquet"
    track.write_track(make(7), path)
    opened = track.open_track(path)
    track.write_track(make(3), path)
    np.testing.assert_array_equal(np.asarray(opened.embedding), make(7).embedding)


@pytest.mark.parametrize(
    "written_as",
    [{"compression": "zstd"}, {"use_dictionary": True}, {"data_page_size": 64}, {"data_page_version": "2.0"}, {}],
    ids=["compressed", "dictionary", "pages", "version-2", "plain"],
)
def test_embeddings_are_read_however_another_program_wrote_them(written, written_as):
    before = track.read_track(written)
    options = {"compression": "none", "use_dictionary": False, **written_as}
    pq.write_table(pq.read_table(written), written, **options)
    assert same(track.read_track(written), before)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_page_header_or_none(head):
    assert _page_header(head) is None or len(_page_header(head)) == 2
    assert _page_header(b"\x15\x00\x15\x80\x01\x15\x04\x2c\x15\x96\x01" + head) == (0, 75)
