"""From the options of a command to its settings: what was not given is left to files, presets and defaults."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..config import Config


def settings(preset: str | None, file: Path | None, **sections: dict[str, Any]) -> Config:
    """All settings, merged; ``sections`` hold the options by section, None or empty where not given.

    Raises:
        ConfigError: as `settings.load`.
    """
    from ..settings import load

    given = {
        section: {key: value for key, value in values.items() if value not in (None, [])}
        for section, values in sections.items()
    }
    return load(preset=preset, file=file, options=given)


def analysis(
    fps: float | None,
    score_height: int | None,
    model: str | None,
    precision: str | None,
    framing: str | None,
    backend: str | None,
) -> dict[str, Any]:
    """The options of ``[analyze]`` by their names."""
    return dict(locals())


def pick(
    prompt: list[str] | None,
    avoid: list[str] | None,
    weights: str | None,
    normalize: str | None,
    window: float | None,
    min_gap: float | None,
    top: int | None,
    diversity: float | None,
    pre: float | None,
    post: float | None,
    clip_length: str | None,
) -> dict[str, Any]:
    """The options of ``[pick]`` by their names."""
    return dict(locals())


def export(
    encoder: str | None,
    codec: str | None,
    quality: int | None,
    effort: str | None,
    container: str | None,
    height: int | None,
    fps: float | None,
    jobs: int | None,
    sdr: bool | None,
    stabilize: str | None,
    color: str | None,
    copy: bool | None,
    reel: bool | None,
    reel_order: str | None,
    crossfade: float | None,
    audio: bool | None,
    cut_lists: bool | None,
    timecode: str | None,
) -> dict[str, Any]:
    """The options of ``[export]`` by their names."""
    return dict(locals())
