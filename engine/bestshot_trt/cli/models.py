"""``bestshot-trt models``: what CLIP models there are and which are here; get, make and check them."""

from __future__ import annotations

import contextlib
import json as jsonlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options as o
from .exits import put, reported, say

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ..embed.model_folder import ModelFolder
    from ..embed.models import ModelSpec
    from ..progress import Progress

app = typer.Typer(
    help="CLIP models: list, get, make and check them.\n\n"
    "run and analyze get the default one by themselves; get it beforehand with: bestshot-trt models pull ViT-B-32",
    no_args_is_help=True,
)

_FRAMES = 64
"""Frames of a take that a model is tried on."""

Name = Annotated[str, typer.Argument(metavar="NAME", help="A model, as models list names it.", show_default=False)]
NameOrFolder = Annotated[
    str,
    typer.Argument(metavar="NAME|FOLDER", help="A model that is here, or the folder of one.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print it as JSON.", rich_help_panel=o.OUTPUT)]


@app.command("list")
def list_models(json: Json = False, verbose: o.Verbose = False) -> None:
    """List the models there are, and which of them are here.

    Example: bestshot-trt models list --json
    """
    with reported(verbose=verbose):
        from .model_tables import listed, print_list

        rows = listed()
        if json:
            put(jsonlib.dumps(rows, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        else:
            print_list(rows)


@app.command()
def pull(
    name: Name,
    text: Annotated[
        bool, typer.Option("--text", help="Also the text tower, which prompts need; else it comes with the first.")
    ] = False,
    precision: Annotated[
        str, typer.Option("--precision", metavar="P,...", help="Of the graphs: fp32 (always), fp16, int8.")
    ] = "fp32",
    force: Annotated[bool, typer.Option("--force", help="Fetch it again, though it is here.")] = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Get a model from the Hugging Face hub.

    Example: bestshot-trt models pull ViT-B-32 --text

    What is interrupted goes on where it stopped. BESTSHOT_MODELS names the folder that models are kept in;
    HF_ENDPOINT another hub.
    """
    with reported(verbose=verbose):
        from ..embed.models import find_spec
        from ..embed.pull import nobody
        from ..embed.pull import pull as get
        from .model_tables import print_folder
        from .progress import Meter

        spec = find_spec(name)
        precisions = _precisions(precision)
        with Meter(quiet=quiet) as progress:
            folder = get(spec, text=text, force=force, progress=progress, announce=nobody if quiet else say)
            folder = _with_precisions(folder, precisions, progress)
        print_folder(folder, quiet=quiet)


@app.command()
def export(
    name: Name,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="DIR", help="Where to; by default among the models.", rich_help_panel=o.OUTPUT
        ),
    ] = None,
    precision: Annotated[
        str, typer.Option("--precision", metavar="P,...", help="Of the graphs: fp32 (always), fp16, int8.")
    ] = "fp32,fp16",
    weights: Annotated[
        str | None,
        typer.Option("--weights", metavar="TAG|FILE", help="Other weights, by OpenCLIP's tag or from a checkpoint."),
    ] = None,
    random: Annotated[bool, typer.Option("--random", help="Random weights, to try things out; needs -o.")] = False,
    head: Annotated[
        Path | None, typer.Option("--head", metavar="FILE", help="An aesthetic head (.pth) instead of LAION's.")
    ] = None,
    overwrite: o.Overwrite = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Make a model from OpenCLIP, on a machine with torch.

    Example: bestshot-trt models export ViT-B-32 -o clip-b32

    It takes the export extra: pip install "bestshot-trt\\[export]"

    The folder can be copied anywhere and used with: bestshot-trt run take.mp4 --model clip-b32
    """
    with reported(verbose=verbose):
        from ..embed import build
        from ..embed.models import find_spec
        from .model_tables import print_folder
        from .progress import Meter

        spec = find_spec(name)
        precisions = _precisions(precision)
        folder = _target(spec, output, random=random, overwrite=overwrite)
        tag = None if random else weights or build.REGISTERED
        with Meter(quiet=quiet) as progress, _head(spec, head, progress) as file:
            made = build.export_openclip(spec, folder, head=file, weights=tag, precisions=precisions, progress=progress)
        print_folder(made, quiet=quiet)


@app.command()
def verify(
    model: NameOrFolder,
    frames: Annotated[
        Path | None, typer.Option("--frames", metavar="VIDEO", help="A take of yours, to compare precisions on.")
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Make the int8 graph if it is not there; runs admit it if it is close.")
    ] = False,
    image: Annotated[
        Path | None, typer.Option("--image", metavar="FILE", help="franz-kafka.jpg, whose values were published.")
    ] = None,
    ratings: Annotated[
        Path | None,
        typer.Option("--ratings", metavar="DIR", help="rating0.npy to rating9.npy: embeddings of rated pictures."),
    ] = None,
    json: Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Check that a model computes what it should.

    Example: bestshot-trt models verify ViT-B-32 --int8 --frames take.mp4

    Prints a line for each check; exit code 1 when one fails.
    """
    with reported(verbose=verbose):
        from ..embed.verify import Evidence, record_parity
        from ..embed.verify import verify as check
        from .model_tables import print_verdict
        from .progress import Meter

        folder = find_folder(model)
        with Meter(quiet=quiet) as progress:
            pictures = None if frames is None else _views(frames, folder.card.size, progress)
            folder = _with_precisions(folder, ["int8"] if int8 else [], progress)
            evidence = Evidence(frames=pictures, image=image, ratings=ratings)
            verdict = check(folder, evidence, progress=progress)
            record_parity(folder, verdict.parity)
        print_verdict(verdict, as_json=json)
        if not verdict.passed:
            raise typer.Exit(1)


@app.command()
def path(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A model that is here.", show_default=False)
    ] = None,
    verbose: o.Verbose = False,
) -> None:
    """Print where models are kept, or where one of them is.

    Example: cp -r "$(bestshot-trt models path ViT-B-32)" /media/usb
    """
    with reported(verbose=verbose):
        from ..embed.model_folder import models_folder

        put(f"{models_folder() if name is None else find_folder(name).path}\n")


def find_folder(name: str) -> ModelFolder:
    """The model in the folder ``name``, or the one called so that is here; nothing is fetched.

    Raises:
        ModelUnavailable: there is none.
    """
    from ..embed.model_folder import CARD, models_folder, open_folder
    from ..embed.models import find_spec
    from ..errors import ModelUnavailable, shown

    for path in (Path(name), models_folder() / name):
        if (path / CARD).exists():
            return open_folder(path)
    try:
        spec = find_spec(name)
    except ModelUnavailable:
        if os.sep not in name:
            raise
        return open_folder(Path(name))
    folder = models_folder() / spec.name
    if not (folder / CARD).exists():
        raise ModelUnavailable(
            f"{spec.name} is not in {shown(models_folder())}; get it with: bestshot-trt models pull {spec.name}"
        )
    return open_folder(folder)


def _precisions(text: str) -> list[str]:
    from ..embed.model_folder import PRECISIONS
    from ..errors import ConfigError, shown

    given = [part.strip() for part in text.split(",") if part.strip()]
    for part in given:
        if part not in PRECISIONS:
            raise ConfigError(f"precision {shown(part)!r}; it must be one or more of {','.join(PRECISIONS)}")
    return given


def _with_precisions(folder: ModelFolder, precisions: list[str], progress: Progress) -> ModelFolder:
    from ..embed.build import add_precision

    for precision in precisions:
        if precision != "fp32":
            progress(f"convert to {precision}", 0, None)
            folder = add_precision(folder, precision)
    return folder


def _target(spec: ModelSpec, output: Path | None, *, random: bool, overwrite: bool) -> Path:
    from ..embed.model_folder import CARD, models_folder
    from ..errors import ConfigError, ExportError, shown

    if random and output is None:
        raise ConfigError("random weights are not for the models folder, where runs would take them; name one with -o")
    folder = output or models_folder() / spec.name
    if (folder / CARD).exists() and not overwrite:
        raise ExportError(f"{shown(folder)}: holds a model already; give --overwrite, or another folder with -o")
    return folder


def _head(spec: ModelSpec, given: Path | None, progress: Progress) -> contextlib.AbstractContextManager[Path]:
    from ..embed.pull import head_file

    return head_file(spec, progress=progress) if given is None else contextlib.nullcontext(given)


def _views(source: Path, size: int, progress: Progress) -> npt.NDArray[np.uint8]:
    """Up to `_FRAMES` frames from all over a take, as a model wants them."""
    from ..decode import probe, sample_views
    from ..frames import ModelView

    return sample_views(probe(source), ModelView(size=size, framing="crop"), _FRAMES, progress)[0]
