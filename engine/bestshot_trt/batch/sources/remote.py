"""Files in object storage and on the web, through fsspec: what a URI stands for, knowing one again, fetching it.

Credentials and endpoints are found as each store's own library finds them: environment, profile, machine role.
"""

from __future__ import annotations

import errno
import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

from ...errors import InputError, shown
from ...source import fingerprint_of

PIP = 'pip install "bestshot-trt[remote]"'
_URI = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
_WEB = ("http", "https")
_SIGNED = re.compile(r"[?&](X-Amz-Signature|X-Goog-Signature|Signature|sig)=", re.IGNORECASE)
_CHUNK = 8 << 20
_ATTEMPTS = 5
_FIRST_WAIT_S = 0.5
_SILENT_S = 60.0
_NO_RANGES = "support range requests"
"""In fsspec's words where a server sends only whole files."""
_GONE, _REFUSED = (404, 410), (401, 403)
_NO_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "DefaultCredentialsError"}
_PASSING = (408, 425, 429)
"""Answers of a client's fault that another attempt may not get."""

Result = TypeVar("Result")
Pause = Callable[[float], object]
"""Called with seconds to wait; raises to give up."""


@dataclass(frozen=True)
class Look:
    """What a store tells of a file without its content."""

    size: int | None
    revision: int | None
    """Another number for another content of one URI (63 bits of its etag or time of change); None: not told."""


class Unfetched(InputError):
    """A remote file cannot be had; trying again at once is of no use."""


def is_uri(name: str) -> bool:
    """Whether ``name`` is a URI as s3://bucket/key, and not a path."""
    return _URI.match(name) is not None


def shown_uri(uri: str) -> str:
    """``uri`` without user, password and query, which may be secrets."""
    parts = urlsplit(uri)
    if parts.scheme not in _WEB:
        return shown(uri)
    return shown(urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")))


def name_of(uri: str) -> str:
    """The file's own name."""
    parts = urlsplit(uri)
    web = parts.scheme in _WEB
    path = parts.path if web else uri.partition("://")[2]
    name = path.rstrip("/").rpartition("/")[2]
    return (unquote(name) if web else name).replace("/", "_").replace("\0", "_") or "take"


def stands_for_many(uri: str) -> bool:
    """Whether ``uri`` is a pattern, or, by its last stroke, a folder. A question mark begins a query on the web."""
    parts = urlsplit(uri)
    pattern = "*" in parts.path if parts.scheme in _WEB else bool(set("*?[") & set(uri))
    return pattern or uri.endswith("/")


def listed(uri: str) -> list[str]:
    """The URIs of the files that ``uri`` stands for, by name.

    Raises:
        InputError: it cannot be listed, or stands for none.
    """

    def look() -> list[str]:
        store, path = store_of(uri)
        found = store.find(path) if uri.endswith("/") else [p for p in store.glob(path) if not store.isdir(p)]
        return [str(store.unstrip_protocol(p)) for p in sorted(found)]

    found = attempted(uri, look, time.sleep)
    if not found:
        raise InputError(f"{shown_uri(uri)}: stands for no file; check the name")
    return [each for each in found if not name_of(each).startswith(".")]


def look_at(uri: str, pause: Pause = time.sleep) -> Look:
    """Size and revision of one file.

    Raises:
        InputError: it is not there or not to be had.
    """
    return attempted(uri, lambda: _look(uri), pause)


def _look(uri: str) -> Look:
    store, path = store_of(uri)
    told = store.info(path)
    if told.get("type") == "directory":
        raise Unfetched(f"{shown_uri(uri)}: is a folder; end it with / to take all files in it")
    told = {key.lower(): value for key, value in told.items()}
    marks = [
        str(told[key])
        for key in ("etag", "generation", "md5", "lastmodified", "last-modified", "updated", "mtime")
        if told.get(key)
    ]
    if not marks or told.get("size") is None:
        return Look(told.get("size"), None)
    # A signature is another each time; any other query names another file.
    query = "" if _SIGNED.search(uri) else urlsplit(uri).query
    digest = hashlib.sha256("\n".join([*marks, query]).encode()).hexdigest()
    return Look(int(told["size"]), int(digest[:15], 16))


def content_of(uri: str, pause: Pause = time.sleep) -> str | None:
    """The file's fingerprint from the few blocks that it is made of; None where the store sends only whole files.

    Raises:
        InputError: it is not there or not to be had.
    """

    def read() -> str | None:
        store, path = store_of(uri)
        with store.open(path, "rb", block_size=_CHUNK, cache_type="none") as file:
            if not file.size:
                return None
            try:
                return fingerprint_of(file)
            except ValueError as error:
                if _NO_RANGES in str(error):
                    return None
                raise

    return attempted(uri, read, pause)


def sends_parts(uri: str, pause: Pause = time.sleep) -> bool:
    """Whether the store sends parts of this file; otherwise only the whole can be had.

    Raises:
        InputError: it is not there or not to be had.
    """

    def ask() -> bool:
        store, path = store_of(uri)
        with store.open(path, "rb", block_size=_CHUNK, cache_type="none") as file:
            if not file.size:
                return False
            try:
                file.seek(file.size - 1)
                return bool(file.read(1))
            except ValueError as error:
                if _NO_RANGES in str(error):
                    return False
                raise

    return attempted(uri, ask, pause)


def fetch(uri: str, look: Look, target: Path, pause: Pause = time.sleep, most: int | None = None) -> None:
    """Write the file to ``target``, which appears when it is whole. A broken transfer goes on where it broke.

    At most ``most`` bytes are taken, where the store does not tell the size. A `partial_of` ``target`` that is there
    already is gone on from: it must hold the beginning of this very content.

    Raises:
        InputError: it is not there or not to be had, changed meanwhile, or is larger than ``most``.
        DiskRefused: the disk here does not take it.
    """
    partial = partial_of(target)
    try:
        with _Sink(partial) as sink:
            attempted(uri, lambda: _transfer(uri, look, sink, pause, most), pause)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def partial_of(target: Path) -> Path:
    """Where `fetch` writes until all of it is there."""
    return target.with_name(f".{target.name[:80]}.part")


def _transfer(uri: str, look: Look, sink: _Sink, pause: Pause, most: int | None) -> None:
    if _look(uri) != look:
        raise Unfetched(f"{shown_uri(uri)}: changed while it was fetched; run the batch again")
    try:
        _pour(uri, sink, pause, most)
    except ValueError as error:
        if _NO_RANGES not in str(error):
            raise
        sink.restart()
        _pour(uri, sink, pause, most)
    if look.size is not None and sink.tell() != look.size:
        come = sink.tell()
        if come > look.size:
            sink.restart()
        raise ConnectionError(f"{come} bytes came of {look.size}")


def _pour(uri: str, sink: _Sink, pause: Pause, most: int | None) -> None:
    """What is missing in ``sink``, piece by piece."""
    store, path = store_of(uri)
    # From its beginning a file on the web comes in one answer.
    one = urlsplit(uri).scheme in _WEB and not sink.tell()
    with store.open(
        path, "rb", block_size=0 if one else _CHUNK, **({} if one else {"cache_type": "readahead"})
    ) as source:
        if sink.tell():
            if not source.size:
                raise ValueError(_NO_RANGES)
            source.seek(sink.tell())
        while piece := source.read(_CHUNK):
            pause(0)
            sink.write(piece)
            if most is not None and sink.tell() > most:
                raise Unfetched(f"{shown_uri(uri)}: is larger than --stage-space allows; raise it")


class DiskRefused(OSError):
    """The disk here does not take what came; told apart from what the network does."""


class _Sink:
    """The partial file."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab")
        except OSError as error:
            raise DiskRefused(error.errno, error.strerror) from error
        self.tell = self._file.tell

    def write(self, piece: bytes) -> None:
        try:
            self._file.write(piece)
            self._file.flush()
        except OSError as error:
            raise DiskRefused(error.errno, error.strerror) from error

    def restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()

    def __enter__(self) -> _Sink:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


def store_of(uri: str) -> tuple[Any, str]:
    """The file system and the path in it."""
    import fsspec

    options: dict[str, Any] = {}
    if urlsplit(uri).scheme in _WEB:
        import aiohttp

        # By default aiohttp ends a transfer after five minutes, however well it goes.
        options["client_kwargs"] = {"timeout": aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=_SILENT_S)}
    store, path = fsspec.url_to_fs(uri, use_listings_cache=False, **options)
    return store, path


def attempted(uri: str, work: Callable[[], Result], pause: Pause, doing: str = "fetched") -> Result:
    """``work``, again after a pause that doubles where the fault may pass.

    Raises:
        Unfetched: it cannot be ``doing``, as ``fetched`` or ``written``.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return work()
        except (InputError, DiskRefused):
            raise
        except Exception as error:  # each store's library has errors of its own
            reason = _final(error, doing)
            if reason is None and attempt + 1 < _ATTEMPTS:
                pause(_FIRST_WAIT_S * 2**attempt)
                continue
            raise Unfetched(f"{shown_uri(uri)}: {reason or _said(error, doing)}") from error
    raise AssertionError


def _final(error: Exception, doing: str) -> str | None:
    """Why another attempt is of no use; None where it may be."""
    cause = error.__cause__
    # On the web every fault is called that; of S3 its cause has no status, but a response.
    if isinstance(error, FileNotFoundError) and isinstance(cause, Exception) and not hasattr(cause, "response"):
        error = cause
    status = getattr(error, "status", None)
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, ImportError):
        reason = f"the library for this kind of store is not installed: {PIP}"
    elif isinstance(error, ValueError) and "rotocol not known" in str(error):
        reason = "this kind of URI is not known; s3://, gs://, http:// and https:// are"
    elif isinstance(error, ValueError) and _NO_RANGES in str(error):
        reason = "the server sends only whole files; raise --stage-space"
    elif isinstance(error, FileNotFoundError) or status in _GONE:
        reason = f"no such {'bucket' if doing == 'written' else 'file'}; check the name"
    elif kinds & _NO_CREDENTIALS:
        reason = "no credentials for this store; set them as its own tools take them (docs/batch.md)"
    elif isinstance(error, PermissionError) or status in _REFUSED:
        reason = "the store refuses access; check the credentials and what they allow"
    elif isinstance(status, int) and 400 <= status < 500 and status not in _PASSING:
        reason = f"the server answers {status}"
    elif isinstance(error, OSError) and error.errno == errno.EINVAL:
        reason = f"the store refuses the name: {shown(error.strerror or error)}"
    else:
        return None
    return reason


def _said(error: Exception, doing: str) -> str:
    text = (str(error).splitlines() or [""])[0][:200]
    # Some name the address with all that is in it.
    text = re.sub(r"\?\S+", "?...", text)
    return f"cannot be {doing} after {_ATTEMPTS} attempts: {shown(text) or type(error).__name__}"
