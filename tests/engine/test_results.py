from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import xml.etree.ElementTree as ET
from fractions import Fraction
from pathlib import Path

import av
import pytest

import bestshot_trt as bt
from bestshot_trt import files, moments, pipeline
from bestshot_trt.export.cutlists import CUT_LISTS
from bestshot_trt.results import _folder

FAST = bt.Config(
    analyze=bt.AnalyzeConfig(score_height=64),
    pick=bt.PickConfig(top=1, pre=0.3, post=0.3),
    export=bt.ExportConfig(effort="fastest"),
)


@pytest.fixture(scope="module")
def original(clip):
    return clip("-c:v libx264 -preset ultrafast -g 10", size="96x64", rate="10", seconds=4)


@pytest.fixture(scope="module")
def done(original, tmp_path_factory):
    """A take and its results side by side, to be copied and spoilt."""
    folder = tmp_path_factory.mktemp("done")
    shutil.copy(original, folder / "take.mp4")
    bt.run(folder / "take.mp4", FAST, folder / "out")
    return folder


@pytest.fixture
def take(original, tmp_path):
    return shutil.copy(original, tmp_path / "take.mp4")


@pytest.fixture
def out(done, tmp_path):
    """Results whose take is still where it was."""
    return shutil.copytree(done / "out", tmp_path / "out")


def edit(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "name",
    [
        *("moments.json", "moments.csv", "timeline.svg", "report.html"),
        *("contact_sheet.jpg", "track.parquet", "cuts/chapters.ffmeta"),
    ],
)
def test_a_file_by_the_name_of_a_result_is_not_replaced_unasked(take, tmp_path, name):
    out = tmp_path / "out"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text("mine")
    with pytest.raises(bt.ConfigError, match=f"out: already holds {name}; add --overwrite, or name another folder"):
        bt.run(take, FAST, out)
    assert contents(out) == {Path(name): b"mine"}


def test_a_track_that_an_interrupted_run_left_is_no_hindrance(take, tmp_path):
    bt.run(take, FAST, tmp_path / "out")
    (tmp_path / "out" / "moments.json").unlink()
    for name in ("moments.csv", "timeline.svg", "report.html", "contact_sheet.jpg"):
        (tmp_path / "out" / name).unlink()
    shutil.rmtree(tmp_path / "out" / "cuts")
    assert bt.run(take, FAST, tmp_path / "out").moments


def test_overwrite_removes_only_clips_that_the_older_document_lists(take, tmp_path):
    out = tmp_path / "out"
    bt.run(take, FAST, out)
    (out / "clips" / "01_00h00m59.000s.mp4").write_text("listed, of this program's naming")
    (out / "clips" / "02_00h00m59.000s.mp4").write_text("of this program's naming, but not listed")
    (out / "clips" / "mine.mp4").write_text("listed by hand")
    (out / "holiday.mp4").write_text("listed by hand")

    def list_more(document):
        more = ["clips/01_00h00m59.000s.mp4", "clips/mine.mp4", "holiday.mp4"]
        document["moments"] += [{**document["moments"][0], "rank": 2 + i, "clip": clip} for i, clip in enumerate(more)]

    edit(out / "moments.json", list_more)
    document = bt.run(take, FAST, out, overwrite=True)
    kept = {path.name for path in (out / "clips").iterdir()}
    assert kept == {"02_00h00m59.000s.mp4", "mine.mp4", document.moments[0].clip.removeprefix("clips/")}
    assert (out / "holiday.mp4").exists()


def test_overwrite_keeps_older_clips_until_the_new_document_is_there(take, tmp_path, monkeypatch):
    out = tmp_path / "out"
    bt.run(take, FAST, out)
    before = contents(out)
    monkeypatch.setattr(moments, "write_csv", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    other = bt.Config(pick=bt.PickConfig(top=1, pre=0.1, post=0.1), analyze=FAST.analyze, export=FAST.export)
    with pytest.raises(KeyboardInterrupt):
        bt.run(take, other, out, overwrite=True)
    after = contents(out)
    assert after[Path("moments.json")] == before[Path("moments.json")]
    assert set(before) <= set(after)


def test_older_results_that_are_damaged_can_be_overwritten(take, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "moments.json").write_text("{")
    assert bt.run(take, FAST, tmp_path / "out", overwrite=True).moments


def test_results_go_beside_the_take_without_harm_to_it(take, tmp_path):
    before = take.read_bytes()
    bt.run(take, FAST, tmp_path)
    bt.run(take, FAST, tmp_path, overwrite=True)
    assert take.read_bytes() == before


@pytest.mark.parametrize(
    "place", ["clips/01_00h00m00.000s.mp4", "clips/mine.mp4", "moments.json", "track.parquet", "cuts/moments.edl"]
)
def test_a_take_among_the_results_is_never_replaced(take, tmp_path, place):
    inside = tmp_path / "out" / place
    inside.parent.mkdir(parents=True)
    take.rename(inside)
    before = inside.read_bytes()
    with pytest.raises(bt.ConfigError, match="the take lies among the results in"):
        bt.run(inside, FAST, tmp_path / "out", overwrite=True)
    (tmp_path / "link.mp4").symlink_to(inside)
    with pytest.raises(bt.ConfigError, match="the take lies among the results in"):
        bt.run(tmp_path / "link.mp4", FAST, tmp_path / "out", overwrite=True)
    assert inside.read_bytes() == before


@pytest.mark.parametrize("name", ["moments.json", "track.parquet"])
def test_a_folder_in_the_place_of_a_result_is_found_before_the_work(take, tmp_path, name):
    (tmp_path / "out" / name).mkdir(parents=True)
    with pytest.raises(bt.ExportError, match=f"{name}: a folder is in the place of this result"):
        bt.run(take, FAST, tmp_path / "out", overwrite=True, progress=None)


def test_a_file_in_the_place_of_the_clips_is_found_before_the_work(take, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "clips").write_text("mine")
    with pytest.raises(bt.ExportError, match="clips: a file is in the place of the clips' folder"):
        bt.run(take, FAST, tmp_path / "out", progress=None)


def test_a_file_in_the_place_of_the_cut_lists_is_found_before_the_work(take, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "cuts").write_text("mine")
    with pytest.raises(bt.ExportError, match="cuts: a file is in the place of the cut lists' folder"):
        bt.run(take, FAST, tmp_path / "out", progress=None)


WITHOUT_CUTS = dataclasses.replace(FAST, export=dataclasses.replace(FAST.export, cut_lists=False))


def cut_names(folder):
    return {path.name for path in (folder / "cuts").iterdir()} if (folder / "cuts").exists() else None


def test_cut_lists_are_left_out_when_not_wanted(take, tmp_path):
    document = bt.run(take, WITHOUT_CUTS, tmp_path / "out")
    assert cut_names(tmp_path / "out") is None
    assert document.settings.export["cut_lists"] is False


@pytest.mark.parametrize(("timecode", "said"), [("df", "FCM: DROP FRAME"), ("ndf", "FCM: NON-DROP FRAME")])
def test_timecode_drops_frames_or_not_as_asked(clip, tmp_path, timecode, said):
    take = clip("-c:v libx264 -preset ultrafast -g 10", size="96x64", rate="30000/1001", seconds=2)
    config = dataclasses.replace(FAST, export=dataclasses.replace(FAST.export, timecode=timecode))
    bt.run(take, config, tmp_path / "out")
    assert said in (tmp_path / "out" / "cuts" / "moments.edl").read_text()
    assert f'tcFormat="{timecode.upper()}"' in (tmp_path / "out" / "cuts" / "moments.fcpxml").read_text()


def test_cut_lists_of_an_older_selection_go_and_nothing_else(out, take):
    (out / "cuts" / "mine.edl").write_text("mine")
    edit(out / "moments.json", lambda document: document["source"].update(path=str(take)))
    assert cut_names(out) == {*CUT_LISTS, "mine.edl"}
    with pytest.raises(bt.ConfigError, match="already holds"):
        bt.export(out / "moments.json", config=WITHOUT_CUTS)
    bt.export(out / "moments.json", config=WITHOUT_CUTS, overwrite=True)
    assert cut_names(out) == {"mine.edl"}


def test_cut_lists_that_no_document_tells_of_are_not_removed(out):
    edit(out / "moments.json", lambda document: document["settings"]["export"].update(cut_lists=False))
    pipeline.pick_to(out / "track.parquet", out, FAST, overwrite=True)
    assert cut_names(out) == {*CUT_LISTS}


def test_cut_lists_point_at_the_take_where_it_lies_now(done, tmp_path):
    moved = shutil.copytree(done, tmp_path / "moved") / "out"
    shutil.move(tmp_path / "moved" / "take.mp4", moved / "take.mp4")
    edit(moved / "moments.json", lambda document: document["source"].update(path="/nowhere/take.mp4"))
    bt.export(moved / "moments.json", config=FAST, overwrite=True)
    assert f"* FROM CLIP: {(moved / 'take.mp4').as_uri()}" in (moved / "cuts" / "moments.edl").read_text()


def test_cut_lists_name_the_frames_that_the_clips_hold(clip, tmp_path):
    sounding = "-f lavfi -i sine=duration=4 -c:v libx264 -preset ultrafast -g 10 -c:a aac -ac 2"
    take = clip(sounding, rate="30000/1001", seconds=4)
    document = bt.run(take, FAST, tmp_path)
    root = ET.parse(tmp_path / "cuts" / "moments.fcpxml").getroot()
    assert root.find("resources/asset").get("audioChannels") == "2"
    cut = root.find("library/event/project/sequence/spine/asset-clip")
    start, length = (Fraction(cut.get(name).removesuffix("s")) for name in ("start", "duration"))
    with av.open(str(tmp_path / document.moments[0].clip)) as container:
        frames = container.streams.video[0].frames
    assert abs(length * Fraction(30000, 1001) - frames) <= 1
    assert abs(start - Fraction(document.moments[0].start_s)) <= Fraction(1001, 60000)
    assert "variable" not in (tmp_path / "cuts" / "moments.edl").read_text()


def test_what_a_killed_run_left_half_written_goes_and_nothing_else(take, tmp_path):
    out = tmp_path / "out"
    (out / "clips").mkdir(parents=True)
    for name in (".01_00h00m01.000s.0123abcd.part.mp4", ".mine.part.mp4", "mine.part.mp4"):
        (out / "clips" / name).write_text("half")
    document = bt.run(take, FAST, out)
    kept = {path.name for path in (out / "clips").iterdir()}
    assert kept == {".mine.part.mp4", "mine.part.mp4", document.moments[0].clip.removeprefix("clips/")}


def test_the_names_that_half_written_clips_have_are_known(tmp_path):
    with files.whole_file(tmp_path / "01_00h00m01.000s.mp4") as temporary:
        temporary.write_text("half")
        _folder._remove_leftovers(tmp_path)
        assert not temporary.exists()
        temporary.write_text("whole")


def test_a_second_run_into_the_same_folder_waits_its_turn(take, tmp_path):
    (tmp_path / "out").mkdir()
    with files.claimed(tmp_path / "out"), pytest.raises(bt.ExportError, match="out: another run is writing there"):
        bt.run(take, FAST, tmp_path / "out")
    assert bt.run(take, FAST, tmp_path / "out").moments


def test_a_full_disk_at_the_last_moment_leaves_the_older_file(out, tmp_path, monkeypatch):
    before = contents(out)

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(bt.ExportError, match="No space left on device; free some space, or write elsewhere with -o"):
        bt.export(out / "moments.json", config=FAST, overwrite=True)
    after = contents(out)
    # The page names the place of the track, which is another in this copy.
    before.pop(Path("report.html")), after.pop(Path("report.html"))
    assert after == before


def test_export_makes_the_clips_again(out):
    before = contents(out)
    with pytest.raises(bt.ConfigError, match=r"already holds contact_sheet\.jpg"):
        bt.export(out / "moments.json", config=FAST)
    bt.export(out / "moments.json", config=FAST, overwrite=True)
    after = contents(out)
    # The page names the place of the track, which is another in this copy.
    before.pop(Path("report.html")), after.pop(Path("report.html"))
    assert after == before


def test_export_elsewhere_leaves_the_first_results_alone(out, tmp_path):
    before = contents(out)
    document = bt.export(out / "moments.json", tmp_path / "new", FAST)
    assert contents(out) == before
    assert (tmp_path / "new" / document.moments[0].clip).exists()
    with pytest.raises(bt.ConfigError, match=r"new: already holds moments\.json"):
        bt.export(out / "moments.json", tmp_path / "new", FAST)


def test_export_finds_the_take_beside_the_document(done, tmp_path):
    moved = shutil.copytree(done, tmp_path / "moved") / "out"
    shutil.move(tmp_path / "moved" / "take.mp4", moved / "take.mp4")
    edit(moved / "moments.json", lambda document: document["source"].update(path="/nowhere/take.mp4"))
    assert bt.export(moved / "moments.json", config=FAST, overwrite=True).moments


def test_export_prefers_the_take_that_was_analysed_to_another_of_its_name(take, out):
    shutil.copy(take, out / "take.mp4")
    with take.open("ab") as file:
        file.write(b"changed")
    edit(out / "moments.json", lambda document: document["source"].update(path=str(take)))
    assert bt.export(out / "moments.json", config=FAST, overwrite=True).moments


def test_export_of_a_take_that_changed_or_went_says_so(take, out):
    edit(out / "moments.json", lambda document: document["source"].update(path=str(take)))
    with take.open("ab") as file:
        file.write(b"changed")
    with pytest.raises(bt.InputError, match=r"take\.mp4: is not the file that was analysed; analyze it again"):
        bt.export(out / "moments.json", config=FAST, overwrite=True)
    take.unlink()
    with pytest.raises(bt.InputError, match=r"take\.mp4: no such file; put the take back there, or beside moments"):
        bt.export(out / "moments.json", config=FAST, overwrite=True)
    os.mkfifo(take)
    with pytest.raises(bt.InputError, match=r"take\.mp4: no such file"):
        bt.export(out / "moments.json", config=FAST, overwrite=True)


EDITS = {
    "past the end": ({"end_s": 4.5}, "moment 1 ends at 4.5 s, but the take at 4 s; correct it"),
    "far past the end": ({"start_s": 1e300, "end_s": 2e300}, r"moment 1 ends at 2e\+300 s"),
    "backwards": ({"start_s": 2.0, "end_s": 1.0}, "start_s is 2.0, end_s 1.0; need 0 <= start_s < end_s"),
    "before the start": ({"start_s": -1.0}, "start_s is -1.0"),
    "NaN": ({"start_s": float("nan")}, "not JSON: .*not a finite number"),
    "a text": ({"start_s": "1"}, "start_s is '1'; it must be a number"),
    "out of the folder": ({"clip": "../../take.mp4"}, "it must be a file name inside the document's folder"),
    "absolute": ({"clip": "/etc/passwd"}, "it must be a file name inside the document's folder"),
    "rank 0": ({"rank": 0}, "rank is 0; it must be at least 1"),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_document_edited_to_nonsense_is_refused_before_anything_is_written(out, name):
    change, message = EDITS[name]
    edit(out / "moments.json", lambda document: document["moments"][0].update(change))
    before = contents(out)
    with pytest.raises(bt.InputError, match=message) as caught:
        bt.export(out / "moments.json", config=FAST, overwrite=True)
    assert str(out / "moments.json") in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert contents(out) == before


def test_two_moments_of_one_rank_are_refused(out):
    edit(out / "moments.json", lambda document: document["moments"].append(document["moments"][0]))
    with pytest.raises(bt.InputError, match="two moments are of rank 1; number them apart"):
        bt.export(out / "moments.json", config=FAST, overwrite=True)


def test_a_span_edited_within_the_take_is_cut_as_asked(out):
    change = {"start_s": 0.5, "end_s": 2.5, "peak_s": 99.0}
    edit(out / "moments.json", lambda document: document["moments"][0].update(change))
    moment = bt.export(out / "moments.json", config=FAST, overwrite=True).moments[0]
    assert moment.clip == "clips/01_00h00m00.500s.mp4"
    assert [path.name for path in (out / "clips").iterdir()] == ["01_00h00m00.500s.mp4"]


def test_picking_again_into_the_folder_takes_the_older_clips_along(out, tmp_path):
    with pytest.raises(bt.ConfigError, match=r"out: already holds moments\.json"):
        pipeline.pick_to(out / "track.parquet", out, FAST)
    document = pipeline.pick_to(out / "track.parquet", out, FAST, overwrite=True)
    assert [moment.clip for moment in document.moments] == [None]
    assert not (out / "clips").exists()
    assert not (out / "cuts").exists()
    assert bt.export(out / "moments.json", config=FAST, overwrite=True).moments[0].clip is not None


def cut(path):
    path.write_bytes(path.read_bytes()[:3000])


def foreign(path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [1]}), path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (cut, "cannot be read as a score track"),
        (foreign, "a Parquet file, but not a score track of bestshot-trt"),
        (lambda path: path.write_bytes(b""), "cannot be read as a score track"),
    ],
    ids=["truncated", "foreign", "empty"],
)
def test_a_track_that_is_none_is_refused(out, spoil, message):
    spoil(out / "track.parquet")
    with pytest.raises(bt.InputError, match=f"track.parquet: {message}") as caught:
        bt.pick(out / "track.parquet")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("step", [bt.pick, bt.export])
def test_a_pipe_is_refused_and_not_waited_for(step, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(bt.InputError, match="pipe: is a pipe or device"):
        step(tmp_path / "pipe")
