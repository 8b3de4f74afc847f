"""``bestshot-trt frames``: the best stills, at full resolution."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..clock import clock
from ..errors import ConfigError, shown
from . import options as o
from .exits import put, reported
from .given import Given, takes

if TYPE_CHECKING:
    from ..stills import StillsDocument

Origins = Annotated[
    list[Path],
    typer.Argument(
        metavar="MOMENTS|TRACK...",
        help="A moments.json, a track.parquet, or a folder of results; one or more.",
        show_default=False,
    ),
]


@takes(frames=o.FRAMES)
def frames(
    origins: Origins,
    output: o.FramesFolder = None,
    top: Annotated[
        int | None,
        typer.Option("-k", "--top", help="Stills of the first so many ranks only.", min=1, max=1000),
    ] = None,
    *,
    given: Given,
    json: Annotated[
        bool, typer.Option("--json", help="Print the stills as JSON, one line a take.", rich_help_panel=o.OUTPUT)
    ] = False,
    overwrite: o.Overwrite = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Write the best still of each pick at full resolution: the sharpest frame near its peak.

    From moments.json, stills are of its picks; from a track, of those that pick makes with these settings. They are
    upright, with square pixels, in sRGB, with nothing in them about who or where; HDR is tone-mapped.
    """
    with reported(verbose=verbose):
        from ..stills import export_stills
        from .progress import Meter

        settings = given.settings()
        folders = _folders(origins, output)
        for origin, folder in zip(origins, folders, strict=True):
            with Meter(quiet=quiet) as progress:
                made = export_stills(origin, folder, settings, top=top, overwrite=overwrite, progress=progress)
            _print(made, folder, as_json=json)


def _folders(origins: list[Path], output: Path | None) -> list[Path]:
    """Where the stills of each go: beside it, in ``output``, or each in a folder of its own in there."""
    homes = [origin if origin.is_dir() else origin.parent for origin in origins]
    if output is None:
        folders = [home / "frames" for home in homes]
    elif len(origins) == 1:
        folders = [output]
    else:
        # Results of a run lie in a folder named after the take; a track that stands alone is named after it.
        names = [
            origin.stem if origin.is_file() and origin.stem not in ("moments", "track") else home.resolve().name
            for origin, home in zip(origins, homes, strict=True)
        ]
        folders = [output / name for name in names]
    for number, folder in enumerate(folders):
        if folder in folders[:number]:
            other = origins[folders.index(folder)]
            raise ConfigError(
                f"{shown(other)} and {shown(origins[number])}: both stills would go to {shown(folder)}; "
                "run them one by one, each with -o"
            )
    return folders


def _print(made: StillsDocument, folder: Path, *, as_json: bool) -> None:
    if as_json:
        told = {"take": shown(made.source.path), "folder": shown(folder), "format": made.format}
        stills = [vars(still) for still in made.stills]
        put(jsonlib.dumps({**told, "stills": stills}) + "\n", encoding="utf-8")
        return
    from .table import aligned

    rows: list[tuple[str, ...]] = [("rank", "peak", "still", "sharp", "size", "file")]
    for still in made.stills:
        size = f"{still.width}x{still.height}"
        times = (clock(still.peak_s), clock(still.time_s, 3))
        rows.append((str(still.rank), *times, f"{still.sharpness:.0f}", size, shown(folder / still.file)))
    put("".join(f"{line}\n" for line in aligned(rows)))
