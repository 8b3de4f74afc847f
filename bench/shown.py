"""Which charts the rows of a case make."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .charts import Chart, Point
from .registry import Row
from .targets import target_of

TITLES = {
    "score": "Scoring a take, against the plain recipe",
    "job": "A whole job with clips, against the plain recipe",
    "decode": "The decode stage, against decoding everything",
    "limit": "ffmpeg decoding only what samples need, against decoding everything",
    "analyze": "Scoring without a model, against decoding everything",
    "outside": "Share of an analysis that is neither decoding nor embedding",
    "embed": "A CLIP model alone",
    "products": "Matrix products of CLIP",
    "kernels": "What is done to every picture",
    "pick": "Picking from long tracks",
    "search": "Searching a track for words",
    "export": "Cutting clips",
    "batch": "Many takes, by workers",
    "start": "Starting",
    "memory": "Peak memory against length",
    "gpu-decode": "NVDEC alone",
    "gpu-embed": "A CLIP model alone on the GPU",
    "gpu": "On the GPU, end to end",
}
_HIDDEN = ("fps", "model", "recipe's CLIP", "takes", "plain", "clips", "picks", "how", "on", "short_s", "long_s")
"""Settings that are in a chart's title or the same for all its rows."""
_SPEAKING = ("what", "kernel", "pictures", "encoder", "precision")
"""Settings whose value says it all."""


def settings_of(row: Row) -> str:
    """All settings in words."""
    return ", ".join(
        f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in row.get("settings", {}).items()
    )


def label_of(row: Row) -> str:
    """What tells a row from others in its chart."""
    settings = row.get("settings", {})
    hidden = _HIDDEN if row["case"] == "embed" else (*_HIDDEN, "precision")
    mine = [_said(key, value) for key, value in settings.items() if key not in hidden]
    take = row.get("take", {})
    about = [f"{take['codec']} {take['picture']}"] if take else []
    rate = [f"{settings['fps']:g} fps"] if settings.get("fps", 3.0) != 3.0 else []
    return ", ".join([*([row["input"]] if row.get("input") else []), *about, *rate, *mine])


def _said(key: str, value: Any) -> str:
    return str(value) if key in _SPEAKING else f"{value} h" if key == "hours" else f"{key} {value}"


def charts(case: str, rows: Sequence[Row]) -> Iterator[Chart]:
    """The charts of one case; rows that are red have none."""
    good = [row for row in rows if "red" not in row and "skipped" not in row]
    for words, some in _grouped(good).items():
        title = ": ".join(filter(None, (TITLES.get(case, case), words)))
        for axis, points in _points(some):
            yield Chart(title, axis, points)


def _grouped(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """By what changes a figure more than the take does."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(_kind(row), []).append(row)
    return found


def _kind(row: Row) -> str:
    settings = row.get("settings", {})
    if row["case"] == "kernels":
        return f"on the {settings['on']}"
    if row["case"] == "pick":
        return str(settings["how"])
    model = settings.get("model")
    if model is None or row["case"] in ("memory", "search", "embed"):
        return ""
    if model == "none":
        return "no model"
    recipe = {"onnx": "ONNX Runtime"}.get(settings.get("recipe's CLIP"), settings.get("recipe's CLIP"))
    return " ".join(filter(None, (model, settings.get("precision")))) + (f", the recipe on {recipe}" if recipe else "")


Of = Callable[[Row], tuple[float, float, float, str] | None]


def _points(rows: Sequence[Row]) -> Iterator[tuple[str, tuple[Point, ...]]]:
    for axis, of, has_target in _AXES:
        found = [(row, of(row)) for row in rows]
        points = tuple(
            Point(label_of(row), *figure, target=target_of(row) if has_target else None)
            for row, figure in found
            if figure
        )
        if points:
            yield axis, points


def _spread(figures: dict[str, Any], unit: str, scale: float = 1.0) -> tuple[float, float, float, str]:
    median, low, high = (figures[name] * scale for name in ("median", "p20", "p80"))
    return median, low, high, f"{median:.3g}{unit}"


def _speedup(row: Row) -> tuple[float, float, float, str] | None:
    if "speedup" not in row or row["case"] in ("outside", "embed"):
        return None
    return _spread(row["speedup"], "x")


def _real_time(row: Row) -> tuple[float, float, float, str] | None:
    if "footage_s" not in row or row.get("unit") != "s" or "ours" not in row:
        return None
    ours, footage = row["ours"], row["footage_s"]
    return footage / ours["median"], footage / ours["p80"], footage / ours["p20"], f"{footage / ours['median']:.3g}x"


def _outside(row: Row) -> tuple[float, float, float, str] | None:
    if "outside_share" not in row:
        return None
    share = 100 * row["outside_share"]
    low, high = (100 * (1 - row["speedup"][name]) for name in ("p80", "p20"))
    return share, low, high, f"{share:.1f} %"


def _copy(row: Row) -> tuple[float, float, float, str] | None:
    share = row.get("of_copy")
    if share is None:
        return None
    return _spread(share, " %", 100) if isinstance(share, dict) else (100 * share,) * 3 + (f"{share:.0%}",)


def _images(row: Row) -> tuple[float, float, float, str] | None:
    if "images_per_s" not in row or "speedup" not in row:
        return None
    ours, rate = row["ours"], row["images_per_s"]
    return rate, rate * ours["median"] / ours["p80"], rate * ours["median"] / ours["p20"], f"{rate:.3g}"


def _named(name: str, unit: str = "") -> Of:
    return lambda row: _spread(row[name], unit) if name in row else None


def _in(unit: str, words: str) -> Of:
    def of(row: Row) -> tuple[float, float, float, str] | None:
        compared = {"speedup", "images_per_s", "outside_share"} & row.keys()
        return _spread(row["ours"], words) if row.get("unit") == unit and "ours" in row and not compared else None

    return of


def _once(name: str) -> Of:
    return lambda row: (row[name], row[name], row[name], f"{row[name]:.0f} MiB") if name in row else None


_AXES: tuple[tuple[str, Of, bool], ...] = (
    ("times as fast", _speedup, True),
    ("times real time: hours of footage an hour", _real_time, False),
    ("% of CPU time", _outside, True),
    ("% of what a plain copy moves", _copy, True),
    ("GB/s", _in("GB/s", " GB/s"), False),
    ("pictures a second", _images, False),
    ("clips a second", _named("clips_per_s"), False),
    ("seconds", _in("s", " s"), True),
    ("MiB at 10 minutes", _once("short"), False),
    ("MiB at 2 hours", _once("long"), True),
    ("frames of footage covered a second", _in("frames/s", ""), False),
    ("pictures a second", _in("images/s", ""), False),
    ("times real time: hours of footage an hour", _in("x real time", "x"), True),
)
