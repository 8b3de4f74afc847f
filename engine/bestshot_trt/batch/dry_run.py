"""What a batch would do, without doing any of it: which step each take needs, about how long, how much disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..clock import clock
from ..config import BatchConfig, Config
from ..decode import probe
from ..errors import DecodeError, InputError, shown
from ..source import fingerprint
from . import plan
from .inputs import Footage
from .remote import look_at

SPEED = 8.0
"""Assumed before anything was measured here: seconds of footage a worker gets through in a second on a CPU."""
_CLIP_BYTES_S = 1 << 20
_SAMPLE_BYTES = 2200
"""One row of the track with an embedding of 512 numbers."""


def look_ahead(files: Sequence[Footage], root: Path, config: Config, batch: BatchConfig) -> Iterator[str]:
    """Lines that say what would be done. Files are opened to learn how long they are; nothing is written."""
    seen: dict[str, Path] = {}
    footage = clips = 0.0
    for item in files:
        if item.uri is not None:
            yield _remote(item)
            continue
        try:
            content = fingerprint(item.path)
            if content in seen:
                yield f"duplicate             {shown(item.path)}: the same as {shown(seen[content])}"
                continue
            seen[content] = item.path
            stages, seconds = _stages(item, content, root, config)
        except (InputError, DecodeError) as error:
            yield f"{'would fail' if item.asked else 'no video':21} {error}"
            continue
        yield f"{stages or 'done':21} {shown(item.path)}, {clock(seconds, 0)}"
        footage += seconds if stages.startswith("analyze") else 0
        clips += bool(stages)
    spans = config.pick.clip_length[1] if config.pick.clip_length else config.pick.pre + config.pick.post
    size = footage * config.analyze.fps * _SAMPLE_BYTES + clips * config.pick.top * spans * _CLIP_BYTES_S
    time = clock(footage / SPEED / (batch.workers or 1), 0)
    yield (
        f"{len(files)} files, {clock(footage, 0)} to analyze; very roughly {time} at {SPEED:g} times real time "
        f"with {batch.workers} workers, and {size / 2**30:.2f} GiB of disk"
    )


def _remote(item: Footage) -> str:
    """A file that would be fetched; how long it is shows only then."""
    try:
        size = look_at(str(item.uri)).size
    except InputError as error:
        return f"{'would fail':21} {error}"
    told = "of unknown size" if size is None else f"{size / 2**20:.1f} MiB"
    return f"{'fetch if not done':21} {shown(item.source)}, {told}"


def _stages(item: Footage, content: str, root: Path, config: Config) -> tuple[str, float]:
    """What is left to do of one take, and its length in seconds by its own claim."""
    layout = plan.Layout(root)
    name = plan.name_of(item.path, content)
    # A copy of it may have been first last time, and have given it its name.
    found = sorted((root / plan.TAKES).glob(f"*-{name.rpartition('-')[2]}"))
    receipt = plan.receipt_of(found[0] if found else layout.target(name))
    # Which model the settings come to is found out when a batch begins; here it is taken for the one of last time.
    stages = plan.stages_left(receipt, content, plan.keys_of(config, receipt.get("model", "")))
    return stages, probe(item.path).duration_claim or 0.0
