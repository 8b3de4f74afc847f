"""XML documents of names that may hold anything, whole and indented."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path

from ...errors import shown
from ...files import write_text

Element = ET.Element
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """``text`` without what XML 1.0 cannot hold, not even escaped: control characters and lone surrogates."""
    return _NOT_XML.sub(lambda found: shown(found[0]), text)


def add(parent: Element, tag: str, text: object = None, /, **attributes: object) -> Element:
    """A new child of ``parent`` with ``text`` in it."""
    child = ET.SubElement(parent, tag, {name: clean(str(value)) for name, value in attributes.items()})
    child.text = None if text is None else clean(str(text))
    return child


def write_xml(root: Element, doctype: str, notes: Iterable[str], path: Path) -> None:
    """Write ``root`` after a comment of ``notes``, whole or not at all.

    Raises:
        ExportError: the file cannot be written.
    """
    # Two hyphens would end the comment.
    comment = "\n".join(f"  {clean(note).replace('--', '- -')}" for note in notes)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    write_text(path, f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE {doctype}>\n<!--\n{comment}\n-->\n{text}\n')
