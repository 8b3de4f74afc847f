"""Score tracks made on the spot, without footage."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from bestshot_trt import provenance
from bestshot_trt.batch.workers import segments
from bestshot_trt.track import COLUMNS, Track, TrackMeta


def track_of(fps=3.0, prompt=None, embedding=None, path="/media/take.mp4", texts=("a text",), **arrays):
    """A track of ``arrays`` (times and measures); what is not given is zero, and there is no model."""
    count = len(arrays["times"])
    video = provenance.Video(
        codec="h264",
        width=64,
        height=36,
        rotation=0,
        time_base=Fraction(1, 1000),
        start_pts=0,
        frame_rate=Fraction(30),
        stream_index=0,
    )
    duration = Fraction(float(arrays["times"][-1])) + Fraction(1, 3)
    meta = TrackMeta(
        created_by=provenance.PROGRAM,
        source=provenance.Source(path=path, fingerprint="x", size_bytes=1, duration_s=float(duration), video=video),
        duration=duration,
        analyze={"fps": fps},
        model="none",
        model_note=None,
        clip_model=None,
        prompt=texts if prompt is not None else (),
        avoid=(),
        backend=provenance.Backend(name="cpu", fallback_reason=None),
        machine=provenance.Machine(python="3", platform="x", cpu_count=1, versions={}),
        decode=provenance.Decode(lost=(), notes=()),
    )
    given = {name: np.asarray(values, np.float32) for name, values in arrays.items() if name != "times"}
    blank = {
        name: np.zeros(count, np.float32)
        for name in ("exposure_penalty", "aesthetic", "contrast", "colourfulness", "score", "score_smooth")
    }
    return Track(
        times=np.asarray(arrays["times"], np.float64),
        pts=np.arange(count),
        prompt_similarity=np.full(count, np.nan, np.float32) if prompt is None else np.asarray(prompt, np.float32),
        embedding=np.asarray(embedding, np.float32) if embedding is not None else np.eye(count, 3, dtype=np.float32),
        meta=meta,
        **blank | given,
    )


def long_track(minutes, width=64, seed=5, spread=0.25):
    """A take of shots that return, sampled three times a second."""
    rng = np.random.default_rng(seed)
    count = int(minutes * 180)
    shots = rng.standard_normal((12, width)) * (0.8 ** np.arange(width)) + 2 * np.eye(1, width)
    embedding = shots[(np.arange(count) // 40) % 12] + spread * rng.standard_normal((count, width)) / width**0.5
    walk = np.cumsum(rng.standard_normal((3, count)), axis=1) / 9
    return track_of(
        3.0,
        None,
        embedding,
        times=np.arange(count) / 3,
        sharpness=np.exp(5 + np.sin(walk[0])),
        exposure_penalty=np.abs(np.sin(walk[1])) / 9,
        aesthetic=5 + np.sin(walk[2]),
        contrast=np.abs(walk[0]),
        colourfulness=np.abs(walk[1]),
    )


def assert_same(found, whole):
    """Every column and all that is said of the track, bit for bit."""
    for name in COLUMNS.values():
        assert np.asarray(getattr(found, name)).tobytes() == np.asarray(getattr(whole, name)).tobytes(), name
    assert found.meta == whole.meta


class _Killed(Exception):
    pass


def broken_off(take, analyze, parts, *limits):
    """The track of a take whose analysis was broken off past each of ``limits``, in seconds, and where it went on."""
    for limit in (*limits, float("inf")):
        begun = []

        def progress(stage, done, total, unit="s", limit=limit, begun=begun):
            if stage == "analyze":
                begun.append(done)
                if done > limit:
                    raise _Killed

        try:
            return segments.whole(take, analyze, parts, progress), begun[0]
        except _Killed:
            continue
    raise AssertionError("nothing breaks off the last one")
