"""Finds the few seconds of a long take that look best, and cuts them as clips.

>>> import bestshot_trt as bt
>>> document = bt.run("take.mp4")  # doctest: +SKIP
>>> [(moment.rank, moment.peak_s) for moment in document.moments]  # doctest: +SKIP
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ._version import __version__
from .lazily import names_of as _names_of

if TYPE_CHECKING:
    from .analysis import analyze
    from .config import AnalyzeConfig, Config, ExportConfig, FramesConfig, PickConfig, Weights
    from .errors import (
        BackendUnavailable,
        BestshotError,
        ConfigError,
        DecodeError,
        EngineMismatch,
        ExportError,
        InputError,
        ModelUnavailable,
    )
    from .moments import Moment, MomentsDocument, Rejection
    from .pipeline import export, pick, run
    from .search import search
    from .stills import export_stills
    from .track import Track, read_track, write_track

__all__ = [
    "AnalyzeConfig",
    "BackendUnavailable",
    "BestshotError",
    "Config",
    "ConfigError",
    "DecodeError",
    "EngineMismatch",
    "ExportConfig",
    "ExportError",
    "FramesConfig",
    "InputError",
    "ModelUnavailable",
    "Moment",
    "MomentsDocument",
    "PickConfig",
    "Rejection",
    "Track",
    "Weights",
    "__version__",
    "analyze",
    "export",
    "export_stills",
    "pick",
    "read_track",
    "run",
    "search",
    "write_track",
]

# On first use, so that ``bestshot-trt --help`` does not wait for NumPy.
_HOMES = {
    "analysis": ("analyze",),
    "config": ("AnalyzeConfig", "Config", "ExportConfig", "FramesConfig", "PickConfig", "Weights"),
    "errors": (
        "BackendUnavailable",
        "BestshotError",
        "ConfigError",
        "DecodeError",
        "EngineMismatch",
        "ExportError",
        "InputError",
        "ModelUnavailable",
    ),
    "moments": ("Moment", "MomentsDocument", "Rejection"),
    "pipeline": ("export", "pick", "run"),
    "search": ("search",),
    "stills": ("export_stills",),
    "track": ("Track", "read_track", "write_track"),
}


class _Package(ModuleType):
    """Keeps ``export`` and ``search`` the calls: importing the modules of those names would put them in their place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in ("export", "search") and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


__getattr__ = _names_of(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
