"""Which of the packages that a GPU run stands on are here, whether they fit the driver, and the pip line if not.

Packages are read from their metadata, never imported: an import of one of them may take seconds, or a CUDA context.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from importlib import metadata

from ..cards import Card, Survey
from ..packages import OLDEST_DRIVER, PACKAGES, Package, cuda_for, gpu_extra, obstacle_to, tensorrt_extra
from ._check import Check

_ORT_CUDA_13 = (1, 27)
"""onnxruntime-gpu is built for CUDA 13 since this version."""


def library_checks(found: Survey) -> Iterator[Check]:
    """Every package, then NVML and ONNX Runtime."""
    for package in PACKAGES:
        yield _package(package, found)
    yield _nvml(found)
    yield _onnx_runtime(found)


def _package(package: Package, found: Survey) -> Check:
    here = {name: version for name in package.builds if (version := _version(name))}
    value = ", ".join(f"{name} {version}" for name, version in here.items())
    pip = package.pip(cuda_for(found))
    if not here:
        return _absent(package, found, pip)
    if len(here) > 1:
        spare = [name for name in here if package.builds[name] != cuda_for(found)]
        return Check(package.name, False, f"{value}: two builds of one module", f"pip uninstall {spare[0]}, then {pip}")
    (major,) = (package.builds[name] for name in here)
    if obstacle := obstacle_to(major, found):
        return Check(package.name, False, f"{value}: {obstacle}", _remedy(major, here, pip, found))
    if useless := _useless(package.name, found.usable):
        return Check(package.name, False, f"{value}: {useless}", tensorrt_extra(cuda_for(found)))
    return Check(package.name, True, value)


def _absent(package: Package, found: Survey, pip: str) -> Check:
    if package.plain and (version := _version(package.plain)):
        return Check(package.name, True, f"{package.plain} {version}, for a CUDA that its package does not tell")
    if package.name == "NVRTC" and (library := _system_nvrtc()):
        return Check(package.name, True, f"{library} loads")
    if spare := "there is no GPU to use" if not found.usable else _useless(package.name, found.usable):
        return Check(package.name, False, "not installed", f"not needed: {spare}")
    return Check(package.name, False, "not installed", pip)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _system_nvrtc() -> str | None:
    """The NVRTC of an installed CUDA toolkit that the loader finds."""
    for major in sorted(OLDEST_DRIVER, reverse=True):
        try:
            ctypes.CDLL(f"libnvrtc.so.{major}")
            return f"libnvrtc.so.{major}"
        except OSError:
            continue
    return None


def _remedy(major: int, here: dict[str, str], pip: str, found: Survey) -> str:
    other = f"pip uninstall {' '.join(here)}, then {pip}"
    if found.cuda and found.cuda[0] < min(OLDEST_DRIVER):
        return f"update the NVIDIA driver to {OLDEST_DRIVER[major]} or later"
    if found.cuda and found.cuda[0] < major:
        return f"{other}; or update the NVIDIA driver to {OLDEST_DRIVER[major]} or later"
    return other


def _useless(name: str, cards: tuple[Card, ...]) -> str | None:
    """Why a library is of no use to these cards."""
    capabilities = [card.capability for card in cards if card.capability]
    if name == "TensorRT-RTX" and capabilities and all(each in ((9, 0), (10, 0), (10, 3)) for each in capabilities):
        return f"TensorRT-RTX builds nothing for {cards[0].name}, TensorRT does"
    return None


def _nvml(found: Survey) -> Check:
    version = _version("nvidia-ml-py")
    hint = gpu_extra(cuda_for(found)) if found.usable else "not needed: there is no GPU to use"
    return Check(
        "NVML", bool(version), f"nvidia-ml-py {version}" if version else "not installed", "" if version else hint
    )


def _onnx_runtime(found: Survey) -> Check:
    plain, gpu = _version("onnxruntime"), _version("onnxruntime-gpu")
    value = ", ".join(f"{name} {v}" for name, v in (("onnxruntime", plain), ("onnxruntime-gpu", gpu)) if v)
    if plain and gpu:
        hint = f"pip uninstall onnxruntime onnxruntime-gpu, then {_onnx_pip(found)}"
        return Check("ONNX Runtime", False, f"{value}: both write one folder, so CUDA may be missing from it", hint)
    if not value:
        return Check("ONNX Runtime", False, "not installed", 'pip install "onnxruntime>=1.20,<2"')
    if gpu and (obstacle := obstacle_to(_onnx_cuda(gpu), found)):
        return Check(
            "ONNX Runtime", False, f"{value}: {obstacle}", f"pip uninstall onnxruntime-gpu, then {_onnx_pip(found)}"
        )
    swap = f"for CLIP on the GPU without TensorRT: pip uninstall onnxruntime, then {_onnx_pip(found)}"
    hint = swap if found.usable and not gpu else ""
    return Check("ONNX Runtime", True, f"{value} ({'CUDA and CPU' if gpu else 'CPU only'})", hint)


def _onnx_cuda(version: str) -> int:
    numbers = re.match(r"(\d+)\.(\d+)", version)
    return 13 if numbers and (int(numbers[1]), int(numbers[2])) >= _ORT_CUDA_13 else 12


def _onnx_pip(found: Survey) -> str:
    if not found.usable:
        return 'pip install "onnxruntime>=1.20,<2"'
    return f'pip install "onnxruntime-gpu[cuda,cudnn]{"<1.27" if cuda_for(found) == 12 else ">=1.27"}"'
