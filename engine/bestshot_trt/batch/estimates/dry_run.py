"""What a batch would do, without doing any of it: which step each take needs, about how long, how much disk."""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...clock import clock
from ...config import BatchConfig, Config
from ...errors import InputError, shown
from .. import plan
from ..plan import ALL
from ..sources import remote
from ..sources.inputs import Footage
from ..workers.messages import Failed
from ..worklist import without_path
from . import rates
from .lengths import lengths_of
from .past import Past
from .rates import Measured, Rates, Work

DONE, DUPLICATE, FAILS, NO_VIDEO, FAILED_BEFORE = "done", "duplicate", "would fail", "no video", "failed before"


@dataclass
class Prospect:
    """One file, and what would become of it."""

    item: Footage
    what: str
    """The steps that it needs, as ``pick, export``; or why it needs none."""
    note: str = ""
    seconds: float | None = None
    """Its length."""
    size: int | None = None
    is_guessed: bool = False
    """Whether its length was told from its size."""
    replaces: bool = False
    """Whether it has results already, of other settings."""
    analysed: float = 0.0
    """Seconds of it that an interrupted batch has analysed; infinite where it was all."""
    work: Work = field(default_factory=Work)

    def __str__(self) -> str:
        length = "" if self.seconds is None else f", {'about ' if self.is_guessed else ''}{clock(self.seconds, 0)}"
        return f"{self.what:21} {shown(self.item.source)}{length}{': ' if self.note else ''}{self.note}"

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "source": shown(self.item.source),
            "what": self.what,
            "duration_s": self.seconds,
            "duration_is_guessed": self.is_guessed,
            "note": self.note,
        }


@dataclass(frozen=True, kw_only=True)
class Prospects:
    """All files, and what they come to."""

    files: Sequence[Prospect]
    workers: int
    seconds: float
    bytes: float
    free: int
    """Bytes that the disk of the results has."""
    work: Work
    basis: str
    """What the estimate goes by, in words."""
    fetched: float
    """Bytes that remote takes need until they are worked on, at most."""

    def lines(self) -> list[str]:
        """For people to read."""
        return [*map(str, self.files), *self._sums()]

    def _sums(self) -> list[str]:
        counts = Counter(each.what for each in self.files)
        told = ", ".join(f"{counts[what]} {STEPS.get(what, what)}" for what in sorted(counts, key=_rank))
        sums = [f"{len(self.files)} files: {told}"]
        if self.work.takes:
            workers = "1 worker" if self.workers == 1 else f"{self.workers} workers"
            footage = f" for {clock(self.work.footage_s, 0)} of footage" if self.work.footage_s else ""
            sums.append(f"about {clock(self.seconds, 0)} with {workers}{footage}, {self.basis}")
        if self.bytes:
            sums.append(f"about {_amount(self.bytes)} of disk for results{self._fetched()}; {self._free()}")
        return sums

    def _free(self) -> str:
        return f"{'only ' if self.bytes + self.fetched > self.free else ''}{_amount(self.free)} free"

    def _fetched(self) -> str:
        return f", and up to {_amount(self.fetched)} for fetched takes" if self.fetched else ""

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "files": [each.plain() for each in self.files],
            "estimate": {
                "workers": self.workers,
                "seconds": round(self.seconds, 1),
                "footage_s": round(self.work.footage_s, 1),
                "bytes": round(self.bytes),
                "fetched_bytes": round(self.fetched),
                "free_bytes": self.free,
                "basis": self.basis,
            },
        }


STEPS = {ALL: "to analyze, pick and cut", "pick, export": "to pick and cut", "export": "to cut"}


def _rank(what: str) -> int:
    order = [*STEPS, DONE, DUPLICATE, NO_VIDEO, FAILED_BEFORE, FAILS]
    return order.index(what)


def _amount(size: float) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"


def look_ahead(
    files: Sequence[Footage],
    root: Path,
    config: Config,
    batch: BatchConfig,
    place: str = "cpu",
    stored: Mapping[str, dict[str, str]] | None = None,
) -> Prospects:
    """What ``batch`` would do with ``files``. They are opened to learn how long they are; nothing is written.

    ``stored`` are receipts of takes that lie elsewhere than below ``root``, by content.
    """
    past = Past(plan.Layout(root).journal)
    try:
        return _Survey(past, root, config, batch, place, stored or {}).of(files)
    finally:
        past.close()


class _Survey:
    def __init__(
        self,
        past: Past,
        root: Path,
        config: Config,
        batch: BatchConfig,
        place: str,
        stored: Mapping[str, dict[str, str]],
    ) -> None:
        self._stored = stored
        self._past, self._layout, self._config, self._batch = past, plan.Layout(root), config, batch
        here = rates.circumstances_of(config, place)
        measured = rates.loaded(past.costs())
        self._rates = Rates(here, config, measured, rates.of_this_machine())
        self._model = _last_model(measured, here.analyze)
        self._seen: dict[str, Path | str] = {}

    def of(self, files: Sequence[Footage]) -> Prospects:
        prospects = [self._prospect(item) for item in files]
        self._learn_lengths([each for each in prospects if each.what in STEPS])
        work = sum((each.work for each in prospects), Work())
        workers = self._batch.workers or 1
        space = self._batch.stage_space * 2**30
        fetched = sum(each.size or 0 for each in prospects if each.work.takes and self._is_fetched(each, space))
        return Prospects(
            files=prospects,
            workers=workers,
            seconds=self._rates.seconds(work, workers),
            bytes=self._rates.bytes(work),
            free=shutil.disk_usage(_existing(self._layout.root)).free,
            work=work,
            basis=self._rates.analysis_basis if work.pixels else self._rates.finish_basis,
            fetched=min(fetched, space),
        )

    def _is_fetched(self, prospect: Prospect, space: float) -> bool:
        return prospect.item.uri is not None and not self._batch.stream and (prospect.size or 0) <= space

    def _prospect(self, item: Footage) -> Prospect:
        try:
            content, size = self._content(item)
        except (InputError, OSError) as error:
            return Prospect(item, FAILS, without_path(item.source, str(error)))
        if content is not None and content in self._seen:
            return Prospect(item, DUPLICATE, f"the same as {shown(self._seen[content])}")
        if content is None:
            return Prospect(item, ALL, size=size)
        self._seen[content] = item.source
        return self._of_content(item, content, size)

    def _content(self, item: Footage) -> tuple[str | None, int | None]:
        """Fingerprint and size; of a remote file only the fingerprint that a batch has noted."""
        if item.uri is None:
            return plan.content_of(item.path, self._past), item.path.stat().st_size
        look = remote.look_at(item.uri)
        if look.size is None or look.revision is None:
            return None, look.size
        return self._past.content_of(str(item.source), look.size, look.revision), look.size

    def _of_content(self, item: Footage, content: str, size: int | None) -> Prospect:
        row = self._past.row(content)
        name = plan.name_of(item.path, content) if row is None else row.name
        receipt = plan.receipt_of(self._layout.target(name)) or self._stored.get(content, {})
        # Which model the settings come to is found out when a batch begins; here it is taken for the one of last time.
        keys = plan.keys_of(self._config, receipt.get("model", self._model))
        stages = plan.stages_left(receipt, content, keys)
        if row is not None and stages and row.state in ("failed", "skipped") and row.keys == keys:
            what = NO_VIDEO if row.state == "skipped" and not item.asked else FAILED_BEFORE
            if not self._batch.retry_failed:
                return Prospect(item, what, without_path(item.source, row.reason or ""))
        analysed = self._analysed(content, keys.analyze) if stages == ALL else 0.0
        seconds = row.footage_s if row is not None and stages != ALL else None
        return Prospect(item, stages or DONE, seconds=seconds, size=size, analysed=analysed, replaces=bool(receipt))

    def _analysed(self, content: str, key: str) -> float:
        if self._layout.track(content, key).exists():
            return math.inf
        parts = self._layout.parts(content, key)
        if not parts.exists():
            return 0.0
        from ..workers.segments import covered

        # Each way of analysing has a folder of its own; the one that got farthest was most likely the last.
        samples = (sum(len(part) for part, _ in covered(folder)) for folder in parts.iterdir())
        return max(samples, default=0) / self._config.analyze.fps

    def _learn_lengths(self, prospects: Sequence[Prospect]) -> None:
        for each, answer in zip(prospects, lengths_of([p.item for p in prospects], self._batch.stall), strict=True):
            if isinstance(answer, Failed):
                each.what = FAILS if each.item.asked or answer.kind != "InputError" else NO_VIDEO
                reason = answer.reason.replace(shown(each.item.path), shown(each.item.source))
                each.note = without_path(each.item.source, reason)
            elif answer.seconds:
                self._count(each, rates.whole(self._config, answer.seconds, answer.seconds * answer.pixels_s))
            else:
                each.is_guessed = each.seconds is None
                self._count(each, self._rates.guess(each.size or 0))

    def _count(self, prospect: Prospect, work: Work) -> None:
        """Of all the work on a take, what is left to do."""
        prospect.seconds = work.footage_s if prospect.seconds is None else prospect.seconds
        before = min(prospect.analysed, work.footage_s) if prospect.what == ALL else work.footage_s
        left = 1 - before / work.footage_s if work.footage_s else float(prospect.what == ALL)
        prospect.work = dataclasses.replace(
            work,
            new=int(not prospect.replaces),
            analyzed=int(left > 0),
            footage_s=work.footage_s * left,
            pixels=work.pixels * left,
        )
        if before and prospect.what == ALL:
            prospect.note = "analyzed already" if not left else f"{clock(before, 0)} of it analyzed already"


def _last_model(measured: Sequence[Measured], key: str) -> str:
    return next((each.model for each in reversed(measured) if each.analyze == key), "")


def _existing(folder: Path) -> Path:
    return next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
