"""The connection to a Hugging Face hub, through `huggingface_hub`: whether there is one, and what its errors mean."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from .._version import __version__
from ..errors import shown

STALLED_S = 30.0
"""What brings nothing for so long is given up."""
ANSWER_S = 4.0
"""A host that does not answer within this counts as unreachable."""

_PROGRAM = {"library_name": "bestshot-trt", "library_version": __version__}
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_TRUE = frozenset({"1", "ON", "YES", "TRUE"})


class DownloadFailed(Exception):
    """One line without a full stop: which file or host, and what is wrong with it."""


class Cut(Exception):
    """The transfer broke off in a way that may well not happen again."""


def is_offline() -> bool:
    """Whether the user forbids the network: ``HF_HUB_OFFLINE`` or ``TRANSFORMERS_OFFLINE``, now or at the start."""
    asked = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    constants = sys.modules.get("huggingface_hub.constants")
    return asked.upper() in _TRUE or bool(getattr(constants, "HF_HUB_OFFLINE", False))


def endpoint() -> str:
    """The hub's address: ``HF_ENDPOINT``, or else huggingface.co."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def host_of(url: str) -> str:
    """The host of ``url``, for messages."""
    try:
        return shown(urlsplit(url).netloc.rpartition("@")[2] or url)
    except ValueError:
        return shown(url)


def why_unreachable(url: str, timeout: float = ANSWER_S) -> str | None:
    """Why the host of ``url`` does not answer, in a few words, or None when it does. Takes ``timeout`` s at most.

    A proxy is asked where one is set.
    """
    if is_offline():
        return "HF_HUB_OFFLINE is set"
    session = hub().get_session()
    answers = _within(timeout, lambda: _knock(session, url, timeout))
    return answers[0] if answers else f"no answer within {timeout:g} s"


def _within(seconds: float, ask: Callable[[], Any]) -> list[Any]:
    """What ``ask()`` returns, or nothing when it takes longer.

    It runs in a thread, since looking a name up cannot be broken off; that is left behind when it takes too long.
    """
    answers: list[Any] = []
    asking = threading.Thread(target=lambda: answers.append(ask()), daemon=True)
    asking.start()
    asking.join(seconds)
    return answers


def _knock(session: Any, url: str, timeout: float) -> str | None:
    try:
        parts = urlsplit(url)
        place = f"{parts.scheme}://{parts.netloc}/"
        status = session.request("HEAD", place, timeout=timeout, follow_redirects=False).status_code
    except Exception as error:  # Whatever it is, nobody there can be asked for a model.
        return _reason(error)
    return f"it answers HTTP {status}" if status >= 500 else None


def _reason(error: Exception) -> str:
    text = shown(" ".join(str(error).split()))
    return (text if len(text) <= 160 else f"{text[:157]}...") or type(error).__name__


def hub() -> Any:
    """`huggingface_hub`, kept from asking the hub who runs it and from printing anything."""
    if "huggingface_hub" not in sys.modules:
        os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    package: Any = importlib.import_module("huggingface_hub")
    package.logging.set_verbosity_error()
    return package


def _http() -> Any:
    """The HTTP library below `huggingface_hub`: httpx up to 1.x, httpx2 since; found through a class common to both."""
    from huggingface_hub.errors import HfHubHTTPError

    name = next(kind.__module__ for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError")
    return sys.modules[name.partition(".")[0]]


def describe(url: str, name: str) -> Any:
    """`huggingface_hub`'s metadata of the file at ``url``: etag, commit_hash, size.

    Raises:
        DownloadFailed: it cannot be had.
        Cut: another attempt may help.
    """
    # Some versions of the library follow redirects in a circle for ever.
    answers = _within(STALLED_S, lambda: _metadata(url, name))
    if not answers:
        raise DownloadFailed(f"{name}: nothing came from {host_of(url)} for {STALLED_S:g} s")
    if isinstance(answers[0], Exception):
        raise answers[0]
    return answers[0]


def _metadata(url: str, name: str) -> Any:
    """What `describe` gives or raises."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        with explained(name):
            try:
                return hub().get_hf_file_metadata(url, timeout=STALLED_S, endpoint=endpoint(), **_PROGRAM)
            except HfHubHTTPError as error:
                check_status(error.response.status_code, name)
                raise
    except Exception as error:  # Raised again in the thread that waits.
        return error


@contextlib.contextmanager
def streamed(url: str, name: str, start: int) -> Iterator[Any]:
    """The response to a GET of ``url`` from byte ``start`` on, its body not yet read.

    Raises:
        DownloadFailed: it cannot be had, or its body does not go on; also inside the block.
        Cut: another attempt may help; also inside the block.
    """
    headers = {"Accept-Encoding": "identity", **_identity(url), **({"Range": f"bytes={start}-"} if start else {})}
    with explained(name):
        timeout = _http().Timeout(STALLED_S, connect=ANSWER_S)
        session = hub().get_session()
        with session.stream("GET", url, headers=headers, timeout=timeout, follow_redirects=True) as response:
            yield response


def _identity(url: str) -> dict[str, str]:
    """Who asks; the user's token only for the hub. It does not follow a redirect to another host."""
    if not url.startswith(endpoint() + "/"):
        return {"User-Agent": f"bestshot-trt/{__version__}"}
    return dict(hub().utils.build_hf_headers(**_PROGRAM))


@contextlib.contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn what the libraries below raise into `DownloadFailed`, or `Cut` where another attempt may help."""
    http = _http()
    try:
        yield
    except http.ConnectTimeout as error:
        raise DownloadFailed(f"{name}: {_asked(error)} cannot be reached: no answer within {ANSWER_S:g} s") from error
    except http.TimeoutException as error:
        raise DownloadFailed(f"{name}: nothing came from {_asked(error)} for {STALLED_S:g} s") from error
    except http.TooManyRedirects as error:
        raise DownloadFailed(f"{name}: is redirected in a circle") from error
    except (http.UnsupportedProtocol, http.InvalidURL) as error:
        raise DownloadFailed(f"{name}: {_reason(error)}; check HF_ENDPOINT and the proxy settings") from error
    except http.TransportError as error:
        raise Cut(f"{name}: {_asked(error)}: {_reason(error)}") from error
    except http.HTTPError as error:
        raise DownloadFailed(f"{name}: {_reason(error)}") from error


def _asked(error: Any) -> str:
    try:
        return host_of(str(error.request.url))
    except RuntimeError:  # httpx, when the error belongs to no request
        return "the server"


def check_status(status: int, name: str) -> None:
    """Refuse an HTTP status that brings no content.

    Raises:
        DownloadFailed: it will not come.
        Cut: another attempt may help.
    """
    if status in _TRANSIENT:
        raise Cut(f"{name}: the server answers HTTP {status}")
    if status in (401, 403):
        raise DownloadFailed(f"{name}: the server refuses it (HTTP {status}): it is gone, or HF_TOKEN is not valid")
    if status >= 400:
        raise DownloadFailed(f"{name}: the server answers HTTP {status}")
