"""``report.html``: one file that shows a take's scores, plays its clips and picks again as the command would.

The page holds the track's measures exactly, and a port of `scoring` and `timeline` to JavaScript that computes with
them as NumPy does; it asks nothing of a network. How alike two samples look it cannot know for all of them in a
file of 1 MB: `_near` says how it tells, and where it cannot, the page says so instead of guessing.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from ...files import write_text
from ...moments import MomentsDocument
from ...track import Track
from ._facts import facts_of

__all__ = ["Thumbnail", "read_thumbnails", "write_report"]

_SCRIPTS = tuple(
    f"{name}.js" for name in ("unpack", "pick", "command", "chart", "paint", "player", "lists", "theme", "page")
)
_DATA = "data:image/jpeg;base64,"
_THUMBNAILS = re.compile(r'<script type="application/json" id="thumbnails">(.*?)</script>', re.DOTALL)
_MARK = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A small JPEG of the picture on screen at ``time_s`` seconds of media time."""

    time_s: float
    width: int
    height: int
    jpeg: bytes

    @property
    def uri(self) -> str:
        """The picture itself, as an address."""
        return _DATA + base64.b64encode(self.jpeg).decode("ascii")


def write_report(
    path: Path,
    document: MomentsDocument,
    track: Track,
    *,
    track_path: Path | None = None,
    thumbnails: Sequence[Thumbnail] = (),
) -> None:
    """Write the page of ``document``, picked from ``track``, whole or not at all.

    Args:
        path: the ``.html``; clips are linked relative to its folder.
        document: what was picked.
        track: what it was picked from, with the ``prompt_similarity`` it was picked by.
        track_path: where the track lies, for the command that the page shows; None: nowhere.
        thumbnails: pictures of the take, at any times.

    Raises:
        ConfigError: the document's settings were edited, and one is out of its bounds.
        ExportError: the file cannot be written.
    """
    parts = {"style": _part("report.css"), "script": "\n".join(map(_part, _SCRIPTS))}
    template = _part("report.html")
    taken = len(template.encode()) + sum(len(part.encode()) for part in parts.values())
    facts, packed = facts_of(document, track, track_path, taken + _chosen_size(document))
    parts |= {
        "title": escape(facts["title"]),
        "facts": _json(facts),
        "track": packed,
        "thumbnails": _json([_picture(thumbnail) for thumbnail in thumbnails]),
    }
    # In one pass, so that no name of a take is taken for a mark.
    write_text(path, _MARK.sub(lambda mark: parts[mark[1]], template))


def read_thumbnails(page: bytes) -> list[Thumbnail]:
    """The pictures in a ``page`` of `write_report`; none in what is no such page."""
    found = _THUMBNAILS.search(page.decode("utf-8", "replace"))
    try:
        return [_read(each) for each in json.loads(found[1])] if found else []
    except (ValueError, KeyError, TypeError):
        return []


def _read(told: dict[str, Any]) -> Thumbnail:
    jpeg = base64.b64decode(told["src"].removeprefix(_DATA), validate=True)
    return Thumbnail(time_s=float(told["time"]), width=told["width"], height=told["height"], jpeg=jpeg)


def _part(name: str) -> str:
    return (resources.files(__package__) / name).read_text("utf-8")


def _chosen_size(document: MomentsDocument) -> int:
    """About how many bytes of JSON the picks and rejections will be."""
    return 10_000 + 200 * len(document.moments) + 8 * len(document.rejected)


def _json(value: Any) -> str:
    """ASCII in which nothing ends a script element or begins a comment."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _picture(thumbnail: Thumbnail) -> dict[str, Any]:
    return {
        "time": thumbnail.time_s,
        "width": thumbnail.width,
        "height": thumbnail.height,
        "src": thumbnail.uri,
    }
