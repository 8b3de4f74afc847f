"""The speed that the project holds itself to, and whether rows reach it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bestshot_trt.cards import survey
from bestshot_trt.embed.model_folder import open_folder
from bestshot_trt.embed.resolve import CLOSE_ENOUGH

from . import inputs
from .figures import footage_s, take_of
from .registry import Row
from .steps import Step

LEAST_S = 10.0
"""Shorter takes mostly measure how fast a process starts."""
LONG_S = 300.0
"""Takes so long are run once: what they say varies less."""
PART_S = 60.0
"""So much of a take is used with a model, as embedding costs the same everywhere in it; and for what is outside."""
LEFT_OUT = 0.75
"""A take of which no more than this share of packets must be decoded counts as one with non-reference pictures."""
MIB = 2**20
MOST_GROWTH = 1.1
NO_ROWS = "not measured here"


@dataclass(frozen=True)
class Verdict:
    """What rows say of a target: the figure in words, and whether it is reached; None where nothing was measured."""

    measured: str
    met: bool | None
    files: tuple[str, ...] = ()
    """Names of the files of rows that it rests on."""


@dataclass(frozen=True)
class Target:
    """One figure to reach."""

    name: str
    wanted: str
    case: str
    line: float
    """What to reach, or to stay under, in the unit of the case's chart."""
    counts: Callable[[Row], bool]
    """Whether a row of that case counts."""
    judge: Callable[[list[Row], float], tuple[str, bool]]
    """The figure of those rows, at least one, and whether it will do against ``line``."""

    def verdict(self, found: Iterable[Row]) -> Verdict:
        """Whether ``found``, rows with the ``file`` they are in, reach it; a red row among them fails it."""
        mine = [row for row in found if row["case"] == self.case and ("settings" not in row or self.counts(row))]
        files = tuple(dict.fromkeys(row["file"] for row in mine if "file" in row))
        if red := [row for row in mine if "red" in row]:
            return Verdict(f"red: {red[0]['red']}", False, files)
        mine = [row for row in mine if "skipped" not in row]
        # Made takes stand in only where there is no real footage.
        mine = [row for row in mine if not row.get("input", "").startswith("made-")] or mine
        files = tuple(dict.fromkeys(row["file"] for row in mine if "file" in row))
        return Verdict(*self.judge(mine, self.line), files) if mine else Verdict(NO_ROWS, None)


def _settings(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = row.get("settings", {})
    return found


def _speedups(rows: list[Row]) -> list[float]:
    return [row["speedup"]["median"] for row in rows]


def _spoken(values: Sequence[float], unit: str = "x") -> str:
    middle = f"{statistics.median(values):.2f}{unit}"
    return middle if len(values) == 1 else f"{middle} median, {min(values):.2f}{unit} least, of {len(values)} takes"


def _score(model: bool, precision: str = "fp32") -> Callable[[Row], bool]:
    def counts(row: Row) -> bool:
        settings = _settings(row)
        if settings["fps"] != 3.0 or row.get("footage_s", LEAST_S) < LEAST_S:
            return False
        if not model:
            return bool(settings["model"] == "none")
        mine = settings.get("precision") == precision and settings.get("recipe's CLIP") == "onnx"
        return mine and "B-32" in settings["model"]

    return counts


def _speedup(worst: float = 0.0) -> Callable[[list[Row], float], tuple[str, bool]]:
    def judge(rows: list[Row], line: float) -> tuple[str, bool]:
        values = _speedups(rows)
        return _spoken(values), statistics.median(values) >= line and min(values) >= worst

    return judge


def _each_speedup(rows: list[Row], line: float) -> tuple[str, bool]:
    values = _speedups(rows)
    return _spoken(values), min(values) >= line


def _decode(leaves_out: bool) -> Callable[[Row], bool]:
    def counts(row: Row) -> bool:
        if row.get("footage_s", LEAST_S) < LEAST_S or not ("take" in row or "red" in row):
            return False
        can = row.get("packets_fed", 1) <= LEFT_OUT and row.get("take", {}).get("codec") == "h264"
        return can is leaves_out

    return counts


def _outside(model: bool) -> Callable[[Row], bool]:
    return lambda row: (_settings(row).get("model", "none") != "none") is model


def _share(rows: list[Row], line: float) -> tuple[str, bool]:
    shares = [100 * row["outside_share"] for row in rows]
    most = statistics.median(shares)
    return f"{most:.1f} % median, {max(shares):.1f} % most, of {len(shares)} takes", most < line


def _is(**settings: Any) -> Callable[[Row], bool]:
    return lambda row: all(_settings(row).get(key) == value for key, value in settings.items())


def _seconds(rows: list[Row], line: float) -> tuple[str, bool]:
    figures = rows[-1]["ours"]
    return f"{figures['median']:.3g} s ({figures['p20']:.3g} to {figures['p80']:.3g})", figures["median"] < line


def _memory(rows: list[Row], line: float) -> tuple[str, bool]:
    worst = max(rows, key=lambda row: row["ratio"])
    growth = f"{worst['ratio'] - 1:+.1%}, {worst['long'] * MIB / 1e6:.0f} MB"
    return growth, worst["ratio"] <= MOST_GROWTH and worst["long"] < line


def _of_copy(rows: list[Row], line: float) -> tuple[str, bool]:
    share = rows[-1]["of_copy"]
    return f"{share:.0%}", 100 * share >= line


def _nvdec(rows: list[Row], line: float) -> tuple[str, bool]:
    busy = [row["load"]["nvdec_percent"]["median"] for row in rows if row.get("load", {}).get("nvdec_percent")]
    return (f"{statistics.median(busy):.0f} %", statistics.median(busy) >= line) if busy else ("not sampled", False)


def _hours(rows: list[Row], line: float) -> tuple[str, bool]:
    hours = statistics.median(row["ours"]["median"] for row in rows)
    return f"{hours:.0f} hours an hour", hours >= line


def _on_gpu(row: Row) -> bool:
    return "L-14" in _settings(row).get("model", "")


_PICK, _AGAIN = {"hours": 12, "how": "command"}, {"hours": 12, "how": "loaded process"}
TARGETS = (
    Target("no model, against the plain recipe", "2.5x, never under 1.3x", "score", 2.5, _score(False), _speedup(1.3)),
    Target("ViT-B/32 in fp32, against the recipe with it", "1.6x", "score", 1.6, _score(True), _speedup()),
    Target("ViT-B/32 in int8, against the recipe in fp32", "2.2x", "score", 2.2, _score(True, "int8"), _speedup()),
    Target(
        "decoding H.264 with non-reference pictures", "1.7x a full decode", "decode", 1.7, _decode(True), _speedup()
    ),
    Target("decoding other takes", "0.97x a full decode, each", "decode", 0.97, _decode(False), _each_speedup),
    Target("outside decode and embed, no model", "under 10 % of CPU time", "outside", 10, _outside(False), _share),
    Target("outside decode and embed, with a model", "under 10 % of CPU time", "outside", 10, _outside(True), _share),
    Target("pick from 12 hours, the command", "under 1 s", "pick", 1, _is(**_PICK), _seconds),
    Target("pick again from 12 hours, in a loaded process", "under 50 ms", "pick", 0.05, _is(**_AGAIN), _seconds),
    Target("--help", "under 0.3 s", "start", 0.3, _is(what="help"), _seconds),
    Target("first result on a 10 s clip, no model", "under 2 s", "start", 2, _is(what="first-result"), _seconds),
    Target("peak memory, 2 hours against 10 minutes", "+10 %, under 600 MB", "memory", 600e6 / MIB, _is(), _memory),
    Target("frame_stats on a GPU, against a copy", "70 %", "kernels", 70, _is(on="GPU", what="frame_stats"), _of_copy),
    Target("NVDEC busy on a GPU, end to end with ViT-L/14", "85 %", "gpu", 85, _on_gpu, _nvdec),
    Target("a GPU, end to end with ViT-L/14", "150 hours of footage an hour", "gpu", 150, _on_gpu, _hours),
)


def target_of(row: Row) -> float | None:
    """Where a row's target lies on its chart; None where it has none."""
    mine = [target.line for target in TARGETS if target.case == row["case"] and target.counts(row)]
    return mine[-1] if mine else None


def steps(footage: Sequence[str], model: Path | None, runs: int) -> Iterator[Step]:
    """What to measure for the targets that this machine can be held to: the short ones first, memory last.

    Takes of ``footage`` under `LEAST_S` are left out.
    """
    yield from (Step(case=case, runs=runs) for case in ("start", "pick", "kernels"))
    takes = tuple(footage)
    for case in ("decode", "score"):
        yield from (Step(case=case, inputs=(take,), runs=1 if seconds_of(take) >= LONG_S else runs) for take in takes)
    yield from (Step(case="outside", inputs=(_part(take, PART_S),), runs=runs) for take in takes)
    if model:
        parts = [_part(take, PART_S) for take in takes]
        for precision in ("fp32", *(("int8",) if admits_int8(model) else ())):
            for part in parts:
                yield Step(case="score", inputs=(part,), runs=1, model=model, precision=precision)
        yield from (Step(case="outside", inputs=(part,), runs=1, model=model) for part in parts)
    if survey().usable:
        yield from (Step(case="gpu", inputs=(take,), runs=runs, model=model) for take in takes)
    yield Step(case="memory", inputs=(memory_take(takes),), runs=1)


def seconds_of(text: str) -> float:
    """Seconds of footage of a take, or of a recipe of one."""
    kind, *rest = inputs.split(text)
    return float(rest[2 if kind == "made" else 1]) if rest else footage_s(Path(text))


def _part(text: str, seconds: float) -> str:
    """The take, or where it is much longer than ``seconds`` so much of it."""
    if seconds_of(text) <= 1.5 * seconds:
        return text
    path = inputs.file_of(text)
    if path is None:
        kind, codec, size, _, *options = inputs.split(text)
        return ":".join([kind, codec, size, f"{seconds:g}", *options])
    kind = "loop" if text.startswith("loop:") else "start"
    return f"{kind}:{path}:{seconds:g}"


def admits_int8(model: Path) -> bool:
    """Whether `bestshot-trt models verify --int8` has found this folder's int8 graph close enough."""
    folder = open_folder(model)
    parity = folder.card.parity.get("int8")
    return folder.has("visual", "int8") and parity is not None and parity >= CLOSE_ENOUGH


def memory_take(takes: Sequence[str]) -> str:
    """A file of 1080 lines to loop, or a made one."""
    for text in takes:
        path = inputs.file_of(text)
        if path and "1080" in take_of(path)["picture"].split("x"):
            return str(path)
    return "made:h264:1080p:60"


def table(found: Sequence[Row]) -> str:
    """Target against measurement, a line each."""
    lines = []
    for target in TARGETS:
        verdict = target.verdict(found)
        word = {True: "met", False: "NOT MET", None: ""}[verdict.met]
        lines.append(f"{target.name:70} {target.wanted:30} {verdict.measured:45} {word}")
    return "\n".join(lines)
