"""Every setting: its default, its unit and its bounds live here, once.

The CLI, the TOML files and the Python API all read these classes; nothing else holds a default.
Symbols in brackets are those of the pipeline document.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .bounds import LARGEST, check, setting
from .errors import ConfigError

SHORTEST_CLIP_S = 0.001
LONGEST_CLIP_S = 7200.0


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights of the score ``S = w_a A + w_s Sh - w_e E + w_c C``."""

    aesthetic: float = setting(1.0, "weight of the aesthetic [w_a]", low=-100, high=100)
    sharpness: float = setting(0.5, "weight of the sharpness [w_s]", low=-100, high=100)
    exposure: float = setting(0.5, "weight of the exposure penalty, subtracted [w_e]", low=-100, high=100)
    prompt: float | None = setting(
        None, "weight of the prompt similarity [w_c]; unset: 0.5 with a prompt, else 0", low=-100, high=100
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class AnalyzeConfig:
    """What `analyze` does: the expensive half. Changing any of these means decoding again."""

    fps: float = setting(3.0, "samples per second of media time; 2 to 5 is usual", above=0, high=60, unit="Hz")
    score_height: int = setting(
        720, "short side of the picture that is measured, never scaled up", low=16, high=4320, unit="pixels"
    )
    model: str = setting(
        "auto",
        "CLIP model: a name of `bestshot-trt models list`, a folder that models export made, "
        "auto for one that is here or can be pulled, or none for the stand-in",
    )
    precision: str = setting(
        "auto",
        "arithmetic of the CLIP model; auto is fp32 on the CPU and fp16 for TensorRT; "
        "bf16, and fp8 where the model has such a graph, for TensorRT only; "
        "int8 on the CPU only, where models verify found it close enough",
        choices=("auto", "fp32", "fp16", "bf16", "fp8", "int8"),
    )
    framing: str = setting(
        "crop",
        "how a frame becomes the model's square: its middle, all of it squashed, or all of it with bars",
        choices=("crop", "squash", "pad"),
    )
    backend: str = setting("auto", "where to decode and measure", choices=("auto", "cpu", "gpu"))

    def __post_init__(self) -> None:
        check(self)


def _check_texts(name: str, value: Any) -> None:
    if not isinstance(value, tuple) or not all(isinstance(text, str) and text.strip() for text in value):
        raise ConfigError(f"{name} is {value!r}; it must be a text, or a list of texts, none of them empty")


def _is_clip_length(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and all(isinstance(side, (int, float)) and not isinstance(side, bool) for side in value)
        and SHORTEST_CLIP_S <= value[0] <= value[1] <= LONGEST_CLIP_S
    )


@dataclass(frozen=True, kw_only=True)
class PickConfig:
    """What `pick` does: the cheap half. Nothing here needs the footage again."""

    weights: Weights = field(default_factory=Weights)
    prompt: tuple[str, ...] = setting(
        (),
        'what a good moment shows, as "well-lit interior wide shot"; may be repeated (CLIP models only)',
        metavar="TEXT",
    )
    """Texts that a good moment fits (CLIP); more of them count by their mean."""
    avoid: tuple[str, ...] = setting((), "what it does not show; may be repeated (CLIP models only)", metavar="TEXT")
    """Texts that it does not fit; the mean of their similarities is subtracted."""
    normalize: str = setting(
        "track",
        "map each measure to [0, 1] over the take, or keep raw values",
        choices=("track", "none"),
    )
    window: float = setting(2.0, "half width of the smoothing window [W]", low=0, high=3600, unit="s")
    min_gap: float = setting(5.0, "least time between two peaks [Delta]", low=0, high=86400, unit="s")
    top: int = setting(5, "how many moments to keep [K]", low=1, high=1000, flags=("-k", "--top"))
    pre: float = setting(1.0, "clip length before the peak [L_pre]", low=0, high=3600, unit="s")
    post: float = setting(2.0, "clip length after the peak [L_post]", low=0, high=3600, unit="s")
    clip_length: tuple[float, float] | None = setting(
        None,
        "grow each clip around its peak to between MIN and MAX seconds, as 3:7; "
        "puts --pre and --post of a file or preset out of use",
        metavar="MIN:MAX",
    )
    """(shortest, longest) seconds: grow each clip around its peak instead of using ``pre`` and ``post``."""
    diversity: float = setting(
        0.12, "least cosine distance between two kept moments [tau]; 0 keeps near duplicates", low=0, high=2
    )

    def __post_init__(self) -> None:
        check(self)
        for name in ("prompt", "avoid"):
            _check_texts(name, getattr(self, name))
        if self.clip_length is None:
            if self.pre + self.post < SHORTEST_CLIP_S:
                raise ConfigError(
                    f"pre and post are {self.pre:g} s and {self.post:g} s; a clip needs {SHORTEST_CLIP_S:g} s or more"
                )
        elif not _is_clip_length(self.clip_length):
            raise ConfigError(
                f"clip_length is {self.clip_length!r}; it must be MIN:MAX in seconds, "
                f"{SHORTEST_CLIP_S:g} <= MIN <= MAX <= {LONGEST_CLIP_S:g}"
            )


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What `export` writes."""

    encoder: str = setting(
        "auto",
        "what encodes clips: nvenc on an NVIDIA GPU, software on the CPU, auto whichever is proven to work",
        choices=("auto", "nvenc", "software"),
    )
    codec: str = setting(
        "auto",
        "codec of clips; auto is h264, but hevc for HDR that stays and av1 in webm",
        choices=("auto", "h264", "hevc", "av1"),
    )
    quality: int = setting(65, "quality of clips in any codec; 65 is CRF 18 of x264", low=0, high=100)
    effort: str = setting(
        "fast", "how hard the encoder works for a smaller file", choices=("fastest", "fast", "medium", "slow")
    )
    container: str = setting(
        "mp4", "what clips are wrapped in; webm takes av1 only", choices=("mp4", "mov", "mkv", "webm")
    )
    height: int | None = setting(
        None,
        "largest short side of clips, as 720; never scaled up; unset: the take's",
        low=16,
        high=4320,
        unit="pixels",
    )
    fps: float | None = setting(
        None,
        "constant frame rate of clips, as 29.97; unset: every picture at its own time",
        low=1,
        high=240,
        unit="Hz",
        flags=("--clip-fps",),
    )
    jobs: int | None = setting(None, "clips cut at a time; unset: 1, 2 with eight cores, 3 with NVENC", low=1, high=32)
    sdr: bool = setting(
        False, "tone-map HDR takes to SDR; else they stay HDR where the codec can", flags=("--sdr/--hdr",)
    )
    stabilize: str = setting(
        "off",
        "steady shaky clips: vidstab in two passes, deshake in one; kept where they measure steadier",
        choices=("off", "vidstab", "deshake"),
    )
    color: str = setting(
        "off", "auto for a gentle correction of exposure, white balance and contrast; a FILE.cube; or off"
    )
    copy: bool = setting(
        False,
        "cut without encoding, at keyframes: lossless and fast, but clips begin early and may end late; "
        "the table says by how much",
        flags=("--copy/--encode",),
    )
    reel: bool = setting(
        False, "also join the moments in one file, in one encode from the take", flags=("--reel/--no-reel",)
    )
    reel_order: str = setting("time", "order of the moments in the reel", choices=("time", "rank"))
    crossfade: float = setting(0.0, "cross-fade between moments of the reel", low=0, high=10, unit="s")
    audio: bool = setting(True, "keep the sound", flags=("--audio/--no-audio",))
    cut_lists: bool = setting(
        True,
        "write the cuts for editors: OTIO, FCPXML, FCP7 XML, EDL and chapters",
        flags=("--cut-lists/--no-cut-lists",),
    )
    timecode: str = setting(
        "df",
        "timecode of cut lists at 29.97 and 59.94 frames a second: drop-frame or not; other rates have one kind",
        choices=("df", "ndf"),
    )

    def __post_init__(self) -> None:
        check(self)
        if self.container == "webm" and self.codec not in ("auto", "av1"):
            raise ConfigError(f"container webm holds no {self.codec}; choose codec av1, or container mp4, mov or mkv")
        if self.color not in ("off", "auto") and not self.color.lower().endswith(".cube"):
            raise ConfigError(f"color is {self.color!r}; it must be off, auto, or a table as FILE.cube")
        if self.copy:
            self._check_copy()

    def _check_copy(self) -> None:
        changes = {
            "height": self.height is not None,
            "fps": self.fps is not None,
            "sdr": self.sdr,
            "stabilize": self.stabilize != "off",
            "color": self.color != "off",
        }
        for name, is_change in changes.items():
            if is_change:
                raise ConfigError(f"copy keeps clips as they are, and {name} would change them; leave one out")


@dataclass(frozen=True, kw_only=True)
class FramesConfig:
    """What `frames` writes: stills."""

    format: str = setting("jpeg", "what stills are written as", choices=("jpeg", "png", "avif"))
    quality: int = setting(95, "quality of JPEG and AVIF stills; PNG loses nothing", low=1, high=100)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings of one run."""

    analyze: AnalyzeConfig = field(default_factory=AnalyzeConfig)
    pick: PickConfig = field(default_factory=PickConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    frames: FramesConfig = field(default_factory=FramesConfig)


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """How `batch` works through many takes; nothing here bears on their results."""

    workers: int | None = setting(
        None, "worker processes; unset: one for each GPU, or for every four cores", low=1, high=256
    )
    stall: float = setting(300.0, "end a worker whose work has not moved for so long", low=1, high=86400, unit="s")
    recycle: int = setting(50, "replace a worker after so many takes", low=1, high=1_000_000)
    memory: float | None = setting(
        None, "end a worker that takes more; unset: its share of four fifths of this machine's", low=0.1, unit="GiB"
    )
    ray_cpus: float = setting(
        4.0, "CPUs that a take needs on a Ray cluster, or as many as its largest node has", low=0.1, high=1024
    )
    ray_gpus: float | None = setting(
        None,
        "share of a GPU that a take needs on a Ray cluster; unset: one NVDEC's of the card it names, or 0.33",
        above=0,
        high=1,
    )
    stage_space: float = setting(
        20.0, "disk for files fetched from object storage or the web, under the output folder", above=0, unit="GiB"
    )
    stream: bool = setting(
        False,
        "read every remote take from where it lies; else only those larger than --stage-space.",
        flags=("--stream",),
    )
    """Fetch no remote take; else only those are not fetched that are larger than ``stage_space``."""
    max_failures: str | None = setting(
        None, "stop when more files failed: a count, or a share of all as 5%.", metavar="N|P%"
    )
    """Stop when more files failed: a count, or a share of all as ``5%``; None: never."""
    retry_failed: bool = setting(False, "try again what failed before.", flags=("--retry-failed",))
    """Try again what failed before with the same settings."""

    def __post_init__(self) -> None:
        check(self)
        self.failures_allowed(1)

    def failures_allowed(self, files: int) -> float | None:
        """How many of ``files`` may fail; None: all of them.

        Raises:
            ConfigError: ``max_failures`` is neither a count nor a share.
        """
        if self.max_failures is None:
            return None
        text = self.max_failures.strip()
        try:
            number = float(text.removesuffix("%"))
        except ValueError:
            number = -1.0
        if not 0 <= number < LARGEST or (not text.endswith("%") and number != int(number)):
            raise ConfigError(f"max_failures is {self.max_failures!r}; it must be a count as 10, or a share as 5%")
        return files * number / 100 if text.endswith("%") else number
