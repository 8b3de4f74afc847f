"""What there is: cards, NVDEC and NVENC, packages. Asked through the product's own doctor."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from importlib import metadata

from bestshot_trt.cards import survey
from bestshot_trt.doctor._cards import card_checks
from bestshot_trt.doctor._libraries import library_checks

from .rows import MISSING, OK, Row

_ALSO = ("numpy", "av", "torch", "opencv-python-headless", "imageio-ffmpeg")


def cards(_: argparse.Namespace) -> Iterator[Row]:
    """Cards, driver, decoder and encoder."""
    found = survey()
    for check in card_checks(found):
        hint = f" ({check.hint})" if check.hint else ""
        yield Row(check.name, OK if check.ok else MISSING, check.value + hint)
    for card in found.cards:
        yield Row(f"card {card.uuid}", "", f"{card.name}: {len(card.decodes or ())} formats", dataclasses.asdict(card))
    loads = ", ".join(f"{name} {'loads' if here else 'missing'}" for name, here in found.libraries.items())
    yield Row("driver's libraries", "", loads or "not known", {"libraries": found.libraries, "faults": found.faults})


def packages(_: argparse.Namespace) -> Iterator[Row]:
    """Versions, and whether they fit."""
    for check in library_checks(survey()):
        hint = f" ({check.hint})" if check.hint else ""
        yield Row(check.name, OK if check.ok else MISSING, check.value + hint)
    here = {package.metadata["Name"].lower(): package.version for package in metadata.distributions()}
    versions = {name: here[name] for name in _ALSO if name in here}
    yield Row("others", "", ", ".join(f"{name} {version}" for name, version in versions.items()), versions)
