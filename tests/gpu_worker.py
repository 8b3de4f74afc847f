"""A batch's worker on an imaginary card: the product's own, with stand-ins as in ``gpu_on_cpu.py``.

``python gpu_worker.py FOLDER FD``: kernels are built in FOLDER, and each part that it analyses is noted there, in
``given.txt``, with the card that the worker was given.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import gpu_on_cpu
import pytest

from bestshot_trt.batch.workers import worker
from bestshot_trt.batch.workers.messages import RangeTask


def main(folder: Path, descriptor: int) -> None:
    """Do tasks until there are no more."""
    patch = pytest.MonkeyPatch()
    patch.setitem(sys.modules, "cupy", gpu_on_cpu.Gpu(folder / str(os.getpid())))
    gpu_on_cpu.install_backend(patch)
    answer = worker.answer

    def noting(task: Any, progress: Any) -> Any:
        if isinstance(task, RangeTask):
            with (folder / "given.txt").open("a") as file:
                file.write(f"{os.environ['CUDA_VISIBLE_DEVICES']} {task.within.start}\n")
        return answer(task, progress)

    patch.setattr(worker, "answer", noting)
    worker.main(descriptor)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
