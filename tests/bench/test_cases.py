"""The cases themselves: each gives figures of what works, and is red where the thing it measures is broken."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from bench import gates  # noqa: E402
from bench.cases import CASES, _on_gpu  # noqa: E402
from bench.cases import batch as batch_case  # noqa: E402
from bench.cases import decode as decode_case  # noqa: E402
from bench.cases import embed as embed_case  # noqa: E402
from bench.cases import kernels as kernel_case  # noqa: E402
from bench.cases import memory as memory_case  # noqa: E402
from bench.cases import pick as pick_case  # noqa: E402
from bench.cases import products as product_case  # noqa: E402
from bench.cases import score as score_case  # noqa: E402
from bench.cases import start as start_case  # noqa: E402
from bench.gpu import kernels as gpu_kernels  # noqa: E402
from bench.gpu import rows as gpu_rows  # noqa: E402
from bench.gpu import sampler  # noqa: E402
from bench.inputs import made  # noqa: E402
from bench.registry import Red, Request  # noqa: E402

from bestshot_trt.backends import Backend  # noqa: E402
from bestshot_trt.cards.load import Load  # noqa: E402
from bestshot_trt.embed import Embedded  # noqa: E402
from bestshot_trt.errors import BestshotError  # noqa: E402
from bestshot_trt.frames import FrameBatch  # noqa: E402
from bestshot_trt.speed.quick import embed_all  # noqa: E402

H264 = "-c:v libx264 -preset veryfast -bf 2 -g 25 -pix_fmt yuv420p"


def request(folder: Path, *takes: Path, **rest: Any) -> Request:
    return Request(inputs=list(takes), runs=1, folder=folder, **rest)


@pytest.fixture
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_case, "HD", (1, 30, 40, 3))
    monkeypatch.setattr(kernel_case, "FULL_HD", (1, 40, 60, 3))
    monkeypatch.setattr(kernel_case, "COPY_BYTES", 1 << 16)
    monkeypatch.setattr(kernel_case, "LEAST_RUNS", 1)


def without_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    from bestshot_trt.cards import Survey

    monkeypatch.setattr(_on_gpu, "survey", Survey)


@pytest.mark.usefixtures("small_pictures")
def test_kernels_have_figures_on_the_cpu_and_a_line_where_there_is_no_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_cards(monkeypatch)
    *on_cpu, on_gpu = CASES["kernels"].rows(request(tmp_path))
    assert [row["settings"]["kernel"] for row in on_cpu] == [kernel.name for kernel in kernel_case.on_cpu()]
    for row in on_cpu:
        assert row["of_copy"]["median"] == pytest.approx(row["ours"]["median"] / row["baseline"]["median"])
    assert on_gpu == {"case": "kernels", "settings": {"on": "GPU"}, "skipped": _on_gpu.NO_GPU}


@pytest.mark.usefixtures("small_pictures")
@pytest.mark.parametrize(
    ("module", "name", "change"),
    [
        ("clip_resize", "clip_resize", lambda out: out ^ np.uint8(1)),
        ("convert", "tone_map", lambda out: np.roll(out, 1, axis=3)),
        ("layout_descriptor", "layout_descriptor", lambda out: np.roll(out, 1, axis=1)),
        ("frame_stats", "frame_stats", lambda out: dataclasses.replace(out, colourfulness=out.colourfulness * 1.01)),
    ],
)
def test_a_kernel_broken_on_the_cpu_is_red_and_the_others_are_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str, change: Any
) -> None:
    import importlib

    without_cards(monkeypatch)
    op = importlib.import_module(f"bestshot_kernels.{module}")
    honest = getattr(op, name)
    monkeypatch.setattr(op, name, lambda *pixels, **rest: change(honest(*pixels, **rest)))
    found = list(CASES["kernels"].rows(request(tmp_path)))
    red = [row for row in found if "red" in row]
    assert {row["settings"]["kernel"].split(",")[0] for row in red} == {name}
    assert not any("ours" in row for row in red)
    assert sum("ours" in row for row in found) == len(found) - len(red) - 1


def test_export_says_clips_a_second_and_why_nvenc_is_not_measured(clip: Any, tmp_path: Path) -> None:
    rows = list(CASES["export"].rows(request(tmp_path, clip(H264, seconds=8))))
    assert rows[0]["settings"]["encoder"] == "libx264"
    assert rows[0]["clips_per_s"]["median"] == pytest.approx(rows[0]["settings"]["clips"] / rows[0]["ours"]["median"])
    if "skipped" in rows[1]:
        assert "nvenc does not work here" in rows[1]["skipped"]


def moments(folder: Path, clip: Path, start: float, end: float) -> Path:
    (folder / "1.mp4").unlink(missing_ok=True)
    (folder / "1.mp4").symlink_to(clip)
    document = {"moments": [{"clip": "1.mp4", "start_s": start, "end_s": end}]}
    (folder / "moments.json").write_text(json.dumps(document))
    return folder


def test_a_clip_that_is_too_short_is_red(clip: Any, tmp_path: Path) -> None:
    take = clip(H264)
    gates.whole_clips(moments(tmp_path, take, 0, 4), take)
    with pytest.raises(Red, match=r"shows 4.00 s; its moment is 4.30 s long"):
        gates.whole_clips(moments(tmp_path, take, 0, 4.3), take)
    (tmp_path / "moments.json").write_text(json.dumps({"moments": []}))
    with pytest.raises(Red, match="there is no moment"):
        gates.whole_clips(tmp_path, take)


@pytest.mark.parametrize(
    ("frames", "words"),
    [((24, 49), r"begins with the picture at 0.960 s"), ((26, 50), "begins with"), ((25, 50), "ends with")],
)
def test_a_clip_that_is_off_by_a_frame_is_red(
    clips: Any, clip: Any, tmp_path: Path, frames: tuple[int, int], words: str
) -> None:
    take = clip(H264)

    def cut(first: int, last: int) -> Path:
        path = tmp_path / f"{first}-{last}.mp4"
        part = f"trim=start_frame={first}:end_frame={last + 1},setpts=PTS-STARTPTS"
        clips.run_ffmpeg("-i", take, "-vf", part, "-c:v", "libx264", "-crf", "18", path)
        return path

    gates.whole_clips(moments(tmp_path, cut(25, 49), 1, 2), take)
    with pytest.raises(Red, match=words):
        gates.whole_clips(moments(tmp_path, cut(*frames), 1, 2), take)


def test_batch_is_red_when_workers_change_picks_or_lose_a_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_case, "TAKES", 2)

    def result(take: str, peak: float) -> None:
        (tmp_path / "takes" / take).mkdir(parents=True, exist_ok=True)
        document = {"moments": [{"peak_s": peak}]}
        (tmp_path / "takes" / take / "moments.json").write_text(json.dumps(document))

    wanted: dict[str, Any] = {}
    result("a", 1.0)
    with pytest.raises(Red, match="1 of 2 takes"):
        batch_case.same_picks(tmp_path, wanted)
    result("b", 2.0)
    batch_case.same_picks(tmp_path, wanted)
    result("b", 2.5)
    with pytest.raises(Red, match="another number of workers"):
        batch_case.same_picks(tmp_path, wanted)


def test_batch_compares_every_number_of_workers_with_one(
    clip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_case, "TAKES", 2)
    monkeypatch.setattr(batch_case, "TAKE_S", 2.0)
    monkeypatch.setattr(batch_case, "workers_to_try", lambda cores: [2])
    one, two = CASES["batch"].rows(request(tmp_path, clip(H264)))
    assert (one["settings"]["workers"], two["settings"]["workers"]) == (1, 2)
    assert one["speedup"]["median"] == 1
    assert two["speedup"]["median"] == pytest.approx(one["ours"]["median"] / two["ours"]["median"])


@pytest.mark.parametrize(
    ("module", "name", "change"),
    [
        ("timeline", "_duplicate", lambda honest: lambda *given: None),
        ("timeline", "_duplicate", lambda honest: lambda units, new, tau: honest(units, new, tau / 100)),
        ("timeline", "_keep_apart", lambda honest: lambda times, order, gap: honest(times, order, gap / 5)),
        ("peaks", "_windows", lambda honest: lambda grid, window: honest(grid, window / 2)),
        ("scoring", "normalize", lambda honest: lambda values, mode="track": honest(-np.asarray(values), mode)),
    ],
)
def test_picking_by_another_rule_is_red(monkeypatch: pytest.MonkeyPatch, module: str, name: str, change: Any) -> None:
    import importlib

    track = pick_case.made_track(pick_case.GATE_HOURS, 64, pick_case.GATE_VIEWS)
    pick_case.as_plain_loops(track)
    rules = importlib.import_module(f"bestshot_trt.{module}")
    monkeypatch.setattr(rules, name, change(getattr(rules, name)))
    with pytest.raises(Red, match="plain loops pick"):
        pick_case.as_plain_loops(track)


def test_search_finds_what_was_planted_and_is_red_else(tiny_model: Any, tmp_path: Path) -> None:
    (row,) = CASES["search"].rows(request(tmp_path, model=tiny_model.path))
    assert row["ours"]["runs"] == 1
    with pytest.raises(Red, match="was planted"):
        pick_case.first_found([{"time_s": 5.0, "similarity": 0.9}], 9.0)
    hits = [{"time_s": 9.0 + number, "similarity": alike} for number, alike in enumerate((0.9, 0.3, 0.5))]
    with pytest.raises(Red, match="another order"):
        pick_case.first_found(hits, 9.0)
    (row,) = CASES["search"].rows(request(tmp_path))
    assert "--model FOLDER" in row["skipped"]


def test_the_recipe_on_torch_must_have_the_weights_it_has_on_onnx_runtime() -> None:
    unit = np.eye(3, dtype=np.float32)
    score_case.agree(unit, unit)
    with pytest.raises(Red, match=r"a cosine of 0.0000"):
        score_case.agree(unit, np.roll(unit, 1, axis=0))


def test_without_torch_the_recipe_on_torch_is_left_out_with_the_reason(
    clip: Any, tiny_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None\n")
    paths = (tmp_path, REPOSITORY, REPOSITORY / "engine", REPOSITORY / "kernels")
    monkeypatch.setenv("PYTHONPATH", ":".join(map(str, paths)))
    monkeypatch.chdir(REPOSITORY)
    (row,) = CASES["score"].rows(request(tmp_path, clip(H264), model=tiny_model.path, clip="torch"))
    assert "the recipe on torch needs" in row["skipped"]


def test_a_take_that_cannot_be_read_is_red_and_the_next_is_measured(clip: Any, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    first, second = CASES["decode"].rows(request(tmp_path, bad, clip(H264)))
    assert first["red"].startswith("bad.mp4: ")
    assert second["take"] == {"codec": "h264", "picture": "96x64", "frame_rate": 25.0}
    assert second["speedup"]["runs"] == 1


def test_a_wrong_row_of_the_gpu_check_is_red_in_the_suite_and_figures_stay() -> None:
    wrong = _on_gpu.converted(gpu_rows.Row("frame_stats", gpu_rows.WRONG, "differs"), "none")
    assert wrong["red"] == "differs"
    lacks = _on_gpu.converted(gpu_rows.Row("decode", gpu_rows.NOT_RUN, "no DALI"), "none")
    assert lacks["skipped"] == "no DALI"
    rate = {"median": 2.0, "p20": 1.0, "p80": 3.0, "runs": 3}
    good = _on_gpu.converted(gpu_rows.Row("x", gpu_rows.OK, "", {"gb_per_s": rate, "of_copy": 0.5}), "none")
    assert (good["unit"], good["ours"], good["of_copy"]) == ("GB/s", rate, 0.5)


def test_load_is_that_of_the_busiest_card_and_silence_adds_nothing() -> None:
    load = sampler.Sampler()
    idle = Load(name="a", decoder=0, sm=1, used=1 << 30, memory=1 << 34)
    busy = Load(name="b", decoder=90, sm=None, used=1 << 31, memory=1 << 34)
    load._keep((idle, busy))
    load._keep(())
    assert {name: (value["median"], value["runs"]) for name, value in load.figures.items()} == {
        "nvdec_percent": (90, 1),
        "sm_percent": (1, 1),
        "memory_gib": (2, 1),
    }


def test_load_is_sampled_while_work_goes_on(fake_driver: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    pytest.importorskip("pynvml")
    (tmp_path / "libnvidia-ml.so.1").symlink_to(fake_driver)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    monkeypatch.setenv("FAKE_CARDS", "L4")
    with sampler.Sampler() as load:
        until = time.monotonic() + 300
        while "nvdec_percent" not in load.figures and time.monotonic() < until:
            time.sleep(0.05)
    assert "NVDEC" in load.words


def test_a_failing_command_is_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise BestshotError("batch ended with 1: no space")
        yield

    monkeypatch.setitem(CASES, "batch", dataclasses.replace(CASES["batch"], measure=fails))
    (row,) = CASES["batch"].rows(request(tmp_path, tmp_path / "a.mp4"))
    assert row["red"] == "batch ended with 1: no space"


def test_peak_memory_is_that_of_the_analysis_alone(clip: Any, tmp_path: Path) -> None:
    ours = np.ones(1 << 30, np.uint8)
    peak = memory_case.peak_mib(clip(H264), tmp_path)
    assert 30 < peak < len(ours) / 2**20 / 2


def test_memory_compares_a_short_and_a_long_loop(clip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_case, "SHORT_S", 4)
    monkeypatch.setattr(memory_case, "LONG_S", 8)
    (row,) = CASES["memory"].rows(request(tmp_path, clip(H264)))
    assert row["ratio"] == pytest.approx(row["long"] / row["short"], abs=0.01)


def test_what_is_outside_is_the_share_that_decoding_and_embedding_leave(
    clip: Any, tiny_model: Any, tmp_path: Path
) -> None:
    (row,) = CASES["outside"].rows(request(tmp_path, clip(H264), model=tiny_model.path))
    assert row["settings"] == {"fps": 3.0, "model": "tiny", "precision": "fp32"}
    assert row["outside_share"] == pytest.approx(1 - row["baseline"]["median"] / row["ours"]["median"], abs=0.001)


def test_embedding_alone_has_the_batches_that_an_analysis_has() -> None:
    sizes: list[int] = []
    waiting: list[int] = []

    def embed(prepared: Any) -> Any:
        sizes.append(len(prepared))
        waiting.append(sizes[-1])
        assert len(waiting) <= 3
        return lambda: Embedded(np.zeros((waiting.pop(0), 2), np.float32), None)

    embedder: Any = SimpleNamespace(batch_size=4, prepare=lambda batch: batch.pixels, embed=embed)
    parts: Any = dict.fromkeys(("fallback_reason", "decoder", "measure", "model_note"))
    backend = Backend(name="counting", embedder=embedder, embeds_ahead=2, **parts)
    batches = [FrameBatch(np.zeros((2, 1, 1, 3), np.uint8), np.zeros(2), np.zeros(2, np.int64)) for _ in range(9)]
    embed_all(backend, batches)
    assert (sizes, waiting) == ([4, 4, 4, 4, 2], [])


def test_a_precision_whose_embeddings_are_wrong_is_red_and_the_others_are_timed() -> None:
    seconds = {"fp32": [1.0], "int8": [0.5]}
    fp32, int8 = embed_case._rows("ViT-B-32", 8, seconds, {"fp32": 1.0, "int8": 0.9})
    assert fp32["images_per_s"] == embed_case.PICTURES
    assert (int8["red"], "ours" in int8) == ("cosine to fp32 is 0.9000", False)


def test_embeddings_that_are_not_plain_onnx_runtimes_are_red_in_every_precision(
    tiny_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = embed_case.OnnxEmbedder.embed
    monkeypatch.setattr(
        embed_case.OnnxEmbedder, "embed", lambda given, pictures: honest(given, pictures[:, :, ::-1] // 2)
    )
    found = list(CASES["embed"].rows(request(tmp_path, tiny_model.path)))
    assert all("cosine to fp32" in row["red"] and "ours" not in row for row in found)


def test_a_first_result_without_its_clips_is_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        start_case, "made", lambda codec, size, seconds, options, folder: made(codec, size, 4, {}, folder)
    )
    found = list(CASES["start"].rows(request(tmp_path)))
    assert [row["settings"]["what"] for row in found] == ["python", "help", "first-result"]

    def short(*_: Path) -> None:
        raise Red("01.mp4 shows 2.00 s; its moment is 3.00 s long")

    monkeypatch.setattr(gates, "whole_clips", short)
    (row,) = CASES["start"].rows(request(tmp_path))
    assert "01.mp4" in row["red"] and "ours" not in row


def test_a_models_speed_is_given_by_precision_and_batch(tiny_model: Any, tmp_path: Path) -> None:
    found = list(CASES["embed"].rows(request(tmp_path, tiny_model.path)))
    assert [row["settings"]["batch"] for row in found] == list(embed_case.BATCHES)
    assert all(row["images_per_s"] > 0 for row in found)


def test_matrix_products_have_figures_and_are_red_when_they_are_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(product_case, "TOKENS", 2)
    monkeypatch.setattr(product_case, "WIDTH", 8)
    found = list(CASES["products"].rows(request(tmp_path)))
    assert [row["settings"]["pictures"] for row in found] == ["1 at a time"] * 2 + ["8 at a time"] * 2
    assert all(row["ours"]["median"] > 0 for row in found)
    wrong = SimpleNamespace(run=lambda outputs, values: [np.zeros(1, np.float32)])
    monkeypatch.setattr(product_case, "open_session", lambda *args, **options: wrong)
    (row,) = CASES["products"].rows(request(tmp_path))
    assert "product" in row["red"] and "ours" not in row


def test_a_job_is_compared_with_the_recipe_and_is_red_when_a_clip_is_cut_short(
    clip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = clip(H264, seconds=6)
    (row,) = CASES["job"].rows(request(tmp_path, take))
    assert row["speedup"]["runs"] == 1

    def short(*_: Path) -> None:
        raise Red("01.mp4 shows 2.00 s; its moment is 3.00 s long")

    monkeypatch.setattr(gates, "whole_clips", short)
    (row,) = CASES["job"].rows(request(tmp_path, take))
    assert "01.mp4" in row["red"]
    assert "ours" not in row


@pytest.mark.usefixtures("small_pictures")
def test_a_kernel_broken_on_the_gpu_is_red_in_the_suite(
    gpu_on_cpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bestshot_kernels import _compile
    from bestshot_trt.cards import Card, Survey

    real = _compile.source
    card = Card(uuid="GPU-1", name="made up", ordinal=0)
    monkeypatch.setattr(_on_gpu, "survey", lambda: Survey(cards=(card,)))
    monkeypatch.setattr(_compile, "source", lambda op: real(op).replace("9798", "9799"))
    kernels = [kernel for kernel in gpu_kernels._kernels() if kernel.name in ("frame_stats", "clip_resize")]
    small = [gpu_kernels.Kernel(k.name, (1, 12, 24, 3), k.prove, k.call) for k in kernels]
    monkeypatch.setattr(gpu_kernels, "_kernels", lambda: iter(small))
    monkeypatch.setattr(gpu_kernels, "_copy", lambda: {"median": 100.0, "p20": 100.0, "p80": 100.0, "runs": 1})
    monkeypatch.setattr(gpu_kernels, "_times", lambda call: [1e-3] if call() is not None else [])
    by_name = {row["settings"].get("what"): row for row in CASES["kernels"].rows(request(tmp_path))}
    assert "differs from its reference" in by_name["frame_stats"]["red"]
    assert "ours" not in by_name["frame_stats"]
    assert by_name["clip_resize"]["of_copy"] == pytest.approx(by_name["clip_resize"]["ours"]["median"] / 100)


def test_the_limit_of_decoding_is_that_of_the_very_packets_which_are_fed(
    clip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row,) = CASES["limit"].rows(request(tmp_path, clip(H264)))
    (stage,) = CASES["decode"].rows(request(tmp_path, clip(H264)))
    assert row["packets_fed"] == stage["packets_fed"] < 1
    assert row["speedup"]["runs"] == 1
    assert row["cpu_ratio"] > 0
    planner = decode_case.Planner
    monkeypatch.setattr(decode_case, "Planner", lambda grid, drop: planner(grid, drop=False))
    (row,) = CASES["limit"].rows(request(tmp_path, clip(H264)))
    assert "100 packets are needed" in row["red"]
