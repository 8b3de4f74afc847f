"""``bestshot-trt batch`` and ``best``: many takes, and the best of all of them."""

from __future__ import annotations

import json as jsonlib
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..config import BatchConfig, PickConfig
from ..errors import ConfigError
from . import options as o
from .exits import put, reported, say
from .given import Given, takes

if TYPE_CHECKING:
    from ..batch.outputs.place import Place
    from ..batch.worklist import Tally

_PANEL = "Batch"

FootageArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="FOOTAGE...",
        help="Videos, folders (all that is in them), patterns as 'day*/**/*.mov', s3://, gs:// and https:// URIs, "
        "@list.txt, or - for names on stdin.",
        show_default=False,
    ),
]
BatchFolder = Annotated[
    str,
    typer.Option(
        "-o",
        "--output",
        metavar="DIR|URI",
        help="Where all results go, as a folder or s3://bucket/results; run again to resume.",
        show_default=False,
        rich_help_panel=o.OUTPUT,
    ),
]
_DRY_RUN = Annotated[
    bool | None,
    typer.Option("--dry-run", help="Only say what would be done; nothing is written.", rich_help_panel=_PANEL),
]
_WORK = Annotated[
    Path | None,
    typer.Option(
        "--work",
        metavar="DIR",
        help="Where to work when results go to a URI; unset: in the user's cache.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
_RAY = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="auto|local|ADDRESS",
        help="Work on a Ray cluster that sees the same disk; auto: this machine's, or a new one; local: a new one.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
# In the order in which the help shows them; settings not named come last.
BATCH = (
    o.group(BatchConfig, _PANEL, "workers", "max_failures", "retry_failed")
    | {"dry_run": _DRY_RUN}
    | o.group(BatchConfig, _PANEL, "stall", "recycle", "memory", "stage_space", "stream")
    | {"work": _WORK, "ray": _RAY}
    | o.group(BatchConfig, _PANEL)
)
DryRunJson = Annotated[
    bool, typer.Option("--json", help="Print what --dry-run says as JSON.", rich_help_panel=o.OUTPUT)
]
LogJson = Annotated[
    bool, typer.Option("--log-json", help="Say what happens as JSON, a line each, on stderr.", rich_help_panel=o.OUTPUT)
]

MetricsTo = Annotated[
    str | None,
    typer.Option(
        "--metrics",
        metavar="FILE.prom|PORT",
        help="Publish how far the batch is for Prometheus, in a file or on a port of this machine.",
        show_default=False,
        rich_help_panel=o.OUTPUT,
    ),
]


@takes(batch=BATCH, analyze=o.ANALYZE, pick=o.PICK, export=o.EXPORT)
def batch(
    footage: FootageArgument,
    output: BatchFolder,
    *,
    given: Given,
    json: DryRunJson = False,
    log_json: LogJson = False,
    metrics: MetricsTo = None,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Run many takes unattended, as bestshot-trt batch footage/ -o results

    Each take gets a folder in DIR/takes with all that run writes, put in place when it is complete. The command may be
    stopped or killed at any time: run again, it goes on, and does nothing twice. Changed selection or clip settings
    only pick and cut anew. A file that fails is tried again in a fresh worker, then listed with its reason; the others
    go on, and the exit code is 1. DIR/index.html shows the best moments of all takes.
    """
    with reported(verbose=verbose):
        settings = given.settings()
        work = dict(given.options["batch"])
        dry_run, ray, folder = work.pop("dry_run", False), work.pop("ray", None), work.pop("work", None)
        chosen = BatchConfig(**work)
        from .. import results
        from ..batch import supervisor
        from ..batch.outputs.place import place_of
        from ..batch.outputs.summary import Digest
        from ..batch.sources import inputs
        from ..batch.workers import places

        results.check_look(settings.export)
        if json and not dry_run:
            raise ConfigError("--json goes with --dry-run; --log-json says what happens in a batch")
        place = place_of(output, folder)
        files = inputs.expand(footage, without=place.root, without_uri=place.uri, stdin=sys.stdin)
        if dry_run:
            _dry_run(files, place, settings, chosen, json)
            return
        from ..cards.load import Loads
        from .batchview import open_view

        with places.workers(ray, settings, chosen) as (chosen, where):
            sampled = not ray and where["devices"][0] is not None and not (quiet and metrics is None)
            with (
                open_view(len(files), quiet=quiet, as_json=log_json, metrics=metrics) as view,
                Loads() if sampled else nullcontext() as view.loads,
            ):
                boss = supervisor.Supervisor(files, place.root, settings, chosen, view.hear, uri=place.uri, **where)
                view.watch(boss)
                view.digest = digest = Digest(place, boss.tally)
                tally = boss.run()
                view.publish()
        digest.end()
        _finish(place, tally, quiet=quiet, as_json=log_json)


def _finish(place: Place, tally: Tally, *, quiet: bool, as_json: bool) -> None:
    from ..batch.outputs.summary import PAGE
    from ..batch.worklist import without_path
    from ..errors import shown

    if tally.failures:
        width = min(60, max(len(shown(Path(path).name)) for path, _ in tally.failures))
        lines = (f"{shown(Path(path).name):{width}}  {without_path(path, reason)}\n" for path, reason in tally.failures)
        put("".join(lines))
    put(_sentence(tally) + "\n")
    if not quiet and not as_json:
        say(f"results are in {place}; open {place}/{PAGE}")
    if tally.stopped and not as_json:
        say(f"stopped early: {tally.stopped}")
    if tally.failures or tally.stopped:
        raise typer.Exit(1)


def _sentence(tally: Tally) -> str:
    parts = [
        f"{tally.done} done",
        f"{tally.before} done before" if tally.before else "",
        f"{tally.duplicates} duplicates" if tally.duplicates else "",
        f"{tally.skipped} not videos" if tally.skipped else "",
        f"{len(tally.failures)} failed" if tally.failures else "",
    ]
    return f"{tally.files} files: " + ", ".join(filter(None, parts))


def _dry_run(files: list[Any], place: Place, settings: Any, chosen: BatchConfig, json: bool) -> None:
    from ..batch.estimates.dry_run import look_ahead
    from ..batch.workers.places import here

    work, where = here(settings, chosen)
    prospects = look_ahead(files, place.root, settings, work, where["place"], place.receipts())
    if json:
        put(jsonlib.dumps(prospects.plain(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    else:
        put("".join(f"{line}\n" for line in prospects.lines()))


def best(
    output: Annotated[
        str, typer.Argument(metavar="DIR|URI", help="The folder or URI given to batch -o.", show_default=False)
    ],
    top: Annotated[int, typer.Option("-k", "--top", help="How many moments to list.", min=1, max=1000)] = 20,
    diversity: Annotated[
        float,
        typer.Option(
            "--diversity", help="Least cosine distance between two of them; 0 keeps near duplicates.", min=0, max=2
        ),
    ] = PickConfig.diversity,
    json: Annotated[bool, typer.Option("--json", help="Print the moments as JSON.", rich_help_panel=o.OUTPUT)] = False,
    verbose: o.Verbose = False,
) -> None:
    """List the best moments of a whole batch, across its takes, as bestshot-trt best results -k 20

    They are ranked by raw scores, which compare across takes, and no two look alike. Nothing is decoded.
    """
    with reported(verbose=verbose):
        from ..batch.outputs.best import as_plain, best_moments
        from ..batch.outputs.place import place_of
        from ..clock import clock
        from ..errors import shown

        found = best_moments(place_of(output).shelf(), top, diversity)
        if json:
            put(jsonlib.dumps([as_plain(moment) for moment in found], indent=2) + "\n", encoding="utf-8")
            return
        lines = ["rank   score         peak  clip"]
        lines += [f"{m.rank:4}  {m.raw_score:6.3f}  {clock(m.peak_s):>11}  {shown(m.clip or m.take)}" for m in found]
        put("".join(f"{line}\n" for line in lines))
