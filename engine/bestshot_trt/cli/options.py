"""Every option once: its type, its help and its bounds, the latter two read from the config."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from ..config import AnalyzeConfig, ExportConfig, FramesConfig, PickConfig, describe_bounds
from ..config import Weights as WeightsConfig

ANALYSIS = "Analysis"
SELECTION = "Selection"
CLIPS = "Clips"
SETTINGS = "Settings"
OUTPUT = "Output"

_WEIGHT = dataclasses.fields(WeightsConfig)[0]
_FIXED = "; puts a clip length of a file or preset out of use"


def _help(text: str) -> str:
    """``text`` for typer, which would take ``[tau]`` and ``[default: 3]`` for markup and leave them out."""
    return text.replace("[", "\\[")


def _of(config: type[Any], name: str, *flags: str, panel: str, note: str = "") -> Any:
    """A typer option for one setting; unset stays None, so that files and presets can speak."""
    setting = next(field for field in dataclasses.fields(config) if field.name == name)
    text = f"{setting.metadata['help']}{note}"
    bounds = describe_bounds(setting)
    default = f"{setting.default:g}" if isinstance(setting.default, float) else str(setting.default)
    parts = [f"({bounds})"] if bounds else []
    if setting.default is not None:
        parts.append(f"[default: {default}]")
    told = " ".join([f"{text[0].upper()}{text[1:]}", *parts])
    return typer.Option(*flags, help=_help(told), show_default=False, rich_help_panel=panel)


of = _of
"""The same, for options that one command has to itself."""

Input = Annotated[Path, typer.Argument(help="The take: one video file.", show_default=False)]
TrackFile = Annotated[
    Path, typer.Argument(metavar="TRACK", help="A track.parquet that analyze wrote.", show_default=False)
]
MomentsFile = Annotated[
    Path, typer.Argument(metavar="MOMENTS", help="A moments.json that run or pick wrote.", show_default=False)
]

Fps = Annotated[float | None, _of(AnalyzeConfig, "fps", "--fps", panel=ANALYSIS)]
ScoreHeight = Annotated[int | None, _of(AnalyzeConfig, "score_height", "--score-height", panel=ANALYSIS)]
Model = Annotated[str | None, _of(AnalyzeConfig, "model", "--model", panel=ANALYSIS)]
Precision = Annotated[str | None, _of(AnalyzeConfig, "precision", "--precision", panel=ANALYSIS)]
Framing = Annotated[str | None, _of(AnalyzeConfig, "framing", "--framing", panel=ANALYSIS)]
Backend = Annotated[str | None, _of(AnalyzeConfig, "backend", "--backend", panel=ANALYSIS)]

Prompt = Annotated[
    list[str] | None,
    typer.Option(
        "--prompt",
        metavar="TEXT",
        help='What a good moment shows, as "well-lit interior wide shot"; may be repeated (CLIP models only)',
        show_default=False,
        rich_help_panel=SELECTION,
    ),
]
Avoid = Annotated[
    list[str] | None,
    typer.Option(
        "--avoid",
        metavar="TEXT",
        help="What it does not show; may be repeated (CLIP models only)",
        show_default=False,
        rich_help_panel=SELECTION,
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="NAME=N,...",
        help=_help(
            "Weights of the score, of aesthetic, sharpness, exposure and prompt; those not named keep theirs "
            f"({describe_bounds(_WEIGHT)}) [default: aesthetic=1,sharpness=0.5,exposure=0.5]"
        ),
        show_default=False,
        rich_help_panel=SELECTION,
    ),
]
Normalize = Annotated[str | None, _of(PickConfig, "normalize", "--normalize", panel=SELECTION)]
Window = Annotated[float | None, _of(PickConfig, "window", "--window", panel=SELECTION)]
MinGap = Annotated[float | None, _of(PickConfig, "min_gap", "--min-gap", panel=SELECTION)]
Top = Annotated[int | None, _of(PickConfig, "top", "-k", "--top", panel=SELECTION)]
Diversity = Annotated[float | None, _of(PickConfig, "diversity", "--diversity", panel=SELECTION)]
Pre = Annotated[float | None, _of(PickConfig, "pre", "--pre", panel=CLIPS, note=_FIXED)]
Post = Annotated[float | None, _of(PickConfig, "post", "--post", panel=CLIPS, note=_FIXED)]
ClipLength = Annotated[
    str | None,
    typer.Option(
        "--clip-length",
        metavar="MIN:MAX",
        help="Grow each clip around its peak to between MIN and MAX seconds, as 3:7; "
        "puts --pre and --post of a file or preset out of use",
        show_default=False,
        rich_help_panel=CLIPS,
    ),
]
Encoder = Annotated[str | None, _of(ExportConfig, "encoder", "--encoder", panel=CLIPS)]
Codec = Annotated[str | None, _of(ExportConfig, "codec", "--codec", panel=CLIPS)]
ClipQuality = Annotated[int | None, _of(ExportConfig, "quality", "--quality", panel=CLIPS)]
Effort = Annotated[str | None, _of(ExportConfig, "effort", "--effort", panel=CLIPS)]
Container = Annotated[str | None, _of(ExportConfig, "container", "--container", panel=CLIPS)]
Height = Annotated[int | None, _of(ExportConfig, "height", "--height", panel=CLIPS)]
ClipFps = Annotated[float | None, _of(ExportConfig, "fps", "--clip-fps", panel=CLIPS)]
ExportFps = Annotated[float | None, _of(ExportConfig, "fps", "--fps", "--clip-fps", panel=CLIPS)]
Jobs = Annotated[int | None, _of(ExportConfig, "jobs", "--jobs", panel=CLIPS)]
Copy = Annotated[
    bool | None,
    typer.Option(
        "--copy/--encode",
        help=_help(
            "Cut without encoding, at keyframes: lossless and fast, but clips begin early and may end late; "
            "the table says by how much [default: encode]"
        ),
        show_default=False,
        rich_help_panel=CLIPS,
    ),
]
Reel = Annotated[
    bool | None,
    typer.Option(
        "--reel/--no-reel",
        help=_help("Also join the moments in one file, in one encode from the take [default: no-reel]"),
        show_default=False,
        rich_help_panel=CLIPS,
    ),
]
ReelOrder = Annotated[str | None, _of(ExportConfig, "reel_order", "--reel-order", panel=CLIPS)]
Crossfade = Annotated[float | None, _of(ExportConfig, "crossfade", "--crossfade", panel=CLIPS)]
Sdr = Annotated[
    bool | None,
    typer.Option(
        "--sdr/--hdr",
        help=_help("Tone-map HDR takes to SDR; else they stay HDR where the codec can [default: hdr]"),
        show_default=False,
        rich_help_panel=CLIPS,
    ),
]
Stabilize = Annotated[str | None, _of(ExportConfig, "stabilize", "--stabilize", panel=CLIPS)]
Color = Annotated[str | None, _of(ExportConfig, "color", "--color", panel=CLIPS)]
Audio = Annotated[
    bool | None,
    typer.Option(
        "--audio/--no-audio",
        help=_help("Keep the sound [default: audio]"),
        show_default=False,
        rich_help_panel=CLIPS,
    ),
]

CutLists = Annotated[
    bool | None,
    typer.Option(
        "--cut-lists/--no-cut-lists",
        help=_help("Write the cuts for editors: OTIO, FCPXML, FCP7 XML, EDL and chapters [default: cut-lists]"),
        show_default=False,
        rich_help_panel=CLIPS,
    ),
]

Format = Annotated[str | None, _of(FramesConfig, "format", "--format", panel=OUTPUT)]
Quality = Annotated[int | None, _of(FramesConfig, "quality", "--quality", panel=OUTPUT)]

Timecode = Annotated[str | None, _of(ExportConfig, "timecode", "--timecode", panel=CLIPS)]

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE.toml",
        help=_help(
            "Settings in TOML: [analyze], [pick], [export], [frames]; an option beats them, they beat a preset."
        ),
        show_default=False,
        rich_help_panel=SETTINGS,
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help="Settings for a kind of footage: action, drone, interior, talking-head.",
        show_default=False,
        rich_help_panel=SETTINGS,
    ),
]

Folder = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="DIR", help="Where results go.", rich_help_panel=OUTPUT),
]
RunFolder = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="DIR",
        help=_help("Where results go [default: bestshot/NAME, after the take]"),
        rich_help_panel=OUTPUT,
    ),
]
FramesFolder = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="DIR",
        help=_help("Where stills go; those of several takes, to DIR/TAKE [default: frames, beside each]"),
        rich_help_panel=OUTPUT,
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print the moments document alone, as JSON.", rich_help_panel=OUTPUT)
]
Require = Annotated[
    list[str] | None,
    typer.Option(metavar="CHECK", help="Exit with 1 too when this check is not ok, as gpu or NVDEC; repeatable."),
]
ChecksJson = Annotated[bool, typer.Option("--json", help="Print every check as JSON.", rich_help_panel=OUTPUT)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace older results.", rich_help_panel=OUTPUT)]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress and no remarks.", rich_help_panel=OUTPUT)]
Verbose = Annotated[
    bool,
    typer.Option("-v", "--verbose", help="Say more: decoding, timings, tracebacks.", rich_help_panel=OUTPUT),
]
