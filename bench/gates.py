"""What must hold before anything is timed."""

from __future__ import annotations

import bisect
import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from bestshot_trt.config import AnalyzeConfig
from bestshot_trt.decode import PyAVDecoder, open_container, probe, stream_of
from bestshot_trt.decode._pyav import sampled_frames
from bestshot_trt.decode._section import Sampled
from bestshot_trt.export._ffmpeg import find_ffmpeg
from bestshot_trt.frames import DecodeReport, FrameBatch, ModelView, VideoInfo, score_size
from bestshot_trt.plan import SampleGrid

from .registry import Red

GATE_S = 60
SCORE_OFF, SCORE_SHARE = 2, 0.01
"""So far, and for so many of its values, may the score picture be from ffmpeg's own; here they are equal to the bit."""
VIEW_OFF, VIEW_OFF_OF_DETAIL = 0.15, 0.05
"""So far, in mean luma, may a model's picture be from the reference's of the whole frame in RGB: an amount, and a share
of the mean step from one pixel to the next. On real takes it is 0.10 and 0.02 of that, bilinear 0.15 and 0.12."""
NEAR_S = 0.5
"""So far on either side of its time is a clip's picture looked for in the take."""
_WHOLE = ":flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
_LUMA = np.array((0.299, 0.587, 0.114))


def samples_identical(path: Path, fps: float) -> None:
    """The samples of the first minute are the pictures on screen at every k / fps of a full decode, bit for bit.

    Of a damaged take, those samples that there are.

    Raises:
        Red: they are not.
    """
    info = probe(path)
    limit = info.start_pts + int(GATE_S / info.time_base)
    samples = sampled_frames(info, SampleGrid(fps, info.time_base, info.start_pts), DecodeReport())
    seen = _Seen()
    with contextlib.closing(samples):  # type: ignore[type-var]
        wanted = seen.note(next(samples, None))
        for frame in _full_decode(info, seen):
            if frame.pts > limit:
                break
            seen.shown.append((frame.pts, frame.duration or 0))
            if wanted is not None and frame.pts == wanted.pts:
                if _planes(frame) != _planes(wanted.frame):
                    raise Red(f"the picture at pts {frame.pts} differs from that of a full decode")
                wanted = seen.note(next(samples, None))
    if wanted is not None and wanted.pts <= limit:
        raise Red(f"a full decode shows no picture at pts {wanted.pts}, which was sampled")
    seen.check(info, Fraction(fps).limit_denominator(1_000_000), limit)


@dataclass
class _Seen:
    """What a full decode showed, and what was sampled."""

    shown: list[tuple[int, int]] = field(default_factory=list)
    """pts and duration of every picture."""
    sampled: dict[int, int] = field(default_factory=dict)
    """pts by sample."""
    damaged: bool = False

    def note(self, sampled: Sampled | None) -> Sampled | None:
        for index in sampled.samples if sampled else ():
            if index <= max(self.sampled, default=-1):
                raise Red(f"sample {index} comes again after sample {max(self.sampled)}")
            self.sampled[index] = sampled.pts if sampled else 0
        return sampled

    def check(self, info: VideoInfo, fps: Fraction, limit: int) -> None:
        """Every sample is of the picture that is on screen at its time, and none is missing."""
        self.shown.sort()
        if not self.shown:
            return
        times = [pts for pts, _ in self.shown]
        last, lasts = self.shown[-1]
        # How long the last picture is shown is left to the container, which may mean a field.
        surely, perhaps = last + max(1, lasts), last + 2 * lasts + 1
        ticks = 1 / (fps * info.time_base)
        for index in range(max(self.sampled, default=-1) + 2):
            at = info.start_pts + index * ticks
            if at + Fraction(1, 2) >= limit:
                return
            pts, wanted = self.sampled.get(index), times[max(0, bisect.bisect_right(times, at + Fraction(1, 2)) - 1)]
            if pts is None and at < surely and not self.damaged:
                raise Red(f"sample {index} is missing; the picture at pts {wanted} is on screen then")
            if pts is not None and (pts != wanted or at > perhaps):
                on_screen = f"that at pts {wanted}" if at <= perhaps else "none"
                raise Red(f"sample {index} is the picture at pts {pts}; on screen then is {on_screen}")


def _full_decode(info: VideoInfo, seen: _Seen) -> Iterator[Any]:
    """Every picture as a plain loop over all packets gives it."""
    with open_container(info.path) as container:
        stream = stream_of(container, info.stream_index)
        stream.thread_type = "AUTO"
        try:
            for packet in container.demux(stream):
                try:
                    frames = packet.decode()
                except av.FFmpegError:
                    seen.damaged = True
                    continue
                for frame in frames:
                    seen.damaged |= frame.is_corrupt
                    if frame.pts is not None:
                        yield frame
        except av.FFmpegError:
            seen.damaged = True


def _planes(frame: av.VideoFrame) -> list[bytes]:
    """The visible pixels of every plane; line padding is noise."""
    packed = len(frame.planes) == 1 and len(frame.format.components) > 1
    lines = []
    for plane, component in zip(frame.planes, frame.format.components, strict=False):
        data = bytes(plane)
        bits = frame.format.padded_bits_per_pixel if packed else component.bits
        width = plane.width * ((bits + 7) // 8)
        lines += [data[y * plane.line_size : y * plane.line_size + width] for y in range(plane.height)]
    return lines


def measures_match(path: Path, fps: float, view: ModelView | None = None) -> None:
    """The first samples have their times, pictures as ffmpeg's command line scales them, and the right measures.

    With ``view`` their pictures for a model are close to the reference's too.

    Raises:
        Red: they have not.
    """
    info, report = probe(path), DecodeReport()
    with contextlib.closing(PyAVDecoder().batches(info, AnalyzeConfig(fps=fps), report, view)) as batches:  # type: ignore[type-var]
        batch = next(batches, None)
        if batch is None:
            raise Red("there are no samples")
        if not report.damaged:
            _times_match(batch, fps)
            _pictures_match(info, batch, view)
        _measured_match(batch.pixels)
    _measured_match(_every_grey())


def _every_grey() -> npt.NDArray[np.uint8]:
    """A picture of every luma, as some takes have neither black nor white: uint8 (1, 64, 256, 3)."""
    return np.broadcast_to(np.arange(256, dtype=np.uint8)[None, None, :, None], (1, 64, 256, 3)).copy()


def _measured_match(pixels: Any) -> None:
    """As the reference measures, and as a few plain lines do: the reference may share a constant or a sum with us."""
    from bestshot_kernels.frame_stats import frame_stats, reference

    ours, wanted = frame_stats(pixels), reference.frame_stats(pixels)
    if not np.array_equal(ours.exposure_penalty, wanted.exposure_penalty):
        raise Red("exposure_penalty differs from the reference's")
    plain = np.array([_measured_plainly(picture) for picture in pixels]).T
    names = ("exposure_penalty", "laplacian_variance", "contrast", "colourfulness")
    for name, by_hand in zip(names, plain, strict=True):
        for right in (getattr(wanted, name), by_hand):
            if not np.allclose(getattr(ours, name), right, rtol=1e-4, atol=1e-6):
                raise Red(f"{name} differs from the reference's by more than 1e-4")


def _measured_plainly(picture: Any) -> tuple[float, ...]:
    """The four measures of uint8 RGB (h, w, 3), as docs/numbers.md words them."""
    import cv2

    luma: Any = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    red, green, blue = np.moveaxis(picture.astype(float), -1, 0)
    opposed = (red - green, (red + green) / 2 - blue)
    spread, middle = (np.hypot(*(of(each) for each in opposed)) for of in (np.std, np.mean))
    clipped = (luma >= 253).mean() + (luma <= 2).mean()
    sharp = cv2.Laplacian(luma, cv2.CV_64F, ksize=1).var()
    return float(clipped), float(sharp), float(luma.std()), float(spread + 0.3 * middle)


def _times_match(batch: FrameBatch, fps: float) -> None:
    wrong = np.flatnonzero(~np.isclose(batch.times, np.arange(len(batch)) / fps, rtol=0, atol=1e-6))
    if len(wrong):
        raise Red(f"sample {wrong[0]} has the time {batch.times[wrong[0]]:g} s, not {wrong[0] / fps:g} s")


def _pictures_match(info: VideoInfo, batch: FrameBatch, view: ModelView | None) -> None:
    """The last picture of ``batch``: the first of a take may be black. HDR is left out: ffmpeg's is another tone."""
    if info.color.is_hdr:
        return
    number = _number_of(info, int(batch.pts[-1]))
    size = score_size(info.display_size, AnalyzeConfig().score_height)
    _score_picture(batch.pixels[-1], _by_ffmpeg(info, number, size))
    # In a small frame colour, which has half its size, weighs too much for the reference.
    if view is not None and batch.views is not None and min(info.display_size) > 2 * view.size:
        _model_picture(batch.views[-1], _by_ffmpeg(info, number, info.display_size, _WHOLE), view)


def _score_picture(found: Any, wanted: Any) -> None:
    if found.shape != wanted.shape:
        raise Red(f"the score picture is {found.shape[1]}x{found.shape[0]}, not {wanted.shape[1]}x{wanted.shape[0]}")
    far = float((np.abs(found.astype(np.int16) - wanted) > SCORE_OFF).mean())
    if far > SCORE_SHARE:
        raise Red(f"the score picture is not ffmpeg's: {far:.1%} of its values are off by more than {SCORE_OFF}")


def _model_picture(found: Any, whole: Any, view: ModelView) -> None:
    from bestshot_kernels.clip_resize import reference

    wanted = reference.clip_resize(whole[None], view.size, view.framing)[0]
    luma = wanted @ _LUMA
    off, steps = float(np.abs(found @ _LUMA - luma).mean()), float(np.abs(np.diff(luma, axis=1)).mean())
    most = VIEW_OFF + VIEW_OFF_OF_DETAIL * steps
    if off > most:
        raise Red(
            f"the model's picture is not the reference's: its luma is off by {off:.2f}; at most {most:.2f} is right"
        )


def _number_of(info: VideoInfo, pts: int) -> int:
    """How many pictures a full decode shows before the one at ``pts``."""
    count = 0
    with contextlib.closing(_full_decode(info, _Seen())) as frames:  # type: ignore[type-var]
        for frame in frames:
            if frame.pts >= pts:
                break
            count += 1
    return count


def _by_ffmpeg(info: VideoInfo, number: int, size: tuple[int, int], flags: str = "") -> npt.NDArray[np.uint8]:
    """Picture ``number`` as ffmpeg turns and scales it to ``size``: uint8 RGB (h, w, 3)."""
    scale = f"select=eq(n\\,{number}),scale={size[0]}:{size[1]}{flags}"
    if info.color.matrix != "rgb":
        scale += f":in_color_matrix={info.color.matrix}:in_range={'full' if info.color.full_range else 'limited'}"
    command = [find_ffmpeg(), "-v", "error", "-nostdin", "-i", f"file:{info.path.absolute()}"]
    command += ["-map", f"0:{info.stream_index}", "-vf", scale, "-fps_mode", "passthrough", "-frames:v", "1"]
    done = subprocess.run([*command, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"], check=False, capture_output=True)
    width, height = size
    if len(done.stdout) != width * height * 3:
        words = done.stderr.decode(errors="replace").strip().splitlines() or ["no picture"]
        raise Red(f"ffmpeg makes no picture {number} of {width}x{height}: {words[-1]}")
    return np.frombuffer(done.stdout, np.uint8).reshape(height, width, 3)


def whole_clips(folder: Path, take: Path) -> None:
    """Every moment in ``folder`` has a clip of its span of ``take``, from the picture on screen at its start on.

    Raises:
        Red: one has not.
    """
    document: Any = json.loads((folder / "moments.json").read_text(encoding="utf-8"))
    if not document["moments"]:
        raise Red("there is no moment")
    info = probe(take)
    for moment in document["moments"]:
        start, end = moment["start_s"], moment["end_s"]
        with av.open(str(folder / moment["clip"])) as container:
            stream = container.streams.video[0]
            shown = [frame for frame in container.decode(stream) if frame.time is not None]
            tick = 1 / float(stream.average_rate or Fraction(30))
        spanned = shown[-1].time - shown[0].time + tick if shown else 0.0
        if abs(spanned - (end - start)) > 2 * tick:
            raise Red(f"{moment['clip']} shows {spanned:.2f} s; its moment is {end - start:.2f} s long")
        turned = probe(folder / moment["clip"]).rotation
        _is_at(_small(shown[0], turned), info, start, f"{moment['clip']} begins")
        _is_at(_small(shown[-1], turned), info, end - 1.5 * float(info.time_base), f"{moment['clip']} ends")


def _is_at(picture: Any, info: VideoInfo, at: float, what: str) -> None:
    """No picture near ``at`` is clearly more like ``picture`` than the one that is on screen then."""
    near = _near(info, at)
    wanted = max(0, sum(time <= at + float(info.time_base) / 2 for time, _ in near) - 1)
    off = [float(np.abs(picture - other).mean()) for _, other in near]
    best = int(np.argmin(off))
    if off[wanted] > 1.3 * off[best] + 0.1:
        raise Red(f"{what} with the picture at {near[best][0]:.3f} s, not with that at {near[wanted][0]:.3f} s")


def _near(info: VideoInfo, at: float) -> list[tuple[float, Any]]:
    """Times and small pictures of the take around ``at`` seconds, in order."""
    found = []
    with open_container(info.path) as container:
        stream = stream_of(container, info.stream_index)
        pts = info.start_pts + int((at - 2 * NEAR_S) / info.time_base)
        if pts > info.start_pts:
            container.seek(pts, stream=stream)
        for frame in container.decode(stream):
            if frame.pts is None:
                continue
            time = float(info.media_time(frame.pts))
            if time > at + NEAR_S:
                break
            if time >= at - NEAR_S:
                found.append((time, _small(frame, info.rotation)))
    return found


def _small(frame: av.VideoFrame, rotation: int) -> Any:
    """A square of 64 x 64 greys of a picture, upright."""
    grey = frame.reformat(width=64, height=64, format="gray", interpolation="AREA").to_ndarray()
    return np.rot90(grey.astype(np.float32), -rotation // 90)
