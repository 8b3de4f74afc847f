"""``bestshot-trt build``: TensorRT engines of a model, compared with it on real frames."""

from __future__ import annotations

import dataclasses
import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options as o
from .exits import put, reported, say
from .models import Json, NameOrFolder, find_folder

if TYPE_CHECKING:
    from ..embed.engines import Engine, Wanted
    from ..frames import VideoInfo
    from ..progress import Progress

BUILDING = "Building"


def build(
    model: NameOrFolder,
    frames: Annotated[
        list[Path] | None,
        typer.Option(
            "--frames",
            metavar="TAKE",
            help="A take of yours; the engine is kept only if it does on its frames what the fp32 graph does; "
            "may be repeated.",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            "--precision",
            metavar="P",
            help="Of the graph it is built from, which says the types: fp16, bf16, fp32, or another's in the folder.",
        ),
    ] = "fp16",
    tower: Annotated[str, typer.Option("--tower", metavar="T,...", help="visual, text, or both.")] = "visual",
    capability: Annotated[
        str | None,
        typer.Option(
            "--capability",
            metavar="N.N",
            help="Of the GPU to build for, as 8.9 for an L4; default: this machine's. Others need TensorRT-RTX.",
            show_default=False,
            rich_help_panel=BUILDING,
        ),
    ] = None,
    builder: Annotated[
        str | None,
        typer.Option(
            "--builder",
            help="tensorrt or tensorrt_rtx; default: the first that is installed.",
            show_default=False,
            rich_help_panel=BUILDING,
        ),
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(
            "--batch",
            metavar="BEST[:MOST]",
            help="Pictures at once: what it is tuned for, and the most it takes (default: 64:64, which runs use).",
            show_default=False,
            rich_help_panel=BUILDING,
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Build it again, though it is there or was refused.", rich_help_panel=BUILDING),
    ] = False,
    json: Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Build a model's TensorRT engine into the engine cache, and compare it with the model on real frames.

    Example: bestshot-trt build ViT-L-14 --frames take.mp4

    With TensorRT-RTX no GPU need be there: bestshot-trt build ViT-B-32 --capability 8.9

    run --backend gpu builds what is missing by itself. An engine is tied to model, precision, GPU architecture,
    TensorRT version and batch; BESTSHOT_ENGINES names the folder that engines are kept in.
    """
    with reported(verbose=verbose):
        from ..decode import probe
        from ..embed.build import build_engines, find_target
        from .progress import Meter

        folder, target, batches = find_folder(model), find_target(capability, builder), _batches(batch)
        takes = [probe(take) for take in frames or []]
        with Meter(quiet=quiet) as progress:
            made = build_engines(
                folder,
                towers=_towers(tower),
                precision=precision,
                target=target,
                batches=batches,
                force=force,
                progress=progress,
            )
            made = [_compared(wanted, engine, takes, progress) for wanted, engine in made]
        _print([engine for _, engine in made], as_json=json)
        if not quiet:
            _remark(made)


def _towers(text: str) -> list[str]:
    from ..errors import ConfigError, shown

    given = [part.strip() for part in text.split(",") if part.strip()]
    if not given or {*given} - {"visual", "text"}:
        raise ConfigError(f"tower {shown(text)!r}; it must be visual, text, or visual,text")
    return given


def _batches(text: str | None) -> Any:
    from ..embed.build import Batches
    from ..errors import ConfigError, shown

    if text is None:
        return None
    best, _, most = text.partition(":")
    if not (best.isdecimal() and (not most or most.isdecimal())):
        raise ConfigError(f"batch {shown(text)!r}; it must be a number such as 64, or two such as 32:64")
    return Batches(1, int(best), int(most or best))


def _compared(wanted: Wanted, engine: Engine, takes: list[VideoInfo], progress: Progress) -> tuple[Wanted, Engine]:
    """``engine``, compared where that can be done here."""
    if wanted.tower != "visual" or wanted.target.elsewhere or not takes:
        return wanted, engine
    from ..embed.prove import prove
    from ..footage import footage

    size = wanted.folder.card.size
    return wanted, prove(wanted, engine, [footage(take, size, "crop", progress) for take in takes], progress)


def _print(engines: list[Engine], *, as_json: bool) -> None:
    if as_json:
        rows = [{"path": str(engine.path), **dataclasses.asdict(engine.card)} for engine in engines]
        put(jsonlib.dumps(rows, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return
    put("".join(f"{engine.path}\n" for engine in engines))


def _remark(made: list[tuple[Wanted, Engine]]) -> None:
    for wanted, engine in made:
        card = engine.card
        if card.parity is not None:
            parity = f"compared with fp32: {card.parity}"
        elif wanted.tower != "visual":
            parity = "prompts run on the CPU, so nothing uses or compares it"
        elif wanted.target.elsewhere:
            parity = "not compared with fp32, since its GPU is not here; the first run on one does that"
        else:
            parity = "not compared with fp32; the first run does that, or --frames take.mp4"
        size = engine.path.stat().st_size / 1e6
        made_with = f"{card.architecture}, {card.builder} {card.builder_version}, {size:.0f} MB"
        say(f"{wanted.tower} {wanted.precision} for {made_with}; {parity}")
