"""FCPXML 1.10, which Final Cut Pro and DaVinci Resolve import; its times are exact fractions of a second."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from ._cuts import Cut, Cuts
from ._xml import Element, add, write_xml
from .timecode import Rate


def write_fcpxml(cuts: Cuts, path: Path) -> None:
    """Write ``cuts`` as a project, whole or not at all.

    Raises:
        ExportError: the file cannot be written.
    """
    root = ET.Element("fcpxml", version="1.10")
    _add_resources(root, cuts)
    project = add(add(add(root, "library"), "event", name="bestshot-trt"), "project", name=cuts.title)
    sequence = add(
        project,
        "sequence",
        format="r1",
        duration=_time(cuts.rate, cuts.length),
        tcStart="0s",
        tcFormat=_timecode_format(cuts.rate),
    )
    add(sequence, "note", " ".join(cuts.notes))
    spine = add(sequence, "spine")
    for at, cut in cuts.placed():
        _add_clip(spine, cuts.rate, at, cut)
    write_xml(root, "fcpxml", cuts.notes, path)


def _add_resources(root: Element, cuts: Cuts) -> None:
    resources = add(root, "resources")
    add(resources, "format", id="r1", frameDuration=_time(cuts.rate, 1), width=cuts.width, height=cuts.height)
    sound = {"hasAudio": 1, "audioSources": 1, "audioChannels": cuts.channels} if cuts.channels else {}
    asset = add(
        resources,
        "asset",
        id="r2",
        name=cuts.file_name,
        start="0s",
        duration=_time(cuts.rate, cuts.duration),
        hasVideo=1,
        format="r1",
        **sound,
    )
    add(asset, "media-rep", kind="original-media", src=cuts.uri)


def _add_clip(spine: Element, rate: Rate, at: int, cut: Cut) -> None:
    clip = add(
        spine,
        "asset-clip",
        ref="r2",
        name=cut.name,
        offset=_time(rate, at),
        start=_time(rate, cut.start),
        duration=_time(rate, cut.length),
        format="r1",
        tcFormat=_timecode_format(rate),
    )
    add(clip, "note", cut.comment)
    add(
        clip,
        "marker",
        start=_time(rate, cut.peak),
        duration=_time(rate, 1),
        value=f"peak {cut.rank}",
        note=cut.comment,
    )


def _time(rate: Rate, frames: int) -> str:
    """``frames`` in seconds, as a fraction that is whole frames at a glance: ``1001/30000s``."""
    return f"{frames * rate.fps.denominator}/{rate.fps.numerator}s" if frames else "0s"


def _timecode_format(rate: Rate) -> str:
    return "DF" if rate.drop else "NDF"
