"""From measures to one score per sample: ``S = w_a A + w_s Sh - w_e E + w_c C``. NumPy only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .config import Weights

PROMPT_WEIGHT = 0.5
"""w_c when a prompt is given and ``Weights.prompt`` is unset."""

Series = npt.NDArray[np.float64]


def _series(name: str, values: npt.ArrayLike, length: int | None = None) -> Series:
    """``values`` as finite float64 (n,)."""
    series = np.asarray(values, dtype=np.float64)
    if series.ndim != 1:
        raise ValueError(f"{name} has shape {series.shape}; need (n,)")
    if length is not None and len(series) != length:
        raise ValueError(f"{name} has {len(series)} values; need {length}")
    if not np.isfinite(series).all():
        raise ValueError(f"{name} holds a value that is not finite")
    return series


def normalize(values: npt.ArrayLike, mode: str = "track") -> Series:
    """Map a series to [0, 1] by its own 5th and 95th percentiles, or leave it as it is.

    Percentiles interpolate linearly (NumPy's default) and the result is clipped. A constant series
    is 0.5 throughout. Where both percentiles are equal but the series is not constant, values below
    them are 0, above them 1, and equal ones 0.5.

    Args:
        values: finite, shape (n,); n may be 0.
        mode: ``track`` as above, or ``none`` to return the raw values.

    Returns:
        float64 (n,), never a view of ``values``.

    Raises:
        ValueError: wrong rank, a value that is not finite, or an unknown mode.
    """
    series = _series("values", values)
    if mode not in ("track", "none"):
        raise ValueError(f"mode is {mode!r}; it must be 'track' or 'none'")
    if mode == "none" or not len(series):
        return series.copy()
    if series.min() == series.max():
        return np.full(len(series), 0.5)
    ordered = np.sort(series)
    low, high = _percentile(ordered, 5), _percentile(ordered, 95)
    if low == high:
        return (np.sign(series - low) + 1) / 2
    return np.clip((series - low) / (high - low), 0, 1)


def _percentile(ordered: npt.NDArray[np.float64], percent: int) -> float:
    """`numpy.percentile` of sorted values, to the last bit; that one loads NumPy's masked arrays first, 10 ms."""
    position = (len(ordered) - 1) * (percent / 100)
    below = int(position)
    share = position - below
    low, high = float(ordered[below]), float(ordered[min(below + 1, len(ordered) - 1)])
    return low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share)


def score(
    sharpness: npt.ArrayLike,
    exposure_penalty: npt.ArrayLike,
    aesthetic: npt.ArrayLike,
    prompt_similarity: npt.ArrayLike | None = None,
    *,
    weights: Weights | None = None,
    mode: str = "track",
) -> Series:
    """Weigh the measures of one take into its score.

    Aesthetic, sharpness and prompt similarity go through `normalize`; the exposure penalty is used
    as it is. Sharpness spans orders of magnitude, so its ``log1p`` is taken first, with mode
    ``none`` too. There is no prompt term when ``prompt_similarity`` is None or NaN throughout; with
    one, an unset ``weights.prompt`` means `PROMPT_WEIGHT`.

    Args:
        sharpness: variance of the Laplacian, 0 or more, shape (n,).
        exposure_penalty: share of clipped pixels in [0, 1], shape (n,).
        aesthetic: any scale, shape (n,).
        prompt_similarity: cosine with the prompt, shape (n,).
        weights: defaults to ``Weights()``.
        mode: as for `normalize`.

    Returns:
        float64 (n,).

    Raises:
        ValueError: lengths differ, or a value is out of its range or not finite.
    """
    parts = terms(sharpness, exposure_penalty, aesthetic, prompt_similarity, weights=weights, mode=mode)
    total: Series = np.sum([*parts.values()], axis=0)
    return total


def terms(
    sharpness: npt.ArrayLike,
    exposure_penalty: npt.ArrayLike,
    aesthetic: npt.ArrayLike,
    prompt_similarity: npt.ArrayLike | None = None,
    *,
    weights: Weights | None = None,
    mode: str = "track",
) -> dict[str, Series]:
    """What each measure adds to the score: arguments, shapes and errors as for `score`, whose sum they are.

    Returns:
        ``aesthetic``, ``sharpness``, ``exposure`` (0 or less with a weight above 0) and, where there is one,
        ``prompt``; float64 (n,) each.
    """
    weights = weights or Weights()
    sharp = _series("sharpness", sharpness)
    if (sharp < 0).any():
        raise ValueError("sharpness holds a value below 0; a variance cannot be")
    exposure = _series("exposure_penalty", exposure_penalty, len(sharp))
    beauty = _series("aesthetic", aesthetic, len(sharp))
    parts = {
        "aesthetic": weights.aesthetic * normalize(beauty, mode),
        "sharpness": weights.sharpness * normalize(np.log1p(sharp), mode),
        "exposure": -weights.exposure * exposure,
    }
    if prompt_similarity is None or np.isnan(np.asarray(prompt_similarity, dtype=np.float64)).all():
        return parts
    prompt = _series("prompt_similarity", prompt_similarity, len(sharp))
    weight = PROMPT_WEIGHT if weights.prompt is None else weights.prompt
    return parts | {"prompt": weight * normalize(prompt, mode)}


def prompt_similarity(
    embedding: npt.NDArray[np.float32], prompt: npt.NDArray[np.float32], avoid: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """How well pictures fit: the mean cosine with the prompts, minus that with what to avoid.

    Args:
        embedding: unit vectors (n, d).
        prompt: unit vectors of the texts that fit (p, d); p may be 0.
        avoid: unit vectors of those that do not (q, d); q may be 0.

    Returns:
        float32 (n,).

    Raises:
        ValueError: the widths differ.
    """
    direction = np.zeros(embedding.shape[1], np.float32)
    for sign, texts in ((1, prompt), (-1, avoid)):
        if texts.shape[1:] != direction.shape:
            raise ValueError(f"texts are {texts.shape}; need (p, {len(direction)}), as wide as the embeddings")
        if len(texts):
            # The mean of cosines with unit vectors is the product with their mean.
            direction += sign * texts.mean(axis=0)
    return embedding @ direction


def stand_in_aesthetic(contrast: npt.ArrayLike, colourfulness: npt.ArrayLike) -> Series:
    """What stands in for the aesthetic when there is no CLIP model: contrast and colour, equally.

    The mean of the two series, each normalised over the take, so it is relative to that take and
    does not rank one file against another.

    Args:
        contrast: standard deviation of luma, shape (n,).
        colourfulness: Hasler and Suesstrunk (2003), shape (n,).

    Returns:
        float64 (n,) in [0, 1].

    Raises:
        ValueError: lengths differ, or a value is not finite.
    """
    contrasts = _series("contrast", contrast)
    colours = _series("colourfulness", colourfulness, len(contrasts))
    return (normalize(contrasts) + normalize(colours)) / 2
