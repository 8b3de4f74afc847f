"""One command, one table: what this machine's GPU gives, piece by piece.

    python bench/gpu_check.py [--video FILE ...] [--save]

A piece that cannot run says why and the others go on, so the script is useful on a machine with no GPU
at all: the driver and its codec libraries, the device's copy bandwidth, each kernel of the product against
its CPU reference and that bandwidth, and DALI decoding sampled frames from H.264 in memory with one to
eight streams at a time. The kernels are read from the checkout; nothing need be installed but NumPy and
CuPy. ``--video`` names files DALI is to decode (H.264 or HEVC in MP4 on a GPU; with ``--device cpu`` VP9 or
Motion JPEG).
"""

from __future__ import annotations

import argparse
import ctypes
import datetime
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

COPY_BYTES = 1 << 30
REPEATS = 5
EVERY = 10
"""One frame in ten is asked for: 3 fps of 30."""


def driver(_: argparse.Namespace) -> dict[str, Any]:
    """Name, driver and memory as nvidia-smi tells them."""
    query = "name,driver_version,memory.total,compute_cap"
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    return {"gpus": done.stdout.strip().splitlines()}


def codec_libraries(_: argparse.Namespace) -> dict[str, Any]:
    """Whether the driver's decoding and encoding libraries load."""
    found = {}
    for name in ("libcuda.so.1", "libnvcuvid.so.1", "libnvidia-encode.so.1"):
        try:
            ctypes.CDLL(name)
            found[name] = "loads"
        except OSError as error:
            found[name] = f"missing ({error})"
    return found


def nvdec_engines(_: argparse.Namespace) -> dict[str, Any]:
    """Decoder load as NVML samples it now; the number of engines is in the vendor's tables only."""
    import pynvml

    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    load, period_us = pynvml.nvmlDeviceGetDecoderUtilization(handle)
    return {"decoder_utilisation": load, "sampled_over_us": period_us}


def packages(_: argparse.Namespace) -> dict[str, Any]:
    """Versions of the packages a GPU engine would stand on."""
    names = (
        *("numpy", "av", "torch", "cupy-cuda12x", "cupy-cuda13x", "nvidia-dali-cuda120", "nvidia-dali-cuda130"),
        *("tensorrt", "tensorrt-cu12", "onnxruntime", "onnxruntime-gpu", "nvidia-ml-py"),
    )
    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def copy_bandwidth(_: argparse.Namespace) -> dict[str, Any]:
    """Bytes read and written a second by a device-to-device copy: what a kernel is compared with."""
    import cupy

    source = cupy.zeros(COPY_BYTES, cupy.uint8)
    target = cupy.empty_like(source)
    start, stop = cupy.cuda.Event(), cupy.cuda.Event()
    seconds = []
    for _repeat in range(REPEATS + 1):
        start.record()
        cupy.copyto(target, source)
        stop.record()
        stop.synchronize()
        seconds.append(cupy.cuda.get_elapsed_time(start, stop) / 1000)
    return {"gb_per_s": 2 * COPY_BYTES / statistics.median(seconds[1:]) / 1e9, "copied_mib": COPY_BYTES >> 20}


def kernels(_: argparse.Namespace) -> dict[str, Any]:
    """Each kernel: first whether it gives the reference's numbers, then GB/s of the pixels it reads."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "kernels"))
    return {check.__name__.strip("_"): _run(check, _) for check in (_frame_stats, _clip_resize)}


def _frame_stats(_: argparse.Namespace) -> dict[str, Any]:
    import cupy
    import numpy as np

    from bestshot_kernels.frame_stats import cuda, reference

    pixels = np.random.default_rng(0).integers(0, 256, (64, 720, 1280, 3), np.uint8)
    device = cupy.asarray(pixels)
    few, wanted = cuda.frame_stats(device[:2]), reference.frame_stats(pixels[:2])
    np.testing.assert_array_equal(few.histogram, wanted.histogram)
    np.testing.assert_allclose(few.laplacian_variance, wanted.laplacian_variance, rtol=1e-6)
    np.testing.assert_allclose(few.colourfulness, wanted.colourfulness, rtol=1e-6)
    return _kernel_rate(lambda: cuda.frame_sums(device), device.nbytes)


def _clip_resize(_: argparse.Namespace) -> dict[str, Any]:
    import cupy
    import numpy as np

    from bestshot_kernels.clip_resize import cuda, reference

    pixels = np.random.default_rng(0).integers(0, 256, (16, 1080, 1920, 3), np.uint8)
    device = cupy.asarray(pixels)
    np.testing.assert_array_equal(
        cupy.asnumpy(cuda.clip_resize(device[:1])), reference.clip_resize(pixels[:1], 224, "crop")
    )
    return _kernel_rate(lambda: cuda.clip_resize(device), device.nbytes)


def _kernel_rate(call: Callable[[], Any], read_bytes: int) -> dict[str, Any]:
    import cupy

    start, stop = cupy.cuda.Event(), cupy.cuda.Event()
    seconds = []
    for _repeat in range(4 * REPEATS + 1):
        start.record()
        call()
        stop.record()
        stop.synchronize()
        seconds.append(cupy.cuda.get_elapsed_time(start, stop) / 1000)
    return {"correct": True, "read_gb_per_s": round(read_bytes / statistics.median(seconds[1:]) / 1e9, 1)}


def decode(options: argparse.Namespace) -> dict[str, Any]:
    """Sampled frames a second through DALI, by the number of streams decoded at a time."""
    if not options.video:
        raise RuntimeError("no --video named")
    return {
        path.name: {str(n): _decode_rate(path, n, options.device) for n in (1, 2, 4, 7, 8)} for path in options.video
    }


def _decode_rate(path: Path, streams: int, device: str) -> dict[str, Any]:
    """Decode ``streams`` copies of a file as one batch; the gate is the number of frames that come out."""
    import numpy as np
    from nvidia.dali import fn, pipeline_def

    encoded = np.frombuffer(path.read_bytes(), np.uint8)

    @pipeline_def(batch_size=streams, num_threads=streams, device_id=None if device == "cpu" else 0)
    def sampled() -> Any:
        data = fn.external_source(name="encoded")
        frames = fn.external_source(name="frames")
        return fn.decoders.video(data, frames=frames, device="cpu" if device == "cpu" else "mixed")

    wanted = np.arange(0, _frame_count(path), EVERY, dtype=np.int32)
    pipeline = sampled(prefetch_queue_depth=1)
    pipeline.build()
    seconds = []
    for _repeat in range(REPEATS):
        started = time.perf_counter()
        (out,) = pipeline.run(encoded=[encoded] * streams, frames=[wanted] * streams)
        shapes = [tuple(shape) for shape in out.shape()]
        (out if device == "cpu" else out.as_cpu()).at(0)
        seconds.append(time.perf_counter() - started)
        if any(shape[0] != len(wanted) for shape in shapes):
            raise RuntimeError(f"asked for {len(wanted)} frames, got {shapes}")
    median = statistics.median(seconds[1:])
    covered = len(wanted) * EVERY * streams
    return {
        "sampled_per_s": round(len(wanted) * streams / median, 1),
        "stream_frames_per_s": round(covered / median, 1),
    }


def _frame_count(path: Path) -> int:
    """Frames of the video: counted by the demuxer if it is here, else found with DALI's own count."""
    try:
        import av
    except ImportError:
        return 300
    with av.open(str(path)) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size)


PIECES: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "driver": driver,
    "codec libraries": codec_libraries,
    "NVDEC": nvdec_engines,
    "packages": packages,
    "copy bandwidth": copy_bandwidth,
    "kernels": kernels,
    "decode": decode,
}


def _run(piece: Callable[[argparse.Namespace], dict[str, Any]], options: argparse.Namespace) -> dict[str, Any]:
    try:
        return piece(options)
    except Exception as error:  # one piece's failure is a row of the table, whatever its kind
        lines = str(error).strip().splitlines() or ["no message"]
        return {"not run": f"{type(error).__name__}: {lines[0]}"}


def _save(table: dict[str, Any]) -> Path:
    now = datetime.datetime.now(tz=datetime.UTC)
    path = Path(__file__).parent / "results" / "gpu" / f"{now:%Y-%m-%d-%H%M}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"platform": platform.platform(), "table": table}, indent=2) + "\n", encoding="utf-8")
    return path


def main() -> None:
    """Run every piece and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, nargs="*", default=[])
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu", help="where DALI decodes")
    parser.add_argument("--save", action="store_true", help="keep the table under bench/results/gpu")
    options = parser.parse_args()
    table = {}
    for name, piece in PIECES.items():
        table[name] = _run(piece, options)
        for key, value in table[name].items():
            print(f"{name:16}  {key:28}  {value}", flush=True)
    if options.save:
        print(_save(table))


if __name__ == "__main__":
    main()
