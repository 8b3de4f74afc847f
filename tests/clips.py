"""Small clips made on the spot, and what a plain full decode gives of a file: the oracle of the decode tests."""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import math
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np

from bestshot_trt import decode, plan
from bestshot_trt.decode import _open, _probe, _pyav
from bestshot_trt.frames import DecodeReport, VideoInfo


def run_ffmpeg(*arguments: str | Path) -> bytes:
    """Standard output of the bundled ffmpeg; fails the test with its own words when it fails."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr.decode(errors='replace')}"
    return done.stdout


class ClipMaker:
    """Makes each clip once per session, from the options that ffmpeg is given for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[tuple[str, ...], Path] = {}

    def __call__(
        self, options: str, suffix: str = ".mp4", *, size: str = "96x64", rate: str = "25", seconds: float = 4
    ) -> Path:
        """A clip of a moving test picture that shows the frame's number, encoded with ``options``."""
        key = (options, suffix, size, rate, str(seconds))
        if key not in self._made:
            path = self._folder / f"{len(self._made)}{suffix}"
            source = f"testsrc2=size={size}:rate={rate}:duration={seconds}"
            # Bit-exact muxing leaves out what changes from run to run.
            run_ffmpeg("-f", "lavfi", "-i", source, *options.split(), "-fflags", "+bitexact", path)
            self._made[key] = path
        return self._made[key]


def digest(frame: av.VideoFrame) -> str:
    """A hash of the visible pixels of every plane, without the padding of its lines."""
    # Range is a tag, which segments carry another of: yuvj420p is yuv420p.
    total = hashlib.sha1(frame.format.name.replace("yuvj", "yuv").encode(), usedforsecurity=False)
    packed = len(frame.planes) == 1 and len(frame.format.components) > 1
    for plane, component in zip(frame.planes, frame.format.components, strict=False):
        bits = frame.format.padded_bits_per_pixel if packed else component.bits
        rows = np.frombuffer(memoryview(plane), np.uint8)[: plane.line_size * plane.height]
        visible = rows.reshape(plane.height, plane.line_size)[:, : plane.width * ((bits + 7) // 8)]
        total.update(np.ascontiguousarray(visible))
    return total.hexdigest()


@dataclass(frozen=True)
class Shown:
    """One picture of a full decode."""

    pts: int
    duration: int
    digest: str


def full_decode(info: VideoInfo) -> list[Shown]:
    """Every picture of the take as a plain PyAV loop gives it, in the decoder's order."""
    pictures: dict[int, Shown] = {}
    for frame in _plain_frames(info):
        pts = _probe.frame_pts(frame)
        if pts is not None:
            pictures.setdefault(pts, Shown(pts, frame.duration or 0, digest(frame)))
    return list(pictures.values())


def _plain_frames(info: VideoInfo) -> Iterator[av.VideoFrame]:
    with _open.open_container(info.path) as container:
        stream = _open.stream_of(container, info.stream_index)
        stream.thread_type = "AUTO"
        with contextlib.suppress(av.FFmpegError):
            for packet in container.demux(stream):
                with contextlib.suppress(av.FFmpegError):
                    yield from stream.codec_context.decode(packet if packet.size else None)


@dataclass(frozen=True)
class Sampling:
    """What the sampling decoder gave: (pts, digest) by sample index, and its report."""

    grid: plan.SampleGrid
    samples: dict[int, tuple[int, str]]
    report: DecodeReport

    @property
    def count(self) -> int:
        """How many samples the take has: all k with k / fps < duration."""
        return math.ceil(self.report.duration * self.grid.fps)

    def lost_indices(self) -> set[int]:
        """The sample indices that the report gives as lost, from its times."""
        fps = float(self.grid.fps)
        gaps = [(round(gap.start * fps), gap) for gap in self.report.lost]
        # A stretch at the end stops with the take, perhaps before its last sample's time is over.
        assert all(gap.end <= float(self.report.duration) + 1e-9 for _, gap in gaps)
        assert all(math.isclose(gap.end * fps, first + gap.samples, abs_tol=1) for first, gap in gaps)
        return {k for first, gap in gaps for k in range(first, first + gap.samples)}


def sample(info: VideoInfo, fps: float) -> Sampling:
    """Every sample of the take; fails when samples come twice or out of order."""
    grid = plan.SampleGrid(fps, info.time_base, info.start_pts)
    report = DecodeReport()
    samples: dict[int, tuple[int, str]] = {}
    for sampled in _pyav.sampled_frames(info, grid, report):
        found = (sampled.pts, digest(sampled.frame))
        for index in sampled.samples:
            assert index > max(samples, default=-1)
            samples[index] = found
    return Sampling(grid, samples, report)


def assert_complete(sampling: Sampling) -> None:
    """Every sample of the take is either there or reported lost, and none beyond its end."""
    lost = sampling.lost_indices()
    assert not lost & set(sampling.samples)
    assert lost | set(sampling.samples) == set(range(sampling.count))


def assert_as_full_decode(info: VideoInfo, *samplings: Sampling, pictures: list[Shown] | None = None) -> None:
    """Each sampling holds, bit for bit, the pictures on screen at its times in a full decode."""
    shown = sorted(pictures or full_decode(info), key=lambda picture: picture.pts)
    times = [picture.pts for picture in shown]
    length = shown[-1].duration or 1
    if len(times) > 1 and times[-1] - times[-2] == 2 * length:
        length *= 2  # A field's duration on a whole frame.
    for sampling in samplings:
        assert sampling.report.lost == []
        assert sampling.report.duration == (times[-1] + length - info.start_pts) * info.time_base
        expected = {}
        for index in range(sampling.count):
            limit = info.start_pts + index / sampling.grid.fps / info.time_base + Fraction(1, 2)
            picture = shown[bisect.bisect_right(times, limit) - 1]
            expected[index] = (picture.pts, picture.digest)
        assert sampling.samples == expected


def assert_as_slice(info: VideoInfo, spans: list[tuple[float, float]], pictures: list[Shown] | None = None) -> None:
    """``frames_between`` gives for each span the pictures on screen in it in a full decode, in its order."""
    pictures = pictures or full_decode(info)
    times = sorted(picture.pts for picture in pictures)
    digests = [picture.digest for picture in pictures]
    for start, end in spans:
        begin = info.start_pts + Fraction(start) / info.time_base + Fraction(1, 2)
        stop = info.start_pts + Fraction(end) / info.time_base - Fraction(1, 2)
        first = max(0, bisect.bisect_right(times, begin) - 1)
        after = max(first + 1, bisect.bisect_left(times, stop))
        found = [(frame.pts, digest(frame)) for frame in decode.frames_between(info, start, end)]
        assert found == list(zip(times[first:after], digests[first:after], strict=True)), (start, end)
