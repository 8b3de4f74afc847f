"""Results as a short table on stdout, and remarks about the take on stderr."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..clock import clock
from ..errors import shown
from .exits import put, say

if TYPE_CHECKING:
    from ..demo import Finding
    from ..doctor import Check
    from ..moments import Moment, MomentsDocument, Shake
    from ..track import Track, TrackMeta

_COLUMNS = ("rank", "peak", "from", "to", "score", "sharp", "exposure", "aesthetic", "prompt", "shake", "moved", "clip")
_OPTIONAL = ("prompt", "shake", "moved")
"""Columns that are left out where they would be empty."""


def print_moments(document: MomentsDocument, *, as_json: bool) -> None:
    """Print the picks: one line each, or the whole document as JSON."""
    if as_json:
        # JSON is UTF-8, whatever the terminal speaks.
        put(document.to_json(), encoding="utf-8")
        return
    rows: list[tuple[str, ...]] = [
        (
            str(moment.rank),
            clock(moment.peak_s),
            clock(moment.start_s),
            clock(moment.end_s),
            f"{moment.score_smooth:.3f}",
            f"{moment.measures.sharpness:.0f}",
            f"{moment.measures.exposure_penalty:.3f}",
            f"{moment.measures.aesthetic:.2f}",
            "" if moment.measures.prompt_similarity is None else f"{moment.measures.prompt_similarity:.3f}",
            _shake(moment.shake),
            _moved(moment),
            moment.clip or "",
        )
        for moment in document.moments
    ]
    empty = [n for n, name in enumerate(_COLUMNS) if name in _OPTIONAL and not any(row[n] for row in rows)]
    table = [[cell for n, cell in enumerate(row) if n not in empty] for row in (_COLUMNS, *rows)]
    _put_lines(aligned(table))


def _shake(shake: Shake | None) -> str:
    """Before and after, in percent of the short side a frame; one number where the clip was left as it was."""
    if shake is None:
        return ""
    return f"{shake.before:.2f} to {shake.after:.2f}" if shake.kept else f"{shake.before:.2f}"


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines: every column to the right, the last one to the left."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        cells = [f"{cell:>{width}}" for cell, width in zip(row[:-1], widths, strict=False)]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return lines


def _moved(moment: Moment) -> str:
    """How far the clip's start and end are from the moment's, in seconds, where it could not be cut there."""
    if moment.clip_start_s is None or moment.clip_end_s is None:
        return ""
    return f"{moment.clip_start_s - moment.start_s:+.3f}/{moment.clip_end_s - moment.end_s:+.3f}"


def _put_lines(lines: list[str]) -> None:
    put("".join(f"{line}\n" for line in lines))


def remark(made: MomentsDocument | TrackMeta, *, quiet: bool, verbose: bool) -> None:
    """Say on stderr what was lost or done otherwise, and with ``verbose`` how it was done."""
    if quiet:
        return
    name = shown(Path(made.source.path).name)
    for lost in made.decode.lost:
        samples = "1 sample" if lost.samples == 1 else f"{lost.samples} samples"
        say(f"{name}: {lost.start:.1f} s to {lost.end:.1f} s could not be decoded ({samples} left out)")
    for note in made.decode.notes:
        say(f"{name}: {note}")
    if made.model_note:
        say(f"{name}: {made.model_note}")
    reason = made.backend.fallback_reason
    if reason and (verbose or not _is_want_of_gpu(reason)):
        say(f"{name}: backend {made.backend.name}: {reason}")
    _remark_fewer(made, name)
    if verbose:
        _remark_details(made, name)


def _remark_fewer(made: MomentsDocument | TrackMeta, name: str) -> None:
    """Say why there are fewer moments than were asked for, if so."""
    from ..track import TrackMeta

    if isinstance(made, TrackMeta):
        return
    found, asked, near = len(made.moments), made.settings.pick["top"], len(made.rejected)
    if found < asked:
        others = f"the {near} others are" if near > 1 else "the other is"
        why = f", {others} too near or too alike (--min-gap, --diversity; -v tells of each)" if near else " and no more"
        peaks = "1 peak" if found + near == 1 else f"{found + near} peaks"
        say(f"{name}: {found} of {asked} moments asked for: its score has {peaks}{why}")


def _is_want_of_gpu(reason: str) -> bool:
    """Whether a GPU was not used because the machine has none, which is nothing to remark on."""
    from ..missing import NO_GPU

    return reason.startswith(NO_GPU)


def _remark_details(made: MomentsDocument | TrackMeta, name: str) -> None:
    from ..moments import MomentsDocument

    video = made.source.video
    say(
        f"{name}: {video.codec} {video.width}x{video.height}, {made.source.duration_s:.1f} s, "
        f"backend {made.backend.name}, model {made.model}"
    )
    if isinstance(made, MomentsDocument) and made.encoder:
        say(f"{name}: clips by {made.encoder}")
    for rejection in made.rejected if isinstance(made, MomentsDocument) else ():
        say(f"{name}: peak at {rejection.peak_s:.1f} s left out ({rejection.reason}): {rejection.detail}")


def print_track(track: Track, path: Path, *, quiet: bool) -> None:
    """Say what was analysed and where it is."""
    if not quiet:
        meta = track.meta
        put(f"{shown(path)}: {len(track)} samples of {meta.source.duration_s:.1f} s, model {meta.model}\n")


def print_findings(findings: list[Finding]) -> bool:
    """Print which planted moments were found; returns whether all were."""
    lines = []
    for finding in findings:
        planted = finding.planted
        verdict = "found " if finding.found else "MISSED"
        span = f"{clock(planted.start_s)} to {clock(planted.end_s)}"
        lines.append(f"{verdict}  {span}  {planted.expect:9}  {planted.name}: {finding.detail}")
    found = sum(finding.found for finding in findings)
    _put_lines([*lines, f"{found} of {len(findings)} planted stretches came out as they should"])
    return found == len(findings)


def print_checks(checks: list[Check], *, healthy: bool, as_json: bool) -> None:
    """Print what this machine can do, one line each, with what to install for more; or all of it as JSON."""
    if as_json:
        document = {"healthy": healthy, "checks": [dataclasses.asdict(check) for check in checks]}
        put(json.dumps(document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        return
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        mark = {True: "ok", False: "no", None: "  "}[check.ok]
        hint = f"  ({check.hint})" if check.hint else ""
        lines.append(f"{mark}  {check.name:{width}}  {check.value}{hint}")
    _put_lines(lines)
