"""What a URI says by itself: whether it is one, how it is shown, the file's name, whether it stands for many."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit, urlunsplit

from ...errors import shown

_URI = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
_WEB = ("http", "https")


def is_uri(name: str) -> bool:
    """Whether ``name`` is a URI as s3://bucket/key, and not a path."""
    return _URI.match(name) is not None


def is_web(uri: str) -> bool:
    """Whether ``uri`` lies on the web, and not in object storage."""
    return urlsplit(uri).scheme in _WEB


def shown_uri(uri: str) -> str:
    """``uri`` without user, password and query, which may be secrets."""
    if not is_web(uri):
        return shown(uri)
    parts = urlsplit(uri)
    return shown(urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")))


def name_of(uri: str) -> str:
    """The file's own name."""
    parts = urlsplit(uri)
    web = is_web(uri)
    path = parts.path if web else uri.partition("://")[2]
    name = path.rstrip("/").rpartition("/")[2]
    return (unquote(name) if web else name).replace("/", "_").replace("\0", "_") or "take"


def stands_for_many(uri: str) -> bool:
    """Whether ``uri`` is a pattern, or, by its last stroke, a folder. A question mark begins a query on the web."""
    pattern = "*" in urlsplit(uri).path if is_web(uri) else bool(set("*?[") & set(uri))
    return pattern or uri.endswith("/")
