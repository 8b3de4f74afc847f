"""Words for a shell's command line, whatever is in them."""

from __future__ import annotations

import os
import re
import shlex

_PLAIN = re.compile(r"[^\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]*")
"""Text that can stand as it is: no controls, no marks that turn the writing around, no stray bytes."""


def quoted(text: str) -> str:
    """``text`` as one word for bash, zsh and ksh, on one line and in ASCII where it would not be safe to see or copy.

    What a terminal would act on, and bytes of file names that are no UTF-8, are written as ``$'\\xNN'``.
    """
    # A word that begins with a dash would be an option; callers put such words behind `--option=`.
    if _PLAIN.fullmatch(text):
        return shlex.quote(text)
    try:
        data = os.fsencode(text)
    except UnicodeEncodeError:
        data = text.encode("utf-8", "surrogatepass")
    return "$'" + "".join(map(_escaped, data)) + "'"


def _escaped(byte: int) -> str:
    if byte in b"\\'":
        return "\\" + chr(byte)
    return chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}"
