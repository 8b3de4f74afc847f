"""Every setting: its default, its unit and its bounds live here, once.

The CLI, the TOML files and the Python API all read these classes; nothing else holds a default.
Symbols in brackets are those of the pipeline document.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from .errors import ConfigError


def _setting(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    choices: tuple[str, ...] | None = None,
    unit: str = "",
) -> Any:
    """A dataclass field that knows its help text and bounds (``above`` excludes the bound itself)."""
    meta = {"help": help, "low": low, "high": high, "above": above, "choices": choices, "unit": unit}
    return field(default=default, metadata=meta)


def describe_bounds(setting: dataclasses.Field[Any]) -> str:
    """The allowed values of one setting in words, such as ``above 0, at most 60 Hz``."""
    meta = setting.metadata
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


def _is_within(value: Any, setting: dataclasses.Field[Any]) -> bool:
    meta = setting.metadata
    if meta.get("choices"):
        return value in meta["choices"]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    if not math.isfinite(value):
        return False
    if "int" in str(setting.type) and not isinstance(value, int):
        return False
    above, low, high = meta.get("above"), meta.get("low"), meta.get("high")
    return (
        (above is None or value > above) and (low is None or value >= low) and (high is None or value <= high)
    )


def _check(config: Any) -> None:
    """Raise `ConfigError` for the first bounded field whose value is out of bounds."""
    for setting in dataclasses.fields(config):
        if not setting.metadata or not describe_bounds(setting):
            continue
        value = getattr(config, setting.name)
        if value is None and "None" in str(setting.type):
            continue
        if not _is_within(value, setting):
            raise ConfigError(f"{setting.name} is {value!r}; it must be {describe_bounds(setting)}")


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights of the score ``S = w_a A + w_s Sh - w_e E + w_c C``."""

    aesthetic: float = _setting(1.0, "weight of the aesthetic [w_a]", low=-100, high=100)
    sharpness: float = _setting(0.5, "weight of the sharpness [w_s]", low=-100, high=100)
    exposure: float = _setting(0.5, "weight of the exposure penalty, subtracted [w_e]", low=-100, high=100)
    prompt: float | None = _setting(
        None, "weight of the prompt similarity [w_c]; unset: 0.5 with a prompt, else 0", low=-100, high=100
    )

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, kw_only=True)
class AnalyzeConfig:
    """What `analyze` does: the expensive half. Changing any of these means decoding again."""

    fps: float = _setting(
        3.0, "samples per second of media time; 2 to 5 is usual", above=0, high=60, unit="Hz"
    )
    score_height: int = _setting(
        720, "short side of the picture that is measured, never scaled up", low=16, high=4320, unit="pixels"
    )
    model: str = "auto"
    backend: str = _setting("auto", "where to decode and measure", choices=("auto", "cpu", "gpu"))

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, kw_only=True)
class PickConfig:
    """What `pick` does: the cheap half. Nothing here needs the footage again."""

    weights: Weights = field(default_factory=Weights)
    normalize: str = _setting(
        "track",
        "map each measure to [0, 1] over the take, or keep raw values",
        choices=("track", "none"),
    )
    window: float = _setting(2.0, "half width of the smoothing window [W]", low=0, high=3600, unit="s")
    min_gap: float = _setting(5.0, "least time between two peaks [Delta]", low=0, high=86400, unit="s")
    top: int = _setting(5, "how many moments to keep [K]", low=1, high=1000)
    pre: float = _setting(1.0, "clip length before the peak [L_pre]", low=0, high=3600, unit="s")
    post: float = _setting(2.0, "clip length after the peak [L_post]", low=0, high=3600, unit="s")
    clip_length: tuple[float, float] | None = None
    """(shortest, longest) seconds: grow each clip around its peak instead of using ``pre`` and ``post``."""
    diversity: float = _setting(
        0.12, "least cosine distance between two kept moments [tau]; 0 keeps near duplicates", low=0, high=2
    )

    def __post_init__(self) -> None:
        _check(self)
        if self.clip_length is None:
            if self.pre + self.post <= 0:
                raise ConfigError("pre and post are both 0; a clip needs a length above 0 s")
            return
        shortest, longest = self.clip_length
        if not 0 < shortest <= longest <= 7200:
            raise ConfigError(
                f"clip_length is {shortest:g}:{longest:g}; it must be MIN:MAX seconds, 0 < MIN <= MAX <= 7200"
            )


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What `export` writes."""

    crf: int = _setting(18, "x264 constant rate factor; lower is better and larger", low=0, high=51)
    x264_preset: str = _setting(
        "veryfast",
        "x264 speed preset",
        choices=(
            "ultrafast",
            "superfast",
            "veryfast",
            "faster",
            "fast",
            "medium",
            "slow",
            "slower",
            "veryslow",
        ),
    )
    audio: bool = True

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings of one run."""

    analyze: AnalyzeConfig = field(default_factory=AnalyzeConfig)
    pick: PickConfig = field(default_factory=PickConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
