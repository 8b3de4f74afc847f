"""One picture as a file that any program shows in the right colours: JPEG, PNG or AVIF, tagged sRGB."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, ExportError, shown
from ..files import whole_file

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = {"jpeg": ".jpg", "png": ".png", "avif": ".avif"}
_DATE = slice(24, 36)
"""Where an ICC profile says when it was made (ICC.1:2010, 7.2.8)."""


def prove_format(form: str) -> None:
    """Make sure that Pillow can write ``form``, by writing a small picture.

    Raises:
        ConfigError: it cannot here.
    """
    from PIL import Image

    try:
        _save(Image.new("RGB", (16, 16)), io.BytesIO(), form, 90)
    except (KeyError, OSError) as error:
        others = ", ".join(name for name in SUFFIXES if name != form)
        raise ConfigError(
            f"format {form} cannot be written by the Pillow that is here; take one of {others}"
        ) from error


def write_still(picture: npt.NDArray[np.uint8], path: Path, *, form: str, quality: int) -> None:
    """Write ``picture``, uint8 RGB (h, w, 3), whole or not at all, with an sRGB profile and nothing else about it.

    ``quality`` is Pillow's, 1 to 100, of JPEG and AVIF; colour is kept at full resolution.

    Raises:
        ExportError: the file cannot be written, or the format has no pictures of that size.
    """
    from PIL import Image

    with whole_file(path) as temporary, temporary.open("wb") as file:
        try:
            _save(Image.fromarray(np.ascontiguousarray(picture)), file, form, quality)
        except ValueError as error:
            raise ExportError(f"{shown(path)}: cannot be written as {form}: {error}") from error


def _save(image: Image, file: Any, form: str, quality: int) -> None:
    if form == "png":
        image.save(file, format="PNG", icc_profile=_srgb())
        return
    more = {"optimize": True} if form == "jpeg" else {}
    image.save(file, format=form.upper(), quality=quality, subsampling="4:4:4", icc_profile=_srgb(), **more)


@cache
def _srgb() -> bytes:
    """The sRGB profile of LittleCMS, without the date at which it was made: equal pictures are equal files."""
    from PIL import ImageCms

    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[_DATE] = bytes.fromhex("07d0 0001 0001 0000 0000 0000")
    return bytes(profile)
