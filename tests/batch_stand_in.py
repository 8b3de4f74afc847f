"""A stand-in for a batch's worker that does as the name of the file says: hang, crash, leak, fill the disk, or work.

``python batch_stand_in.py NOTES FD``: each task it is given is noted in the file NOTES.
"""

from __future__ import annotations

import os
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

from bestshot_trt.batch.workers.messages import (
    RECEIPT,
    Done,
    Failed,
    Length,
    LengthTask,
    Moved,
    Prepare,
    RangeTask,
    Ready,
)


def _misbehave(name: str, times: int) -> Failed | None:
    if "hang" in name or ("once" in name and times == 1):
        time.sleep(600)
    if "crash" in name:
        os.kill(os.getpid(), 11)
    if "leak" in name:
        hoard = [bytearray(os.urandom(1 << 20)) for _ in range(400)]
        time.sleep(600)
        del hoard
    if "bad" in name:
        return Failed(kind="DecodeError", reason=f"{name}: is broken")
    if "full" in name and times == 1:
        return Failed(kind="ExportError", reason="cannot be written", disk_full=True)
    if "hungry" in name and times <= 2:
        return Failed(kind="MemoryError", reason="it ran out of memory")
    if "roomless" in name and times == 1:
        return Failed(kind="ExportError", reason="the encoder had no room")
    return None


def main(notes: Path, line: Connection) -> None:
    """Do tasks until the line closes."""
    while True:
        try:
            task = line.recv()
        except EOFError:
            return
        if isinstance(task, Prepare):
            line.send(Ready(model="none", note=None, backend="cpu"))
            continue
        if isinstance(task, LengthTask):
            if "unopenable" in task.path.name:
                _misbehave(task.path.name, 0)
            line.send(Length(seconds=600.0 if "long" in task.path.name else 2.0))
            continue
        if isinstance(task, RangeTask):
            with notes.open("a") as file:
                file.write(f"{task.path.name} {task.within.start}\n")
            failed = _misbehave(task.path.name, 0) if task.within.start else None
            line.send(failed or Done(footage_s=0.0, notes=()))
            continue
        with notes.open("a") as file:
            file.write(f"{task.path.name} {task.config.analyze.backend}\n")
        times = notes.read_text().split().count(task.path.name)
        line.send(Moved(stage="analyze", done=1, total=2, unit="s"))
        failed = _misbehave(task.path.name, times)
        if failed is None:
            task.target.mkdir(parents=True, exist_ok=True)
            for name in ("moments.json", "track.parquet"):
                (task.target / name).write_text("stand-in")
            (task.target / RECEIPT).write_text(task.receipt)
        line.send(failed or Done(footage_s=2.0, notes=()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Connection(int(sys.argv[2])))
