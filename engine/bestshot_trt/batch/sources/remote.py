"""Files in object storage and on the web, through fsspec: what a URI stands for, and knowing one again.

Credentials and endpoints are found as each store's own library finds them: environment, profile, machine role.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ...errors import InputError
from ...source import fingerprint_of
from .attempts import NO_RANGES, Pause, Result, Unfetched, attempted
from .uris import is_web, name_of, shown_uri

_SIGNED = re.compile(r"[?&](X-Amz-Signature|X-Goog-Signature|Signature|sig)=", re.IGNORECASE)
CHUNK = 8 << 20
"""Bytes asked for at a time."""
_SILENT_S = 60.0


@dataclass(frozen=True)
class Look:
    """What a store tells of a file without its content."""

    size: int | None
    revision: int | None
    """Another number for another content of one URI (63 bits of its etag or time of change); None: not told."""


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
    return attempted(uri, lambda: look_once(uri), pause)


def look_once(uri: str) -> Look:
    """`look_at` in one attempt; a fault is the store's own error, but for a folder's."""
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
    return _by_parts(uri, fingerprint_of, pause)


def sends_parts(uri: str, pause: Pause = time.sleep) -> bool:
    """Whether the store sends parts of this file; otherwise only the whole can be had.

    Raises:
        InputError: it is not there or not to be had.
    """

    def last_byte(file: Any) -> bytes:
        file.seek(file.size - 1)
        return bytes(file.read(1))

    return bool(_by_parts(uri, last_byte, pause))


def _by_parts(uri: str, read: Callable[[Any], Result], pause: Pause) -> Result | None:
    """What ``read`` gives of the file, open to be read here and there; None where the store sends only whole files."""

    def attempt() -> Result | None:
        store, path = store_of(uri)
        with store.open(path, "rb", block_size=CHUNK, cache_type="none") as file:
            if not file.size:
                return None
            try:
                return read(file)
            except ValueError as error:
                if NO_RANGES in str(error):
                    return None
                raise

    return attempted(uri, attempt, pause)


def store_of(uri: str) -> tuple[Any, str]:
    """The file system and the path in it."""
    import fsspec

    options: dict[str, Any] = {}
    if is_web(uri):
        import aiohttp

        # By default aiohttp ends a transfer after five minutes, however well it goes.
        options["client_kwargs"] = {"timeout": aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=_SILENT_S)}
    store, path = fsspec.url_to_fs(uri, use_listings_cache=False, **options)
    return store, path
