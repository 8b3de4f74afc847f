"""Measurements: correctness first, then medians against a baseline that runs in turn with ours.

  python -m bench list
  python -m bench score take.mp4 loop:night.mp4:600 made:hevc:1080p:60:gop=60 --runs 5 --save
  python -m bench suite --quick --model path/to/ViT-B-32
  python -m bench targets footage/*.mp4 --model path/to/ViT-B-32
  python -m bench report

An input is a file, a file looped or its start without encoding it again (loop:FILE:SECONDS, start:FILE:SECONDS), or a
made take (made:CODEC:SIZE:SECONDS[:gop=N][:b=N]; h264, hevc, vp9, av1; 720p, 1080p, 4k). Machines are shared and noisy:
only the ratios of one row can be compared.

suite measures end to end by codec, size, model and rate of samples, and every stage; --quick varies one thing at a
time. targets measures what the project holds itself to, on takes of yours, and says what is met. Both keep each step's
rows when it is complete, and go on there when they are run again.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from . import checkout  # noqa: F401  (first: what is imported after it is this checkout's)

# isort: split
from bestshot_trt.config import AnalyzeConfig
from bestshot_trt.decode import probe
from bestshot_trt.embed.model_folder import open_folder
from bestshot_trt.errors import BestshotError

from . import env, inputs, report, rows, suites, targets
from .cases import CASES
from .steps import Step, measured, walk


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ["list", "report", "suite", "targets", *CASES]
    parser.add_argument("case", choices=names, metavar="CASE", help=f"one of: {', '.join(names)}")
    parser.add_argument("inputs", nargs="*", help="takes; for embed, model folders")
    parser.add_argument("--runs", type=int, help="timed runs of each side (default 5; suite and targets 3, quick 1)")
    parser.add_argument("--fps", type=float, default=3.0, help="samples a second (default 3)")
    parser.add_argument(
        "--model", type=Path, action="append", default=[], help="a model folder (suite: repeat it); else no CLIP"
    )
    precisions = ("fp32", "fp16", "int8")
    parser.add_argument(
        "--precision", choices=precisions, default="fp32", help="of our side with a model (default fp32)"
    )
    parser.add_argument("--clip", choices=("onnx", "torch"), default="onnx", help="the plain recipe's library")
    parser.add_argument("--quick", action="store_true", help="suite: one thing varied at a time, on 10 s")
    parser.add_argument("--seconds", type=int, help="suite: of made takes (default 60, quick 10)")
    parser.add_argument("--again", action="store_true", help="suite, targets: also what was measured already")
    parser.add_argument("--save", action="store_true", help="keep the rows under bench/results")
    parser.add_argument(
        "--results", type=Path, default=rows.RESULTS, help="where rows are kept (default bench/results)"
    )
    options = parser.parse_args()
    if options.runs is not None and options.runs < 1:
        parser.error("--runs must be at least 1")
    if options.seconds is not None and options.seconds < 2:
        parser.error("--seconds must be at least 2")
    return options


def _checked(options: argparse.Namespace) -> None:
    """Before anything is measured.

    Raises:
        BestshotError: a rate that `analyze` would not take, or no model in a folder.
    """
    AnalyzeConfig(fps=options.fps)
    for folder in [*options.model, *(options.inputs if options.case == "embed" else ())]:
        open_folder(Path(folder))


def _one(options: argparse.Namespace) -> int:
    """One case; 1 when a gate is red."""
    step = Step(
        case=options.case,
        inputs=tuple(options.inputs),
        runs=options.runs or 5,
        fps=options.fps,
        model=options.model[0] if options.model else None,
        precision=options.precision,
        clip=options.clip,
    )
    environment = env.describe()
    with tempfile.TemporaryDirectory(prefix="bestshot-bench-") as folder:
        found = measured(step, Path(folder))
    if options.save:
        print(rows.save(found, environment, step.case))
    return 1 if any("red" in row for row in found) else 0


def _suite(options: argparse.Namespace) -> int:
    runs = options.runs or (1 if options.quick else 3)
    steps = suites.suite(options.model, quick=options.quick, runs=runs, seconds=options.seconds)
    found = list(walk(steps, env.describe(), again=options.again))
    print(f"{len(found)} rows; see them with: python -m bench report")
    return 1 if any("red" in row for row in found) else 0


def _targets(options: argparse.Namespace) -> int:
    """1 when a target that could be measured is not met."""
    for path in filter(None, map(inputs.file_of, options.inputs)):
        probe(path)
    takes = [text for text in options.inputs if targets.seconds_of(text) >= targets.LEAST_S]
    for text in options.inputs:
        if text not in takes:
            print(f"{text}: left out, it is shorter than {targets.LEAST_S:g} s")
    if not takes:
        print("python -m bench targets: name takes of at least 10 s, or loop:FILE:600", file=sys.stderr)
        return 2
    model = options.model[0] if options.model else None
    if model and not targets.admits_int8(model):
        how = f"bestshot-trt models verify {model} --int8 --frames {takes[0]}"
        print(f"{model.name}: int8 left out; to have it admitted where it is close enough: {how}")
    steps = list(targets.steps(takes, model, options.runs or 3))
    found = list(walk(steps, env.describe(), again=options.again))
    print(targets.table(found))
    return 1 if any(target.verdict(found).met is False for target in targets.TARGETS) else 0


def _report(_: argparse.Namespace) -> int:
    print("\n".join(str(path) for path in report.write()))
    return 0


def _terminated(*_: object) -> None:
    """As Ctrl-C, so that what was started ends too and no files stay."""
    raise KeyboardInterrupt


def main() -> int:
    """Do what the command line says: 0 for done, 1 when something is red or missed, 2 for a wrong command."""
    options = _arguments()
    signal.signal(signal.SIGTERM, _terminated)
    rows.RESULTS = options.results
    if options.case == "list":
        print("\n".join(f"{case.name:10} {case.help}" for case in CASES.values()))
        return 0
    if options.case in CASES and CASES[options.case].needs_input and not options.inputs:
        print(f"python -m bench {options.case}: name a take, or made:h264:1080p:60", file=sys.stderr)
        return 2
    try:
        _checked(options)
        return {"suite": _suite, "targets": _targets, "report": _report}.get(options.case, _one)(options)
    except (BestshotError, ValueError, OSError) as error:
        print(f"python -m bench {options.case}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"python -m bench {options.case}: stopped; suite and targets go on when run again", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
