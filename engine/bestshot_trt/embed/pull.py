"""Fetch a model's ready ONNX towers from the hub and its aesthetic head, and make a model folder of them."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import ExportError, ModelUnavailable, shown
from ..progress import Progress, silent
from . import _hub
from ._assemble import make_card, make_text, make_visual
from ._download import Remote, fetch, look_up
from ._hub import DownloadFailed
from ._whole_folder import check_replaceable, replace_folder
from ._workplace import workplace
from .model_folder import TOKENIZER, ModelFolder, file_card, models_folder, open_folder, write_card
from .models import ModelSpec, find_spec

Announce = Callable[[str], None]
"""Takes one line for the person who waits."""
MB = 1e6
_SPARE = 64 << 20
"""Bytes of disk beyond what the files take."""
_READY = "ready"


def nobody(line: str) -> None:
    """Announce to nobody."""


def is_reachable(timeout: float = _hub.ANSWER_S) -> bool:
    """Whether the hub (``HF_ENDPOINT``) answers; found out within ``timeout`` seconds, whatever the network does."""
    return _hub.why_unreachable(_hub.endpoint(), timeout) is None


def pull(
    spec: ModelSpec,
    *,
    text: bool = False,
    force: bool = False,
    root: Path | None = None,
    progress: Progress = silent,
    announce: Announce = nobody,
) -> ModelFolder:
    """The model of ``spec`` in the models folder, fetched if it is not there.

    Args:
        spec: the model.
        text: also its text tower and tokeniser.
        force: fetch it even if it is there.
        root: the models folder; by default `models_folder`.
        progress: told the megabytes done and to do.
        announce: told in one line what is going to be fetched, and how much.

    Raises:
        ModelUnavailable: it cannot be had. What has come so far is kept, and taken up by the next pull; a model
            that was there before stays as it was.
    """
    root = root or models_folder()
    here = None if force else _opened(root / spec.name)
    if here is not None:
        return add_text(here, progress=progress, announce=announce) if text else here
    with _explained(spec.name), workplace(root, spec.name, progress) as work:
        # Another process may have pulled it while this one waited for its turn.
        here = None if force and not work.waited else _opened(root / spec.name)
        if here is None:
            check_replaceable(root / spec.name)
            here = _pull(spec, text, root, work.folder, progress, announce)
        work.clear()
    return add_text(here, progress=progress, announce=announce) if text else here


def add_text(folder: ModelFolder, *, progress: Progress = silent, announce: Announce = nobody) -> ModelFolder:
    """``folder`` with the text tower and the tokeniser, fetched from where its image tower came from.

    Raises:
        ModelUnavailable: it was not pulled, or the tower cannot be had. The folder stays as it was.
    """
    if _has_text(folder):
        return folder
    spec = find_spec(folder.card.name)
    made_from = folder.card.made_from
    if made_from.get("hub") != spec.source.repository or not isinstance(made_from.get("revision"), str):
        raise ModelUnavailable(
            f"{shown(folder.path)}: has no text tower, and was not pulled, so none fits it for sure; export it again"
        )
    with _explained(spec.name), workplace(folder.path.parent, folder.path.name, progress) as work:
        folder = open_folder(folder.path)
        if not _has_text(folder):
            folder = _add_text(spec, folder, work.folder, progress, announce)
        work.clear()
    return folder


@contextlib.contextmanager
def head_file(spec: ModelSpec, *, root: Path | None = None, progress: Progress = silent) -> Iterator[Path]:
    """The aesthetic head of ``spec``, as its authors saved it, for as long as the block lasts.

    Raises:
        ModelUnavailable: it cannot be had.
    """
    with contextlib.ExitStack() as stack:
        with _explained(spec.name, f"give the file of {spec.head.name} with --head"):
            work = stack.enter_context(workplace(root or models_folder(), spec.name, progress))
            _check_reachable(spec.head.download.path)
            path = fetch(_head(spec), work.folder, _Meter(f"download {spec.name}", 0, 0, progress))
        yield path
        # A tower of the same model that was being pulled lies there too, and is still of use.
        path.unlink()
        with contextlib.suppress(OSError):
            work.folder.rmdir()
            work.clear()


def _has_text(folder: ModelFolder) -> bool:
    return folder.has("text") and TOKENIZER in folder.card.files


def _opened(path: Path) -> ModelFolder | None:
    """The model at ``path`` if all of it is there."""
    try:
        folder = open_folder(path)
        for name in folder.card.files:
            folder.file(name)
        return folder
    except ModelUnavailable:
        return None


@contextlib.contextmanager
def _explained(name: str, advice: str = "") -> Iterator[None]:
    advice = advice or (
        f"get it with: bestshot-trt models pull {name}, or export it on another machine and give the folder with "
        "--model PATH"
    )
    try:
        yield
    except DownloadFailed as error:
        raise ModelUnavailable(f"{name}: {error}; {advice}") from error
    except (ExportError, OSError) as error:
        cause = error.__cause__ if isinstance(error, ExportError) else error
        if cause is None:
            raise ModelUnavailable(str(error)) from error
        where = shown(getattr(cause, "filename", None) or models_folder())
        reason = getattr(cause, "strerror", None) or cause
        raise ModelUnavailable(
            f"{name}: {where}: cannot be written: {reason}; free some space, or set BESTSHOT_MODELS"
        ) from error


def _pull(spec: ModelSpec, text: bool, root: Path, work: Path, progress: Progress, announce: Announce) -> ModelFolder:
    _check_reachable(_hub.endpoint())
    _check_reachable(spec.head.download.path)
    visual = look_up(spec.source.repository, spec.source.revision, spec.source.visual)
    head = _head(spec)
    wanted = [head, visual, *(_text_remotes(spec, visual.commit or "") if text else ())]
    files = _fetch_all(spec, wanted, work, progress, announce)
    progress(f"prepare {spec.name}", 0, None)
    ready = _fresh(work / _READY)
    make_visual(spec, files[visual], files[head], ready)
    if text:
        make_text(spec, files[wanted[2]], files[wanted[3]], ready)
    write_card(ready, make_card(spec, wanted, ready))
    replace_folder(root / spec.name, ready)
    return open_folder(root / spec.name)


def _check_reachable(url: str) -> None:
    reason = _hub.why_unreachable(url)
    if reason:
        raise DownloadFailed(f"{_hub.host_of(url)} cannot be reached: {reason}")


def _head(spec: ModelSpec) -> Remote:
    file = spec.head.download
    return Remote(url=file.path, name=file.path, size=file.size, sha256=file.sha256)


def _text_remotes(spec: ModelSpec, revision: str) -> tuple[Remote, Remote]:
    source = spec.source
    return (
        look_up(source.repository, revision, source.text),
        look_up(source.repository, revision, source.tokenizer),
    )


def _fetch_all(
    spec: ModelSpec, wanted: list[Remote], work: Path, progress: Progress, announce: Announce
) -> dict[Remote, Path]:
    total = sum(remote.size or 0 for remote in wanted)
    there = sum(path.stat().st_size for path in work.glob("*.part"))
    left = max(0, total - there)
    # The graphs made of the towers are as large as these, and lie beside them until all is done.
    _check_space(work, left + total)
    if left:
        place = f"{_hub.host_of(_hub.endpoint())} ({spec.source.repository})"
        resumed = f", {there / MB:.0f} MB of it are here already" if there else ""
        announce(f"downloading {spec.name}: {total / MB:.0f} MB from {place}{resumed}")
    files: dict[Remote, Path] = {}
    for remote in wanted:
        before = sum(path.stat().st_size for path in files.values())
        files[remote] = fetch(remote, work, _Meter(f"download {spec.name}", before, total, progress))
    return files


@dataclasses.dataclass(frozen=True)
class _Meter:
    """Bytes of one file after others, as progress in megabytes."""

    stage: str
    before: int
    total: int
    progress: Progress

    def __call__(self, here: int) -> None:
        self.progress(self.stage, (self.before + here) / MB, self.total / MB if self.total else None, "MB")


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + _SPARE:
        raise DownloadFailed(
            f"{shown(folder)}: it takes {(needed + _SPARE) / MB:.0f} MB for a while, and {free / MB:.0f} MB are free; "
            "free some space, or set BESTSHOT_MODELS"
        )


def _fresh(folder: Path) -> Path:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    return folder


def _add_text(spec: ModelSpec, folder: ModelFolder, work: Path, progress: Progress, announce: Announce) -> ModelFolder:
    _check_reachable(_hub.endpoint())
    remotes = _text_remotes(spec, folder.card.made_from["revision"])
    files = _fetch_all(spec, list(remotes), work, progress, announce)
    progress(f"prepare {spec.name}", 0, None)
    ready = _fresh(work / _READY)
    make_text(spec, files[remotes[0]], files[remotes[1]], ready)
    made = {path.name: file_card(path) for path in ready.iterdir()}
    for name in made:
        (ready / name).replace(folder.path / name)
    known = folder.card.made_from
    files_known = {**known.get("files", {}), **{remote.name: remote.key for remote in remotes}}
    card = dataclasses.replace(
        folder.card, made_from={**known, "files": files_known}, files={**folder.card.files, **made}
    )
    return write_card(folder.path, card)
