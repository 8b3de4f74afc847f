"""How soon there is something to read."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from bestshot_trt.speed.timing import wall_of

from .. import gates
from ..figures import alone
from ..inputs import made
from ..registry import Request, Row, case

PYTHON = [sys.executable, "-c", "pass"]


@case("start", "seconds to --help, and to the results of a 10 s take without a model", needs_input=False)
def start(request: Request, _: Path) -> Iterator[Row]:
    """Whole processes, beside one of bare Python; the gate is that the result has its clips."""
    take = made("h264", "720p", 10, {}, request.folder)
    program = [sys.executable, "-m", "bestshot_trt"]
    run = [*program, "run", str(take), "--model", "none", "-q", "--overwrite", "-o", str(request.folder / "out")]
    commands = {"python": PYTHON, "help": [*program, "--help"], "first-result": run}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for index in range(request.runs + 1):
        for name, command in commands.items():
            spent = wall_of(command)()
            if index:
                seconds[name].append(spent)
    gates.whole_clips(request.folder / "out", take)
    for name, values in seconds.items():
        yield {"settings": {"what": name}, **alone(values)}
