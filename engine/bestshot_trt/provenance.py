"""Where results come from: the program, the take, the settings, the model, the backend and the machine."""

from __future__ import annotations

import dataclasses
import os
import platform
import sys
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ._version import __version__
from .config import Config, PickConfig, Weights
from .frames import DecodeReport, LostStretch, VideoInfo


@dataclass(frozen=True, kw_only=True)
class Program:
    """The program that wrote a file."""

    name: str
    version: str


PROGRAM = Program(name="bestshot-trt", version=__version__)


@dataclass(frozen=True, kw_only=True)
class Video:
    """The video track that was analysed, as in `frames.VideoInfo`."""

    codec: str
    width: int
    """Coded width in pixels, before rotation."""
    height: int
    rotation: int
    """Clockwise degrees to turn the decoded picture for display."""
    time_base: Fraction
    start_pts: int
    frame_rate: Fraction | None
    stream_index: int

    @classmethod
    def from_info(cls, info: VideoInfo) -> Video:
        """The part of ``info`` that is written down."""
        return cls(**{field.name: getattr(info, field.name) for field in dataclasses.fields(cls)})


@dataclass(frozen=True, kw_only=True)
class Source:
    """The file that was analysed; ``duration_s`` is the end of its last frame in media time."""

    path: str
    fingerprint: str
    size_bytes: int
    duration_s: float
    video: Video


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting of the run, by the names in `config`."""

    analyze: dict[str, Any]
    pick: dict[str, Any]
    export: dict[str, Any]

    @classmethod
    def from_config(cls, config: Config) -> Settings:
        """All settings of ``config`` as JSON has them: a pair is a list."""
        return cls(analyze=plain(config.analyze), pick=plain(config.pick), export=plain(config.export))

    def pick_config(self) -> PickConfig:
        """The settings that the moments were picked with.

        Raises:
            ConfigError: they were edited by hand, and one is out of its bounds.
        """
        known = {field.name for field in dataclasses.fields(PickConfig)}
        values = {name: value for name, value in self.pick.items() if name in known}
        for name in ("prompt", "avoid", "clip_length"):
            if isinstance(values.get(name), list):
                values[name] = tuple(values[name])
        weights = values.pop("weights", {})
        known = {field.name for field in dataclasses.fields(Weights)}
        return PickConfig(**values, weights=Weights(**{name: weights[name] for name in known & set(weights)}))


def plain(config: Any) -> dict[str, Any]:
    """One settings dataclass as nested dicts of JSON's own types."""

    def listed(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {key: list(value) if isinstance(value, tuple) else value for key, value in pairs}

    return dataclasses.asdict(config, dict_factory=listed)


@dataclass(frozen=True, kw_only=True)
class Backend:
    """What decoded and measured, and why it was not the first choice (None when it was)."""

    name: str
    fallback_reason: str | None


@dataclass(frozen=True, kw_only=True)
class ClipModel:
    """The CLIP model that made the embeddings and the aesthetic score."""

    name: str
    pretrained: str
    width: int
    precision: str
    framing: str
    head: str
    digest: str
    """Names the weights of its image tower: embeddings of equal digests can be compared."""
    folder: str
    """Where it was found."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where it ran; ``versions`` are those of the libraries that make the numbers."""

    python: str
    platform: str
    cpu_count: int
    versions: dict[str, str]

    @classmethod
    def here(cls) -> Machine:
        """This machine, with the libraries that an analysis has loaded by then anyway."""
        import av
        import cv2
        import numpy

        libraries = {"numpy": numpy, "av": av, "opencv": cv2}
        if "onnxruntime" in sys.modules:
            libraries["onnxruntime"] = sys.modules["onnxruntime"]
        return cls(
            python=platform.python_version(),
            platform=platform.platform(),
            cpu_count=os.cpu_count() or 1,
            versions={name: str(library.__version__) for name, library in libraries.items()},
        )


@dataclass(frozen=True, kw_only=True)
class Decode:
    """What could not be decoded, and what was done another way than usual."""

    lost: tuple[LostStretch, ...]
    notes: tuple[str, ...]

    @classmethod
    def from_report(cls, report: DecodeReport) -> Decode:
        """The part of ``report`` that is written down."""
        return cls(lost=tuple(report.lost), notes=tuple(report.notes))
