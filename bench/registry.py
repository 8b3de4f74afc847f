"""The cases there are, and what each gets and gives."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bestshot_trt.config import AnalyzeConfig
from bestshot_trt.embed.model_folder import open_folder
from bestshot_trt.errors import BestshotError
from bestshot_trt.frames import ModelView

Row = dict[str, Any]
"""One measurement, as it is kept: ``case``, ``input``, ``settings``, ``unit`` and figures; or
``red``, why it is wrong; or ``skipped``, what is missing here."""


class Red(Exception):
    """The correctness gate of a case is red; nothing is timed then."""


class Skipped(Exception):
    """This machine lacks what a case needs; that is neither a figure nor a fault."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a case is asked to measure."""

    inputs: list[Path]
    """Takes, or model folders, as the case says."""
    runs: int
    folder: Path
    """For files of its own; emptied afterwards."""
    model: Path | None = None
    """A model folder, for the cases that embed."""
    fps: float = 3.0
    precision: str = "fp32"
    """Of our side, where a model is named; the plain recipe's is always fp32."""
    clip: str = "onnx"
    """What the plain recipe runs a model with: ``onnx`` or ``torch``."""

    @property
    def model_name(self) -> str:
        """For rows."""
        return self.model.name if self.model else "none"

    @property
    def view(self) -> ModelView | None:
        """The picture that the model wants of every sample."""
        if self.model is None:
            return None
        return ModelView(size=open_folder(self.model).card.size, framing=AnalyzeConfig().framing)

    @property
    def settings(self) -> dict[str, Any]:
        """For rows about takes."""
        chosen = {"precision": self.precision, "recipe's CLIP": self.clip} if self.model else {}
        return {"fps": self.fps, "model": self.model_name, **chosen}


@dataclass(frozen=True)
class Case:
    """A thing to measure: its gate first, then its figures."""

    name: str
    help: str
    measure: Callable[[Request, Path], Iterator[Row]]
    """Rows of one input."""
    needs_input: bool

    def rows(self, request: Request) -> Iterator[Row]:
        """A row for each figure; an input that is red or lacks something gives one row that says so, and no figure.

        A command that fails is red too, so that the other inputs go on.
        """
        for path in request.inputs if self.needs_input else [Path()]:
            label = {"case": self.name, **({"input": path.name} if self.needs_input else {})}
            try:
                for row in self.measure(request, path):
                    yield {**label, **row}
            except Skipped as reason:
                yield {**label, "skipped": str(reason)}
            except (Red, BestshotError, subprocess.SubprocessError) as reason:
                # Rows are kept and shown: where files lie is nobody's business.
                text = str(reason).replace(f"{path.parent}/", "").replace(f"{request.folder}/", "")
                yield {**label, **({"settings": request.settings} if self.needs_input else {}), "red": text}


CASES: dict[str, Case] = {}


def case(name: str, text: str, *, needs_input: bool = True) -> Callable[[Callable[..., Iterator[Row]]], Any]:
    """Enter a function as the case ``name``; ``text`` says what it measures."""

    def enter(measure: Callable[..., Iterator[Row]]) -> Callable[..., Iterator[Row]]:
        CASES[name] = Case(name, text, measure, needs_input)
        return measure

    return enter
