"""The plain recipe that this program is measured against, as its pipeline document writes it down.

ffmpeg samples the take into JPEG files; each is read back, measured with OpenCV and, with a model, embedded by itself;
plain loops smooth and pick; ffmpeg cuts the clips. No fault is planted in it: it is what a careful person writes in an
afternoon. ``python -m bestshot_trt.speed.seed TAKE FOLDER`` runs it as a process of its own, with no more of this
program imported than what reads a model folder, so that it starts as a script would.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np

FPS = 3.0
HEIGHT = 720
WINDOW_S, GAP_S, TOP = 2.0, 5.0, 5
PRE_S, LENGTH_S = 1.0, 3.0
TAU = 0.12


@dataclass(frozen=True)
class SeedResult:
    """What the recipe found."""

    samples: int
    sharpness: list[float]
    peaks: list[float]
    """Seconds, best first."""


def seed_recipe(
    take: Path,
    folder: Path,
    *,
    fps: float = FPS,
    model: Path | None = None,
    clip: str = "onnx",
    cut: bool = True,
    first: int | None = None,
) -> SeedResult:
    """Run the recipe on ``take`` with its files in ``folder``.

    Args:
        take: what to sample.
        folder: gets the pictures, ``embeddings.npy`` and the clips.
        fps: samples a second.
        model: a model folder; None leaves CLIP out.
        clip: what runs it: ``onnx`` or ``torch``, the latter with OpenCLIP's module of the same weights.
        cut: whether to cut clips.
        first: look at so many of the samples only, to try it out; None for all.

    Raises:
        ModelUnavailable: the model is not one that OpenCLIP knows.
        ImportError: ``torch`` is asked for and is not installed.
        OSError, subprocess.CalledProcessError: ffmpeg cannot read the take or write there.
    """
    frames = _sampled(take, folder, fps)[:first]
    tower = _CLIPS[clip](model) if model else None
    sharpness, exposure, aesthetic, embeddings = [], [], [], []
    for path in frames:
        sharp, wrong = _measured(path)
        sharpness.append(sharp)
        exposure.append(wrong)
        if tower:
            embedding, beauty = tower.embed(path)
            embeddings.append(embedding)
            aesthetic.append(beauty)
    if embeddings:
        np.save(folder / "embeddings.npy", np.stack(embeddings))
    score = _scores(sharpness, exposure, aesthetic)
    peaks = _peaks(_smoothed(score, fps), embeddings, fps)
    if cut:
        for rank, peak in enumerate(peaks, 1):
            cut_clip(take, folder / f"out_{rank}.mp4", max(0.0, peak - PRE_S))
    return SeedResult(len(frames), sharpness, peaks)


def _sampled(take: Path, folder: Path, fps: float) -> list[Path]:
    frames = folder / "frames"
    shutil.rmtree(frames, ignore_errors=True)
    frames.mkdir(parents=True)
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-nostdin",
        "-i",
        str(take),
        "-an",
        "-vf",
        f"fps={fps:g},scale=-2:{HEIGHT}",
    ]
    subprocess.run([*command, "-y", str(frames / "f_%06d.jpg")], check=True)
    return sorted(frames.glob("f_*.jpg"))


def _measured(path: Path) -> tuple[float, float]:
    import cv2

    picture: Any = cv2.imread(str(path))
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    histogram = np.bincount(grey.ravel(), minlength=256)
    wrong = (histogram[253:].sum() + histogram[:3].sum()) / grey.size
    return float(cv2.Laplacian(grey, cv2.CV_64F).var()), float(wrong)


class _Clip:
    """The model on ONNX Runtime with its own defaults, a picture at a time."""

    def __init__(self, folder: Path) -> None:
        import onnxruntime as ort

        from ..embed.model_folder import open_folder

        opened = open_folder(folder)
        self._size = opened.card.size
        graph = str(opened.graph("visual", "fp32"))
        self._session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])

    def embed(self, path: Path) -> tuple[Any, float]:
        from PIL import Image, ImageOps

        with Image.open(path) as picture:
            square = ImageOps.fit(picture.convert("RGB"), (self._size, self._size), Image.Resampling.BICUBIC)
        embedding, aesthetic = self._session.run(None, {"frames": np.asarray(square)[None]})
        return embedding[0], float(np.asarray(aesthetic).ravel()[0])


class _TorchClip:
    """OpenCLIP's own module and transform on PyTorch with its own defaults, a picture at a time."""

    def __init__(self, folder: Path) -> None:
        import importlib

        from ..embed.heads import load_head
        from ..embed.model_folder import HEAD, open_folder
        from ..embed.models import find_spec

        card = open_folder(folder).card
        tag = None if card.pretrained == "random" else card.pretrained
        # Random weights are those that `models export --random` makes: the same seed, the same module.
        torch: Any = importlib.import_module("torch")
        torch.manual_seed(0)
        self._model, _, self._transform = importlib.import_module("open_clip").create_model_and_transforms(
            find_spec(card.name).architecture, pretrained=tag
        )
        self._model.eval()
        self._torch = torch
        self._head = load_head(folder / HEAD)

    def embed(self, path: Path) -> tuple[Any, float]:
        from PIL import Image

        with Image.open(path) as picture, self._torch.no_grad():
            features = self._model.encode_image(self._transform(picture).unsqueeze(0))
            embedding = (features / features.norm(dim=-1, keepdim=True))[0].numpy()
        return embedding, float(self._head.score(embedding[None])[0])


_CLIPS: dict[str, Any] = {"onnx": _Clip, "torch": _TorchClip}


def _scores(sharpness: list[float], exposure: list[float], aesthetic: list[float]) -> list[float]:
    sharp = _normalised([float(np.log1p(value)) for value in sharpness])
    beauty = _normalised(aesthetic) if aesthetic else [0.0] * len(sharp)
    return [a + 0.5 * s - 0.5 * e for a, s, e in zip(beauty, sharp, exposure, strict=True)]


def _normalised(values: list[float]) -> list[float]:
    if not values:
        return []
    low, high = np.percentile(values, (5, 95))
    return [0.5 if high <= low else float(np.clip((value - low) / (high - low), 0, 1)) for value in values]


def _smoothed(score: list[float], fps: float) -> list[float]:
    reach = round(WINDOW_S * fps)
    return [float(np.mean(score[max(0, i - reach) : i + reach + 1])) for i in range(len(score))]


def _peaks(smooth: list[float], embeddings: list[Any], fps: float) -> list[float]:
    last = len(smooth) - 1
    maxima = [
        i
        for i, value in enumerate(smooth)
        if (i == 0 or value >= smooth[i - 1]) and (i == last or value >= smooth[i + 1])
    ]
    kept: list[int] = []
    for i in sorted(maxima, key=lambda i: -smooth[i]):
        if len(kept) == TOP:
            break
        apart = all(abs(i - j) >= GAP_S * fps for j in kept)
        new = not embeddings or all(1 - float(embeddings[i] @ embeddings[j]) > TAU for j in kept)
        if apart and new:
            kept.append(i)
    return [i / fps for i in kept]


def cut_clip(take: Path, output: Path, start: float) -> None:
    """Cut `LENGTH_S` seconds of ``take`` from ``start`` on, encoding them again.

    Raises:
        subprocess.CalledProcessError: ffmpeg cannot.
    """
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-ss", f"{start:.3f}", "-i", str(take)]
    command += ["-t", str(LENGTH_S), "-c:v", "libx264", "-crf", "18", "-preset", "veryfast", "-y", str(output)]
    subprocess.run(command, check=True)


def main() -> None:
    """Run the recipe once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("take", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fps", type=float, default=FPS)
    parser.add_argument("--model", type=Path, help="a model folder; left out: no CLIP")
    parser.add_argument("--clip", choices=tuple(_CLIPS), default="onnx", help="what runs it (default onnx)")
    parser.add_argument("--first", type=int, help="look at so many samples only")
    parser.add_argument("--no-cut", action="store_true", help="sample, measure and pick only")
    options = parser.parse_args()
    try:
        found = seed_recipe(
            options.take,
            options.folder,
            fps=options.fps,
            model=options.model,
            clip=options.clip,
            cut=not options.no_cut,
            first=options.first,
        )
    except subprocess.CalledProcessError as error:
        # ffmpeg has said why.
        sys.exit(error.returncode)
    print(found.samples, *(f"{peak:.2f}" for peak in found.peaks))


if __name__ == "__main__":
    main()
