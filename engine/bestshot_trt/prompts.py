"""How well every sample of a track fits what words describe, from its stored embeddings."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from . import scoring
from .config import PickConfig
from .errors import ModelUnavailable
from .progress import Progress
from .provenance import ClipModel
from .track import Track


@dataclass(frozen=True)
class Vectors:
    """Texts as unit vectors: those that fit (p, d), and those that do not (q, d)."""

    prompt: npt.NDArray[np.float32]
    avoid: npt.NDArray[np.float32]

    def similarity(self, embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """float32 (n,) of pictures (n, d), as `scoring.prompt_similarity`."""
        return scoring.prompt_similarity(embedding, self.prompt, self.avoid)


def check(config: PickConfig, clip_model: ClipModel | None, note: str | None = None) -> None:
    """Refuse prompts without a CLIP model, before any long work; ``note`` says why there is none.

    Raises:
        ModelUnavailable: there are prompts and no model to understand them.
    """
    if (config.prompt or config.avoid) and clip_model is None:
        if note:
            raise ModelUnavailable(f"prompts need a CLIP model; {note}")
        raise ModelUnavailable(
            "prompts need a CLIP model, and this is without one (model: none); leave out --prompt and --avoid, "
            "or get a model with `bestshot-trt models pull ViT-B-32` and analyze again"
        )


def encode(clip_model: ClipModel, prompt: tuple[str, ...], avoid: tuple[str, ...], progress: Progress) -> Vectors:
    """The texts in the space of ``clip_model``.

    Raises:
        ModelUnavailable: that model is not to be had.
    """
    from .embed.resolve import open_text_encoder

    vectors = open_text_encoder(clip_model, progress).encode([*prompt, *avoid])
    return Vectors(vectors[: len(prompt)], vectors[len(prompt) :])


def apply(track: Track, config: PickConfig, progress: Progress) -> Track:
    """``track`` with ``prompt_similarity`` for the prompts of ``config``; the same track when it has them.

    Without prompts in ``config``, those that the track was analysed with stay.

    Raises:
        ModelUnavailable: the model that made the track's embeddings is not to be had.
    """
    wanted = (config.prompt, config.avoid)
    if wanted in (((), ()), (track.meta.prompt, track.meta.avoid)):
        return track
    check(config, track.meta.clip_model)
    assert track.meta.clip_model is not None
    similarity = encode(track.meta.clip_model, *wanted, progress).similarity(track.embedding)
    meta = dataclasses.replace(track.meta, prompt=config.prompt, avoid=config.avoid)
    return dataclasses.replace(track, prompt_similarity=similarity, meta=meta)
