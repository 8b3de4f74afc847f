"""The parity gate: an engine is used only where it computes what the fp32 graph does, on real frames."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from ..errors import BackendUnavailable, shown
from ..progress import Progress, silent
from ._base import Embedded, joined
from ._batching import batch_of
from ._onnx import open_session, run_session
from ._parity import FRAMES, Footage, Frames, compare
from ._runner import EngineRunner
from .engines import Engine, Wanted, settle
from .model_folder import ModelFolder

__all__ = ["FRAMES", "Footage", "Frames", "prove"]


def prove(wanted: Wanted, engine: Engine, takes: Sequence[Footage], progress: Progress = silent) -> Engine:
    """Compare ``engine``, of a visual tower, with the fp32 graph on the CPU, and keep it or take it out of the cache.

    Args:
        wanted: what ``engine`` is.
        engine: it runs on CuPy's current device, which must be the one it is for.
        takes: frames of one or more takes.
        progress: told how far the fp32 graph is.

    Returns:
        The engine, its card with the parity.

    Raises:
        EngineMismatch: it is not close enough, or does not load; the reason, and what to do.
        BackendUnavailable: CUDA or TensorRT does not start or run, or has not enough memory.
        ModelUnavailable: the fp32 graph is not there.
    """
    progress("run the engine on the frames", 0, None, "steps")
    made = [_through_engine(wanted, engine, take) for take in takes]
    exact = _through_fp32(wanted.folder, takes, progress)
    return settle(wanted, engine, compare(exact, made, takes))


def _through_engine(wanted: Wanted, engine: Engine, take: Footage) -> Embedded:
    cupy = _cupy()
    try:
        with cupy.cuda.Stream(non_blocking=True):
            runner = EngineRunner(engine, wanted.target.trt, engine.card.most)
            rows = runner.rows
            # Twice, since a CUDA graph is made at the second time: what it gives is compared.
            for _ in range(2):
                later = [runner.queue(take.pictures[i : i + rows]) for i in range(0, len(take.pictures), rows)]
                parts = [part() for part in later]
    except MemoryError as error:
        raise BackendUnavailable(f"the GPU has not enough free memory to try the engine: {error}") from error
    except cupy.cuda.runtime.CUDARuntimeError as error:
        reason = shown(" ".join(str(error).split()))
        raise BackendUnavailable(f"the GPU does not run the engine: {reason}; check it with nvidia-smi") from error
    return joined(parts)


def _cupy() -> Any:
    try:
        return importlib.import_module("cupy")
    except ImportError as error:
        reason = shown(" ".join(str(error).split()))
        raise BackendUnavailable(f'running an engine needs CuPy ({reason}); pip install "bestshot-trt[gpu]"') from error


def _through_fp32(folder: ModelFolder, takes: Sequence[Footage], progress: Progress) -> list[Embedded]:
    session = open_session(folder.graph("visual"), cuda=False)
    total, done, found, size = sum(len(take.pictures) for take in takes), 0, [], batch_of(folder.card)
    for take in takes:
        parts = []
        for i in range(0, len(take.pictures), size):
            progress("compare with fp32 on the CPU", done, total, "steps")
            embedding, aesthetic = run_session(session, "frames", take.pictures[i : i + size])
            parts.append(Embedded(embedding, aesthetic.reshape(-1)))
            done += len(embedding)
        found.append(joined(parts))
    return found
