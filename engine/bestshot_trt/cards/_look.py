"""Asks NVIDIA's driver what this machine has, and prints it as one JSON object.

Run as a script in a process of its own, by `survey`: a driver that hangs or crashes takes only that process along. It
imports nothing of this package, so that it can be run by its path.

NVML (through nvidia-ml-py, where that is installed) knows every card, its driver and its MIG instances; the CUDA driver
knows which of them this process may use, in CUDA's own order; NVDEC's library knows what a card decodes. Cards are
matched by UUID, since indices of NVML and CUDA differ. Layouts are those of NVIDIA's cuda.h and cuviddec.h (Video
Codec SDK 11 to 13).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

LIBRARIES = {
    "cuda": "libcuda.so.1",
    "nvcuvid": "libnvcuvid.so.1",
    "nvenc": "libnvidia-encode.so.1",
    "nvml": "libnvidia-ml.so.1",
}

CODECS = {"h264": 4, "hevc": 8, "vp9": 10, "av1": 11, "vp8": 9, "mpeg2": 1, "mpeg4": 2, "vc1": 3}
"""Names of libavcodec, numbers of cudaVideoCodec."""
CHROMAS = {"4:2:0": 1, "4:2:2": 2, "4:4:4": 3}
DEPTHS = (8, 10, 12)

_MAJOR, _MINOR = 75, 76
"""Numbers of CUdevice_attribute."""
_VERSION = Path("/proc/driver/nvidia/version")


class DecoderCaps(ctypes.Structure):
    """CUVIDDECODECAPS: the first three are asked about, what follows is answered."""

    _fields_ = (
        ("codec", ctypes.c_int),
        ("chroma", ctypes.c_int),
        ("bits_minus_8", ctypes.c_uint),
        ("reserved1", ctypes.c_uint * 3),
        ("is_supported", ctypes.c_ubyte),
        ("engines", ctypes.c_ubyte),
        ("output_formats", ctypes.c_ushort),
        ("max_width", ctypes.c_uint),
        ("max_height", ctypes.c_uint),
        ("max_macroblocks", ctypes.c_uint),
        ("min_width", ctypes.c_ushort),
        ("min_height", ctypes.c_ushort),
        ("has_histogram", ctypes.c_ubyte),
        ("counter_bits", ctypes.c_ubyte),
        ("histogram_bins", ctypes.c_ushort),
        ("reserved3", ctypes.c_uint * 10),
    )


class DriverError(Exception):
    """A call of the CUDA driver or of NVDEC's library that did not succeed."""


def main() -> None:
    """Look, and print."""
    print(json.dumps(look()))


def look() -> dict[str, Any]:
    """What there is, in plain values; nothing that is missing or broken raises."""
    libraries = {name: _load(file) for name, file in LIBRARIES.items()}
    found: dict[str, Any] = {
        "driver": _kernel_module(),
        "cuda": None,
        "cards": [],
        "faults": [],
        "libraries": {name: library is not None for name, library in libraries.items()},
    }
    _ask_nvml(found)
    if libraries["cuda"] is not None:
        _ask_cuda(libraries["cuda"], libraries["nvcuvid"], found)
    return found


def _load(file: str) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(file)
    except OSError:
        return None


def _kernel_module() -> str | None:
    """Version of the loaded kernel module; it is there where the libraries may not be."""
    with contextlib.suppress(OSError):
        if found := re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)", _VERSION.read_text(encoding="utf-8")):
            return found[1]
    return None


def _ask_nvml(found: dict[str, Any]) -> None:
    try:
        import pynvml as nvml
    except ImportError:
        return
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        if found["libraries"]["nvml"]:
            found["faults"].append(f"NVML: {error}")
        return
    try:
        found["driver"] = _text(nvml.nvmlSystemGetDriverVersion())
        for index in range(nvml.nvmlDeviceGetCount()):
            found["cards"].append(_nvml_card(nvml, nvml.nvmlDeviceGetHandleByIndex(index)))
    except nvml.NVMLError as error:
        found["faults"].append(f"NVML: {error}")
    finally:
        with contextlib.suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def _nvml_card(nvml: Any, handle: Any) -> dict[str, Any]:
    def ask(call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(handle, *arguments)
        except nvml.NVMLError:
            return None

    mode = ask(nvml.nvmlDeviceGetMigMode)
    memory = ask(nvml.nvmlDeviceGetMemoryInfo)
    capability = ask(nvml.nvmlDeviceGetCudaComputeCapability)
    return {
        "name": _text(nvml.nvmlDeviceGetName(handle)),
        "uuid": _text(nvml.nvmlDeviceGetUUID(handle)),
        "ordinal": None,
        "capability": list(capability) if capability else None,
        "memory": memory.total if memory else None,
        "is_mig": bool(mode and mode[0]),
        "slices": list(_slices(nvml, handle)) if mode and mode[0] else [],
        "encodes": _encodes(nvml, ask),
        "decodes": None,
        "decode_fault": None,
    }


def _slices(nvml: Any, handle: Any) -> Iterator[dict[str, Any]]:
    """The MIG instances of a card."""
    for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        with contextlib.suppress(nvml.NVMLError):
            instance = nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
            attributes = nvml.nvmlDeviceGetAttributes_v2(instance)
            yield {
                "name": _text(nvml.nvmlDeviceGetName(instance)),
                "uuid": _text(nvml.nvmlDeviceGetUUID(instance)),
                "memory": attributes.memorySizeMB << 20,
                "engines": attributes.sharedDecoderCount,
            }


def _encodes(nvml: Any, ask: Callable[..., Any]) -> list[str] | None:
    """Codecs with a capacity to encode; none on cards without NVENC, for which NVML answers "not supported"."""
    kinds = {"h264": "NVML_ENCODER_QUERY_H264", "hevc": "NVML_ENCODER_QUERY_HEVC", "av1": "NVML_ENCODER_QUERY_AV1"}
    queries = {name: getattr(nvml, constant) for name, constant in kinds.items() if hasattr(nvml, constant)}
    return [name for name, query in queries.items() if ask(nvml.nvmlDeviceGetEncoderCapacity, query) is not None]


def _text(value: str | bytes) -> str:
    """What NVML calls return: bytes up to nvidia-ml-py 11, text since."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _ask_cuda(cuda: ctypes.CDLL, nvcuvid: ctypes.CDLL | None, found: dict[str, Any]) -> None:
    driver = Cuda(cuda)
    try:
        driver("cuInit", 0)
        found["cuda"] = divmod(driver.number("cuDriverGetVersion") // 10, 100)
        decodes: dict[Any, Any] = {}
        for ordinal in range(driver.number("cuDeviceGetCount")):
            device = driver.number("cuDeviceGet", ordinal)
            card = _matching(found["cards"], driver, device)
            card["ordinal"] = ordinal
            if nvcuvid is not None:
                # A context takes a while; cards of one kind decode the same.
                kind = card["name"], card["is_mig"]
                if kind not in decodes:
                    decodes[kind] = _decodes(driver, device, nvcuvid)
                card["decodes"], card["decode_fault"] = decodes[kind]
    except DriverError as error:
        found["faults"].append(f"CUDA: {error}")
    except AttributeError as error:
        found["faults"].append(f"CUDA: the driver's library is too old: {error}")


class Cuda:
    """Calls of the CUDA driver, with their errors raised by name."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def __call__(self, function: str, *arguments: Any) -> None:
        """Call ``function``.

        Raises:
            DriverError: it did not succeed.
        """
        code = getattr(self._library, function)(*arguments)
        if code:
            name = ctypes.c_char_p()
            self._library.cuGetErrorName(code, ctypes.byref(name))
            raise DriverError(f"{function}: {(name.value or b'').decode() or f'error {code}'}")

    def number(self, function: str, *arguments: Any) -> int:
        """The int that ``function`` writes to where its first argument points."""
        value = ctypes.c_int()
        self(function, ctypes.byref(value), *arguments)
        return value.value

    def has(self, function: str) -> bool:
        """Whether the driver is new enough for ``function``."""
        return hasattr(self._library, function)


def _matching(cards: list[dict[str, Any]], driver: Cuda, device: int) -> dict[str, Any]:
    """The card NVML knows as the same, or a new one in ``cards``; of a MIG instance, the card it is on."""
    raw = (ctypes.c_ubyte * 16)()
    driver("cuDeviceGetUuid_v2" if driver.has("cuDeviceGetUuid_v2") else "cuDeviceGetUuid", ctypes.byref(raw), device)
    identity = str(uuid.UUID(bytes=bytes(raw)))
    for card in cards:
        if card["uuid"] == f"GPU-{identity}":
            return card
        card["slices"].sort(key=lambda each: each["uuid"] != f"MIG-{identity}")
        if card["slices"] and card["slices"][0]["uuid"] == f"MIG-{identity}":
            return card
    name = ctypes.create_string_buffer(256)
    driver("cuDeviceGetName", name, len(name), device)
    memory = ctypes.c_size_t()
    driver("cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    cards.append(
        {
            "name": name.value.decode("utf-8", "replace"),
            "uuid": f"GPU-{identity}",
            "capability": [driver.number("cuDeviceGetAttribute", which, device) for which in (_MAJOR, _MINOR)],
            "memory": memory.value,
            "is_mig": " MIG " in name.value.decode("utf-8", "replace"),
            "slices": [],
            "encodes": None,
            "decodes": None,
            "decode_fault": None,
        }
    )
    return cards[-1]


def _decodes(driver: Cuda, device: int, nvcuvid: ctypes.CDLL) -> tuple[list[dict[str, Any]] | None, str | None]:
    """What NVDEC takes on this device, and why that cannot be asked."""
    context = ctypes.c_void_p()
    try:
        driver("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        try:
            driver("cuCtxSetCurrent", context)
            return list(_formats(nvcuvid)), None
        finally:
            driver("cuCtxSetCurrent", None)
            driver("cuDevicePrimaryCtxRelease_v2", device)
    except DriverError as error:
        return None, str(error)


def _formats(nvcuvid: ctypes.CDLL) -> Iterator[dict[str, Any]]:
    for codec, number in CODECS.items():
        for chroma, code in CHROMAS.items():
            for bits in DEPTHS:
                caps = DecoderCaps(codec=number, chroma=code, bits_minus_8=bits - 8)
                error = nvcuvid.cuvidGetDecoderCaps(ctypes.byref(caps))
                if error:
                    raise DriverError(f"cuvidGetDecoderCaps: error {error}")
                if caps.is_supported:
                    largest = [caps.max_width, caps.max_height]
                    yield {
                        "codec": codec,
                        "chroma": chroma,
                        "bits": bits,
                        "engines": caps.engines,
                        "largest": largest,
                    }


if __name__ == "__main__":
    main()
