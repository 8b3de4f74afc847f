"""Frozen dataclasses to JSON and back, checked field by field.

A document is one JSON object: ``schema`` (a name) and ``version`` (an integer), then the fields of
the dataclass. Types understood: str, int, float, bool, Fraction (as ``"30000/1001"``), ``X | None``,
``tuple[X, ...]`` or ``Sequence[X]``, ``dict[str, X]``, ``Any``, and dataclasses of these. Unknown fields are ignored,
and those with a default may be missing.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import re
import reprlib
import types
import typing
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NoReturn, TypeVar

from .errors import InputError

Record = TypeVar("Record")

_RATIO = re.compile(r"-?\d{1,30}/\d{1,30}", re.ASCII)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_SCALARS: dict[Any, str] = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}

_FLAT = frozenset({str, int, float, bool, types.NoneType})


def _plain(value: Any) -> Any:
    """What `json` does not know, in terms of what it does."""
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    # A number of NumPy's, which need not be loaded for this.
    if hasattr(value, "item"):
        return value.item()
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"a {type(value).__name__} has no form in JSON")


def dumps(record: Any, schema: str, version: int) -> str:
    """The document of ``record``: strict JSON, indented by 2.

    Text stays readable UTF-8, except that bytes of a file name that are not UTF-8 (surrogates, as
    `os.fsdecode` makes them) are written as escapes, and so survive.

    Raises:
        ValueError: a number is not finite.
        TypeError: a value has no form in JSON.
    """
    document = {"schema": schema, "version": version, **_plain(record)}
    parts = [f"{json.dumps(name)}: {_indented(value)}" for name, value in document.items()]
    text = "{\n  " + ",\n  ".join(parts) + "\n}"
    return _LONE_SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n"


def _indented(value: Any) -> str:
    """The JSON of one field's ``value``, as it stands in its document."""
    rows = _flat_rows(value)
    return _strict(value, indent=2).replace("\n", "\n  ") if rows is None else _table(rows)


def _strict(value: Any, **layout: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain, **layout)


def _flat_rows(value: Any) -> list[dict[str, Any]] | None:
    """``value`` as objects, where it is a sequence of records that hold no others."""
    if not isinstance(value, Sequence) or not value or not dataclasses.is_dataclass(value[0]):
        return None
    rows = [_plain(record) for record in value]
    return rows if all(row and _FLAT.issuperset(map(type, row.values())) for row in rows) else None


def _table(rows: list[dict[str, Any]]) -> str:
    """What ``json`` makes of ``rows``, indented, in a fifth of its time: it indents in Python, and all else in C.

    No newline but those of the separator is in what it gives, since in texts they are written as escapes.
    """
    text = _strict(rows, separators=(",\n      ", ": "))
    between = text[2:-2].replace("},\n      {", "\n    },\n    {\n      ")
    return "[\n    {\n      " + between + "\n    }\n  ]"


def _misfit(where: str, value: Any, need: str) -> NoReturn:
    raise ValueError(f"{where} is {reprlib.repr(value)}; it must be {need}")


def _read_scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return float(value)
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    _misfit(where, value, _SCALARS[kind])


def _read_ratio(value: Any, where: str) -> Fraction:
    if isinstance(value, str) and _RATIO.fullmatch(value) and int(value.partition("/")[2]):
        return Fraction(value)
    _misfit(where, value, 'a ratio such as "30000/1001"')


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


@functools.cache
def _optional(kind: Any) -> frozenset[str]:
    """Fields that documents of older versions lack: those with a default."""
    return frozenset(field.name for field in dataclasses.fields(kind) if field.default is not dataclasses.MISSING)


def _read_record(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        _misfit(where, value, "an object")
    prefix = f"{where}." if where else ""
    fields = {}
    for name, hint in _hints(kind).items():
        if name not in value:
            if name in _optional(kind):
                continue
            raise ValueError(f"{prefix}{name} is missing")
        fields[name] = _read(hint, value[name], prefix + name)
    try:
        return kind(**fields)
    except ValueError as error:
        raise ValueError(f"{prefix}{error}") from error


def _read_container(hint: Any, value: Any, where: str) -> Any:
    inner = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if origin in (tuple, Sequence):
        if not isinstance(value, list):
            _misfit(where, value, "a list")
        return tuple(_read(inner[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            _misfit(where, value, "an object")
        return {key: _read(inner[1], item, f"{where}.{key}") for key, item in value.items()}
    if value is None:
        return None
    return _read(next(kind for kind in inner if kind is not types.NoneType), value, where)


def _read(hint: Any, value: Any, where: str) -> Any:
    """``value`` as the type ``hint``.

    Raises:
        ValueError: it is not one; the message begins with ``where``.
    """
    if hint is Any:
        return value
    if hint in _SCALARS:
        return _read_scalar(hint, value, where)
    if hint is Fraction:
        return _read_ratio(value, where)
    if dataclasses.is_dataclass(hint):
        return _read_record(hint, value, where)
    return _read_container(hint, value, where)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number


def loads(kind: type[Record], text: str | bytes, schema: str, version: int, name: str) -> Record:
    """Read the document that `dumps` wrote.

    Args:
        kind: the dataclass to read.
        text: the document; bytes are UTF-8, with or without a byte order mark.
        schema: the name it must carry.
        version: the version it must carry.
        name: what to call it in errors, such as its path.

    Raises:
        InputError: not JSON, another schema or version, a field missing or of the wrong type.
    """
    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        # "NaN" and "Infinity" reach parse_constant, "1e999" parse_float; neither is strict JSON.
        document = json.loads(decoded, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("schema") != schema:
        found = document.get("schema") if isinstance(document, dict) else None
        raise InputError(f"{name}: schema is {reprlib.repr(found)}; it must be {schema!r}")
    if document.get("version") != version or isinstance(document["version"], bool):
        raise InputError(f"{name}: version is {reprlib.repr(document.get('version'))}; this program reads {version}")
    try:
        return typing.cast("Record", _read(kind, document, ""))
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error
