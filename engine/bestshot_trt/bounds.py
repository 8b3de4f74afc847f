"""What a setting may be: a dataclass field carries its own help text and bounds, and is held against them."""

from __future__ import annotations

import dataclasses
from typing import Any

from .errors import ConfigError

LARGEST = 1e12
"""Numbers beyond this, infinities and NaN are no setting."""


def setting(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    choices: tuple[str, ...] | None = None,
    unit: str = "",
    flags: tuple[str, ...] = (),
    metavar: str | None = None,
) -> Any:
    """A dataclass field that knows its help text and bounds (``above`` excludes the bound itself).

    ``flags`` are what the command line calls it, where that is not its name; ``metavar`` stands for its value there.
    """
    bounds = {"low": low, "high": high, "above": above, "choices": choices, "unit": unit}
    return dataclasses.field(default=default, metadata={"help": help, "flags": flags, "metavar": metavar, **bounds})


def describe_bounds(field: dataclasses.Field[Any]) -> str:
    """The allowed values of one setting in words, such as ``above 0, at most 60 Hz``."""
    meta = field.metadata
    if meta.get("choices"):
        return "one of " + ", ".join(meta["choices"])
    parts = []
    if meta.get("above") is not None:
        parts.append(f"above {meta['above']:g}")
    if meta.get("low") is not None:
        parts.append(f"at least {meta['low']:g}")
    if meta.get("high") is not None:
        parts.append(f"at most {meta['high']:g}")
    return (", ".join(parts) + (f" {meta['unit']}" if meta.get("unit") else "")).strip()


def _is_within(value: Any, field: dataclasses.Field[Any]) -> bool:
    meta = field.metadata
    if meta.get("choices"):
        return value in meta["choices"]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    if not -LARGEST < value < LARGEST:
        return False
    if "int" in str(field.type) and not isinstance(value, int):
        return False
    above, low, high = meta.get("above"), meta.get("low"), meta.get("high")
    return (above is None or value > above) and (low is None or value >= low) and (high is None or value <= high)


def check(config: Any) -> None:
    """Raise `ConfigError` for the first field whose value is of the wrong type or out of bounds."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        kind = {"str": str, "bool": bool}.get(str(field.type))
        if kind is not None and not isinstance(value, kind):
            need = "true or false" if kind is bool else "a text"
            raise ConfigError(f"{field.name} is {value!r}; it must be {need}")
        if not describe_bounds(field) or (value is None and "None" in str(field.type)):
            continue
        if not _is_within(value, field):
            raise ConfigError(f"{field.name} is {value!r}; it must be {describe_bounds(field)}")
