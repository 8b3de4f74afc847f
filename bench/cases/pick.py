"""Picking from long tracks: made-up measures and embeddings, since no footage of such length is needed."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

import bestshot_trt as bt
from bestshot_trt import prompts, provenance
from bestshot_trt.backends import open_backend
from bestshot_trt.config import AnalyzeConfig, Config, PickConfig
from bestshot_trt.embed.model_folder import open_folder
from bestshot_trt.progress import silent
from bestshot_trt.speed.timing import wall_of
from bestshot_trt.track import Track, TrackMeta, open_track, write_track

from ..figures import alone
from ..registry import Red, Request, Row, Skipped, case

HOURS = (1, 10, 12, 100)
FPS = 3
TICK = 1e-6
"""Seconds: k / fps is not exact in binary."""
GATE_HOURS, GATE_VIEWS = 0.5, 6
WIDTH = {1: 768, 10: 768, 12: 768, 100: 512}


def made_track(hours: float, width: int, views: int | None = None) -> Track:
    """A track of ``hours`` whose score wanders as footage does and whose views change every few seconds.

    With ``views`` there are only so many, which come again and again, about as far apart as near duplicates may be.
    """
    random = np.random.default_rng(0)
    count = int(hours * 3600 * FPS)
    wander = np.cumsum(random.normal(0, 1, count))
    wander = (wander - wander.min()) / np.ptp(wander)
    scenes = random.normal(0, 1, (count // 12 + 1, width)).astype(np.float32)
    shown = np.arange(count) // 12
    embedding = scenes[shown % views if views else shown]
    if views:
        embedding += random.normal(0, 0.35, embedding.shape).astype(np.float32)
    embedding += random.normal(0, 0.2, (1, width)).astype(np.float32)
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    columns = {
        "sharpness": 100 + 900 * random.random(count),
        "exposure_penalty": random.random(count) / 10,
        "contrast": 30 + 30 * random.random(count),
        "colourfulness": 20 + 30 * random.random(count),
        "aesthetic": 4 + 2 * wander + random.normal(0, 0.1, count),
        "prompt_similarity": np.full(count, np.nan),
        "score": np.zeros(count),
        "score_smooth": np.zeros(count),
    }
    return Track(
        times=np.arange(count) / FPS,
        pts=np.arange(count, dtype=np.int64) * 10,
        **{name: values.astype(np.float32) for name, values in columns.items()},
        embedding=embedding,
        meta=_meta(hours),
    )


def _meta(hours: float) -> TrackMeta:
    video = provenance.Video(
        codec="h264", width=1920, height=1080, rotation=0, time_base=Fraction(1, 30), start_pts=0,
        frame_rate=Fraction(30), stream_index=0,
    )  # fmt: skip
    source = provenance.Source(path="made", fingerprint="0", size_bytes=0, duration_s=hours * 3600, video=video)
    return TrackMeta(
        created_by=provenance.PROGRAM,
        source=source,
        duration=Fraction(hours * 3600),
        analyze=provenance.plain(AnalyzeConfig()),
        model="none",
        model_note=None,
        clip_model=None,
        prompt=(),
        avoid=(),
        backend=provenance.Backend(name="cpu", fallback_reason=None),
        machine=provenance.Machine.here(),
        decode=provenance.Decode(lost=(), notes=()),
    )


@case(
    "pick", "pick from tracks of 1, 10, 12 and 100 hours: the command, and again in a loaded process", needs_input=False
)
def pick(request: Request, _: Path) -> Iterator[Row]:
    """The gate is plain loops' picks of a short track with views that come again; K of every track, and apart."""
    as_plain_loops(made_track(GATE_HOURS, 64, GATE_VIEWS))
    for hours in HOURS:
        path = request.folder / f"{hours}h.parquet"
        write_track(made_track(hours, WIDTH[hours]), path)
        command = [sys.executable, "-m", "bestshot_trt", "pick", str(path), "--json"]
        track = open_track(path)
        picks = _gate(track)
        settings: dict[str, Any] = {"hours": hours, "width": WIDTH[hours], "picks": picks}
        yield {"settings": {**settings, "how": "command"}, **_timed(wall_of(command), request.runs)}
        weights = iter(np.linspace(0.4, 0.6, request.runs + 1))

        def again(track: Track = track, weights: Iterator[Any] = weights) -> float:
            config = Config(pick=PickConfig(diversity=float(next(weights)) / 4, window=1.5))
            started = time.perf_counter()
            bt.pick(track, config)
            return time.perf_counter() - started

        yield {"settings": {**settings, "how": "loaded process"}, **_timed(again, request.runs)}
        path.unlink()


def _timed(run: Callable[[], float], runs: int) -> dict[str, Any]:
    run()
    return alone([run() for _ in range(runs)])


def as_plain_loops(track: Track) -> None:
    """The picks of ``track``, which has no two equal scores, are those that plain loops find.

    Raises:
        Red: they are not.
    """
    found, wanted = [moment.peak_s for moment in bt.pick(track, Config()).moments], plain_picks(track)
    if len(found) != len(wanted) or not np.allclose(found, wanted):
        raise Red(f"picks are at {found} s; plain loops pick {wanted} s")


def plain_picks(track: Track) -> list[float]:
    """Seconds of the picks of a track with a model and no prompt, as the pipeline document words it."""
    config, weights = PickConfig(), PickConfig().weights

    def normalised(values: Any) -> Any:
        low, high = np.percentile(values, (5, 95))
        return np.clip((values - low) / (high - low), 0, 1)

    score = weights.aesthetic * normalised(track.aesthetic.astype(float))
    score += weights.sharpness * normalised(np.log1p(track.sharpness.astype(float)))
    score -= weights.exposure * track.exposure_penalty
    smooth = [score[np.abs(track.times - time) <= config.window + TICK].mean() for time in track.times]
    edged = [-np.inf, *smooth, -np.inf]
    peaks = [i for i, value in enumerate(smooth) if edged[i] < value > edged[i + 2]]
    apart: list[int] = []
    for i in sorted(peaks, key=lambda i: -smooth[i]):
        if all(abs(track.times[i] - track.times[j]) >= config.min_gap - TICK for j in apart):
            apart.append(i)
    kept: list[int] = []
    for i in apart:
        if all(1 - track.embedding[i] @ track.embedding[j] > config.diversity for j in kept):
            kept.append(i)
    return [float(track.times[i]) for i in kept[: config.top]]


def _gate(track: Track) -> int:
    picked = bt.pick(track, Config())
    peaks = sorted(moment.peak_s for moment in picked.moments)
    if len(peaks) != PickConfig().top or min(np.diff(peaks)) < PickConfig().min_gap:
        raise Red(f"{len(peaks)} picks at {peaks}; {PickConfig().top} were to be had, {PickConfig().min_gap} s apart")
    return len(peaks)


SEARCH_HOURS = 12
_TEXT = "a dog jumping into a lake"


@case("search", "search a track of 12 hours for words (--model FOLDER): the command", needs_input=False)
def search(request: Request, _: Path) -> Iterator[Row]:
    """The gate is that it lists the sample whose made-up embedding is that of the words, first."""
    if request.model is None:
        raise Skipped("needs a model that knows words: --model FOLDER")
    path = request.folder / "search.parquet"
    wanted = _planted(request.model, path)
    command = [sys.executable, "-m", "bestshot_trt", "search", str(path), _TEXT, "-q", "--json"]
    hits = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    first_found(hits, wanted)
    settings = {"hours": SEARCH_HOURS, "model": request.model_name}
    yield {"settings": settings, **_timed(wall_of(command), request.runs)}


def _planted(model: Path, path: Path) -> float:
    """Write a track with the words' own embedding in its middle; gives that sample's time."""
    config = AnalyzeConfig(model=str(model), backend="cpu")
    clip = open_backend(config).embedder.clip_model
    if clip is None or not open_folder(model).has("text", "fp32"):
        raise Skipped(f"{model.name} knows no words")
    track = made_track(SEARCH_HOURS, clip.width)
    vectors = prompts.encode(clip, (_TEXT,), (), silent)
    middle = len(track) // 2
    embedding = track.embedding.copy()
    embedding[middle] = vectors.prompt[0]
    meta = dataclasses.replace(track.meta, model=clip.name, clip_model=clip)
    write_track(dataclasses.replace(track, embedding=embedding, meta=meta), path)
    return float(track.times[middle])


def first_found(hits: list[dict[str, Any]], wanted: float) -> None:
    """The first of ``hits`` is at ``wanted`` seconds, and the others follow by how alike they are.

    Raises:
        Red: it is not, or they do not.
    """
    if not hits or abs(hits[0]["time_s"] - wanted) > 1 / FPS:
        raise Red(f"search finds {hits[0]['time_s'] if hits else 'nothing'} first; {wanted} was planted")
    alike = [hit["similarity"] for hit in hits]
    if alike != sorted(alike, reverse=True):
        raise Red(f"search lists its finds in another order than that of their similarities: {alike}")
