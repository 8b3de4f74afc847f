"""What there is to do: which take each file is, what of it is done already, and where its results go."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import provenance
from ..config import Config
from ..errors import InputError
from ..files import check_regular
from ..source import fingerprint
from .journal import Journal, Keys
from .sources.inputs import Footage
from .workers.messages import RECEIPT

STATE = ".bestshot"
TAKES = "takes"
ALL = "analyze, pick, export"
_PLAIN = re.compile(r"[^\w.+-]+")
_NAME_LENGTH = 60
MOMENTS, TRACK = "moments.json", "track.parquet"
"""As in `results`, which is not imported here: it brings the decoder."""


@dataclass(frozen=True)
class Layout:
    """Where things lie in the output folder of a batch."""

    root: Path

    @property
    def state(self) -> Path:
        """The hidden folder for journal, logs and unfinished work."""
        return self.root / STATE

    @property
    def journal(self) -> Path:
        """The journal."""
        return self.state / "journal.sqlite"

    def target(self, name: str) -> Path:
        """The results of one take."""
        return self.root / TAKES / name

    def staging(self, owner: str) -> Path:
        """Where one batch makes results."""
        return self.state / "work" / owner

    def begun(self, owner: str) -> Path:
        """What a batch that was killed had begun to fetch, for the one batch that found it."""
        return self.staging(owner) / "begun"

    def track(self, content: str, key: str) -> Path:
        """A finished analysis whose results are not in place yet."""
        return self.state / "tracks" / f"{_short(content)}-{key}.parquet"

    def parts(self, content: str, key: str) -> Path:
        """Finished stretches of an analysis that is not finished."""
        return self.state / "parts" / f"{_short(content)}-{key}"


@dataclass
class Job:
    """One take to be worked on, and the attempts made at it."""

    footage: Footage
    content: str
    name: str
    keys: Keys
    known: Path | None
    """A track with this analysis already in place."""
    stages: str
    """What is to be done, as ``analyze, pick, export``."""
    failures: list[str] = field(default_factory=list)


def keys_of(config: Config, model: str) -> Keys:
    """The keys of results by ``config`` with the model that its name came to."""
    analyze = {**_analysis(config), "model": model}
    pick = {"analyze": analyze, "pick": provenance.plain(config.pick)}
    return Keys(_hash(analyze), _hash(pick), _hash({**pick, "export": _export(config)}))


def settings_of(config: Config) -> dict[str, str]:
    """Keys of the settings alone, whatever model their name comes to: ``analyze``, and ``finish`` for the rest."""
    rest = [provenance.plain(config.pick), _export(config)]
    return {"analyze": _hash(_analysis(config)), "finish": _hash(rest)}


def _analysis(config: Config) -> dict[str, Any]:
    analyze = provenance.plain(config.analyze)
    # Where it ran does not make it another analysis.
    analyze.pop("backend")
    return analyze


def _export(config: Config) -> dict[str, Any]:
    export = provenance.plain(config.export)
    if export["color"].lower().endswith(".cube"):
        # A table under the same name may have become another.
        with contextlib.suppress(OSError):
            export["table"] = hashlib.sha256(Path(export["color"]).read_bytes()).hexdigest()
    return export


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _short(content: str) -> str:
    return content.rpartition(":")[2][:12]


def name_of(path: Path, content: str) -> str:
    """The take's folder: its stem, and so much of its fingerprint that no other take has that name."""
    stem = _PLAIN.sub("_", path.stem.encode("utf-8", "replace").decode()).strip("._") or "take"
    while len(stem.encode()) > _NAME_LENGTH:
        stem = stem[:-1]
    return f"{stem}-{_short(content)[:8]}"


def content_of(path: Path, journal: Journal) -> str:
    """The fingerprint of a file, read anew only when it changed.

    Raises:
        InputError: it cannot be read.
    """
    check_regular(path)
    stat = path.stat()
    key = (str(path.absolute()), stat.st_size, stat.st_mtime_ns)
    try:
        key[0].encode()
    except UnicodeEncodeError:
        return fingerprint(path)
    known = journal.content_of(*key)
    if known is None:
        known = fingerprint(path)
        journal.note_content(*key, known)
    return known


def receipt_text(content: str, keys: Keys, model: str) -> str:
    """What `RECEIPT` says of results by ``keys``, made with ``model``."""
    return json.dumps({"content": content, "model": model, **vars(keys)}, indent=2) + "\n"


def receipt_of(folder: Path) -> dict[str, str]:
    """What the results in ``folder`` are for; empty when there are none."""
    try:
        found = json.loads((folder / RECEIPT).read_text())
    except (OSError, ValueError):
        return {}
    complete = isinstance(found, dict) and (folder / MOMENTS).exists() and (folder / TRACK).exists()
    return found if complete else {}


def stages_left(receipt: dict[str, str], content: str, keys: Keys) -> str:
    """Which steps make results by ``keys`` of those that ``receipt`` is for; empty when they are these."""
    if receipt.get("content") != content or receipt.get("analyze") != keys.analyze:
        return ALL
    if receipt.get("pick") != keys.pick:
        return "pick, export"
    return "" if receipt.get("export") == keys.export else "export"


@dataclass(frozen=True)
class Standing:
    """What is left to do of a take."""

    stages: str
    known: Path | None = None
    """A track that serves, if one does."""
    unsent: bool = False
    """Whether all is done, and only has to go to where results are."""


def standing(target: Path, content: str, keys: Keys) -> Standing:
    """What is left of a take whose results are in ``target``, if they are."""
    stages = stages_left(receipt_of(target), content, keys)
    return Standing(stages, target / TRACK if stages != ALL else None)


def identified(footage: Sequence[Footage], journal: Journal) -> Iterator[tuple[Footage, str, str | None]]:
    """Each file with its fingerprint; or an empty one, and why it cannot be read."""
    for item in footage:
        try:
            yield item, content_of(item.path, journal), None
        except (InputError, OSError) as error:
            yield item, "", str(error)
