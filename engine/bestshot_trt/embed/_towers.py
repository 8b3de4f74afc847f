"""What the graphs of a model folder answer, together and one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ModelUnavailable, shown
from ._batching import batch_of
from ._onnx import open_session, run_session
from .model_folder import ModelFolder
from .models import CONTEXT_LENGTH

_Value = tuple[str, str, tuple[Any, ...]]

ALONE = 3
"""How many inputs are also run one by one."""


@dataclass(frozen=True)
class Answers:
    """What one graph says of n inputs, in batches as a run makes them, and of the first few alone."""

    embedding: npt.NDArray[np.float32]
    """(n, width)."""
    alone: npt.NDArray[np.float32]
    """(`ALONE`, width) at most."""
    aesthetic: npt.NDArray[np.float32] | None = None
    """(n,); None of a text."""


def ask(folder: ModelFolder, tower: str, precision: str, values: npt.NDArray[Any]) -> Answers:
    """Run the graph of ``tower`` in ``precision`` on ``values``, on the CPU.

    Raises:
        ModelUnavailable: the graph is not there, cannot be loaded or run, or takes and gives other things than it must.
    """
    path = folder.graph(tower, precision)
    session = open_session(path, precision, cuda=False)
    _check_interface(folder, tower, session)
    name = session.get_inputs()[0].name
    size = batch_of(folder.card)
    batches = [values[i : i + size] for i in range(0, len(values), size)]
    try:
        together = [run_session(session, name, batch) for batch in batches]
        alone = [run_session(session, name, values[i : i + 1]) for i in range(min(ALONE, len(values)))]
    except Exception as error:  # ONNX Runtime raises its own kinds
        raise ModelUnavailable(f"{shown(path)}: cannot be run: {shown(str(error).splitlines()[0])}") from error
    outputs = [np.concatenate(parts) for parts in zip(*together, strict=True)]
    return Answers(outputs[0], np.concatenate([first for first, *_ in alone]), *outputs[1:])


def _check_interface(folder: ModelFolder, tower: str, session: Any) -> None:
    card = folder.card
    embedding: _Value = ("embedding", "tensor(float)", (card.width,))
    wanted: dict[str, tuple[list[_Value], list[_Value]]] = {
        "visual": (
            [("frames", "tensor(uint8)", (card.size, card.size, 3))],
            [embedding, ("aesthetic", "tensor(float)", ())],
        ),
        "text": ([("tokens", "tensor(int64)", (CONTEXT_LENGTH,))], [embedding]),
    }
    takes, gives = ([_described(value) for value in side()] for side in (session.get_inputs, session.get_outputs))
    if (takes, gives) != wanted[tower]:
        raise ModelUnavailable(
            f"{shown(folder.path)}: the {tower} graph takes {_said(takes)} and gives {_said(gives)}; "
            f"it must take {_said(wanted[tower][0])} and give {_said(wanted[tower][1])}"
        )


def _described(value: Any) -> _Value:
    """Name, type and shape of an input or output without its batch, which must be free."""
    shape = tuple(value.shape) or (None,)
    return value.name, value.type, (("fixed",) if isinstance(shape[0], int) else ()) + shape[1:]


def _said(values: list[_Value]) -> str:
    return ", ".join(
        f"{shown(name)} {kind.removeprefix('tensor')} ({', '.join(['batch', *map(str, shape)])})"
        for name, kind, shape in values
    )
