"""The engine cache: where engines lie, by everything that they are tied to, and which of them may be used."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .. import records
from ..errors import EngineMismatch, ExportError, InputError, ModelUnavailable, shown
from ..files import check_regular, write_text
from ..progress import Progress, silent
from ._engine import Batches, EngineCard, build_engine, card_path, read_engine_card, write_engine_card
from ._parity import Parity
from ._target import Target
from ._workplace import workplace
from .model_folder import WEIGHTS_SUFFIX, ModelFolder, file_card, graph_name

REFUSAL_SCHEMA = "bestshot-trt/engine-refusal"
REFUSAL_VERSION = 1
ADVICE = (
    "in half precision LayerNorm and softmax overflow first: keep them in fp32 in the graph, as models export and "
    "models pull do, or build with --precision bf16 or fp32"
)


def engines_folder() -> Path:
    """Where engines are kept: ``BESTSHOT_ENGINES``, or else ``bestshot-trt/engines`` in the user's cache folder."""
    if chosen := os.environ.get("BESTSHOT_ENGINES"):
        return Path(chosen)
    import platformdirs

    return Path(platformdirs.user_cache_dir("bestshot-trt", appauthor=False)) / "engines"


@dataclass(frozen=True)
class Wanted:
    """An engine, by all that it is tied to: no two that differ in any of it have the same place."""

    folder: ModelFolder
    tower: str
    precision: str
    target: Target
    batches: Batches

    @property
    def graph(self) -> Path:
        """What it is built from.

        Raises:
            ModelUnavailable: the model has no such graph.
        """
        return self.folder.graph(self.tower, self.precision)

    @property
    def hashes(self) -> tuple[str, str | None]:
        """sha256 of the graph, and of its weights where they lie beside it, as the model's card has them."""
        name = graph_name(self.tower, self.precision)
        files = self.folder.card.files
        if name not in files:
            raise ModelUnavailable(f"{shown(self.folder.path)}: this model has no {self.precision} {self.tower} graph")
        weights = files.get(name + WEIGHTS_SUFFIX)
        return files[name].sha256, weights.sha256 if weights else None

    @property
    def path(self) -> Path:
        """Where it lies, as ``ViT-L-14/visual.fp16.sm_89.tensorrt-11.4.0.106.b64.0123456789abcdef.engine``."""
        batches = self.batches
        profile = f"b{batches.most}" if batches.best == batches.most else f"b{batches.best}-{batches.most}"
        profile += f"from{batches.least}" if batches.least > 1 else ""
        key = hashlib.sha256(":".join(part or "" for part in self.hashes).encode()).hexdigest()[:16]
        name = f"{self.tower}.{self.precision}.{self.target.name}.{profile}.{key}.engine"
        return engines_folder() / _plain(self.folder.card.name) / name

    @property
    def timings(self) -> Path:
        """TensorRT's timing cache, one for each architecture and version."""
        return engines_folder() / f"timings.{self.target.name}.cache"


def _plain(name: str) -> str:
    """A card's name, which may come from anywhere, as a name of a folder."""
    plain = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[:80].strip(".")
    return plain or "model"


@dataclass(frozen=True)
class Engine:
    """An engine that is here, whole, and of this model, architecture and version."""

    path: Path
    card: EngineCard

    def read(self) -> bytes:
        """Its bytes, checked against its card.

        Raises:
            EngineMismatch: they are not those that were built.
        """
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise EngineMismatch(f"{shown(self.path)}: cannot be read: {error.strerror}; {_REBUILD}") from error
        if hashlib.sha256(content).hexdigest() != self.card.engine_sha256:
            raise EngineMismatch(f"{shown(self.path)}: is not what its card says: cut short or changed; {_REBUILD}")
        return content


_REBUILD = "build it again with: bestshot-trt build NAME --force"


def find_engine(wanted: Wanted) -> Engine | None:
    """The engine, if it is in the cache.

    Raises:
        EngineMismatch: what lies in its place is of another model, GPU, version or batch, or has no readable card.
    """
    path = wanted.path
    if not path.exists() or not card_path(path).exists():
        return None
    try:
        card = read_engine_card(path)
    except InputError as error:
        raise EngineMismatch(f"{error}; {_REBUILD}") from error
    graph, weights = wanted.hashes
    target, batches = wanted.target, wanted.batches
    needed = {
        "TensorRT": (f"{card.builder} {card.builder_version}", f"{target.trt.__name__} {target.trt.__version__}"),
        "architecture": (card.architecture, target.architecture),
        "graph": ((card.onnx_sha256, card.weights_sha256), (graph, weights)),
        "batches": ((card.least, card.best, card.most), (batches.least, batches.best, batches.most)),
    }
    for what, (has, need) in needed.items():
        if has != need:
            detail = "another graph" if what == "graph" else f"{what} {has}, and this run needs {need}"
            raise EngineMismatch(f"{shown(path)}: was built for {detail}; {_REBUILD}")
    return Engine(path, card)


def ensure_engine(wanted: Wanted, *, force: bool = False, progress: Progress = silent) -> Engine:
    """The engine, built if it is not in the cache; one process builds it, the others wait.

    Args:
        wanted: which.
        force: build it again though it is there, or was refused.
        progress: told how far the build is.

    Raises:
        EngineMismatch: it is there, but of another kind or damaged, or was refused before.
        BackendUnavailable, ModelUnavailable, ExportError: it cannot be built, as for `build_engine`.
    """
    found = None if force else find_engine(wanted)
    if found is not None:
        return found
    path = wanted.path
    with _writable(path.parent), workplace(path.parent, path.name, progress, what="build") as work:
        # Whoever was waited for has built it.
        found = None if force and not work.waited else find_engine(wanted)
        if found is None:
            if not force:
                check_not_refused(wanted)
            _check_graph(wanted)
            found = _built(wanted, progress)
        work.clear()
    return found


@contextlib.contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ExportError(
            f"{shown(folder)}: engines cannot be kept there: {error.strerror or error}; name another folder with "
            "BESTSHOT_ENGINES"
        ) from error


def _built(wanted: Wanted, progress: Progress) -> Engine:
    path = wanted.path
    # The card makes it an engine: without one, what follows may break off anywhere.
    card_path(path).unlink(missing_ok=True)
    card = build_engine(
        wanted.graph,
        path,
        target=wanted.target,
        batches=wanted.batches,
        timings=wanted.timings,
        progress=progress,
    )
    _refusal_path(wanted).unlink(missing_ok=True)
    return Engine(path, card)


def _check_graph(wanted: Wanted) -> None:
    """The files must be those that the card, and so the name of the engine, speaks of."""
    graph, weights = wanted.graph, wanted.graph.with_name(wanted.graph.name + WEIGHTS_SUFFIX)
    found = (file_card(graph).sha256, file_card(weights).sha256 if wanted.hashes[1] else None)
    if found != wanted.hashes:
        raise ModelUnavailable(f"{shown(graph)}: is not what the model's card says; pull or export the model again")


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why an engine was taken out of the cache."""

    parity: Parity
    reason: str


def _refusal_path(wanted: Wanted) -> Path:
    return wanted.path.with_suffix(".refused.json")


def check_not_refused(wanted: Wanted) -> None:
    """Building an engine again that did not compute what its model does would only take time.

    Raises:
        EngineMismatch: it was refused; its reason.
    """
    path = _refusal_path(wanted)
    if not path.exists():
        return
    with contextlib.suppress(InputError, OSError):
        check_regular(path)
        refusal = records.loads(Refusal, path.read_bytes(), REFUSAL_SCHEMA, REFUSAL_VERSION, shown(path))
        raise EngineMismatch(f"{shown(wanted.path.name)}: was refused before: {refusal.reason}")


def settle(wanted: Wanted, engine: Engine, parity: Parity) -> Engine:
    """Keep ``engine`` with its ``parity``, or take it out of the cache and remember why.

    A cache that cannot be written learns nothing of it; the next run compares again.

    Raises:
        EngineMismatch: it did not pass.
    """
    if parity.passed:
        card = dataclasses.replace(engine.card, parity=parity)
        with contextlib.suppress(ExportError):
            write_engine_card(engine.path, card)
        return Engine(engine.path, card)
    reason = f"{parity}; {ADVICE}"
    refusal = records.dumps(Refusal(parity=parity, reason=reason), REFUSAL_SCHEMA, REFUSAL_VERSION)
    with contextlib.suppress(ExportError, OSError):
        write_text(_refusal_path(wanted), refusal)
        card_path(engine.path).unlink(missing_ok=True)
        engine.path.unlink(missing_ok=True)
    raise EngineMismatch(f"{shown(engine.path.name)}: refused: {reason}")
