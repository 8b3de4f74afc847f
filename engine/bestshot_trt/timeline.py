"""From peaks to moments: which are kept, diversity, clip spans. NumPy only.

Times are seconds of media time, scores float64; symbols in brackets are those of the pipeline document.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from .config import PickConfig
from .moments import Rejection
from .peaks import TIME_TOLERANCE, Series, best_of_equal_windows, checked_series, find_peaks

GROW_LEVEL = 0.8
"""How far up from the median to the peak the smoothed score must stay for a clip to grow."""

Span = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Pick:
    """One moment: sample ``index`` is its peak, its clip is [``start``, ``end``] seconds; rank 1 is best."""

    rank: int
    index: int
    start: float
    end: float


class Rejections(Sequence[Rejection]):
    """Rejections that are put into words when they are read: a long take has tens of thousands, and a pick needs none.

    Equal to any sequence of the same rejections; pickles and copies as a tuple.
    """

    def __init__(self, made: Callable[[int], Rejection], count: int) -> None:
        self._made, self._count = made, count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Rejection: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Rejection, ...]: ...
    def __getitem__(self, index: int | slice) -> Rejection | tuple[Rejection, ...]:
        place = range(self._count)[index]
        return self._made(place) if isinstance(place, int) else tuple(map(self._made, place))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (tuple(self),)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What `select` chose: picks by rank, and every other peak, both in descending smoothed score."""

    picks: tuple[Pick, ...]
    rejections: Sequence[Rejection]


@dataclass(frozen=True)
class _Take:
    """A checked take, with what growing a clip needs."""

    times: Series
    smoothed: Series
    duration: float
    median: float
    step: float
    """Seconds between two neighbouring samples of the grid."""


class _Refusal(NamedTuple):
    reason: str
    detail: str
    duplicate_of: int | None = None


def _keep_apart(times: Series, order: list[int], min_gap: float) -> tuple[list[int], dict[int, float]]:
    """Greedily keep the peaks of ``order`` that are ``min_gap`` from every kept one.

    Returns the kept ones, and of every other the time of the kept one nearest to it then, the earlier of two.
    """
    kept: list[int] = []
    kept_times = [-math.inf, math.inf]
    crowded: dict[int, float] = {}
    least = min_gap - TIME_TOLERANCE
    for index, time in zip(order, times[order].tolist(), strict=True):
        place = bisect.bisect(kept_times, time)
        before, after = kept_times[place - 1], kept_times[place]
        if time - before >= least and after - time >= least:
            kept_times.insert(place, time)
            kept.append(index)
        else:
            crowded[index] = before if time - before <= after - time else after
    return kept, crowded


def _too_near(time: float, near: float, min_gap: float) -> _Refusal:
    gap = abs(near - time)
    return _Refusal("min_gap", f"{gap:.3f} s from the better peak at {near:.3f} s; the least gap is {min_gap:g} s")


def unit(vector: npt.NDArray[np.floating]) -> Series:
    """``vector`` (d,) at length 1, or zeros, whose cosine distance to anything is 1, where it has no length."""
    wide = vector.astype(np.float64)
    norm = float(np.linalg.norm(wide))
    return wide / norm if 0 < norm < math.inf else np.zeros_like(wide)


def _duplicate(units: Series, direction: Series, tau: float) -> _Refusal | None:
    """Why ``direction`` is a near duplicate of a row of ``units`` (picks by rank), or None."""
    if tau <= 0 or not len(units):
        return None
    distances = 1 - units @ direction
    nearest = int(np.argmin(distances))
    if distances[nearest] > tau:
        return None
    distance = max(0.0, float(distances[nearest]))
    detail = f"cosine distance {distance:.4f} to rank {nearest + 1}; it must be above {tau:g}"
    return _Refusal("duplicate", detail, nearest + 1)


def _free_gap(spans: list[Span], time: float, duration: float) -> Span | None:
    """The stretch around ``time`` that no span of the sorted ``spans`` takes, or None inside one."""
    place = bisect.bisect(spans, (time, math.inf))
    before = spans[place - 1][1] if place else 0.0
    after = spans[place][0] if place < len(spans) else duration
    # A span shows the picture at its start but not the one at its end.
    return (before, after) if place == 0 or before <= time else None


def _grow(take: _Take, peak: int, gap: Span, longest: float) -> Span:
    """The stretch around ``peak`` where the smoothed score stays above the growing level.

    Each sample stands for one grid step from its time on. From the peak, the neighbour with the
    higher score (the later of two equal ones) joins next, as long as it is above the level, inside
    ``gap``, not beyond missing samples, and leaves the stretch no longer than ``longest``.
    """
    times, smoothed = take.times, take.smoothed
    level = take.median + GROW_LEVEL * (smoothed[peak] - take.median)

    def joins(index: int, neighbour: int) -> bool:
        return bool(
            0 <= index < len(times)
            and smoothed[index] > level
            and gap[0] <= times[index] < gap[1]
            and abs(times[index] - times[neighbour]) < 1.5 * take.step
        )

    left = right = peak
    while True:
        sides = [i for i, near in ((left - 1, left), (right + 1, right)) if joins(i, near)]
        if not sides:
            break
        best = max(sides, key=lambda i: (smoothed[i], i))
        wider = min(left, best), max(right, best)
        if times[wider[1]] + take.step - times[wider[0]] > longest + TIME_TOLERANCE:
            break
        left, right = wider
    return float(times[left]), float(min(times[right] + take.step, gap[1]))


def _wanted(take: _Take, peak: int, gap: Span, config: PickConfig) -> Span:
    """The clip around ``peak`` before it is moved; never longer than the take."""
    time = float(take.times[peak])
    if config.clip_length is None:
        return time - config.pre, time - config.pre + min(config.pre + config.post, take.duration)
    shortest, longest = config.clip_length
    start, end = _grow(take, peak, gap, longest)
    length = min(max(shortest, min(longest, end - start)), take.duration)
    start -= max(0.0, length - (end - start)) / 2
    return start, start + length


def _place(take: _Take, peak: int, spans: list[Span], config: PickConfig) -> Span | _Refusal:
    """The clip around ``peak``, moved into the free gap it lies in, or why there is no room."""
    time = float(take.times[peak])
    gap = _free_gap(spans, time, take.duration)
    if gap is None:
        return _Refusal("overlap", "its peak lies inside the clip of a better moment")
    start, end = _wanted(take, peak, gap, config)
    length, room = end - start, gap[1] - gap[0]
    if length > room + TIME_TOLERANCE:
        return _Refusal("overlap", f"a clip of {length:.3f} s does not fit in the {room:.3f} s left free")
    if start < gap[0]:
        return gap[0], min(gap[0] + length, gap[1])
    if end > gap[1]:
        return max(gap[1] - length, gap[0]), gap[1]
    return start, end


def _choose(
    take: _Take, order: list[int], embedding: npt.NDArray[np.floating], config: PickConfig
) -> tuple[list[Pick], dict[int, _Refusal]]:
    """Greedily pick from ``order`` what is no near duplicate and has room, up to ``config.top``."""
    picks: list[Pick] = []
    spans: list[Span] = []
    refused: dict[int, _Refusal] = {}
    kept = "1 better moment was" if config.top == 1 else f"{config.top} better moments were"
    full = _Refusal("top_k", f"{kept} already kept")
    units = np.zeros((min(config.top, len(order)), embedding.shape[1]))
    for index in order:
        if len(picks) == config.top:
            refused[index] = full
            continue
        direction = unit(embedding[index])
        verdict = _duplicate(units[: len(picks)], direction, config.diversity) or _place(take, index, spans, config)
        if isinstance(verdict, _Refusal):
            refused[index] = verdict
            continue
        units[len(picks)] = direction
        bisect.insort(spans, verdict)
        picks.append(Pick(rank=len(picks) + 1, index=index, start=verdict[0], end=verdict[1]))
    return picks, refused


def _by_height(grid: Series, smoothed: Series, window: float, score: Series | None) -> list[int]:
    """The peaks in descending smoothed score, the earlier of equals first."""
    peaks = find_peaks(smoothed)
    if score is not None:
        peaks = best_of_equal_windows(peaks, grid, score, window)
    order: list[int] = peaks[np.argsort(-smoothed[peaks], kind="stable")].tolist()
    return order


def peaks_apart(times: Series, smoothed: Series, config: PickConfig, score: Series) -> list[int]:
    """The peaks that `select` compares with one another, as far as it has to, in its order: ``min_gap`` apart."""
    return _keep_apart(times, _by_height(times, smoothed, config.window, score), config.min_gap)[0]


def select(
    times: npt.ArrayLike,
    smoothed: npt.ArrayLike,
    embedding: npt.NDArray[np.floating],
    duration: float,
    config: PickConfig | None = None,
    *,
    score: npt.ArrayLike | None = None,
) -> Selection:
    """Pick the best moments of a take and place their clips.

    In descending smoothed score, the earlier of equals first: a peak is kept when it is ``min_gap``
    [Delta] from every kept one. Then, in the same order over those, a peak becomes a pick when its
    cosine distance to every pick is above ``diversity`` [tau], until there are ``top`` [K]. A tau of
    0 switches that check off, so exact duplicates pass too; an embedding that is zero or not finite
    is at distance 1 from all.

    A clip is [peak - pre, peak + post], or grown with ``clip_length`` (see `_grow`; one that is too
    short is widened equally on both sides). It is moved, not shortened, to fit in the take and
    between the clips already placed; a take shorter than the clip is taken whole. A peak without
    such room is rejected as ``overlap``. Neither that nor a duplicate costs a place.

    Args:
        times: seconds, strictly increasing, within [0, duration], shape (n,); n may be 0.
        smoothed: smoothed score, shape (n,).
        embedding: any float dtype, shape (n, d); only the rows of peaks are read.
        duration: end of the last frame in seconds.
        config: defaults to ``PickConfig()``.
        score: raw score, shape (n,); decides among samples whose smoothing windows are the same.

    Returns:
        The picks, and every other peak with its reason: ``min_gap``, ``duplicate``, ``top_k`` or ``overlap``.

    Raises:
        ValueError: shapes do not fit, times leave [0, duration], or a number is not finite.
    """
    config = config or PickConfig()
    grid, series = checked_series(times, smoothed)
    if embedding.ndim != 2 or len(embedding) != len(grid):
        raise ValueError(f"embedding has shape {embedding.shape}; need ({len(grid)}, d)")
    if not len(grid):
        return Selection(picks=(), rejections=())
    if not 0 <= grid[0] <= grid[-1] <= duration < math.inf:
        raise ValueError(f"times span {grid[0]} to {grid[-1]} s; they must lie in 0 to {duration} s")
    order = _by_height(grid, series, config.window, None if score is None else checked_series(grid, score)[1])
    step = float(np.diff(grid).min()) if len(grid) > 1 else 0.0
    take = _Take(grid, series, float(duration), float(np.median(series)), step)
    apart, crowded = _keep_apart(grid, order, config.min_gap)
    picks, refused = _choose(take, apart, embedding, config)
    picked = {pick.index for pick in picks}
    others = [index for index in order if index not in picked]

    def rejection(place: int) -> Rejection:
        index = others[place]
        time = float(grid[index])
        why = refused.get(index) or _too_near(time, crowded[index], config.min_gap)
        return Rejection(peak_s=time, score_smooth=float(series[index]), **why._asdict())

    return Selection(picks=tuple(picks), rejections=Rejections(rejection, len(others)))
