"""Decoded samples to upright 8-bit SDR R'G'B' on the GPU, in one pass: every pixel is read once.

SDR is in 16-bit fixed point and equals ``ycbcr.to_rgb`` bit for bit. HDR is in float32 and within one code value of
the reference, as the CPU path is. Turning moves pixels and changes none.

Not yet run on a GPU; its text is compiled for all architectures and run on the CPU in the tests.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .._compile import CupyRunner, Runner, device_pictures
from . import curves, ycbcr

_BLOCK = (32, 8)
_TILE = 32
_BLOCKS_PER_MULTIPROCESSOR = 16
_TRANSFERS = ("sdr", "pq", "hlg")
_ROTATIONS = (0, 90, 180, 270)


def _hdr(signal: npt.NDArray[np.float64], peak_nits: float) -> npt.NDArray[np.float32]:
    """The struct Hdr of the kernel."""
    top = float(curves.nits_to_pq(peak_nits))
    target = float(curves.nits_to_pq(curves.WHITE_NITS)) / top
    tail = [peak_nits, top, target, 1.5 * target - 0.5, curves.hlg_gamma(peak_nits) - 1, curves.WHITE_NITS]
    blocks = [signal.ravel(), curves.TO_BT709.ravel(), curves.LUMINANCE_2020, np.array(tail)]
    return np.concatenate(blocks).astype(np.float32)


def _queue(pixels: Any, kernel: str, rotation: int, arguments: tuple[Any, ...], runner: Runner) -> Any:
    count, height, width, _ = pixels.shape
    sides = (width, height) if rotation % 180 else (height, width)
    out = runner.empty((count, *sides, 3), np.uint8)
    tiles = count * -(-height // _TILE) * -(-width // _TILE)
    grid = (min(tiles, runner.multiprocessors * _BLOCKS_PER_MULTIPROCESSOR),)
    if count:
        runner.launch(kernel, grid, _BLOCK, pixels, count, height, width, rotation // 90, *arguments, out)
    return out


def queue_rgb(
    codes: Any, matrix: str, full_range: bool, rotation: int, transfer: str, peak_nits: float, runner: Runner
) -> Any:
    """`to_rgb` of contiguous pictures on the runner's device."""
    if transfer == "sdr":
        weights = runner.upload(ycbcr.fixed_weights(matrix, full_range))
        return _queue(codes, "convert_sdr", rotation, (weights,), runner)
    hdr = runner.upload(_hdr(ycbcr.to_signal(matrix, full_range), peak_nits))
    return _queue(codes, "convert_hdr_8", rotation, (int(transfer == "hlg"), hdr), runner)


def queue_recode(rgb: Any, was: ycbcr.Made, should_be: ycbcr.Made, rotation: int, runner: Runner) -> Any:
    """`recode` of contiguous pictures on the runner's device."""
    weights = runner.upload(ycbcr.recode_weights(was, should_be))
    return _queue(rgb, "convert_sdr", rotation, (weights,), runner)


def queue_tone_map(rgb16: Any, transfer: str, peak_nits: float, rotation: int, runner: Runner) -> Any:
    """`tone_map` of contiguous pictures on the runner's device."""
    hdr = runner.upload(_hdr(np.hstack([np.eye(3) / 65535, np.zeros((3, 1))]), peak_nits))
    return _queue(rgb16, "convert_hdr_16", rotation, (int(transfer == "hlg"), hdr), runner)


def _check(transfer: str, transfers: tuple[str, ...], peak_nits: float, rotation: int) -> None:
    if transfer not in transfers:
        raise ValueError(f"transfer is {transfer!r}; it must be one of {', '.join(transfers)}")
    if not curves.LEAST_PEAK_NITS <= peak_nits <= curves.PQ_MAX_NITS:
        bounds = f"{curves.LEAST_PEAK_NITS:g} to {curves.PQ_MAX_NITS:g}"
        raise ValueError(f"peak_nits is {peak_nits!r}; it must be {bounds}")
    if rotation not in _ROTATIONS:
        raise ValueError(f"rotation is {rotation!r}; it must be one of {', '.join(map(str, _ROTATIONS))}")


def to_rgb(
    codes: Any,
    matrix: str,
    full_range: bool,
    *,
    rotation: int = 0,
    transfer: str = "sdr",
    peak_nits: float = 1000.0,
) -> Any:
    """Decoded 8-bit samples as upright R'G'B' pictures; does not wait for the device.

    Args:
        codes: uint8 Y'CbCr, chroma at full resolution, of shape (n, h, w, 3) on the current device: a CuPy array, or
            any object with ``__cuda_array_interface__``. It may be reused once the stream has passed.
        matrix: ``bt601``, ``bt709`` or ``bt2020``, or ``rgb`` where the samples are R'G'B'.
        full_range: whether the samples span 0 to 255; else 16 to 235, and chroma 16 to 240.
        rotation: by how many degrees to turn clockwise: 0, 90, 180 or 270.
        transfer: ``sdr``; or ``pq`` or ``hlg`` of BT.2020, to be shown as the wrapper ``tone_map`` does.
        peak_nits: brightest light of an HDR source, 400 to 10000 nits.

    Returns:
        A CuPy array, uint8 (n, h, w, 3), or (n, w, h, 3) when turned aside, ready once CuPy's current stream has
        passed.

    Raises:
        ValueError: ``codes`` has another type, rank or no pixels, or is not on a GPU; a setting out of its bounds.
        ModuleNotFoundError: CuPy is not installed.
    """
    _check(transfer, _TRANSFERS, peak_nits, rotation)
    ycbcr.to_signal(matrix, full_range)
    pictures = device_pictures(codes, np.uint8, "codes")
    return queue_rgb(pictures, matrix, full_range, rotation, transfer, peak_nits, CupyRunner("convert"))


def recode(rgb: Any, was: ycbcr.Made, should_be: ycbcr.Made, *, rotation: int = 0) -> Any:
    """R'G'B' pictures that were made of codes in one way, upright and as another would have made them.

    What DALI hands out was made with BT.601, whatever the stream says. Does not wait for the device.

    Args:
        rgb: uint8 R'G'B' of shape (n, h, w, 3), as the samples of `to_rgb`.
        was: how it was made.
        should_be: how it should have been.
        rotation: as for `to_rgb`.

    Returns:
        As `to_rgb`; ``rgb`` itself where there is nothing to do.

    Raises:
        ValueError: as `to_rgb`.
        ModuleNotFoundError: CuPy is not installed.
    """
    _check("sdr", _TRANSFERS, curves.LEAST_PEAK_NITS, rotation)
    ycbcr.recode_weights(was, should_be)
    pictures = device_pictures(rgb, np.uint8, "rgb")
    if was == should_be and not rotation:
        return pictures
    return queue_recode(pictures, was, should_be, rotation, CupyRunner("convert"))


def tone_map(rgb16: Any, transfer: str, *, peak_nits: float = 1000.0, rotation: int = 0) -> Any:
    """Render uint16 HDR pictures as the wrapper of the same name does, and turn them; does not wait for the device.

    Takes and raises what the wrapper does, but for a CuPy array, or any object with ``__cuda_array_interface__``;
    returns a CuPy array, ready once CuPy's current stream has passed. ``rotation`` is as for `to_rgb`.
    """
    _check(transfer, _TRANSFERS[1:], peak_nits, rotation)
    pictures = device_pictures(rgb16, np.uint16, "rgb16")
    return queue_tone_map(pictures, transfer, peak_nits, rotation, CupyRunner("convert"))
