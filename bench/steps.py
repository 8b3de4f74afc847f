"""Many cases one after the other: what each step measures, and which have been measured already."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bestshot_trt.errors import BestshotError

from . import inputs, rows
from .cases import CASES
from .registry import Request, Row


@dataclass(frozen=True, kw_only=True)
class Step:
    """One case on its inputs with its settings."""

    case: str
    inputs: tuple[str, ...] = ()
    """Takes or model folders, or recipes of takes."""
    runs: int = 3
    fps: float = 3.0
    model: Path | None = None
    precision: str = "fp32"
    clip: str = "onnx"

    @property
    def key(self) -> str:
        """What tells this step from others, without where its files lie."""
        parts = [self.case, *map(inputs.label, self.inputs), f"{self.fps:g} fps", f"{self.runs} runs"]
        if self.model:
            parts += [self.model.name, self.precision, self.clip]
        return " ".join(parts)


def measured(step: Step, folder: Path) -> list[Row]:
    """The rows of one step, printed as they come; files that are made for it stay in ``folder``.

    A take that cannot be made is a red row, so that the others go on.
    """
    request = Request(
        inputs=[],
        runs=step.runs,
        folder=folder,
        model=step.model,
        fps=step.fps,
        precision=step.precision,
        clip=step.clip,
    )
    found = []
    for row in _rows(step, request):
        found.append(row)
        print(rows.line(row), flush=True)
    return found


def _rows(step: Step, request: Request) -> Iterator[Row]:
    for text in step.inputs:
        try:
            request.inputs.append(inputs.resolve(text, request.folder))
        except BestshotError as reason:
            label = {"case": step.case, "input": inputs.label(text)}
            # Rows are kept and shown: where files lie is nobody's business.
            said = str(reason).replace(f"{(inputs.file_of(text) or Path()).parent}/", "")
            yield {**label, "settings": request.settings, "red": said}
    yield from CASES[step.case].rows(request)


def walk(steps: Sequence[Step], environment: dict[str, Any], *, again: bool = False) -> Iterator[Row]:
    """The rows of all ``steps``, each kept when it is complete, so that the same command goes on where it was stopped.

    A step counts as measured by a file of the same commit and machine with nothing red in it; never so on a commit
    with changes on top.
    """
    done = {} if again else finished(environment)
    with tempfile.TemporaryDirectory(prefix="bestshot-bench-") as name:
        for number, step in enumerate(steps, 1):
            print(f"[{number}/{len(steps)}] {step.key}", flush=True)
            if step.key in done:
                path, found = done[step.key]
                print(f"measured already: {path.name}", flush=True)
            else:
                started = time.monotonic()
                found = measured(step, Path(name))
                path = rows.save(found, {**environment, "step": step.key}, step.case)
                print(f"{time.monotonic() - started:.0f} s, kept in {path}", flush=True)
            yield from ({**row, "file": path.name} for row in found)


def finished(environment: dict[str, Any]) -> dict[str, tuple[Path, list[Row]]]:
    """Steps that this commit has measured on this machine: the file and its rows, by key."""
    if environment["commit"].endswith("-dirty"):
        return {}
    return {
        kept["step"]: (path, found)
        for path, kept, found in rows.kept()
        if "step" in kept
        and (kept["cpu"], kept["cores"], kept["commit"])
        == (environment["cpu"], environment["cores"], environment["commit"])
        and not any("red" in row for row in found)
    }
