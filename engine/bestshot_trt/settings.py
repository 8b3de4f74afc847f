"""Where settings come from: an option, else a config file, else a preset, else the default.

``clip_length`` and ``pre``/``post`` are two ways to say how long a clip is; the more specific source
that speaks of either decides, so ``--pre 1`` puts a preset's ``clip_length`` out of use and the other way round.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from .config import AnalyzeConfig, Config, ExportConfig, FramesConfig, PickConfig, Weights
from .errors import ConfigError, InputError, shown
from .files import check_regular

Layer = Mapping[str, Any]

_SECTIONS: dict[str, Any] = {
    "analyze": AnalyzeConfig,
    "pick": PickConfig,
    "export": ExportConfig,
    "frames": FramesConfig,
}


def preset_names() -> list[str]:
    """The presets that come with the package."""
    folder = resources.files(__package__) / "presets"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load(*, preset: str | None = None, file: Path | None = None, options: Layer | None = None) -> Config:
    """All settings, merged; ``options`` has the shape of a config file, with only what was given.

    Raises:
        ConfigError: an unknown preset or key, a value out of bounds, or an unreadable file. The message
            names where the value comes from.
    """
    config = Config()
    if preset is not None:
        config = apply(config, _preset(preset), f"preset {preset}")
    if file is not None:
        config = apply(config, _file(file), shown(file))
    return apply(config, options or {}, "")


def _preset(name: str) -> Layer:
    if name not in preset_names():
        raise ConfigError(f"preset {name!r} is not known; it must be one of {', '.join(preset_names())}")
    return tomllib.loads((resources.files(__package__) / "presets" / f"{name}.toml").read_text("utf-8"))


def _file(path: Path) -> Layer:
    try:
        check_regular(path)
        return tomllib.loads(path.read_text("utf-8-sig"))
    except InputError as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        raise ConfigError(f"{shown(path)}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{shown(path)}: is not valid TOML: {error}") from error


def apply(config: Config, layer: Layer, origin: str) -> Config:
    """``config`` with the values of ``layer``; ``origin`` begins every error message.

    Raises:
        ConfigError: a key is unknown, or a value is of the wrong type or out of bounds.
    """
    try:
        changed = {name: _section(getattr(config, name), values, name) for name, values in _checked(layer)}
        return dataclasses.replace(config, **changed)
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}" if origin else str(error)) from error


def _checked(layer: Layer) -> list[tuple[str, Layer]]:
    for name, values in layer.items():
        if name not in _SECTIONS:
            raise ConfigError(f"section [{shown(name)}] is not known; it must be one of {', '.join(_SECTIONS)}")
        if not isinstance(values, Mapping):
            raise ConfigError(f"{name} must be a section, [{name}]")
    return list(layer.items())


def _section(current: Any, values: Layer, name: str) -> Any:
    known = {field.name for field in dataclasses.fields(current)}
    changes = _clip_shape(values)
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"{name}.{shown(key)} is not known; it must be one of {', '.join(sorted(known))}")
        changes[key] = _value(current, key, value)
    return dataclasses.replace(current, **changes)


def _clip_shape(values: Layer) -> dict[str, Any]:
    """Drop an earlier ``clip_length`` where this layer speaks of ``pre`` or ``post``."""
    if "pre" not in values and "post" not in values:
        return {}
    if "clip_length" in values:
        raise ConfigError("clip_length and pre or post are two ways to say how long a clip is; give one of them")
    return {"clip_length": None}


def _value(current: Any, key: str, value: Any) -> Any:
    if key == "weights":
        return _weights(current.weights, value)
    if key == "clip_length" and value is not None:
        return parse_clip_length(value)
    if key in ("prompt", "avoid"):
        return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value
    default = getattr(current, key)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        # A whole number too large for a float stays as it is, and fails its bounds.
        with contextlib.suppress(OverflowError):
            return float(value)
    return value


def _weights(current: Weights, value: Any) -> Weights:
    values = parse_weights(value) if isinstance(value, str) else value
    if not isinstance(values, Mapping):
        raise ConfigError(f"weights are {value!r}; write NAME=NUMBER,..., as aesthetic=1,sharpness=0.5")
    known = {field.name for field in dataclasses.fields(Weights)}
    for key in values:
        if key not in known:
            raise ConfigError(f"weight {key!r} is not known; it must be one of {', '.join(sorted(known))}")
    try:
        return dataclasses.replace(current, **values)
    except ConfigError as error:
        raise ConfigError(f"weight {error}") from error


def parse_weights(text: str) -> dict[str, float]:
    """``"aesthetic=1,sharpness=0.5"`` as a dict.

    Raises:
        ConfigError: it is not of that form.
    """
    weights = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = part.partition("=")
        try:
            weights[key.strip()] = float(value)
        except ValueError:
            raise ConfigError(f"weight {part!r} is not NAME=NUMBER, as in sharpness=0.5") from None
    return weights


def parse_clip_length(value: Any) -> tuple[float, float]:
    """``"3:7"`` or ``[3, 7]`` as (shortest, longest) seconds.

    Raises:
        ConfigError: it is not of that form.
    """
    parts = value.split(":") if isinstance(value, str) else value
    try:
        shortest, longest = (float(part) for part in parts)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"clip_length is {value!r}; it must be MIN:MAX in seconds, as 3:7") from None
    return shortest, longest
