"""Measurements: correctness first, then medians against a baseline that runs in turn with ours.

  python -m bench list
  python -m bench score take.mp4 loop:night.mp4:600 made:hevc:1080p:60:gop=60 --runs 5 --save
  python -m bench report

An input is a file, a file looped without encoding it again (loop:FILE:SECONDS), or a made take
(made:CODEC:SIZE:SECONDS[:gop=N][:b=N]; h264, hevc, vp9, av1; 720p, 1080p, 4k). Machines are shared and noisy: only the
ratios of one row can be compared.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from . import env, inputs, report, rows
from .cases import CASES
from .registry import Request, Row


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ["list", "report", *CASES]
    parser.add_argument("case", choices=names, metavar="CASE", help=f"one of: {', '.join(names)}")
    parser.add_argument("inputs", nargs="*", help="takes; for embed, model folders")
    parser.add_argument("--runs", type=int, default=5, help="timed runs of each side (default 5)")
    parser.add_argument("--fps", type=float, default=3.0, help="samples a second (default 3)")
    parser.add_argument("--model", type=Path, help="a model folder; left out: no CLIP")
    parser.add_argument("--save", action="store_true", help="keep the rows under bench/results")
    return parser.parse_args()


def measured(name: str, wanted: list[str], *, runs: int, fps: float, model: Path | None) -> list[Row]:
    """The rows of one case, printed as they come."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        takes = [inputs.resolve(text, Path(folder)) for text in wanted]
        request = Request(takes, runs, Path(folder), model, fps)
        for row in CASES[name].rows(request):
            found.append(row)
            print(rows.line(row), flush=True)
    return found


def main() -> int:
    """Do what the command line says; 1 when a gate is red."""
    options = _arguments()
    if options.case == "list":
        print("\n".join(f"{case.name:10} {case.help}" for case in CASES.values()))
        return 0
    if options.case == "report":
        print("\n".join(str(path) for path in report.write()))
        return 0
    if CASES[options.case].needs_input and not options.inputs:
        print(f"python -m bench {options.case}: name a take, or made:h264:1080p:60", file=sys.stderr)
        return 2
    environment = env.describe()
    found = measured(options.case, options.inputs, runs=options.runs, fps=options.fps, model=options.model)
    if options.save:
        print(rows.save(found, environment, options.case))
    return 1 if any("red" in row for row in found) else 0


if __name__ == "__main__":
    sys.exit(main())
