"""A take in stretches on the GPU's decoder, bit for bit that of one pass: DALI on the CPU, kernels through the shim."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from bestshot_trt import analysis, decode
from bestshot_trt.batch import supervisor
from bestshot_trt.batch.sources import inputs
from bestshot_trt.batch.workers import segments, splitting
from bestshot_trt.batch.workers.messages import RangeTask
from bestshot_trt.config import AnalyzeConfig, BatchConfig, Config, ExportConfig, PickConfig
from bestshot_trt.decode import _dali, _section
from bestshot_trt.decode._dali_graph import Graph
from bestshot_trt.decode._segments import NotForSegments, Segmenter
from bestshot_trt.embed import build
from bestshot_trt.embed.model_folder import open_folder
from bestshot_trt.frames import DecodeReport, ModelView
from bestshot_trt.gpu import open_gpu
from bestshot_trt.progress import silent

WORKER = Path(__file__).resolve().parents[1] / "gpu_worker.py"
VP9 = "-c:v libvpx-vp9 -crf 30 -b:v 0 -cpu-used 8 -g 20 -deadline realtime"
GAPS = "-vf select='not(between(n,20,60)+between(n,62,64)+eq(n,80))' -fps_mode vfr -enc_time_base 1/90000"
TAKES = {
    "vp9": (VP9, ".webm"),
    "vp9, gaps": (f"{GAPS} {VP9}", ".mp4"),
    "vp9, full range": (f"-vf scale=out_range=full -color_range pc {VP9}", ".webm"),
    "mjpeg": ("-c:v mjpeg -q:v 5", ".avi"),
    "h264, which DALI does not take here": ("-c:v libx264 -preset ultrafast -bf 2 -g 20", ".mp4"),
}
FPS = 7.3
END = segments.END
Samples = dict[int, tuple[int, bytes, bytes]]


@pytest.fixture
def decoder(card: Any) -> _dali.DaliDecoder:
    return _dali.DaliDecoder(open_gpu(), "cpu", parallel=3)


def sampled(decoder: _dali.DaliDecoder, path: Path, within: range | None = None) -> tuple[Samples, DecodeReport]:
    """(pts, score picture, view) of each sample, by its index."""
    info, report, found = decode.probe(path), DecodeReport(), Samples()
    asked = decoder if within is None else decoder.between(within)
    for batch in asked.batches(
        info, AnalyzeConfig(fps=FPS, score_height=48), report, ModelView(size=32, framing="crop")
    ):
        pixels, views = batch.pixels.get(batch.pixels.stream), batch.views.get(batch.views.stream)
        for place, time in enumerate(batch.times):
            assert round(time * FPS) not in found
            found[round(time * FPS)] = (int(batch.pts[place]), pixels[place].tobytes(), views[place].tobytes())
    return found, report


def in_stretches(decoder: _dali.DaliDecoder, path: Path, edges: list[int]) -> tuple[Samples, list[DecodeReport]]:
    joined, reports = Samples(), []
    for start, stop in itertools.pairwise([*edges, END]):
        found, report = sampled(decoder, path, range(start, stop))
        assert all(start <= index < stop for index in found)
        joined.update(found)
        reports.append(report)
    return joined, reports


def notes(reports: list[DecodeReport]) -> list[str]:
    """Each note once, in the order of the stretches, as a joined track has them."""
    return list(dict.fromkeys(note for report in reports for note in report.notes))


@pytest.mark.parametrize("name", TAKES)
def test_stretches_join_to_one_pass(decoder: Any, clip: Any, name: str) -> None:
    take = clip(*TAKES[name], size="64x48", seconds=6)
    whole, one_pass = sampled(decoder, take)
    for count in (2, 3, 7):
        joined, reports = in_stretches(decoder, take, [len(whole) * part // count for part in range(count)])
        assert joined == whole
        assert not any(report.damaged for report in reports)
        assert notes(reports) == one_pass.notes
        assert (reports[-1].duration, reports[-1].lost) == (one_pass.duration, [])


def test_a_stretch_decodes_its_segments_and_the_first_of_the_take(
    decoder: Any, clip: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, decoded = Graph.start, []

    def noting(graph: Graph, given: list[Any]) -> None:
        decoded.extend(segment.samples for segment in given)
        start(graph, given)

    monkeypatch.setattr(Graph, "start", noting)
    take = clip(*TAKES["vp9"], size="64x48", seconds=12)
    sampled(decoder, take)
    assert len(decoded) == 8
    first, wanted = decoded[0], range(40, 44)
    decoded.clear()
    sampled(decoder, take, wanted)
    assert decoded[0] == first
    assert all(_section.overlap(samples, wanted) for samples in decoded[1:])


def test_a_stretch_beyond_the_end_is_empty(decoder: Any, clip: Any) -> None:
    take = clip(*TAKES["vp9"], size="64x48", seconds=6)
    found, report = sampled(decoder, take, range(1000, 1100))
    assert (found, report.duration, report.damaged) == ({}, 6, False)


def refuse(monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    """Let a take no longer be for segments from its packet ``place`` on."""
    describe = Segmenter._describe

    def refusing(self: Any, packet: Any, parser: Any) -> Any:
        if self._report.packets > place:
            raise NotForSegments("because of a test")
        return describe(self, packet, parser)

    monkeypatch.setattr(Segmenter, "_describe", refusing)


@pytest.mark.parametrize("place", [0, 70, 110])
def test_from_where_a_take_is_not_for_segments_every_stretch_goes_on_with_pyav(
    decoder: Any, clip: Any, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    refuse(monkeypatch, place)
    take = clip(*TAKES["vp9"], size="64x48", seconds=6)
    whole, one_pass = sampled(decoder, take)
    assert len(one_pass.notes) == 1
    joined, reports = in_stretches(decoder, take, [0, 9, 17, 18, 30, 40])
    assert joined == whole
    assert notes(reports) == one_pass.notes
    assert not any(report.damaged for report in reports)


def break_segments(monkeypatch: pytest.MonkeyPatch, samples: range) -> None:
    """Let DALI fail on the segments that hold these samples."""
    start = Graph.start

    def breaking(self: Graph, given: list[Any]) -> None:
        start(
            self,
            [
                dataclasses.replace(segment, data=segment.data[:400] + bytes(len(segment.data) - 400))
                if _section.overlap(segment.samples, samples)
                else segment
                for segment in given
            ],
        )

    monkeypatch.setattr(Graph, "start", breaking)


def test_a_segment_that_dali_fails_on_is_pyavs_in_every_stretch(
    decoder: Any, clip: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_segments(monkeypatch, range(20, 22))
    take = clip(*TAKES["vp9"], size="64x48", seconds=6)
    whole, one_pass = sampled(decoder, take)
    assert len(one_pass.notes) == 1
    assert "decoded on the CPU around" in one_pass.notes[0]
    joined, reports = in_stretches(decoder, take, [0, 19, 21, 23])
    assert joined == whole
    assert notes(reports) == one_pass.notes


def test_where_dali_fails_on_the_first_segment_stretches_are_not_kept(
    decoder: Any, clip: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the range of which segment DALI's pictures are read, only one pass from the start can tell."""
    break_segments(monkeypatch, range(1))
    take = clip(*TAKES["vp9"], size="64x48", seconds=6)
    assert sampled(decoder, take, range(20, 30))[1].damaged
    assert not sampled(decoder, take)[1].damaged


@pytest.fixture(params=["none", "CLIP on the CPU", "CLIP as an engine"])
def config(request: Any, card: Any, tiny_model: Any, trt_beside: Any, tmp_path: Path) -> AnalyzeConfig:
    model = "none" if request.param == "none" else str(tiny_model.path)
    if request.param == "CLIP as an engine":
        trt_beside("tensorrt")
        copied = open_folder(shutil.copytree(tiny_model.path, tmp_path / "model"))
        model = str(build.add_precision(copied, "fp16").path)
    return AnalyzeConfig(fps=25.0, score_height=48, backend="gpu", model=model)


@pytest.fixture
def take(clip: Any) -> Path:
    return clip(*TAKES["vp9"], size="64x48", seconds=12)  # type: ignore[no-any-return]


def test_tracks_of_stretches_join_to_one_pass(take: Path, config: AnalyzeConfig, tmp_path: Path, made: Any) -> None:
    whole = analysis.analyze(take, Config(analyze=config))
    for count in (2, 3):
        edges = [len(whole) * part // count // splitting.ALIGNED * splitting.ALIGNED for part in range(count)]
        for within in itertools.starmap(range, itertools.pairwise([*edges, END])):
            task = RangeTask(path=take, config=Config(analyze=config), parts=tmp_path / str(count), within=within)
            segments.analyse(task, silent)
        (kind,) = (tmp_path / str(count)).iterdir()
        assert segments.missing(kind, range(END)) == []
        made.assert_same(segments.whole(take, config, tmp_path / str(count), silent), whole)


def test_what_was_broken_off_goes_on_from_its_last_part(
    take: Path, config: AnalyzeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Any
) -> None:
    monkeypatch.setattr(segments, "SEGMENT_S", 2.0)
    whole = analysis.analyze(take, Config(analyze=config))
    found, begun = made.broken_off(take, config, tmp_path / "parts", 5.5, 9.0)
    # A part is 64 samples here, an engine's batch, and what was done of the next is done again.
    assert begun > 9.0 - 2 * 64 / 25
    made.assert_same(found, whole)


def test_parts_of_another_backend_are_left_alone(take: Path, card: Any, tmp_path: Path, made: Any) -> None:
    analyze = AnalyzeConfig(fps=25.0, score_height=48, backend="gpu", model="none")
    task = RangeTask(path=take, config=Config(analyze=analyze), parts=tmp_path, within=range(128))
    segments.analyse(task, silent)
    on_cpu = dataclasses.replace(analyze, backend="cpu")
    made.assert_same(segments.whole(take, on_cpu, tmp_path, silent), analysis.analyze(take, Config(analyze=on_cpu)))


def results(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.glob("takes/**/*") if path.is_file()}


def test_a_batch_shares_a_take_between_two_cards(
    take: Path, card: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splitting, "SHORTEST_S", 4.0)
    analyze = AnalyzeConfig(fps=25.0, score_height=48, backend="gpu", model="none")
    config = Config(analyze=analyze, pick=PickConfig(top=2), export=ExportConfig(height=48))
    out, made = tmp_path / "out", {}
    for devices in (("0",), ("0", "1")):
        shutil.rmtree(out, ignore_errors=True)
        (tmp_path / "given.txt").write_text("")
        boss = supervisor.Supervisor(
            inputs.expand([str(take)], without=out),
            out,
            config,
            BatchConfig(workers=len(devices)),
            lambda *_, **__: None,
            devices=devices,
            command=[sys.executable, str(WORKER), str(tmp_path)],
        )
        assert (boss.run().done, boss.tally.failures) == (1, [])
        made[devices] = results(out)
        assert not (out / ".bestshot" / "parts").exists() or not list((out / ".bestshot" / "parts").iterdir())
    assert sorted((tmp_path / "given.txt").read_text().splitlines()) == ["0 0", "1 128"]
    assert made[("0", "1")] == made[("0",)]
    assert any(name.endswith("track.parquet") for name in made[("0",)])
