"""Everything that can go wrong, one class per thing a user can do about it.

::

    BestshotError
    ├── ConfigError         a setting is out of its bounds, or two settings contradict each other
    ├── InputError          the file is missing, unreadable, or holds no video
    ├── DecodeError         it is a video, but no picture of it can be decoded
    ├── BackendUnavailable  the asked backend cannot run on this machine
    ├── ModelUnavailable    the asked model is not here and cannot be had
    ├── EngineMismatch      a compiled engine belongs to another model, GPU or version
    └── ExportError         a result could not be written

Every message is one line: the file or value, what is wrong with it, what to do.
"""


class BestshotError(Exception):
    """Base of every error this package raises on purpose."""


class ConfigError(BestshotError, ValueError):
    """A setting is out of its bounds, unknown, or contradicts another."""


class InputError(BestshotError):
    """The input is missing, unreadable, or holds no video."""


class DecodeError(BestshotError):
    """The input is a video, but no picture of it can be decoded."""


class BackendUnavailable(BestshotError):
    """The asked backend cannot run on this machine."""


class ModelUnavailable(BestshotError):
    """The asked model is not here and cannot be had."""


class EngineMismatch(BestshotError):
    """A compiled engine belongs to another model, GPU or version."""


class ExportError(BestshotError):
    """A result could not be written (disk, permissions, encoder)."""


def shown(path: object) -> str:
    """``path`` as text that stays on one line and prints anywhere: control and stray bytes escaped."""
    return "".join(c if c.isprintable() else _escaped(c) for c in str(path))


def _escaped(character: str) -> str:
    # A byte of a file name that is not UTF-8 is a lone surrogate in Python; show the byte.
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
