"""What this machine can do, proven where it can be, and what to install for more. Nothing here uses a network."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ._version import __version__
from .cores import usable_cores
from .errors import ExportError, shown

DECODERS = {
    "h264": ("h264",),
    "hevc": ("hevc",),
    "vp9": ("vp9", "libvpx-vp9"),
    # FFmpeg's own "av1" only drives hardware; pictures come from one of these.
    "av1": ("libdav1d", "libaom-av1", "libgav1"),
    "prores": ("prores",),
    "mjpeg": ("mjpeg",),
}
"""Codecs that footage comes in, and the libavcodec decoders that can read each."""

ENCODERS = ("libx264", "libx265", "libsvtav1", "h264_nvenc", "hevc_nvenc", "av1_nvenc")
REQUIRED = ("decoder h264", "encoder libx264", "folder")
"""The checks without which nothing works."""

_LIBRARIES = {"NVDEC": "libnvcuvid.so.1", "NVENC": "libnvidia-encode.so.1"}
_PACKAGES = {"CuPy": "cupy", "DALI": "nvidia.dali"}
_SCARCE_BYTES = 2 << 30
_UNUSED = "not needed: this version cuts clips with libx264 only"
_NO_GPU_PATH = "not needed: this version runs on the CPU only"
_GET_FFMPEG = "pip install --force-reinstall imageio-ffmpeg, or name an ffmpeg in IMAGEIO_FFMPEG_EXE"
_GET_PYAV = 'pip install --force-reinstall "av>=15,<19"'
_RUN_S = 20


@dataclass(frozen=True)
class Check:
    """One thing looked at; ``value`` and ``hint`` are one line each.

    ``ok`` is None for plain information, else whether it works. What does not work may well not be
    needed: `is_healthy` knows. ``hint`` says what to do, and is empty when there is nothing to do.
    """

    name: str
    ok: bool | None
    value: str
    hint: str = ""

    def __post_init__(self) -> None:
        for field in ("value", "hint"):
            object.__setattr__(self, field, shown(" ".join(str(getattr(self, field)).split())))


def inspect() -> list[Check]:
    """Look at this machine. Takes a few seconds, since encoders are proven by encoding.

    What is missing or broken is a check that is not ok, never an exception.
    """
    return [*_computer(), *_ffmpeg(), *_pyav(), *_encoders(), *_gpu(), *_model(), *_folder()]


def is_healthy(checks: list[Check]) -> bool:
    """Whether everything in `REQUIRED` was checked and works."""
    working = {check.name for check in checks if check.ok}
    return working.issuperset(REQUIRED)


def _computer() -> Iterator[Check]:
    yield Check("bestshot-trt", None, __version__)
    yield Check("python", None, f"{platform.python_version()} on {platform.platform()}")
    yield Check("cpu", None, f"{usable_cores() or 'unknown number of'} cores")
    yield Check("memory", None, _memory())


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return "unknown"
    return f"{total / 2**30:.1f} GiB"


def _output(command: list[str]) -> str | None:
    """What ``command`` prints, or None when it cannot be run or fails."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_RUN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def _ffmpeg() -> Iterator[Check]:
    try:
        from .export._ffmpeg import find_ffmpeg

        path = find_ffmpeg()
    except (ImportError, ExportError) as error:
        yield Check("ffmpeg", False, str(error), _GET_FFMPEG)
        return
    banner = _output([path, "-hide_banner", "-version"])
    if not banner:
        yield Check("ffmpeg", False, f"{path} cannot be run", _GET_FFMPEG)
        return
    version = banner.splitlines()[0].removeprefix("ffmpeg version ").split(" Copyright")[0]
    yield Check("ffmpeg", True, f"{version} ({path})")
    filters = _output([path, "-hide_banner", "-filters"]) or ""
    has_vidstab = "vidstabtransform" in filters
    hint = "not needed: this version does not stabilise; an ffmpeg that has it can be named in IMAGEIO_FFMPEG_EXE"
    yield Check("filter vid.stab", has_vidstab, "present" if has_vidstab else "missing", "" if has_vidstab else hint)


def _pyav() -> Iterator[Check]:
    try:
        import av
    except ImportError as error:
        yield Check("PyAV", False, f"cannot be imported: {error}", _GET_PYAV)
        yield from (Check(f"decoder {codec}", False, "missing: no PyAV", _GET_PYAV) for codec in DECODERS)
        return
    libavcodec = ".".join(str(part) for part in av.library_versions.get("libavcodec", ()))
    yield Check("PyAV", True, f"{av.__version__}, libavcodec {libavcodec}")
    for codec, names in DECODERS.items():
        found = _decoder(names)
        hint = "" if found else f"{_GET_PYAV}, or convert footage in this codec to H.264 first"
        yield Check(f"decoder {codec}", found is not None, found or "missing", hint)


def _decoder(names: tuple[str, ...]) -> str | None:
    """The long name of the first of these decoders that PyAV's libavcodec has."""
    import av

    for name in names:
        try:
            return av.codec.Codec(name, "r").long_name
        except av.codec.codec.UnknownCodecError:
            continue
    return None


def _encoders() -> Iterator[Check]:
    try:
        from .export import prove_encoder
    except ImportError as error:
        yield Check("encoder libx264", False, str(error), "pip install --force-reinstall bestshot-trt")
        return
    with ThreadPoolExecutor(max_workers=len(ENCODERS)) as pool:
        reasons = list(pool.map(prove_encoder, ENCODERS))
    for name, reason in zip(ENCODERS, reasons, strict=True):
        hint = _GET_FFMPEG if name == "libx264" else _UNUSED
        yield Check(f"encoder {name}", reason is None, reason or "works: encoded a few frames", hint if reason else "")


def _gpu() -> Iterator[Check]:
    yield Check("backend gpu", None, "not in this version: it decodes and measures on the CPU")
    yield _graphics_card()
    for name, library in _LIBRARIES.items():
        hint = f"{_NO_GPU_PATH}; it comes with the NVIDIA driver (containers: NVIDIA_DRIVER_CAPABILITIES=all)"
        loads = _loads(library)
        yield Check(name, loads, f"{library} {'loads' if loads else 'cannot be loaded'}", "" if loads else hint)
    for name, package in _PACKAGES.items():
        here = _is_installed(package)
        hint = f'{_NO_GPU_PATH}; a later one will use it: pip install "bestshot-trt[gpu]"'
        yield Check(name, here, "installed" if here else "not installed", "" if here else hint)


def _graphics_card() -> Check:
    """Names and driver by NVML, else by nvidia-smi."""
    cards = _cards_by_nvml() or _output(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"])
    if cards and cards.strip():
        return Check("gpu", True, "; ".join(cards.strip().splitlines()))
    hint = f"{_NO_GPU_PATH}; for a later one: an NVIDIA GPU with its driver, so that nvidia-smi lists it"
    return Check("gpu", False, "no NVIDIA GPU found", hint)


def _cards_by_nvml() -> str | None:
    """``name, driver`` of every GPU, one a line, or None when NVML is not installed or finds none."""
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
        try:
            handles = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
            driver = _text(nvml.nvmlSystemGetDriverVersion())
            return "\n".join(f"{_text(nvml.nvmlDeviceGetName(handle))}, driver {driver}" for handle in handles)
        finally:
            nvml.nvmlShutdown()
    except nvml.NVMLError:
        return None


def _text(value: str | bytes) -> str:
    """What NVML calls return: bytes up to nvidia-ml-py 11, text since."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _is_installed(package: str) -> bool:
    """Whether ``package`` can be found; it is not imported, though the package above it is."""
    try:
        return importlib.util.find_spec(package) is not None
    except ImportError:
        return False


def _model() -> Iterator[Check]:
    from .embed.models import CPU_DEFAULT, installed, models_folder

    found = installed()
    if found:
        names = ", ".join(f"{folder.card.name}/{folder.card.pretrained}" for folder in found)
        yield Check("models", True, f"{names} in {models_folder()}")
    else:
        value = f"no CLIP model in {models_folder()}; contrast and colour stand in for its aesthetics"
        yield Check("models", False, value, f"bestshot-trt models pull {CPU_DEFAULT}")


def _folder() -> Iterator[Check]:
    try:
        free = shutil.disk_usage(".").free
        with tempfile.TemporaryFile(dir="."):
            pass
    except OSError as error:
        value = f"the current folder takes no files: {error.strerror or error}"
        yield Check("folder", False, value, "work in a folder that you may write to, with space left")
        return
    hint = "free some space: clips need about as much as the footage they are cut from" if free < _SCARCE_BYTES else ""
    yield Check("folder", True, f"writable, {free / 2**30:.1f} GiB free", hint)
