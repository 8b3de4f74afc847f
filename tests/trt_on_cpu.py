"""TensorRT as the product calls it, computing on the CPU, on the streams of ``gpu_on_cpu.py``.

Addresses are real: what is bound is read and written through them. An engine is the ONNX graph that it was built of.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx
from gpu_on_cpu import Gpu, Graph, Stream

_MAGIC = b"engine on the CPU"
_ALIGNMENT = 256


class ILogger:
    ERROR, INTERNAL_ERROR, WARNING = 1, 0, 2


class IProgressMonitor:
    def __init__(self) -> None:
        pass


class TensorIOMode:
    INPUT, OUTPUT = "input", "output"


class DataType:
    UINT8, FLOAT, INT64 = "uint8", "float32", "int64"


class ExecutionContextAllocationStrategy:
    STATIC, USER_MANAGED = 0, 2


class CudaGraphStrategy:
    DISABLED, WHOLE_GRAPH_CAPTURE = 0, 1


class BuilderFlag:
    TF32 = "tf32"


class NetworkDefinitionCreationFlag:
    STRONGLY_TYPED = 0


class ITimingCache:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def serialize(self) -> bytes:
        return self.content + b"."


class IBuilderConfig:
    def __init__(self) -> None:
        self.progress_monitor: Any = None
        self.cache: ITimingCache | None = None

    def clear_flag(self, flag: str) -> None:
        assert flag == BuilderFlag.TF32

    def add_optimization_profile(self, profile: Any) -> int:
        self.profile = profile
        return 0

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
        return ITimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        if cache.content.startswith(b"foreign"):
            return False
        self.cache = cache
        return True

    def set_compute_capability(self, capability: Any, index: int) -> bool:
        return True


class IOptimizationProfile:
    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
        self.shapes = (min, opt, max)


class Builder:
    """Its engines are their graphs. ``during`` is called in the middle of a build."""

    during: Callable[[], None] | None = None
    built = 0

    def __init__(self, logger: ILogger) -> None:
        pass

    def create_network(self, flags: int = 0) -> Any:
        return SimpleNamespace(num_inputs=0, get_input=None, content=b"")

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig()

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(self, network: Any, config: IBuilderConfig) -> bytes | None:
        Builder.built += 1
        config.progress_monitor.phase_start("building", None, 3)
        for step in range(3):
            if Builder.during is not None:
                Builder.during()
            if not config.progress_monitor.step_complete("building", step):
                return None
        config.progress_monitor.phase_finish("building")
        most = config.profile.shapes[2][0].to_bytes(4, "little")
        return _MAGIC + most + network.content


class OnnxParser:
    def __init__(self, network: Any, logger: ILogger) -> None:
        self._network = network
        self.num_errors = 0

    def parse_from_file(self, path: str) -> bool:
        model = onnx.load(path)
        (value,) = model.graph.input
        dims = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in value.type.tensor_type.shape.dim]
        self._network.num_inputs = 1
        self._network.get_input = lambda _: SimpleNamespace(name=value.name, shape=tuple(dims))
        self._network.content = model.SerializeToString()
        return True


class IRuntimeCache:
    def __init__(self) -> None:
        self.content = b""

    def deserialize(self, blob: bytes) -> bool:
        self.content = blob
        return True

    def serialize(self) -> bytes:
        return self.content + b"kernels"


class IRuntimeConfig:
    def __init__(self) -> None:
        self.cuda_graph_strategy = CudaGraphStrategy.DISABLED

    def create_runtime_cache(self) -> IRuntimeCache:
        return IRuntimeCache()

    def set_runtime_cache(self, cache: IRuntimeCache) -> bool:
        return True


class IExecutionContext:
    """Strict about what must be set before it runs."""

    capturable = True

    def __init__(self, engine: ICudaEngine, how: Any) -> None:
        self._engine = engine
        self._needs_memory = how == ExecutionContextAllocationStrategy.USER_MANAGED
        self._memory: tuple[int, int] = (0, 0)
        self._rows = 0
        self._addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert name == self._engine.input.name
        self._rows = shape[0]
        return 1 <= shape[0] <= self._engine.most and tuple(shape[1:]) == self._engine.shapes[name][1:]

    def update_device_memory_size_for_shapes(self) -> int:
        assert self._rows, "shapes come first"
        return self._rows * 1000

    def set_device_memory(self, memory: int, size: int) -> None:
        assert memory % _ALIGNMENT == 0
        self._memory = (memory, size)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        assert memory % _ALIGNMENT == 0, f"{name} is not aligned"
        assert name in self._engine.shapes
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert self._rows, "no shape was set"
        assert self._addresses.keys() == self._engine.shapes.keys(), "an address is missing"
        stream = Stream.known[stream_handle]
        if not self.capturable and stream.captured is not None:
            stream.captured.append(None)
            self._engine.logger.log(ILogger.ERROR, "not permitted when stream is capturing")
            return False
        if self._needs_memory:
            assert self._memory[1] >= self._rows * 1000, "not enough memory for activations"
        rows, addresses = self._rows, dict(self._addresses)
        stream.add(lambda: self._engine.run(rows, addresses))
        return True


class ICudaEngine:
    def __init__(self, content: bytes, logger: Any) -> None:
        self.logger = logger
        self.most = int.from_bytes(content[:4], "little")
        self._model = onnx.load_from_string(content[4:])
        self.input = self._model.graph.input[0]
        self.values = {value.name: value for value in [self.input, *self._model.graph.output]}
        self.shapes = {name: self._shape(value) for name, value in self.values.items()}
        self.num_io_tensors = len(self.values)

    def _shape(self, value: Any) -> tuple[int, ...]:
        return tuple(dim.dim_value or -1 for dim in value.type.tensor_type.shape.dim)

    def run(self, rows: int, addresses: dict[str, int]) -> None:
        frames = _at(addresses["frames"], (rows, *self.shapes["frames"][1:]), np.uint8)
        for value, found in zip(self._model.graph.output, Runtime.compute(self._model, frames), strict=True):
            _at(addresses[value.name], found.shape, np.float32)[...] = found

    def get_tensor_name(self, index: int) -> str:
        return list(self.values)[index]

    def get_tensor_mode(self, name: str) -> str:
        return TensorIOMode.INPUT if name == self.input.name else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> str:
        kind = self.values[name].type.tensor_type.elem_type
        return {2: DataType.UINT8, 1: DataType.FLOAT, 7: DataType.INT64}[kind]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.shapes[name]

    def create_runtime_config(self) -> IRuntimeConfig:
        return IRuntimeConfig()

    def create_execution_context(self, how: Any) -> IExecutionContext:
        return IExecutionContext(self, how)


def _at(address: int, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_uint8 * size).from_address(address), dtype).reshape(shape)


def _in_onnxruntime(model: Any, frames: np.ndarray) -> list[np.ndarray]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    # ONNX Runtime crashes on fp16 graphs when it may fuse all it knows.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"frames": frames})


class Runtime:
    """``compute`` is how its engines compute."""

    compute: Callable[[Any, np.ndarray], list[np.ndarray]] = staticmethod(_in_onnxruntime)

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        if not serialized_engine.startswith(_MAGIC):
            self._logger.log(ILogger.ERROR, "Serialization assertion failed")
            return None
        return ICudaEngine(serialized_engine[len(_MAGIC) :], self._logger)


_COMMON = (
    *(ILogger, IProgressMonitor, TensorIOMode, DataType, ExecutionContextAllocationStrategy, BuilderFlag),
    *(NetworkDefinitionCreationFlag, Builder, OnnxParser, Runtime, IBuilderConfig, IOptimizationProfile),
    *(ICudaEngine, IExecutionContext, ITimingCache),
)
_OF_RTX = (CudaGraphStrategy, IRuntimeConfig, IRuntimeCache)


def tensorrt(name: str = "tensorrt", version: str = "11.4.0") -> ModuleType:
    """A module to put in TensorRT's place, or in TensorRT-RTX's."""
    module: Any = ModuleType(name)
    module.__version__ = version
    for kind in (*_COMMON, *(_OF_RTX if name == "tensorrt_rtx" else ())):
        setattr(module, kind.__name__, kind)
    if name == "tensorrt_rtx":
        module.ComputeCapability = SimpleNamespace(SM89=89, SM86=86)
    return module


def install(monkeypatch: Any, name: str = "tensorrt") -> ModuleType:
    """Put both in place for one test, on a machine with one card of compute capability 8.9 that runs no kernels."""
    made = install_tensorrt(monkeypatch, name)
    monkeypatch.setitem(sys.modules, "cupy", Gpu())
    return made


def install_tensorrt(monkeypatch: Any, name: str = "tensorrt") -> ModuleType:
    """Put TensorRT in place for one test, and leave CuPy as it is."""
    from bestshot_trt.embed import _target

    made = tensorrt(name)
    for builder in _target.BUILDERS:
        monkeypatch.setitem(sys.modules, builder, made if builder == name else None)
    monkeypatch.setattr(_target, "gpu_capability", lambda: 89)
    for owner, attribute, value in (
        (Builder, "during", None),
        (Builder, "built", 0),
        (Graph, "launches", 0),
        (Runtime, "compute", staticmethod(_in_onnxruntime)),
        (IExecutionContext, "capturable", True),
    ):
        monkeypatch.setattr(owner, attribute, value)
    return made
