"""TensorRT engines of the graphs in a model folder, with ``tensorrt`` or ``tensorrt_rtx``, whichever is installed."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import records
from ..errors import BackendUnavailable, ConfigError, ModelUnavailable, shown
from ..files import check_regular, whole_file, write_text
from ..moments import PROGRAM, Program
from .models import WEIGHTS_SUFFIX, file_card

SCHEMA = "bestshot-trt/engine"
VERSION = 1
BUILDERS = ("tensorrt", "tensorrt_rtx")
"""Modules that build engines, in the order in which they are looked for."""

_PIP = "pip install tensorrt-cu12 (data centre GPUs) or tensorrt-rtx-cu12 (RTX, L4, L40S)"
_MAJOR, _MINOR = 75, 76
"""Numbers of two attributes of a device in CUDA's driver API: its compute capability."""


@dataclass(frozen=True)
class Batches:
    """How many pictures or texts an engine takes at once."""

    least: int = 1
    best: int = 32
    """It is tuned for this many."""
    most: int = 64

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.best <= self.most:
            raise ConfigError(f"batches {self.least}, {self.best} and {self.most} must rise, from 1 or more")


@dataclass(frozen=True, kw_only=True)
class EngineCard:
    """What an engine was built from and for; beside it, as ``<engine>.json``, written last."""

    builder: str
    """Module that built it, of `BUILDERS`."""
    builder_version: str
    architecture: str
    """Of the GPU, as ``sm_89``."""
    onnx_sha256: str
    """Of the graph it was built from."""
    weights_sha256: str | None
    """Of the file with that graph's weights, where they are not in the graph."""
    engine_sha256: str
    least: int
    """Of the batches, as in `Batches`."""
    best: int
    most: int
    created_by: Program


def card_path(engine: Path) -> Path:
    """Where the card of ``engine`` lies."""
    return engine.with_name(engine.name + ".json")


def read_engine_card(engine: Path) -> EngineCard:
    """The card of ``engine``.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    path = card_path(engine)
    check_regular(path)
    return records.loads(EngineCard, path.read_bytes(), SCHEMA, VERSION, shown(path))


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
            "TensorRT builds an engine only on the GPU it is for; build it there, or use tensorrt-rtx-cu12"
        )
    if is_rtx and not hasattr(trt.ComputeCapability, f"SM{wanted}"):
        known = [name for name in dir(trt.ComputeCapability) if name.startswith("SM")]
        raise BackendUnavailable(f"{trt.__name__} {trt.__version__} cannot build for sm_{wanted}, only {_list(known)}")
    return Target(trt, wanted, elsewhere=wanted != here)


def build_engine(
    onnx: Path, engine: Path, *, target: Target | None = None, batches: Batches | None = None
) -> EngineCard:
    """Compile ``onnx``, a graph of a model folder, to ``engine``; file and card are written whole or not at all.

    Precision is what the graph's own types say. An engine runs with the version that built it, on the architecture
    that it was built for.

    Args:
        onnx: a graph with one input, whose first dimension is dynamic.
        engine: where to; its card goes beside it.
        target: this machine's GPU when None, as `find_target` finds it.
        batches: the defaults of `Batches` when None.

    Raises:
        BackendUnavailable: TensorRT is missing or does not start.
        ModelUnavailable: the graph is missing, or TensorRT cannot compile it.
        ExportError: the engine cannot be written.
    """
    batches = batches or Batches()
    target = target or find_target()
    if not onnx.is_file():
        raise ModelUnavailable(f"{shown(onnx)}: no such graph; export or pull the model first")
    serialised = _Build(target, onnx).run(batches)
    with whole_file(engine) as temporary:
        temporary.write_bytes(serialised)
    weights = onnx.with_name(onnx.name + WEIGHTS_SUFFIX)
    card = EngineCard(
        builder=target.trt.__name__,
        builder_version=target.trt.__version__,
        architecture=target.architecture,
        onnx_sha256=file_card(onnx).sha256,
        weights_sha256=file_card(weights).sha256 if weights.is_file() else None,
        engine_sha256=hashlib.sha256(serialised).hexdigest(),
        least=batches.least,
        best=batches.best,
        most=batches.most,
        created_by=PROGRAM,
    )
    write_text(card_path(engine), records.dumps(card, SCHEMA, VERSION))
    return card


def _module(builder: str | None) -> Any:
    if builder is not None and builder not in BUILDERS:
        raise ConfigError(f"builder {builder!r}; it must be one of {', '.join(BUILDERS)}")
    for name in (builder,) if builder else BUILDERS:
        with contextlib.suppress(ImportError, OSError):
            module = importlib.import_module(name)
            # A folder of that name without a package in it imports too.
            if hasattr(module, "Builder"):
                return module
    raise BackendUnavailable(f"{builder or 'TensorRT'} is not installed, or its libraries do not load; {_PIP}")


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


class _Build:
    """One graph on its way through TensorRT."""

    def __init__(self, target: Target, onnx: Path) -> None:
        self._target = target
        self._trt = target.trt
        self._onnx = onnx
        self._complaints: list[str] = []
        self._logger = _logger(self._trt, self._complaints)

    def run(self, batches: Batches) -> bytes:
        builder = self._builder()
        network = builder.create_network(self._flags())
        self._parse(network)
        config = builder.create_builder_config()
        # Or products in fp32 would be rounded to 10 bits first.
        config.clear_flag(self._trt.BuilderFlag.TF32)
        config.add_optimization_profile(self._profile(builder, network, batches))
        if self._target.elsewhere:
            config.num_compute_capabilities = 1
            config.set_compute_capability(getattr(self._trt.ComputeCapability, f"SM{self._target.number}"), 0)
        serialised = builder.build_serialized_network(network, config)
        if serialised is None:
            raise self._failed("TensorRT cannot build an engine of it", self._complaints)
        return bytes(serialised)

    def _builder(self) -> Any:
        try:
            return self._trt.Builder(self._logger)
        except TypeError as error:  # so the bindings report a builder that could not be made
            reason = _one_line([*self._complaints, str(error)][0])
            raise BackendUnavailable(f"TensorRT does not start: {reason}; check the driver with nvidia-smi") from error

    def _flags(self) -> int:
        # From TensorRT 11 on all networks are strongly typed, and the flag is gone or does nothing.
        flag = getattr(self._trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
        return 0 if flag is None else 1 << int(flag)

    def _parse(self, network: Any) -> None:
        # Kept on the object: the network refers to weights that the parser owns.
        self._parser = self._trt.OnnxParser(network, self._logger)
        if not self._parser.parse_from_file(str(self._onnx)):
            found = [self._parser.get_error(i) for i in range(self._parser.num_errors)]
            raise self._failed("TensorRT cannot read it", [_described(error) for error in found])
        if network.num_inputs != 1 or network.get_input(0).shape[0] != -1:
            raise self._failed("it is not a graph with one input of any batch", [])

    def _profile(self, builder: Any, network: Any, batches: Batches) -> Any:
        profile = builder.create_optimization_profile()
        value = network.get_input(0)
        rest = tuple(value.shape)[1:]
        profile.set_shape(value.name, *((n, *rest) for n in (batches.least, batches.best, batches.most)))
        return profile

    def _failed(self, what: str, details: list[str]) -> ModelUnavailable:
        reason = ": ".join([what, *(_one_line(text) for text in details[:1])])
        return ModelUnavailable(f"{shown(self._onnx)}: {reason}; export or pull the model again")


def _one_line(text: str) -> str:
    return shown(" ".join(text.split()))


def _described(error: Any) -> str:
    return f"{error.desc()} (node {error.node()} {error.node_name()}, {error.node_operator()})"


def _logger(trt: Any, complaints: list[str]) -> Any:
    """A logger that prints nothing and keeps what went wrong."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                complaints.append(message)

    return Logger()
