"""The results of one take: what goes in their folder, in which order, and never over somebody's files unasked."""

from ._document import check_spans, open_source
from ._export import check_look, export_moments, with_notes
from ._folder import (
    CONTACT_SHEET,
    CUTS,
    MOMENTS_JSON,
    REPORT,
    SELECTION,
    TIMELINE,
    TRACK,
    default_folder,
    export_names,
    opened,
    prepare,
    run_names,
)
from ._selection import write_selection

__all__ = [
    "CONTACT_SHEET",
    "CUTS",
    "MOMENTS_JSON",
    "REPORT",
    "SELECTION",
    "TIMELINE",
    "TRACK",
    "check_look",
    "check_spans",
    "default_folder",
    "export_moments",
    "export_names",
    "open_source",
    "opened",
    "prepare",
    "run_names",
    "with_notes",
    "write_selection",
]
