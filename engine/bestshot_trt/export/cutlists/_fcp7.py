"""Final Cut Pro 7 XML (xmeml 5), which Premiere Pro, DaVinci Resolve and others import."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from ._cuts import Cut, Cuts
from ._xml import Element, add, write_xml
from .timecode import Rate

_FILE_ID = "file-1"
_MOST_TRACKS = 2
"""Sound tracks laid out: left and right; the rest of the file's channels stay in the file."""


def write_fcp7(cuts: Cuts, path: Path) -> None:
    """Write ``cuts`` as a sequence, whole or not at all.

    Raises:
        ExportError: the file cannot be written.
    """
    root = ET.Element("xmeml", version="5")
    sequence = add(root, "sequence", id="sequence-1")
    add(sequence, "name", cuts.title)
    add(sequence, "duration", cuts.length)
    _add_rate(sequence, cuts.rate)
    _add_timecode(sequence, cuts.rate)
    media = add(sequence, "media")
    video = add(media, "video")
    _add_format(video, cuts)
    _add_track(video, cuts, "video", 1)
    tracks = min(cuts.channels, _MOST_TRACKS)
    if tracks:
        audio = add(media, "audio")
        for index in range(1, tracks + 1):
            _add_track(audio, cuts, "audio", index)
    write_xml(root, "xmeml", cuts.notes, path)


def _add_rate(parent: Element, rate: Rate) -> None:
    element = add(parent, "rate")
    add(element, "timebase", rate.nominal)
    add(element, "ntsc", _truth(rate.is_ntsc))


def _truth(value: bool) -> str:
    return "TRUE" if value else "FALSE"


def _add_timecode(parent: Element, rate: Rate) -> None:
    element = add(parent, "timecode")
    _add_rate(element, rate)
    add(element, "string", rate.timecode(0))
    add(element, "frame", 0)
    add(element, "displayformat", "DF" if rate.drop else "NDF")


def _add_format(parent: Element, cuts: Cuts) -> None:
    sample = add(add(parent, "format"), "samplecharacteristics")
    _add_rate(sample, cuts.rate)
    add(sample, "width", cuts.width)
    add(sample, "height", cuts.height)


def _add_track(parent: Element, cuts: Cuts, kind: str, index: int) -> None:
    track = add(parent, "track")
    for number, (at, cut) in enumerate(cuts.placed(), 1):
        item = add(track, "clipitem", id=_item_id(kind, index, number))
        add(item, "name", cut.name)
        add(item, "enabled", "TRUE")
        add(item, "duration", cuts.duration)
        _add_rate(item, cuts.rate)
        for tag, frame in (("start", at), ("end", at + cut.length), ("in", cut.start), ("out", cut.end)):
            add(item, tag, frame)
        _add_file(item, cuts, whole=kind == "video" and number == 1)
        if kind == "audio":
            source = add(item, "sourcetrack")
            add(source, "mediatype", kind)
            add(source, "trackindex", index)
        else:
            _add_marker(item, cut)
            add(add(item, "logginginfo"), "lognote", cut.comment)
        if cuts.channels:
            _add_links(item, cuts, number)


def _item_id(kind: str, index: int, number: int) -> str:
    return f"{kind}-{index}-{number}"


def _add_links(item: Element, cuts: Cuts, number: int) -> None:
    """Tie picture and sound of one moment together, so that they are trimmed as one."""
    tracks = [("video", 1), *(("audio", index) for index in range(1, min(cuts.channels, _MOST_TRACKS) + 1))]
    for kind, index in tracks:
        link = add(item, "link")
        add(link, "linkclipref", _item_id(kind, index, number))
        add(link, "mediatype", kind)
        add(link, "trackindex", index)
        add(link, "clipindex", number)


def _add_marker(item: Element, cut: Cut) -> None:
    """A point marker, in frames of the source as ``in`` and ``out`` are."""
    marker = add(item, "marker")
    add(marker, "name", f"peak {cut.rank}")
    add(marker, "comment", cut.comment)
    add(marker, "in", cut.peak)
    add(marker, "out", -1)


def _add_file(item: Element, cuts: Cuts, *, whole: bool) -> None:
    """The source, described the first time and named by its id from then on."""
    file = add(item, "file", id=_FILE_ID)
    if not whole:
        return
    add(file, "name", cuts.file_name)
    # This format names the host, as its own documentation does; an empty host is the same by RFC 8089.
    add(file, "pathurl", cuts.uri.replace("file:///", "file://localhost/", 1))
    _add_rate(file, cuts.rate)
    add(file, "duration", cuts.duration)
    _add_timecode(file, cuts.rate)
    media = add(file, "media")
    sample = add(add(media, "video"), "samplecharacteristics")
    add(sample, "width", cuts.width)
    add(sample, "height", cuts.height)
    if cuts.channels:
        add(add(media, "audio"), "channelcount", cuts.channels)
