"""Every option once: those of settings are made from the config, in groups that `given.takes` gives to commands."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from ..bounds import describe_bounds
from ..config import AnalyzeConfig, ExportConfig, FramesConfig, PickConfig
from ..config import Weights as WeightsConfig

Options: TypeAlias = dict[str, Any]
"""Settings by name, each as the annotated type that typer makes an option of."""

ANALYSIS = "Analysis"
SELECTION = "Selection"
CLIPS = "Clips"
SETTINGS = "Settings"
OUTPUT = "Output"

_KINDS: dict[str, Any] = {"int": int, "float": float, "bool": bool, "tuple[str, ...]": list[str]}
"""What typer reads an option as, by the type of the setting; all else is text, which `settings` reads."""


def _help(text: str) -> str:
    """``text`` for typer, which would take ``[tau]`` and ``[default: 3]`` for markup and leave them out."""
    return text.replace("[", "\\[")


def _default(setting: dataclasses.Field[Any], flag: str) -> str:
    """How the help tells the default, empty where there is none; a switch has it by its name, as ``--sdr/--hdr``."""
    if isinstance(setting.default, bool):
        on, _, off = flag.partition("/")
        return (on if setting.default else off).removeprefix("--")
    if isinstance(setting.default, float):
        return f"{setting.default:g}"
    return "" if setting.default in (None, ()) else str(setting.default)


def _option(setting: dataclasses.Field[Any], panel: str, *, flags: tuple[str, ...] = (), note: str = "") -> Any:
    """The option of one setting; unset stays None, so that files and presets can speak."""
    flags = flags or setting.metadata["flags"] or (f"--{setting.name.replace('_', '-')}",)
    text, bounds, default = setting.metadata["help"], describe_bounds(setting), _default(setting, flags[-1])
    told = f"{text[0].upper()}{text[1:]}{note}"
    told += f" ({bounds})" if bounds else ""
    told += f" [default: {default}]" if default else ""
    metavar = setting.metadata["metavar"]
    option = typer.Option(*flags, help=_help(told), metavar=metavar, show_default=False, rich_help_panel=panel)
    return Annotated[_KINDS.get(str(setting.type).removesuffix(" | None"), str) | None, option]


def group(config: type[Any], panel: str, *names: str, **special: Any) -> Options:
    """The options of the settings of ``config`` named, or of all that tell a help text, shown under ``panel``.

    ``special`` are flags that a command has in place of the setting's, or a note after its help.
    """
    settings = {field.name: field for field in dataclasses.fields(config) if field.metadata}
    return {name: _option(settings[name], panel, **special) for name in names or settings}


Input = Annotated[Path, typer.Argument(help="The take: one video file.", show_default=False)]
TrackFile = Annotated[
    Path, typer.Argument(metavar="TRACK", help="A track.parquet that analyze wrote.", show_default=False)
]
MomentsFile = Annotated[
    Path, typer.Argument(metavar="MOMENTS", help="A moments.json that run or pick wrote.", show_default=False)
]

_FIXED = "; puts a clip length of a file or preset out of use"
_WEIGHTS = dataclasses.fields(WeightsConfig)

Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="NAME=N,...",
        help=_help(
            "Weights of the score, of aesthetic, sharpness, exposure and prompt; those not named keep theirs "
            f"({describe_bounds(_WEIGHTS[0])}) "
            f"[default: {','.join(f'{each.name}={each.default:g}' for each in _WEIGHTS if each.default is not None)}]"
        ),
        show_default=False,
        rich_help_panel=SELECTION,
    ),
]

ANALYZE = group(AnalyzeConfig, ANALYSIS)
PROMPTS = group(PickConfig, SELECTION, "prompt", "avoid")
PICK = (
    PROMPTS
    | {"weights": Weights}
    | group(PickConfig, SELECTION)
    | group(PickConfig, CLIPS, "pre", "post", note=_FIXED)
    | group(PickConfig, CLIPS, "clip_length")
)
EXPORT = group(ExportConfig, CLIPS)
EXPORT_ALONE = EXPORT | group(ExportConfig, CLIPS, "fps", flags=("--fps", "--clip-fps"))
FRAMES = group(FramesConfig, OUTPUT)

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
