"""All that the page knows of a take, as JSON and packed arrays."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from ...bounds import describe_bounds
from ...config import PickConfig, Weights
from ...errors import shown
from ...moments import Moment, MomentsDocument
from ...provenance import plain
from ...scoring import PROMPT_WEIGHT
from ...track import Track
from ._near import Nearness
from ._pack import Packer
from ._shell import quoted

_LARGEST = 980_000
"""Bytes of a page, thumbnails apart, that the distances of a long take may fill it up to."""
_LEAST_ROOM = 150_000
_BASE64 = 4 / 3
_SHOWN_ONLY = ("contrast", "colourfulness")
_STEPS = 255
LAYERS = ("aesthetic", "sharpness", "exposure_penalty", "prompt_similarity", *_SHOWN_ONLY)
"""Measures that the page can draw."""


def facts_of(
    document: MomentsDocument, track: Track, track_path: Path | None, taken: int
) -> tuple[dict[str, Any], str]:
    """What the page is told, and its arrays as text; ``taken`` bytes of the page are spoken for."""
    config = document.settings.pick_config()
    packer = Packer()
    shown_only = _add_measures(packer, track)
    distances, layout, packed = _with_distances(packer, Nearness(track, config), _LARGEST - taken)
    meta = track.meta
    return {
        "title": shown(Path(document.source.path).name),
        "path": shown(document.source.path),
        "duration": float(meta.duration),
        "fps": float(meta.analyze.get("fps", 0)),
        "size": [document.source.video.width, document.source.video.height],
        "codec": document.source.video.codec,
        "model": document.model,
        "note": document.model_note,
        "program": f"{document.created_by.name} {document.created_by.version}",
        "lost": [[gap.start, gap.end] for gap in document.decode.lost],
        "prompt": [shown(text) for text in document.settings.pick.get("prompt", ())],
        "avoid": [shown(text) for text in document.settings.pick.get("avoid", ())],
        "layout": layout,
        "layers": [name for name in LAYERS if name != "prompt_similarity" or _has_prompt(track)],
        "shown_only": shown_only,
        "distances": distances,
        "settings": _settings(config, has_prompt=_has_prompt(track)),
        "defaults": _settings(PickConfig(), has_prompt=_has_prompt(track)),
        "limits": _limits(),
        "command": _command(document, track_path),
        "document": _chosen(document, track),
    }, packed


def _with_distances(packer: Packer, nearness: Nearness, most: int) -> tuple[dict[str, Any], list[dict[str, Any]], str]:
    """The arrays of ``packer`` and what tells distances, which fills them up to about ``most`` bytes of text."""
    measures = len(packer.packed()[1])
    room = max(int((most - measures) / _BASE64), _LEAST_ROOM)
    filled = packer.copy()
    distances = nearness.add(filled, room)
    layout, packed = filled.packed()
    used = len(packed) - measures
    if distances["planes"] and measures + used < most:
        # How well it deflates is known only now.
        filled = packer.copy()
        other = nearness.add(filled, int(room * min(0.97 * (most - measures) / used, 4)))
        larger_layout, larger = filled.packed()
        if len(larger) <= most:
            distances, layout, packed = other, larger_layout, larger
    return distances, layout, packed


def _has_prompt(track: Track) -> bool:
    return not bool(np.isnan(track.prompt_similarity).all())


def _settings(config: PickConfig, *, has_prompt: bool) -> dict[str, Any]:
    settings = plain(config)
    weights = settings["weights"]
    if not has_prompt:
        del weights["prompt"]
    elif weights["prompt"] is None:
        weights["prompt"] = PROMPT_WEIGHT
    return settings


def _limits() -> dict[str, Any]:
    limits = {}
    for config in (PickConfig, Weights):
        for field in dataclasses.fields(config):
            if field.metadata.get("high") is not None:
                told = {key: field.metadata[key] for key in ("help", "low", "high", "unit")}
                limits[field.name] = told | {"bounds": describe_bounds(field)}
    return limits


def _add_measures(packer: Packer, track: Track) -> dict[str, list[float]]:
    """Add times and measures; those that are only drawn in 256 steps of their range, which is returned."""
    fps = float(track.meta.analyze.get("fps", 0))
    ticks = np.rint(track.times * fps)
    if fps > 0 and np.array_equal(ticks / fps, track.times):
        packer.add("ticks", np.diff(ticks, prepend=0).astype(np.uint32))
    else:
        packer.add("times", track.times)
    for name in ("sharpness", "exposure_penalty", "aesthetic", *(["prompt_similarity"] if _has_prompt(track) else [])):
        packer.add(name, getattr(track, name))
    logs = np.log1p(track.sharpness.astype(np.float64))
    packer.add("log_sharpness_lowest", logs.view(np.uint64).astype(np.uint8))
    ranges = {}
    for name in _SHOWN_ONLY:
        values = getattr(track, name).astype(np.float64)
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
        packer.add(name, np.rint((values - low) / ((high - low) or 1.0) * _STEPS).astype(np.uint8))
        ranges[name] = [low, high]
    return ranges


def _command(document: MomentsDocument, track_path: Path | None) -> dict[str, Any]:
    """The parts of a command line that no slider changes, ready for a shell."""
    pick = document.settings.pick
    texts = [
        f"{option}={quoted(text)}"
        for option, name in (("--prompt", "prompt"), ("--avoid", "avoid"))
        for text in pick.get(name, ())
    ]
    if track_path is None:
        return {"track": None, "chosen": None, "texts": texts}
    path = track_path.absolute()
    # An absolute path begins with a slash, so that no name is taken for an option.
    return {"track": quoted(str(path)), "chosen": quoted(str(path.parent / "chosen")), "texts": texts}


def _chosen(document: MomentsDocument, track: Track) -> dict[str, Any]:
    picks = [_pick(moment, track) for moment in sorted(document.moments, key=lambda moment: moment.rank)]
    rejections: dict[str, list[int]] = {}
    for rejected in document.rejected:
        rejections.setdefault(rejected.reason, []).append(_index(track, rejected.peak_s))
    return {"picks": picks, "rejections": rejections}


def _pick(moment: Moment, track: Track) -> dict[str, Any]:
    return {
        "rank": moment.rank,
        "index": _index(track, moment.peak_s),
        "start": moment.start_s,
        "end": moment.end_s,
        # A lossless cut begins at a keyframe, so earlier.
        "begins": moment.start_s if moment.clip_start_s is None else moment.clip_start_s,
        "clip": None if moment.clip is None else _link(moment.clip),
        "name": None if moment.clip is None else shown(moment.clip),
    }


def _index(track: Track, time: float) -> int:
    """The sample nearest to ``time``; the very one, unless the document was edited."""
    place = int(np.searchsorted(track.times, time))
    near = range(max(place - 1, 0), min(place + 1, len(track)))
    return min(near, key=lambda index: abs(float(track.times[index]) - time))


def _link(name: str) -> str:
    """``name`` as a relative reference, its bytes as they are."""
    try:
        data = os.fsencode(name)
    except UnicodeEncodeError:
        data = name.encode("utf-8", "surrogatepass")
    # "./" so that no part of a name before a colon reads as a scheme.
    return "./" + quote(data, safe="/")
