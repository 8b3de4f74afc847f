"""Where a batch's results go, from what a user names: a folder, or a URI with a folder to work in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ...errors import ConfigError, ExportError, InputError, shown
from ..plan import Layout
from ..sources.uris import is_uri, shown_uri
from .outbox import mirror_of
from .shelf import Shelf, StoredShelf
from .store import Store


@dataclass(frozen=True)
class Place:
    """A batch's folder on this disk, and the URI that its results go to, if they do not stay there."""

    root: Path
    uri: str | None = None

    def __str__(self) -> str:
        return shown(self.root) if self.uri is None else shown_uri(self.uri)

    def shelf(self) -> Shelf:
        """The finished takes."""
        return Shelf(self.root) if self.uri is None else StoredShelf(Store(self.uri), mirror_of(Layout(self.root)))

    def receipts(self) -> dict[str, dict[str, str]]:
        """What the takes in the store are for, by content; empty for a folder.

        Raises:
            InputError: the store cannot be read.
        """
        found = {} if self.uri is None else Store(self.uri).receipts()
        return {receipt.get("content", ""): receipt for receipt in found.values()}

    def publish(self, name: str) -> None:
        """Send a file of `root` to where the results are.

        Raises:
            ExportError: the store does not take it.
        """
        if self.uri is None:
            return
        try:
            Store(self.uri).put_file(self.root / name, name)
        except InputError as error:
            raise ExportError(str(error)) from error


def place_of(output: str, work: Path | None = None) -> Place:
    """The place that ``output`` names; ``work`` is the folder to work in, by default one in the user's cache.

    Raises:
        ConfigError: ``output`` is on the web; or ``work`` is given for results on a disk, which are made there.
    """
    if output.startswith("file://"):
        output = url2pathname(urlsplit(output).path)
    if output.startswith(("http://", "https://")):
        raise ConfigError(f"{shown_uri(output)}: the web takes no results; name a folder, or a store as s3:// or gs://")
    if is_uri(output):
        uri = output.rstrip("/")
        return Place(work or _cached(uri), uri)
    if work is not None:
        raise ConfigError("--work is for results that go to a URI; those in a folder are made in it")
    return Place(Path(output))


def _cached(uri: str) -> Path:
    """The same for each batch of this user on this machine."""
    import platformdirs

    cache = Path(platformdirs.user_cache_dir("bestshot-trt", appauthor=False))
    return cache / "batch" / hashlib.sha256(uri.encode("utf-8", "surrogatepass")).hexdigest()[:16]
