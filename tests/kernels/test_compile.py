"""Every kernel compiles for every card that is supported, without a card; and what is missing is said."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import bestshot_kernels
from bestshot_kernels import _compile

SOURCES = sorted(Path(bestshot_kernels.__file__).parent.rglob("*.cu"))
ARCHITECTURES = ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"]
NEEDS = "pip install -r tests/requirements-gpu.txt"


def nvrtc(code: str, architecture: str) -> bytes:
    """Machine code of ``code``."""
    try:
        from cuda import core
    except ImportError as error:  # Also where cuda-core is here and its bindings are not.
        pytest.skip(f"no cuda-core ({error}): {NEEDS}")
    options = core.ProgramOptions(std="c++17", arch=architecture)
    try:
        program = core.Program(code, "c++", options)
    except Exception as error:  # cuda.pathfinder and the bindings each have their own.
        if "nvrtc" not in f"{type(error).__name__} {error}".lower():
            raise
        pytest.skip(f"no NVRTC: {NEEDS}")
    return program.compile("cubin").code


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_every_kernel_compiles_for_every_architecture(path, architecture):
    assert nvrtc(path.read_text(encoding="utf-8"), architecture).startswith(b"\x7fELF")


def test_a_source_is_found_by_its_name():
    for path in SOURCES:
        assert path.parent.name == path.stem
        assert _compile.source(path.stem) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["no_such_kernel", "../frame_stats", "cli", ""])
def test_an_unknown_kernel_is_refused_by_name(name):
    with pytest.raises(ValueError, match="no kernel named"):
        _compile.source(name)


class FakeCupy:
    """Stands in for CuPy: has two devices, notes what is compiled and launched."""

    def __init__(self):
        self.device = 0
        self.compiled = []
        self.launched = []
        runtime = SimpleNamespace(getDevice=lambda: self.device, cudaDevAttrMultiProcessorCount=16)
        runtime.deviceGetAttribute = lambda attribute, device: {16: 100 + device}[attribute]
        self.cuda = SimpleNamespace(runtime=runtime)

    def RawModule(self, **options):  # noqa: N802
        self.compiled.append((self.device, options))
        return SimpleNamespace(get_function=lambda name: lambda *launch: self.launched.append((name, *launch)))


@pytest.fixture
def fake_cupy(monkeypatch):
    fake = FakeCupy()
    monkeypatch.setitem(sys.modules, "cupy", fake)
    monkeypatch.setattr(_compile, "source", lambda op: f"// {op}")
    caches = (_compile._compiled, _compile._kernel, _compile._multiprocessors)
    for each in caches:
        each.cache_clear()
    yield fake
    for each in caches:
        each.cache_clear()


def test_a_module_is_compiled_once_per_device(fake_cupy):
    first = _compile.module("frame_stats")
    assert _compile.module("frame_stats") is first
    fake_cupy.device = 1
    assert _compile.module("frame_stats") is not first
    assert _compile.module("clip_resize") is not first
    assert [device for device, _ in fake_cupy.compiled] == [0, 1, 1]
    assert all(options["options"] == ("-std=c++17",) for _, options in fake_cupy.compiled)


def test_whole_numbers_are_passed_as_c_ints_to_the_current_device(fake_cupy):
    runner = _compile.CupyRunner("frame_stats")
    runner.launch("totals", (3,), (256,), "array", 7)
    name, grid, block, arguments = fake_cupy.launched[0]
    assert (name, grid, block, arguments) == ("totals", (3,), (256,), ("array", 7))
    assert isinstance(arguments[1], np.int32)
    assert runner.multiprocessors == 100
    fake_cupy.device = 1
    runner.launch("totals", (3,), (256,))
    assert runner.multiprocessors == 101
    assert [device for device, _ in fake_cupy.compiled] == [0, 1]


@pytest.fixture
def no_cupy(monkeypatch):
    def refuse(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(_compile.importlib, "import_module", refuse)


def test_without_cupy_the_error_says_what_to_install(no_cupy):
    with pytest.raises(ModuleNotFoundError, match=r'CuPy.*pip install "bestshot-trt\[gpu\]"'):
        _compile.module("frame_stats")


def test_a_picture_in_host_memory_is_refused():
    with pytest.raises(ValueError, match="pixels is ndarray, not on a GPU"):
        _compile.device_pictures(np.zeros((1, 4, 4, 3), np.uint8), np.uint8, "pixels")
