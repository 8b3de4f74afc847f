"""``bestshot-trt search``: moments by words, over many tracks."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..config import PickConfig
from ..errors import ConfigError
from . import options as o
from .exits import put, reported
from .given import Given, takes

if TYPE_CHECKING:
    from ..search import Hit

Tracks = Annotated[
    list[str], typer.Argument(metavar="TRACK... TEXT", help="Tracks that analyze or run wrote, then what to look for.")
]


@takes(files=False, pick=o.group(PickConfig, o.SELECTION, "avoid"))
def search(
    tracks: Tracks,
    *,
    given: Given,
    top: Annotated[int, typer.Option("-k", "--top", help="How many moments to list.", min=1, max=1000)] = 10,
    min_gap: Annotated[
        float, typer.Option("--min-gap", help="Least time between two of one take, in seconds.", min=0)
    ] = PickConfig.min_gap,
    json: Annotated[bool, typer.Option("--json", help="Print the moments as JSON.", rich_help_panel=o.OUTPUT)] = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """List the moments of analysed takes that fit a description best, as

    bestshot-trt search bestshot/*/track.parquet "a dog jumping into a lake"

    The tracks must come from one CLIP model. Nothing is decoded.
    """
    with reported(verbose=verbose):
        if len(tracks) < 2:
            raise ConfigError('give one or more tracks, then the text, as search track.parquet "a red car"')
        from ..search import search as find
        from .progress import Meter

        *paths, text = tracks
        with Meter(quiet=quiet) as progress:
            hits = find(
                paths, [text], avoid=given.options["pick"].get("avoid", ()), top=top, min_gap=min_gap, progress=progress
            )
        _print(hits, as_json=json)


def _print(hits: list[Hit], *, as_json: bool) -> None:
    if as_json:
        put(jsonlib.dumps([vars(hit) for hit in hits], indent=2) + "\n", encoding="utf-8")
        return
    from ..clock import clock
    from ..errors import shown

    lines = ["rank  similarity         time  take"]
    for rank, hit in enumerate(hits, 1):
        name = shown(Path(hit.source).name)
        lines.append(f"{rank:4}  {hit.similarity:10.3f}  {clock(hit.time_s):>11}  {name}")
    put("".join(f"{line}\n" for line in lines))
