"""Fixtures shared by all tests: where real footage is, and clips made on the spot."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, settings

# Machines are shared: how long an example took, or took to be drawn, says nothing. Fixtures may be shared by examples.
settings.register_profile(
    "search",
    deadline=None,
    derandomize=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
# The same examples in every run: a change is refused for what it does, not for what was drawn on that day.
settings.register_profile("fixed", settings.get_profile("search"), derandomize=True)
settings.load_profile("fixed")

TESTS = Path(__file__).resolve().parent
REPOSITORY = TESTS.parent


def media_root() -> Path:
    """The folder of real footage: BESTSHOT_MEDIA, or ``shared/media`` beside the checkout."""
    return Path(os.environ.get("BESTSHOT_MEDIA") or REPOSITORY.parent / "shared" / "media")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes ``recording`` runs on every real video, by its folder and name."""
    if "recording" in metafunc.fixturenames:
        root = media_root()
        files = sorted(path for kind in ("fixtures", "hostile") for path in root.glob(f"{kind}/*.*"))
        missing = pytest.param(root, marks=pytest.mark.skip(f"no real footage at {root}; set BESTSHOT_MEDIA"))
        metafunc.parametrize("recording", files or [missing], ids=lambda path: path.name)


@pytest.fixture(scope="session", autouse=True)
def no_models(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test sees this user's models or speeds, and none asks the hub for a model."""
    os.environ["BESTSHOT_MODELS"] = str(tmp_path_factory.mktemp("no-models"))
    os.environ["BESTSHOT_ENGINES"] = str(tmp_path_factory.mktemp("no-engines"))
    os.environ["BESTSHOT_SPEEDS"] = str(tmp_path_factory.mktemp("no-speeds") / "speeds.jsonl")
    os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder of real footage, or a skip that says where it was looked for."""
    root = media_root()
    if not root.is_dir():
        pytest.skip(f"no real footage at {root}; set BESTSHOT_MEDIA to run this test")
    return root


@pytest.fixture(scope="session")
def clips() -> ModuleType:
    """``clips.py`` beside this file: makes clips, and tells what a full decode gives of a file."""
    return helper("clips")


def helper(name: str) -> ModuleType:
    """The module ``name.py`` beside this file; tests are not a package, so it is not simply imported."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, TESTS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Runs ``bestshot-trt`` in this process, as ``cli("run", take)``; gives the exit code, stdout and stderr.

    Stderr has no lines of progress, however slow this machine is.
    """
    from bestshot_trt.cli import exits, progress

    monkeypatch.setattr(exits, "_on_stop", lambda handler: None)
    monkeypatch.setattr(progress, "SILENT_S", math.inf)

    def call(*arguments: Any) -> Ended:
        monkeypatch.setattr(sys, "argv", ["bestshot-trt", *map(str, arguments)])
        capfd.readouterr()
        code = exits.run_app()
        return Ended(code, *capfd.readouterr())

    return call


@pytest.fixture(scope="session")
def zoo() -> ModuleType:
    """``model_zoo.py`` beside this file: makes models on the spot."""
    return helper("model_zoo")


@pytest.fixture(scope="session")
def hub_server() -> ModuleType:
    """``hub_server.py`` beside this file: a hub of models on this machine."""
    return helper("hub_server")


@pytest.fixture
def trt_on_cpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """``trt_on_cpu.py`` beside this file, in the place of CuPy and TensorRT, with an engine cache of its own."""
    monkeypatch.setenv("BESTSHOT_ENGINES", str(tmp_path / "engines"))
    module = helper("trt_on_cpu")
    module.install(monkeypatch)
    return module


@pytest.fixture(scope="session")
def made() -> ModuleType:
    """``tracks.py`` beside this file: makes score tracks."""
    return helper("tracks")


@pytest.fixture(scope="session")
def tiny_model(zoo: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model folder that embeds colours and knows a few letters, whole and quick; the `ModelFolder`."""
    return zoo.tiny_model_folder(tmp_path_factory.mktemp("tiny-model") / "tiny")


@pytest.fixture(scope="session")
def clip(clips: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Makes clips: ``clip(options of ffmpeg, suffix, size=..., rate=..., seconds=...)`` gives a path."""
    return clips.ClipMaker(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="session")
def footage(clip: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three short takes, ``take0.mp4`` and on, to be left as it is."""
    folder = tmp_path_factory.mktemp("footage")
    for number in range(3):
        made = clip("-c:v libx264 -preset ultrafast -g 25", size=f"{96 + 32 * number}x64", seconds=3)
        shutil.copy(made, folder / f"take{number}.mp4")
    return folder


@pytest.fixture(scope="session")
def shim_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where kernels are built for the CPU."""
    return tmp_path_factory.mktemp("gpu-on-cpu")


@pytest.fixture
def gpu_on_cpu(shim_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module ``cupy`` of ``gpu_on_cpu.py``: a GPU that is not there; skips without g++."""
    from bestshot_kernels import _compile

    if shutil.which(os.environ.get("CXX", "g++")) is None:
        pytest.skip("no g++: kernels cannot be run on the CPU")
    gpu = helper("gpu_on_cpu").Gpu(shim_folder)
    monkeypatch.setitem(sys.modules, "cupy", gpu)
    caches = (_compile._compiled, _compile._kernel, _compile._multiprocessors)
    for each in caches:
        each.cache_clear()
    yield gpu
    for each in caches:
        each.cache_clear()


@pytest.fixture
def card(gpu_on_cpu: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The imaginary card, found by the product, with DALI decoding on the CPU; skips without DALI."""
    pytest.importorskip("nvidia.dali", reason="DALI is not installed: pip install nvidia-dali-cuda120")
    helper("gpu_on_cpu").install_backend(monkeypatch)
    return gpu_on_cpu


@pytest.fixture
def trt_beside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Puts TensorRT's stand-in beside the card's, by the name of its module, with an engine cache of its own."""
    monkeypatch.setenv("BESTSHOT_ENGINES", str(tmp_path / "engines"))
    return lambda name: helper("trt_on_cpu").install_tensorrt(monkeypatch, name)


@pytest.fixture(scope="session")
def fake_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stand-in for the libraries of NVIDIA's driver, compiled; ``FAKE_CARDS`` names the cards it shows."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    library = tmp_path_factory.mktemp("driver") / "fake.so"
    source = TESTS / "engine" / "fake_driver.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", source, "-o", library], check=True)
    return library


DRIVER = {"cuda": "libcuda.so.1", "nvcuvid": "libnvcuvid.so.1", "nvml": "libnvidia-ml.so.1"}


@pytest.fixture
def cards(fake_driver: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes this a machine with cards: ``cards("L4,H100", libraries of the driver or all, FAKE_HANG="1", ...)``."""

    def make(names: str, *libraries: str, **environment: str) -> None:
        for name in libraries or DRIVER:
            # One file under several names, so that it is loaded once: NVDEC's library sees CUDA's current context.
            (tmp_path / DRIVER[name]).unlink(missing_ok=True)
            (tmp_path / DRIVER[name]).symlink_to(fake_driver)
        monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
        monkeypatch.setenv("FAKE_CARDS", names)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

    return make


@pytest.fixture
def disk() -> Any:
    """A disk of its own: ``with disk(folder, "1M") as folder``; skips where this user may not mount one."""

    @contextlib.contextmanager
    def mounted(folder: Path, size: str) -> Iterator[Path]:
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
        if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("this user may not mount a small disk")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", folder], check=True)

    return mounted
