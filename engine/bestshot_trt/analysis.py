"""The expensive half: from a take to its score track.

The decoder is at work as soon as the take is known. All that only its pictures need, NumPy first, is loaded after
that: no module that is imported here may import it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from .backends import Backend, open_backend
from .config import AnalyzeConfig, Config
from .decode import probe
from .frames import DecodeReport, VideoInfo
from .measuring import Measured, measured
from .prefetch import prefetch
from .progress import Progress, silent
from .track_file import check_output

if TYPE_CHECKING:
    from .embed.prove import Footage
    from .track import Track


def analyze(path: str | Path, config: Config | None = None, progress: Progress = silent) -> Track:
    """Sample a take and measure every sample: the expensive half. Only ``config.analyze`` matters to it.

    The track's ``score`` and ``score_smooth`` are those of ``config.pick``; `pick` computes them anew.

    Raises:
        InputError: not a video file. DecodeError: no sample of it can be decoded.
        BackendUnavailable, ModelUnavailable: what ``config`` names is not to be had here.
    """
    return analyze_probed(probe(Path(path)), config or Config(), progress)


def analyze_to(
    path: str | Path,
    output: str | Path,
    config: Config | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Track:
    """`analyze` a take and write its track to ``output``, which may hold an older track if ``overwrite``.

    Raises:
        ConfigError: ``output`` exists and ``overwrite`` is False, or it is no track; the take never is.
        InputError, DecodeError, BackendUnavailable, ModelUnavailable, ExportError: as in the steps.
    """
    path, output = Path(path), Path(output)
    info = probe(path)
    check_output(output, path, overwrite=overwrite)
    track = analyze_probed(info, config or Config(), progress)
    from .track import write_track

    write_track(track, output)
    return track


def analyze_probed(info: VideoInfo, config: Config, progress: Progress = silent) -> Track:
    """`analyze` a take that `probe` has described.

    Raises:
        DecodeError, BackendUnavailable, ModelUnavailable: as `analyze`.
    """
    backend = backend_for(info, config.analyze, progress)
    report = DecodeReport(notes=list(backend.notes))
    with contextlib.closing(measurements(info, config.analyze, backend, report)) as batches:
        from .gather import gather

        return gather(info, batches, backend, report, config, progress)


def backend_for(info: VideoInfo, config: AnalyzeConfig, progress: Progress) -> Backend:
    """The backend that analyses this take.

    Raises:
        BackendUnavailable, ModelUnavailable: what ``config`` names is not to be had here.
    """

    def frames(size: int, framing: str) -> list[Footage]:
        from .footage import footage

        return [footage(info, size, framing, progress)]

    return open_backend(config, progress, frames)


def measurements(info: VideoInfo, config: AnalyzeConfig, backend: Backend, report: DecodeReport) -> Generator[Measured]:
    """What the backend's decoder gives of the take, measured ahead on a thread; close it to stop that.

    The decoder is at work when this returns: libraries loaded after that cost little time of their own.
    """
    pictures = backend.decoder.batches(info, config, report, backend.embedder.view)
    return prefetch(measured(backend, pictures), backend.measured_ahead)
