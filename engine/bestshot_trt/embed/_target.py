"""What engines are built for and with: a GPU's architecture, and ``tensorrt`` or ``tensorrt_rtx``."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import sys
from dataclasses import dataclass
from typing import Any

from ..errors import BackendUnavailable, ConfigError

BUILDERS = ("tensorrt", "tensorrt_rtx")
"""Modules that build engines, in the order in which they are looked for."""

PIP = (
    'pip install "bestshot-trt[tensorrt]" --extra-index-url https://pypi.nvidia.com (data centre GPUs), or '
    'pip install "bestshot-trt[rtx]" (RTX, L4, L40S); bestshot-trt doctor says which fits the driver'
)
_MAJOR, _MINOR = 75, 76
"""Numbers of two attributes of a device in CUDA's driver API: its compute capability."""


@dataclass(frozen=True)
class Target:
    """A GPU to build for, and the module to build with."""

    trt: Any
    """The module, of `BUILDERS`."""
    number: int
    """Compute capability times ten."""
    elsewhere: bool
    """It is another GPU than this machine's first."""

    @property
    def architecture(self) -> str:
        """As ``sm_89``."""
        return f"sm_{self.number}"

    @property
    def is_rtx(self) -> bool:
        """Whether the module is TensorRT-RTX."""
        return str(self.trt.__name__) == "tensorrt_rtx"

    @property
    def name(self) -> str:
        """What an engine is tied to, for its file name: ``sm_89.tensorrt_rtx-1.7.1.116``."""
        return f"{self.architecture}.{self.trt.__name__}-{self.trt.__version__}"


def find_target(capability: str | None = None, builder: str | None = None) -> Target:
    """What to build engines for and with.

    Args:
        capability: of the GPU, as ``8.9``; this machine's when None. Only ``tensorrt_rtx`` builds for another GPU
            than is there, or without one.
        builder: one of `BUILDERS`; the first that is installed when None.

    Raises:
        BackendUnavailable: TensorRT is missing, or cannot build for that GPU here.
        ConfigError: a capability that is no number such as 8.9, or an unknown builder.
    """
    wanted = None if capability is None else _parsed(capability)
    trt = _module(builder)
    here = gpu_capability()
    wanted = wanted or here
    is_rtx = trt.__name__ == "tensorrt_rtx"
    if wanted is None and is_rtx:
        raise BackendUnavailable(
            "no NVIDIA GPU is here to build for; name one with --capability, such as 8.9 for an L4"
        )
    if wanted is None or (wanted != here and not is_rtx):
        raise BackendUnavailable(
            "TensorRT builds an engine only on the GPU it is for; build it there, or with TensorRT-RTX: "
            'pip install "bestshot-trt[rtx]"'
        )
    if is_rtx and not hasattr(trt.ComputeCapability, f"SM{wanted}"):
        known = [name for name in dir(trt.ComputeCapability) if name.startswith("SM")]
        raise BackendUnavailable(f"{trt.__name__} {trt.__version__} cannot build for sm_{wanted}, only {_list(known)}")
    return Target(trt, wanted, elsewhere=wanted != here)


def _module(builder: str | None) -> Any:
    if builder is not None and builder not in BUILDERS:
        raise ConfigError(f"builder {builder!r}; it must be one of {', '.join(BUILDERS)}")
    for name in (builder,) if builder else BUILDERS:
        with contextlib.suppress(ImportError, OSError):
            module = importlib.import_module(name)
            # A folder of that name without a package in it imports too.
            if hasattr(module, "Builder"):
                return module
    raise BackendUnavailable(f"{builder or 'TensorRT'} is not installed, or its libraries do not load; {PIP}")


def _list(names: list[str]) -> str:
    return ", ".join(f"sm_{number}" for number in sorted(int(name.removeprefix("SM")) for name in names))


def _parsed(capability: str) -> int:
    major, dot, minor = capability.partition(".")
    if not (dot and major.isdecimal() and minor.isdecimal() and len(minor) == 1):
        raise ConfigError(f"capability {capability!r}; it must be a number such as 8.9")
    return int(major + minor)


def gpu_capability() -> int | None:
    """Compute capability, times ten, of this machine's first NVIDIA GPU; None without one. Starts no context."""
    try:
        cuda = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    if cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0):
        return None
    cuda.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
    cuda.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device)
    return major.value * 10 + minor.value
