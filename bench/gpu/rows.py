"""Rows of the table, and what becomes of a piece that cannot run."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

OK, WRONG, NOT_RUN, MISSING, NEWS = "ok", "WRONG", "not run", "missing", ""


class Wrong(Exception):
    """Something ran and gave another result than its reference; it is not timed then, or its figures are of that."""

    def __init__(self, message: str, figures: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.figures = figures or {}


@dataclass(frozen=True)
class Row:
    """One line: ``value`` is for people, ``figures`` the same as numbers."""

    what: str
    status: str
    """`OK`, `WRONG`, `NOT_RUN`, `MISSING`, or `NEWS` for plain information."""
    value: str
    figures: dict[str, Any] = field(default_factory=dict)


def guarded(what: str, measure: Callable[[], Iterator[Row]]) -> Iterator[Row]:
    """The rows of ``measure``, and one more when it breaks off."""
    try:
        yield from measure()
    except Wrong as error:
        yield Row(what, WRONG, str(error), error.figures)
    except Exception as error:  # a piece that fails is a row of the table, whatever its kind
        lines = str(error).strip().splitlines() or ["no message"]
        yield Row(what, NOT_RUN, f"{type(error).__name__}: {lines[0]}")


def same(found: Any, wanted: Any, what: str, within: float = 0) -> None:
    """Compare arrays.

    Raises:
        Wrong: they differ by more than ``within``, or in shape.
    """
    found, wanted = np.asarray(found), np.asarray(wanted)
    if found.shape != wanted.shape:
        raise Wrong(f"{what}: shape {found.shape}, the reference's is {wanted.shape}")
    error = float(np.abs(found.astype(np.float64) - wanted).max(initial=0))
    if not error <= within:
        raise Wrong(f"{what}: differs from its reference by up to {error:g}; at most {within:g} is right")


def spread(values: list[float]) -> dict[str, float]:
    """Median, and the 20th and 80th percentile."""
    low, high = np.percentile(values, (20, 80))
    return {"median": statistics.median(values), "p20": float(low), "p80": float(high), "runs": len(values)}
