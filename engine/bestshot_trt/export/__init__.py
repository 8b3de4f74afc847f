"""What comes out: clips cut to the frame, a contact sheet and a plot of the take."""

from ._ffmpeg import prove_encoder
from .clips import ClipResult, write_clip
from .contact_sheet import SheetEntry, write_contact_sheet
from .timeline_plot import write_timeline

__all__ = [
    "ClipResult",
    "SheetEntry",
    "prove_encoder",
    "write_clip",
    "write_contact_sheet",
    "write_timeline",
]
