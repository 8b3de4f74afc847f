"""Fixtures shared by all tests: where real footage is, and clips made on the spot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def media_root() -> Path:
    """The folder of real footage: BESTSHOT_MEDIA, or ``shared/media`` beside the checkout."""
    return Path(os.environ.get("BESTSHOT_MEDIA") or REPOSITORY.parent / "shared" / "media")


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder of real footage, or a skip that says where it was looked for."""
    root = media_root()
    if not root.is_dir():
        pytest.skip(f"no real footage at {root}; set BESTSHOT_MEDIA to run this test")
    return root
