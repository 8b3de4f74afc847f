"""An S3 server on this machine, and a way to it on which faults can be planted."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest

KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}


@contextlib.contextmanager
def serving(*buckets: str) -> Iterator[tuple[Any, dict[str, str]]]:
    """A server with ``buckets``: the client to fill them with, and the environment that finds it."""
    pytest.importorskip("s3fs")
    boto3 = pytest.importorskip("boto3")
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="t", aws_secret_access_key="t"
    )
    for bucket in buckets:
        client.create_bucket(Bucket=bucket)
    yield client, {**KEYS, "AWS_ENDPOINT_URL": url}
    server.stop()


class Way:
    """Passes requests on to ``url``. ``fault`` is asked before each: None, or the status to answer instead."""

    def __init__(self, url: str) -> None:
        self.asked: list[tuple[str, str]] = []
        self.fault: Callable[[str, str], int | None] = lambda method, path: None
        way, there = self, urlsplit(url)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: object) -> None:
                pass

            def _pass_on(self) -> None:
                content = self._content()
                path = urlsplit(self.path).path
                way.asked.append((self.command, path))
                status = way.fault(self.command, path)
                if status is not None:
                    self._answer(status, {}, b"")
                    return
                connection = http.client.HTTPConnection(there.hostname or "", there.port)
                headers = {name: value for name, value in self.headers.items() if name.lower() != "transfer-encoding"}
                connection.request(self.command, self.path, content, headers)
                answer = connection.getresponse()
                self._answer(answer.status, dict(answer.getheaders()), answer.read())
                connection.close()

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _pass_on  # noqa: N815

            def _content(self) -> bytes:
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))

            def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
                self.send_response(status)
                kept = {n: v for n, v in headers.items() if n.lower() not in ("connection", "transfer-encoding")}
                if not any(name.lower() == "content-length" for name in kept):
                    kept["Content-Length"] = str(len(content))
                for name, value in kept.items():
                    self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(content)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        # Batches are killed amid what they send or fetch: nothing to tell of, least of all while pytest reads code.
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def end(self) -> None:
        self._server.shutdown()
        self._server.server_close()
