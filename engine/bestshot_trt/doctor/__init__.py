"""What this machine can do, proven where it can be, and what to install for more. Nothing here uses a network."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from .._version import __version__
from ..cards import Survey, survey
from ..cores import usable_cores
from ..errors import ConfigError, ExportError
from ._cards import card_checks
from ._check import Check
from ._libraries import library_checks

__all__ = ["REQUIRED", "Check", "inspect", "is_healthy"]

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

_UNTRIED = "not tried: the NVIDIA driver does not answer"
_GPU_NEEDS = ("gpu", "NVDEC", "DALI", "CuPy", "NVRTC")
_SCARCE_BYTES = 2 << 30
_OTHER_CODEC = "not needed for H.264 clips: for this --codec, name an ffmpeg that has it in IMAGEIO_FFMPEG_EXE"
_NO_NVENC = "not needed: clips are encoded on the CPU; for --encoder nvenc, an NVIDIA GPU with its driver"
_GET_FFMPEG = "pip install --force-reinstall imageio-ffmpeg, or name an ffmpeg in IMAGEIO_FFMPEG_EXE"
_GET_PYAV = 'pip install --force-reinstall "av>=15,<19"'
_RUN_S = 20


def inspect() -> list[Check]:
    """Look at this machine. Takes a few seconds, since encoders are proven by encoding.

    What is missing or broken is a check that is not ok, never an exception.
    """
    found = survey()
    gpu = [*card_checks(found), *library_checks(found)]
    return [
        *(*_computer(), *_ffmpeg(), *_pyav(), *_encoders(found)),
        *(_backend_gpu(gpu, found), *gpu, _engines(found)),
        *(*_model(), *_folder()),
    ]


def is_healthy(checks: list[Check], required: Sequence[str] = ()) -> bool:
    """Whether everything in `REQUIRED`, and in ``required``, was checked and works.

    Raises:
        ConfigError: there is no check of a name in ``required``.
    """
    if unknown := set(required) - {check.name for check in checks}:
        names = ", ".join(check.name for check in checks if check.ok is not None)
        raise ConfigError(f"--require {min(unknown)!r}: no such check; there are {names}")
    working = {check.name for check in checks if check.ok}
    return working.issuperset((*REQUIRED, *required))


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
        from ..export._ffmpeg import find_ffmpeg

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


def _encoders(found: Survey) -> Iterator[Check]:
    try:
        from ..export import prove_encoder
    except ImportError as error:
        yield Check("encoder libx264", False, str(error), "pip install --force-reinstall bestshot-trt")
        return
    # A driver that does not answer would hold up its encoders too.
    tried = [name for name in ENCODERS if found.has_answered or not name.endswith("_nvenc")]
    with ThreadPoolExecutor(max_workers=len(tried)) as pool:
        reasons = dict(zip(tried, pool.map(prove_encoder, tried), strict=True))
    for name in ENCODERS:
        reason = reasons.get(name, _UNTRIED)
        hint = _GET_FFMPEG if name == "libx264" else _NO_NVENC if name.endswith("_nvenc") else _OTHER_CODEC
        yield Check(f"encoder {name}", reason is None, reason or "works: encoded a few frames", hint if reason else "")


def _backend_gpu(checks: list[Check], found: Survey) -> Check:
    """Whether ``--backend gpu`` has what it needs, by the checks of its parts."""
    missing = ", ".join(check.name for check in checks if check.name in _GPU_NEEDS and not check.ok)
    if not missing:
        return Check("backend gpu", True, "everything it needs is here")
    hint = f"see {missing}" if found.usable else "not needed: the CPU does everything"
    return Check("backend gpu", False, f"cannot be used: {missing}", hint)


def _engines(found: Survey) -> Check:
    """The cache of TensorRT engines, and how many of them are for a card of this machine."""
    from ..embed.engines import engines_folder

    folder = engines_folder()
    try:
        files = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    except OSError as error:
        value = f"{folder} cannot be read: {error.strerror or error}"
        return Check("engines", False, value, "name another folder in BESTSHOT_ENGINES")
    engines = [path.name for path in files if path.suffix == ".engine"]
    number = "1 engine" if len(engines) == 1 else f"{len(engines) or 'no'} engines"
    kinds = {f".sm_{card.capability[0]}{card.capability[1]}." for card in found.usable if card.capability}
    mine = sum(any(kind in name for kind in kinds) for name in engines)
    fitting = f" ({mine} for a GPU of this machine)" if engines and kinds else ""
    return Check("engines", None, f"{number}{fitting}, {sum(files.values()) / 2**20:.0f} MiB in {folder}")


def _model() -> Iterator[Check]:
    from ..embed.model_folder import installed, models_folder
    from ..embed.models import CPU_DEFAULT

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
