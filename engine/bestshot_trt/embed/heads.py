"""LAION aesthetic heads: one vector and one bias that turn a unit embedding into a score of about 1 to 10."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError, ModelUnavailable, shown
from ..files import check_regular, whole_file
from . import _pth

Layer = tuple[npt.NDArray[Any], npt.NDArray[Any]]
"""Weight (out, in) and bias (out,) of one linear layer."""

UNIT_NORM = 1e-3
"""How far a row's length may be from 1 before it counts as not normalised."""

# Between these layers are only dropouts, which do nothing once trained. A head with other layers may have
# a non-linearity in it, so it is refused rather than folded wrongly.
_MLP = ("layers.0", "layers.2", "layers.4", "layers.6", "layers.7")


@dataclass(frozen=True)
class Head:
    """A linear aesthetic head: score = embedding . weight + bias."""

    weight: npt.NDArray[np.float32]
    """(d,)."""
    bias: float

    def score(self, embeddings: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Aesthetic score (n,) of L2-normalised embeddings (n, d), about 1 to 10.

        Raises:
            ValueError: another width, or rows whose length is not 1 (scores of those reach 20 to 30).
        """
        if embeddings.ndim != 2 or embeddings.shape[1] != len(self.weight):
            raise ValueError(f"embeddings are {embeddings.shape}; this head takes (n, {len(self.weight)})")
        lengths = np.linalg.norm(embeddings.astype(np.float64), axis=1)
        wrong = ~(np.abs(lengths - 1) <= UNIT_NORM)
        if wrong.any():
            raise ValueError(f"an embedding of length {lengths[wrong][0]:.4g}; normalise embeddings to length 1 first")
        return (embeddings.astype(np.float32) @ self.weight + np.float32(self.bias)).astype(np.float32)


def fold(layers: list[Layer]) -> Head:
    """One linear head that equals ``layers`` run one after the other with nothing between them, in float64.

    Raises:
        ValueError: the layers do not fit each other, do not end in one score, or are not finite.
    """
    row = np.ones((1, 1))
    bias = 0.0
    for weight, offset in reversed(layers):
        if weight.ndim != 2 or offset.shape != weight.shape[:1] or row.shape[1] != weight.shape[0]:
            raise ValueError(f"a layer of shape {weight.shape} with bias {offset.shape} does not fit the next one")
        bias += float((row @ offset.astype(np.float64))[0])
        row = row @ weight.astype(np.float64)
    if not (np.isfinite(row).all() and np.isfinite(bias)):
        raise ValueError("its weights are not finite")
    return Head(row[0].astype(np.float32), bias)


def read_head(path: Path) -> Head:
    """The head in ``path``, a state dict saved by torch (``.pth``), read without torch and without running its pickle.

    Known are LAION's linear heads (``weight``, ``bias``) and the five-layer MLP of improved-aesthetic-predictor.

    Raises:
        ModelUnavailable: missing, damaged, not a known head, or a pickle that asks for anything but tensors.
    """
    tensors = _pth.read_tensors(path)
    names = {name.rpartition(".")[0] for name in tensors}
    order = sorted(names, key=lambda name: _MLP.index(name) if name in _MLP else -1)
    wanted = {f"{name}.{part}".lstrip(".") for name in names for part in ("weight", "bias")}
    if order not in ([""], list(_MLP)) or set(tensors) != wanted:
        raise ModelUnavailable(
            f"{shown(path)}: is not a known aesthetic head (it holds {_listed(tensors)}); take one of LAION's"
        )
    try:
        return fold([(tensors[f"{n}.weight".lstrip(".")], tensors[f"{n}.bias".lstrip(".")]) for n in order])
    except ValueError as error:
        raise ModelUnavailable(f"{shown(path)}: is not a usable aesthetic head: {error}") from error


def _listed(tensors: dict[str, Any]) -> str:
    names = [shown(name) for name in sorted(tensors)]
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "") or "nothing"


def save_head(head: Head, path: Path) -> None:
    """Keep ``head`` as ``.npz``, whole or not at all.

    Raises:
        ExportError: it cannot be written.
    """
    with whole_file(path) as temporary:
        np.savez(temporary, weight=head.weight.astype(np.float32), bias=np.float64(head.bias))


def load_head(path: Path) -> Head:
    """The head that `save_head` kept.

    Raises:
        ModelUnavailable: missing, damaged, or not such a file.
    """
    try:
        check_regular(path)
        with np.load(path, allow_pickle=False) as arrays:
            return fold([(arrays["weight"][None], arrays["bias"][None])])
    except InputError as error:
        raise ModelUnavailable(str(error)) from error
    # A damaged archive makes zipfile and NumPy raise nearly anything.
    except Exception as error:
        raise ModelUnavailable(
            f"{shown(path)}: is not a saved aesthetic head; pull or export the model again"
        ) from error
