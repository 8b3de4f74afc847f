"""What comes out: clips cut to the frame, a contact sheet, a plot of the take, a page of it, cut lists."""

from typing import TYPE_CHECKING

from ..lazily import names_of as _names_of

if TYPE_CHECKING:
    from ._audio import channels_of
    from ._ffmpeg import prove_encoder
    from ._looks import check_look
    from ._source import Watch
    from .clips import ClipResult, write_clip
    from .contact_sheet import SheetEntry, write_contact_sheet
    from .copying import copy_clip
    from .cutlists import CUT_LISTS, load_writers, write_cut_lists
    from .encoders import NVENC_SESSIONS, choose_encoder
    from .reel import write_reel
    from .report import Thumbnail, write_report
    from .timeline_plot import write_timeline

__all__ = [
    "CUT_LISTS",
    "NVENC_SESSIONS",
    "ClipResult",
    "SheetEntry",
    "Thumbnail",
    "Watch",
    "channels_of",
    "check_look",
    "choose_encoder",
    "copy_clip",
    "load_writers",
    "prove_encoder",
    "write_clip",
    "write_contact_sheet",
    "write_cut_lists",
    "write_reel",
    "write_report",
    "write_timeline",
]

# On first use: analysing and picking load none of these.
__getattr__ = _names_of(
    __name__,
    {
        "_audio": ["channels_of"],
        "_ffmpeg": ["prove_encoder"],
        "_looks": ["check_look"],
        "_source": ["Watch"],
        "clips": ["ClipResult", "write_clip"],
        "contact_sheet": ["SheetEntry", "write_contact_sheet"],
        "copying": ["copy_clip"],
        "cutlists": ["CUT_LISTS", "load_writers", "write_cut_lists"],
        "encoders": ["NVENC_SESSIONS", "choose_encoder"],
        "reel": ["write_reel"],
        "report": ["Thumbnail", "write_report"],
        "timeline_plot": ["write_timeline"],
    },
)
