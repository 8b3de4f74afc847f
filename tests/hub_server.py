"""A local HTTP server that speaks as much of the Hugging Face hub as a download needs, and fails on request.

What it imitates: files in LFS redirect (302) to a CDN on another host, with ``X-Linked-Etag`` (their sha256) and
``X-Linked-Size``; small files redirect (307) to a place on the same host, with git's hash as ``ETag``; all carry
``X-Repo-Commit``. Files elsewhere (the aesthetic heads) redirect to another host.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_RESOLVE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")

_ANYWHERE = ("status", "loop", "bare", "other")
"""Faults of any request; all others are of requests for a content."""


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    range: str | None
    token: str | None


@dataclass
class Fault:
    """How requests whose path contains ``where`` fail.

    ``kind`` is ``status``, ``cut`` (the connection breaks after ``after`` bytes), ``short`` (the body ends there as if
    it were whole), ``stall`` (nothing more comes), ``corrupt`` (one byte differs), ``slow`` (a pause between pieces),
    ``held`` (half of it waits for `Hub.go_on`), ``no-range`` (always the whole file), ``wrong-range``, ``no-size``
    (nobody tells how long it is), ``long`` (more comes than announced), ``loop`` (redirected to itself), ``bare`` (no
    hub's headers), ``other`` (another hash).
    """

    kind: str
    where: str = ""
    method: str = "GET"
    status: int = 500
    after: int = 0
    times: int = 1_000_000


@dataclass
class Hub:
    """A running hub; also a context manager. Files are given by repository and path, or by URL path for others."""

    lfs: dict[str, bytes] = field(default_factory=dict)
    """``owner/name/path`` -> content."""
    small: dict[str, bytes] = field(default_factory=dict)
    elsewhere: dict[str, bytes] = field(default_factory=dict)
    """``/path`` -> content."""
    faults: list[Fault] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    commit: str = COMMIT
    ended: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Hub:
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def cdn(self) -> str:
        """The same server under another name: to a client, another host."""
        return f"http://localhost:{self.port}"

    def fail(self, kind: str, where: str = "", **how: Any) -> None:
        self.faults.append(Fault(kind, where, **how))

    def gets(self, where: str = "") -> list[Asked]:
        """The requests for contents so far, redirects left out."""
        return [a for a in self.asked if a.method == "GET" and where in a.path and a.path.startswith(("/cdn", "/api"))]


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        headers = self.headers
        self.hub.asked.append(Asked(self.command, self.path, headers.get("Range"), headers.get("Authorization")))
        fault = self._fault()
        if fault and fault.kind == "status":
            self._say(fault.status)
        elif fault and fault.kind == "loop":
            self._say(302, Location=self.path)
        elif self.path == "/":
            self._say(200)
        elif match := _RESOLVE.fullmatch(urlsplit(self.path).path):
            self._resolve(match[1], unquote(match[3]), fault)
        elif (content := self._content()) is not None:
            self._send(content, fault)
        elif self.path in self.hub.elsewhere:
            self._say(302, Location=f"{self.hub.cdn}/cdn{self.path}")
        else:
            self._say(404)

    def _fault(self) -> Fault | None:
        is_content = self.path.startswith(("/cdn", "/api"))
        for fault in self.hub.faults:
            fits = is_content or fault.kind in _ANYWHERE
            if fits and fault.where in self.path and fault.method == self.command and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def _say(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def _resolve(self, repository: str, path: str, fault: Fault | None) -> None:
        hub = self.hub
        key = f"{repository}/{path}"
        if fault and fault.kind == "bare":
            self._say(200)
        elif content := hub.lfs.get(key):
            digest = "f" * 64 if fault and fault.kind == "other" else hashlib.sha256(content).hexdigest()
            self._say(
                302,
                Location=f"{hub.cdn}/cdn/{quote(key)}?signature=1",
                X_Repo_Commit=hub.commit,
                X_Linked_Etag=f'"{digest}"',
                X_Linked_Size=str(len(content)),
            )
        elif key in hub.small:
            self._say(307, Location=f"/api/resolve-cache/{quote(key)}", X_Repo_Commit=hub.commit)
        else:
            self._say(404, X_Repo_Commit=hub.commit, X_Error_Code="EntryNotFound", X_Error_Message="Entry not found")

    def _content(self) -> bytes | None:
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/cdn/"):
            return self.hub.lfs.get(path.removeprefix("/cdn/")) or self.hub.elsewhere.get(path.removeprefix("/cdn"))
        if path.startswith("/api/resolve-cache/"):
            return self.hub.small.get(path.removeprefix("/api/resolve-cache/"))
        return None

    def _send(self, content: bytes, fault: Fault | None) -> None:
        kind = fault.kind if fault else ""
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        if kind == "no-range":
            start = 0
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        if start >= len(content):
            self._say(416, Content_Range=f"bytes */{len(content)}")
            return
        body = content[start:]
        shown = start + (kind == "wrong-range")
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {shown}-{len(content) - 1}/{len(content)}")
        if kind in ("no-size", "long"):
            self.close_connection = True
        else:
            self.send_header(
                "Content-Length", str(min(fault.after, len(body)) if fault and kind == "short" else len(body))
            )
        self.send_header("ETag", f'"{blob}"')
        self.send_header("X-Repo-Commit", self.hub.commit)
        self.end_headers()
        if self.command == "GET":
            self._pour(body, kind, fault)

    def _pour(self, body: bytes, kind: str, fault: Fault | None) -> None:
        after = fault.after if fault else 0
        if kind == "corrupt":
            body = bytes([body[0] ^ 1]) + body[1:]
        elif kind == "long":
            body += bytes(10)
        elif kind in ("cut", "short", "stall"):
            body = body[:after]
        pieces = {"slow": 20, "held": 2}.get(kind, 1)
        length = max(1, -(-len(body) // pieces))
        for begin in range(0, len(body), length):
            self.wfile.write(body[begin : begin + length])
            self.wfile.flush()
            if kind == "slow":
                time.sleep(0.02)
            if kind == "held":
                self.hub.go_on.wait(300)
        if kind == "stall":
            self.hub.ended.wait(300)
        if kind in ("cut", "stall", "short"):
            self.close_connection = True
