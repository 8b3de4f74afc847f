"""The cases there are, and what each gets and gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]
"""One measurement, as it is kept: ``case``, ``input``, ``settings``, ``unit`` and figures; or ``red``, the reason."""


class Red(Exception):
    """The correctness gate of a case is red; nothing is timed then."""


@dataclass(frozen=True)
class Request:
    """What a case is asked to measure."""

    inputs: list[Path]
    """Takes, or model folders, as the case says."""
    runs: int
    folder: Path
    """For files of its own; emptied afterwards."""
    model: Path | None
    """A model folder, for the cases that embed."""
    fps: float


@dataclass(frozen=True)
class Case:
    """A thing to measure: its gate first, then its figures."""

    name: str
    help: str
    measure: Callable[[Request, Path], Iterator[Row]]
    """Rows of one input."""
    needs_input: bool

    def rows(self, request: Request) -> Iterator[Row]:
        """A row for each figure; an input whose gate is red gives one row that says so, and no figure."""
        for path in request.inputs if self.needs_input else [Path()]:
            label = {"case": self.name, **({"input": path.name} if self.needs_input else {})}
            try:
                for row in self.measure(request, path):
                    yield {**label, **row}
            except Red as reason:
                yield {**label, "red": str(reason)}


CASES: dict[str, Case] = {}


def case(name: str, text: str, *, needs_input: bool = True) -> Callable[[Callable[..., Iterator[Row]]], Any]:
    """Enter a function as the case ``name``; ``text`` says what it measures."""

    def enter(measure: Callable[..., Iterator[Row]]) -> Callable[..., Iterator[Row]]:
        CASES[name] = Case(name, text, measure, needs_input)
        return measure

    return enter
