"""All clips of a take, several at a time where that is faster, and its reel."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from .config import ExportConfig
from .cores import usable_cores
from .errors import ExportError
from .frames import VideoInfo
from .moments import Moment, MomentsDocument, clip_name

if TYPE_CHECKING:
    from concurrent.futures import Future

    from .export import ClipResult, Watch

CLIPS = "clips"
REEL = "reel"
_MANY_CORES = 8


@dataclass(frozen=True, kw_only=True)
class Cut:
    """What was cut: the moments with their clips, the reel's name, what encoded, and what there is to say."""

    moments: tuple[Moment, ...]
    reel: str | None
    encoder: str | None
    notes: list[str]


@contextlib.contextmanager
def proving(config: ExportConfig) -> Iterator[None]:
    """Prove the encoder of most takes while the block runs; `check_encoder` tells of it, and proves those of others."""
    thread = threading.Thread(target=_prove, args=(config,), name="proof")
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _prove(config: ExportConfig) -> None:
    with contextlib.suppress(ExportError):
        _check_encoder(config, hdr=False)


def check_encoder(info: VideoInfo, config: ExportConfig) -> None:
    """Prove, before any long work, that the encoder asked for works here.

    Raises:
        ExportError: it does not.
    """
    _check_encoder(config, hdr=info.color.is_hdr)


def _check_encoder(config: ExportConfig, *, hdr: bool) -> None:
    from .export import choose_encoder

    if config.reel or not config.copy:
        choose_encoder(config, hdr=hdr)


def cut_all(
    document: MomentsDocument,
    info: VideoInfo,
    folder: Path,
    config: ExportConfig,
    progress: Callable[[float, float], None],
    watches: Mapping[int, Watch],
) -> Cut:
    """Cut every moment's clip into ``folder`` and, where asked for, join them to the reel.

    ``progress`` is told the seconds that are done and those to do. ``watches``, by rank, see the frames of clips that
    are encoded.

    Raises:
        DecodeError, ExportError: a clip cannot be cut or written; finished ones stay.
    """
    clips_s = sum(moment.end_s - moment.start_s for moment in document.moments)
    total = clips_s * (2 if config.reel else 1)
    results = _clips(document, info, folder, config, lambda done: progress(done, total), watches)
    made = [result for _, result in results]
    reel = None
    if config.reel and document.moments:
        reel = f"{REEL}.{config.container}"
        made.append(_reel(document, info, folder / reel, config, lambda done: progress(clips_s + done, total)))
    progress(total, total)
    return Cut(
        moments=tuple(_named(moment, result) for moment, result in results),
        reel=reel,
        encoder=made[-1].encoder if made else None,
        notes=list(dict.fromkeys(note for result in made for note in result.notes)),
    )


def _named(moment: Moment, result: ClipResult) -> Moment:
    """``moment`` with its clip, and where that begins and ends when it had to be elsewhere."""
    moved = result.encoder == "copy"
    return dataclasses.replace(
        moment,
        clip=f"{CLIPS}/{result.path.name}",
        clip_start_s=result.start if moved else None,
        clip_end_s=result.end if moved else None,
        clip_notes=result.notes,
        shake=result.shake,
        color=result.color,
    )


def _reel(
    document: MomentsDocument, info: VideoInfo, path: Path, config: ExportConfig, progress: Callable[[float], None]
) -> ClipResult:
    from .export import write_reel

    by_rank = config.reel_order == "rank"
    ordered = sorted(document.moments, key=lambda moment: moment.rank if by_rank else moment.start_s)
    spans = [(moment.start_s, moment.end_s) for moment in ordered]
    return write_reel(info, spans, path, config, progress)


def _jobs(info: VideoInfo, config: ExportConfig) -> int:
    """How many clips are cut at a time: what is asked for, or what keeps the encoder busy."""
    from .export import NVENC_SESSIONS, choose_encoder

    if config.jobs is not None:
        return config.jobs
    if not config.copy and choose_encoder(config, hdr=info.color.is_hdr).is_nvenc:
        return NVENC_SESSIONS
    return 2 if (usable_cores() or 1) >= _MANY_CORES else 1


def _clips(
    document: MomentsDocument,
    info: VideoInfo,
    folder: Path,
    config: ExportConfig,
    progress: Callable[[float], None],
    watches: Mapping[int, Watch],
) -> list[tuple[Moment, ClipResult]]:
    """Every moment with its clip, in their order; ``progress`` is told the seconds of clips that are done."""
    from .export import copy_clip, write_clip

    digits = max(2, len(str(len(document.moments))))
    stop = threading.Event()

    def cut(moment: Moment) -> ClipResult:
        path = folder / CLIPS / clip_name(moment.rank, moment.start_s, f".{config.container}", digits)
        start, end = Fraction(moment.start_s), Fraction(moment.end_s)
        if config.copy:
            return copy_clip(info, start, end, path, config)
        return write_clip(info, start, end, path, config, stop, watches.get(moment.rank))

    progress(0.0)
    done = 0.0
    made: dict[int, ClipResult] = {}
    for moment, result in _each(document.moments, cut, _jobs(info, config), stop):
        done += moment.end_s - moment.start_s
        made[moment.rank] = result
        progress(done)
    return [(moment, made[moment.rank]) for moment in document.moments]


def _each(
    moments: tuple[Moment, ...], cut: Callable[[Moment], ClipResult], jobs: int, stop: threading.Event
) -> Iterator[tuple[Moment, ClipResult]]:
    """Moments and their clips as they are finished.

    After an error those under way are finished and no more begun; Ctrl-C sets ``stop``, which ends them.
    """
    if jobs == 1 or len(moments) < 2:
        yield from ((moment, cut(moment)) for moment in moments)
        return
    from concurrent.futures import ThreadPoolExecutor, as_completed

    pool = ThreadPoolExecutor(max_workers=jobs)
    try:
        running: dict[Future[ClipResult], Moment] = {pool.submit(cut, moment): moment for moment in moments}
        for future in as_completed(running):
            yield running[future], future.result()
    except Exception:
        raise
    except BaseException:
        stop.set()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
