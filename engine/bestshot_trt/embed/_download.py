"""One file from a Hugging Face hub or any URL: taken up where it stopped, proven by its hash, given up when it stalls.

`huggingface_hub` says what a file is and holds the connection (endpoint, token, proxies, offline mode). The transfer
is here: its own begins anew after an interruption (its issue 4196), and may go by a protocol (Xet) without time limits.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import _hub
from ._hub import Cut, DownloadFailed
from .models import Download

RETRIES = 4
"""Attempts after the first, counted from the last one that brought something."""
PAUSE_S = 1.0
"""Before the first retry; doubled for each further one."""

_CHUNK = 1 << 20
_LARGEST_UNKNOWN = 64 << 20
"""Bytes taken of a file whose size nobody told."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A file somewhere else. At least one of the hashes is known."""

    url: str
    name: str
    """What to call it in messages."""
    size: int | None
    """Bytes."""
    sha256: str | None
    blob_sha1: str | None = None
    """git's hash of the content, which the hub gives for files outside of LFS."""
    commit: str | None = None

    @property
    def key(self) -> str:
        """Its hash: names the content, whatever the file is called."""
        return self.sha256 or self.blob_sha1 or ""


def look_up(repository: str, revision: str, file: Download) -> Remote:
    """What the hub has at ``file.path`` of ``repository``.

    Raises:
        DownloadFailed: it has no such file or another one than ``file``, or it is no hub.
    """
    name = f"{repository}/{file.path}"
    found = _patiently(lambda: _hub.describe(_url(repository, revision, file), name))
    etag = found.etag or ""
    remote = Remote(
        url=_url(repository, found.commit_hash or revision, file),
        name=name,
        size=found.size or file.size,
        sha256=file.sha256 or (etag if _SHA256.fullmatch(etag) else None),
        blob_sha1=etag if _SHA1.fullmatch(etag) else None,
        commit=found.commit_hash,
    )
    _check_found(remote, etag, revision)
    return remote


def _url(repository: str, revision: str, file: Download) -> str:
    return str(_hub.hub().hf_hub_url(repository, file.path, revision=revision, endpoint=_hub.endpoint()))


def _check_found(remote: Remote, etag: str, revision: str) -> None:
    if remote.commit is None:
        host = _hub.host_of(remote.url)
        raise DownloadFailed(f"{host} does not answer as a Hugging Face hub; check HF_ENDPOINT and the proxy settings")
    if not remote.key:
        raise DownloadFailed(f"{remote.name}: the hub tells no hash of it to check it by")
    is_other = remote.sha256 != etag if _SHA256.fullmatch(etag) else False
    if is_other or (_SHA1.fullmatch(revision) and remote.commit != revision):
        raise DownloadFailed(f"{remote.name}: the hub has another file there than this version of bestshot-trt knows")


def _patiently(attempt: Callable[[], Any], progressed: Callable[[], bool] = lambda: False) -> Any:
    """``attempt()``, tried again while it is `Cut`: `RETRIES` times in a row, counted anew when it ``progressed``."""
    failures = 0
    while True:
        try:
            return attempt()
        except Cut as cut:
            failures = 1 if progressed() else failures + 1
            if failures > RETRIES:
                raise DownloadFailed(str(cut)) from cut
            time.sleep(PAUSE_S * 2 ** (failures - 1))


def fetch(remote: Remote, folder: Path, report: Callable[[int], None]) -> Path:
    """``remote``'s content in ``folder``, named by its hash; what is there of it already is not fetched again.

    Args:
        remote: what to fetch.
        folder: where to keep it, whole or in part; nobody else may write to it meanwhile.
        report: called with the bytes that are there.

    Raises:
        DownloadFailed: it does not come, or is not what it should be. A part stays for the next time; a whole
            file with a wrong hash does not.
        OSError: the disk does not take it.
    """
    path = folder / f"{remote.key}.part"
    if remote.size in (None, _size(path)) and path.exists() and _is(remote, path):
        return path
    # A part may be damaged, say by a power cut, and shows it only when it is whole: once more then, from the start.
    for _ in range(2 if path.exists() else 1):
        _complete(remote, path, report)
        if _is(remote, path):
            return path
        path.unlink()
    raise DownloadFailed(f"{remote.name}: what came is not the file it should be (its hash differs)")


def _complete(remote: Remote, path: Path, report: Callable[[int], None]) -> None:
    farthest = _size(path)

    def progressed() -> bool:
        # A server that begins anew each time must not keep this going for ever.
        nonlocal farthest
        before, farthest = farthest, max(farthest, _size(path))
        return farthest > before

    _patiently(lambda: _transfer(remote, path, report), progressed)
    report(_size(path))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _transfer(remote: Remote, path: Path, report: Callable[[int], None]) -> None:
    start = _size(path)
    if remote.size is not None and start == remote.size:
        return
    with _hub.streamed(remote.url, remote.name, start) as response:
        if response.status_code == 416 or _is_elsewhere(response, start):
            path.unlink(missing_ok=True)
            raise Cut(f"{remote.name}: the server does not go on where the download stopped")
        _hub.check_status(response.status_code, remote.name)
        with path.open("ab" if response.status_code == 206 else "wb") as file:
            _pour(response, file, remote, report)
    if remote.size is not None and _size(path) < remote.size:
        raise Cut(f"{remote.name}: broke off after {_size(path)} of {remote.size} bytes")


def _is_elsewhere(response: Any, start: int) -> bool:
    return response.status_code == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def _pour(response: Any, file: Any, remote: Remote, report: Callable[[int], None]) -> None:
    most = remote.size or _LARGEST_UNKNOWN
    # As it comes: a piece that waits to be a full one would be lost when the connection breaks.
    for chunk in response.iter_bytes():
        file.write(chunk)
        file.flush()
        if file.tell() > most:
            file.truncate(0)
            raise DownloadFailed(f"{remote.name}: more came than the {most} bytes it should have")
        report(file.tell())


def _is(remote: Remote, path: Path) -> bool:
    """Whether the content has the hash it should; sha256 counts where it is known."""
    wanted = remote.sha256 or remote.blob_sha1
    digest = hashlib.sha256() if remote.sha256 else hashlib.sha1(b"blob %d\0" % _size(path), usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == wanted
