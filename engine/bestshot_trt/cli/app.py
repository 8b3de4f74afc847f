"""The commands of ``bestshot-trt``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import batch as batching
from . import bench as benching
from . import build as building
from . import frames, models, showing
from . import options as o
from . import search as searching
from .exits import put, reported, say
from .given import Given, takes

app = typer.Typer(
    name="bestshot-trt",
    help="Finds the few seconds of a long take that look best, and cuts them as clips.\n\n"
    "Start with: bestshot-trt run take.mp4",
    epilog="Exit codes: 0 done, 1 demo or doctor found a fault, 2 settings, 3 input, 4 decoding, 5 backend, "
    "6 model, 7 engine, 8 writing, 70 internal error, 129 hung up, 130 Ctrl-C, 143 terminated.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from .._version import __version__

        put(f"bestshot-trt {__version__}\n")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
@takes(analyze=o.ANALYZE, pick=o.PICK, export=o.EXPORT)
def run(
    source: o.Input,
    output: o.RunFolder = None,
    *,
    given: Given,
    json: o.Json = False,
    overwrite: o.Overwrite = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Analyze a take, pick its best moments and cut them: the whole job.

    Writes clips/, cuts/, contact_sheet.jpg, report.html, timeline.svg, moments.json, moments.csv and track.parquet.
    """
    with reported(verbose=verbose):
        settings = given.settings()
        from .. import pipeline, results
        from .progress import Meter
        from .table import print_moments, remark

        folder = output or results.default_folder(source)
        with Meter(quiet=quiet) as progress:
            document = pipeline.run(source, settings, folder, overwrite=overwrite, progress=progress)
        print_moments(document, as_json=json)
        remark(document, quiet=quiet, verbose=verbose)
        _tell_where(folder, quiet=quiet or json)


def _tell_where(folder: Path, *, quiet: bool) -> None:
    from ..errors import shown

    if not quiet:
        say(f"results are in {shown(folder)}")


@app.command()
@takes(analyze=o.ANALYZE, pick=o.PROMPTS)
def analyze(
    source: o.Input,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="TRACK", help="The track to write.", rich_help_panel=o.OUTPUT),
    ] = Path("track.parquet"),
    *,
    given: Given,
    overwrite: o.Overwrite = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Decode and measure a take: the expensive half. Writes a score track for pick."""
    with reported(verbose=verbose):
        settings = given.settings()
        from ..analysis import analyze_to
        from .progress import Meter

        with Meter(quiet=quiet) as progress:
            track = analyze_to(source, output, settings, overwrite=overwrite, progress=progress)
        # Not before the take is analysed: it would keep the decoder waiting.
        from .table import print_track, remark

        print_track(track, output, quiet=quiet)
        remark(track.meta, quiet=quiet, verbose=verbose)


@app.command()
@takes(pick=o.PICK)
def pick(
    track: o.TrackFile,
    output: o.Folder = None,
    *,
    given: Given,
    json: o.Json = False,
    overwrite: o.Overwrite = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Pick moments from a score track: the cheap half, without decoding.

    With -o it writes report.html, moments.json, moments.csv and timeline.svg there; without, it only prints.
    With --overwrite, the clips of an older selection there go with it.
    """
    with reported(verbose=verbose):
        settings = given.settings()
        from .. import pipeline
        from .progress import Meter
        from .table import print_moments, remark

        with Meter(quiet=quiet) as progress:
            if output is None:
                document = pipeline.pick(track, settings, progress)
            else:
                document = pipeline.pick_to(track, output, settings, overwrite=overwrite, progress=progress)
        print_moments(document, as_json=json)
        remark(document, quiet=quiet, verbose=verbose)


@app.command()
@takes(export=o.EXPORT_ALONE)
def export(
    moments: o.MomentsFile,
    output: o.Folder = None,
    *,
    given: Given,
    json: o.Json = False,
    overwrite: o.Overwrite = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Cut the clips of picked moments, again or for the first time, beside the moments or in -o; also cut lists."""
    with reported(verbose=verbose):
        settings = given.settings()
        from .. import pipeline
        from .progress import Meter
        from .table import print_moments, remark

        with Meter(quiet=quiet) as progress:
            document = pipeline.export(moments, output, settings, overwrite=overwrite, progress=progress)
        print_moments(document, as_json=json)
        remark(document, quiet=quiet, verbose=verbose)
        _tell_where(output or moments.parent, quiet=quiet or json)


app.command(name="search")(searching.search)
app.command(name="build")(building.build)
app.command(name="bench")(benching.bench)
app.command(name="batch")(batching.batch)
app.command(name="best")(batching.best)
app.command(name="show")(showing.show)
app.command(name="frames")(frames.frames)
app.add_typer(models.app, name="models")


@app.command()
def demo(
    output: o.Folder = Path("bestshot/demo"),
    overwrite: o.Overwrite = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Make a synthetic 40 s take, run the whole job on it, and say which planted moments it found."""
    with reported(verbose=verbose):
        from ..demo import run_demo
        from .progress import Meter
        from .table import print_findings, print_moments

        folder = output or Path("bestshot/demo")
        with Meter(quiet=quiet) as progress:
            document, findings = run_demo(folder, overwrite=overwrite, progress=progress)
        print_moments(document, as_json=False)
        complete = print_findings(findings)
        _tell_where(folder, quiet=quiet)
        if not complete:
            raise typer.Exit(1)


@app.command()
def doctor(require: o.Require = None, json: o.ChecksJson = False, verbose: o.Verbose = False) -> None:
    """Say what this machine can do, proven where it can be, and what to install for more.

    Exits with 1 when something required does not work. On an NVIDIA machine it names cards, driver, NVDEC and NVENC,
    and says whether the GPU packages fit them.
    """
    with reported(verbose=verbose):
        from ..doctor import inspect, is_healthy
        from .table import print_checks

        checks = inspect()
        healthy = is_healthy(checks, require or ())
        print_checks(checks, healthy=healthy, as_json=json)
        if not healthy:
            raise typer.Exit(1)
