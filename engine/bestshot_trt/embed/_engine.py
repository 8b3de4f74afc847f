"""TensorRT engines of the graphs in a model folder, with ``tensorrt`` or ``tensorrt_rtx``, whichever is installed."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import records
from ..errors import BackendUnavailable, ConfigError, ModelUnavailable, shown
from ..files import check_regular, whole_file, write_text
from ..progress import Progress, silent
from ..provenance import PROGRAM, Program
from ._parity import Parity
from ._target import Target, find_target
from .model_folder import WEIGHTS_SUFFIX, file_card

SCHEMA = "bestshot-trt/engine"
VERSION = 2


@dataclass(frozen=True)
class Batches:
    """How many pictures or texts an engine takes at once."""

    least: int = 1
    best: int = 64
    """It is tuned for this many."""
    most: int = 64

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.best <= self.most:
            raise ConfigError(f"batches {self.least}, {self.best} and {self.most} must rise, from 1 or more")


@dataclass(frozen=True, kw_only=True)
class EngineCard:
    """What an engine was built from and for; beside it, as ``<engine>.json``, written last."""

    builder: str
    """Module that built it, of `_target.BUILDERS`."""
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
    parity: Parity | None
    """How close it came to the fp32 graph on real frames; None: not compared yet, so its numbers are not used."""
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


def build_engine(
    onnx: Path,
    engine: Path,
    *,
    target: Target | None = None,
    batches: Batches | None = None,
    timings: Path | None = None,
    progress: Progress = silent,
) -> EngineCard:
    """Compile ``onnx``, a graph of a model folder, to ``engine``; file and card are written whole or not at all.

    Precision is what the graph's own types say. An engine runs with the version that built it, on the architecture
    that it was built for. Ctrl-C ends the build at its next step.

    Args:
        onnx: a graph with one input, whose first dimension is dynamic.
        engine: where to; its card goes beside it.
        target: this machine's GPU when None, as `find_target` finds it.
        batches: the defaults of `Batches` when None.
        timings: TensorRT's timing cache, read if it is there and written again; TensorRT-RTX has none.
        progress: told the steps of TensorRT's outermost phase.

    Raises:
        BackendUnavailable: TensorRT is missing or does not start.
        ModelUnavailable: the graph is missing, or TensorRT cannot compile it.
        ExportError: the engine cannot be written.
    """
    batches = batches or Batches()
    target = target or find_target()
    if not onnx.is_file():
        raise ModelUnavailable(f"{shown(onnx)}: no such graph; export or pull the model first")
    serialised = _Build(target, onnx, _Monitoring(progress, f"build {onnx.stem}")).run(batches, timings)
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
        parity=None,
        created_by=PROGRAM,
    )
    return write_engine_card(engine, card)


def write_engine_card(engine: Path, card: EngineCard) -> EngineCard:
    """Write ``card`` beside ``engine``, whole or not at all.

    Raises:
        ExportError: it cannot be written.
    """
    write_text(card_path(engine), records.dumps(card, SCHEMA, VERSION))
    return card


class _Build:
    """One graph on its way through TensorRT."""

    def __init__(self, target: Target, onnx: Path, monitoring: _Monitoring) -> None:
        self._target = target
        self._monitoring = monitoring
        self._trt = target.trt
        self._onnx = onnx
        self._complaints: list[str] = []
        self._logger = quiet_logger(self._trt, self._complaints)

    def run(self, batches: Batches, timings: Path | None) -> bytes:
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
        monitor = config.progress_monitor = self._monitoring.monitor(self._trt)
        cache = self._timing_cache(config, timings)
        serialised = self._monitoring.interruptible(lambda: builder.build_serialized_network(network, config))
        del monitor
        if serialised is None:
            raise self._failed("TensorRT cannot build an engine of it", self._complaints)
        if cache is not None and timings is not None:
            with whole_file(timings) as temporary:
                temporary.write_bytes(bytes(cache.serialize()))
        return bytes(serialised)

    def _timing_cache(self, config: Any, timings: Path | None) -> Any:
        # TensorRT-RTX times nothing when it builds; given a cache it would only ask for a GPU.
        if timings is None or self._target.is_rtx:
            return None
        known = b""
        with contextlib.suppress(OSError):
            known = timings.read_bytes()
        # A cache of another version or card is refused, and a new one begun.
        for content in (known, b""):
            cache = config.create_timing_cache(content)
            if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
                return cache
        return None

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


def quiet_logger(trt: Any, complaints: list[str]) -> Any:
    """A logger that prints nothing and keeps what went wrong."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                complaints.append(message)

    return Logger()


class _Monitoring:
    """Tells how far a build is, and ends it early on Ctrl-C: TensorRT itself does not listen to signals."""

    def __init__(self, progress: Progress, stage: str) -> None:
        self._progress = progress
        self._stage = stage
        self._stopped = threading.Event()
        self._steps = 0

    def interruptible(self, build: Callable[[], Any]) -> Any:
        """What ``build`` gives, on a thread of its own, so that a signal reaches this one meanwhile."""
        with ThreadPoolExecutor(1, thread_name_prefix="tensorrt") as pool:
            building = None
            # A signal may come as soon as the build has begun, before there is anything to wait for.
            try:
                building = pool.submit(build)
                return building.result()
            except BaseException:
                self._stopped.set()
                # Python must not end while TensorRT still calls back, however often it is asked to.
                while building is not None and not building.done():
                    with contextlib.suppress(KeyboardInterrupt):
                        wait([building])
                raise

    def start(self, parent: str | None, steps: int) -> None:
        """A phase begins; the outermost is the one that is shown."""
        if parent is None:
            self._steps = steps
            self._progress(self._stage, 0, steps, "steps")

    def step(self, phase: str, number: int, outermost: str | None) -> bool:
        """A step has ended; whether to go on."""
        if phase == outermost:
            self._progress(self._stage, number + 1, self._steps, "steps")
        return not self._stopped.is_set()

    def monitor(self, trt: Any) -> Any:
        """Of TensorRT's own kind."""
        monitoring = self

        class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
            def __init__(self) -> None:
                trt.IProgressMonitor.__init__(self)
                self._outermost: str | None = None

            def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
                if parent_phase is None:
                    self._outermost = phase_name
                monitoring.start(parent_phase, num_steps)

            def step_complete(self, phase_name: str, step: int) -> bool:
                return monitoring.step(phase_name, step, self._outermost)

            def phase_finish(self, phase_name: str) -> None:
                pass

        return Monitor()
