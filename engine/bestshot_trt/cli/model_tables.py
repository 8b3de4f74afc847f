"""What ``bestshot-trt models`` prints."""

from __future__ import annotations

import json as jsonlib
from typing import TYPE_CHECKING, Any

from ..errors import shown
from .exits import put

if TYPE_CHECKING:
    from ..embed.model_folder import ModelFolder
    from ..embed.models import ModelSpec
    from ..embed.verify import Check, Verdict


def listed() -> list[dict[str, Any]]:
    """Every model of the registry, and every other one in the models folder, as `print_list` takes them."""
    from ..embed.model_folder import installed
    from ..embed.models import SPECS

    here = {folder.path.name: folder for folder in installed()}
    rows = [_row(spec.name, spec, here.pop(spec.name, None)) for spec in SPECS]
    return [*rows, *(_row(name, None, folder) for name, folder in here.items())]


def _row(name: str, spec: ModelSpec | None, folder: ModelFolder | None) -> dict[str, Any]:
    from ..embed.model_folder import PRECISIONS
    from ..embed.models import CPU_DEFAULT, GPU_DEFAULT

    card = folder.card if folder else None
    made = card or spec
    assert made is not None
    return {
        "name": name,
        "default_on": [where for where, default in (("cpu", CPU_DEFAULT), ("gpu", GPU_DEFAULT)) if name == default],
        "pretrained": made.pretrained,
        "width": made.width,
        "size": made.size,
        "licence": made.licence,
        "head": made.head.name,
        "head_licence": made.head.licence,
        "path": str(folder.path) if folder else None,
        "bytes": sum(file.size for file in card.files.values()) if card else None,
        "precisions": [p for p in PRECISIONS if folder.has("visual", p)] if folder else [],
        "text": folder.has("text") if folder else False,
        "parity": card.parity if card else {},
    }


def print_list(rows: list[dict[str, Any]]) -> None:
    """Print what `listed` gave, one line each."""
    table: list[tuple[str, ...]] = [("model", "weights", "default", "width", "size", "precisions", "text", "where")]
    for row in rows:
        where = row["path"] or f"not here; get it with: bestshot-trt models pull {row['name']}"
        size = f"{row['bytes'] / 1e6:.0f} MB" if row["path"] else ""
        default = ", ".join(row["default_on"])
        text = "yes" if row["text"] else ""
        cells = (row["name"], row["pretrained"], default, str(row["width"]), size, " ".join(row["precisions"]), text)
        table.append((*map(shown, cells), shown(where)))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in table]
    put("".join(f"{line}\n" for line in lines))


def print_folder(folder: ModelFolder, *, quiet: bool) -> None:
    """Say where a model is, and what of it."""
    if not quiet:
        graphs = ", ".join(name.removesuffix(".onnx") for name in folder.card.files if name.endswith(".onnx"))
        size = sum(file.size for file in folder.card.files.values())
        put(f"{folder.card.name}/{folder.card.pretrained} ({graphs}; {size / 1e6:.0f} MB) is in {shown(folder.path)}\n")


def print_verdict(verdict: Verdict, *, as_json: bool) -> None:
    """Print all checks, one line each, or as JSON."""
    if as_json:
        rows = {"passed": verdict.passed, "parity": verdict.parity, "checks": [vars(check) for check in verdict.checks]}
        put(jsonlib.dumps(rows, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return
    width = max(len(check.name) for check in verdict.checks)
    lines = [_verdict_line(check, width) for check in verdict.checks]
    failed = sum(check.passed is False for check in verdict.checks)
    passed = sum(check.passed is True for check in verdict.checks)
    put("".join(f"{line}\n" for line in [*lines, f"{passed} passed, {failed} failed"]))


def _verdict_line(check: Check, width: int) -> str:
    mark = {True: "pass", False: "FAIL", None: "  - "}[check.passed]
    return f"{mark}  {check.name:{width}}  {check.detail}"
