"""Which ffmpeg filters turn a decoded picture into the upright, even 4:2:0 one that an encoder takes.

`clip_filters` is the one place where a clip's chain is composed. A filter for how clips look is not added
here but in `_looks.look_of`; its place in the chain is after the rotation and the tone mapping.

Numbers are ITU-T H.273 code points, which ffmpeg's ``setparams`` takes as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from ..frames import VideoInfo

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_MATRIX_CODES = {"rgb": 0, "bt709": 1, "bt601": 6, "smpte240m": 7, "bt2020": 9}
_MATRICES_KEPT = frozenset({1, 4, 5, 6, 7, 9})
_PRIMARIES_KEPT = frozenset({1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 22})
_TRANSFERS_KEPT = frozenset({1, *range(4, 19)})
_UNSPECIFIED = 2
_TRANSFER_CODES = {"pq": 16, "hlg": 18}
BT709 = 1
_BT2020 = 9

_TURNS = {0: "", 90: "transpose=clock", 180: "hflip,vflip", 270: "transpose=cclock"}

# Exact rounding and every chroma sample used: the cost is small beside the encoder's.
_SCALE_FLAGS = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"

_PLANAR = {False: "yuv420p", True: "yuv420p10le"}
"""4:2:0 by whether it is deep."""

TONE_TABLE = "tone.cube"


@dataclass(frozen=True, kw_only=True)
class ColorTags:
    """Colour tags of decoded pictures as H.273 code points; 2 is unspecified."""

    matrix: int
    primaries: int
    transfer: int
    full_range: bool


@dataclass(frozen=True, kw_only=True)
class Fields:
    """The two fields of interlaced pictures; ``top_first`` is their order in time."""

    top_first: bool


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the encoder takes."""

    pix_fmt: str = "yuv420p"
    hdr: bool = False
    """HDR stays: no tone mapping."""
    fields: bool = True
    """It can encode two fields a picture."""
    height: int | None = None
    """Largest short side."""

    @property
    def deep(self) -> bool:
        """More than 8 bits a sample."""
        return self.pix_fmt != "yuv420p"


def source_tags(info: VideoInfo, frame: VideoFrame) -> ColorTags:
    """The tags of ``frame``; an unspecified or unusable matrix is the one ``info`` resolved."""
    color = info.color
    known = color.matrix != "rgb" and frame.colorspace in _MATRICES_KEPT
    primaries = int(frame.color_primaries)
    transfer = _TRANSFER_CODES.get(color.transfer, int(frame.color_trc))
    return ColorTags(
        matrix=int(frame.colorspace) if known else _MATRIX_CODES.get(color.matrix, BT709),
        primaries=primaries if primaries in _PRIMARIES_KEPT else _BT2020 if color.is_hdr else _UNSPECIFIED,
        transfer=transfer if transfer in _TRANSFERS_KEPT else _UNSPECIFIED,
        full_range=color.full_range,
    )


def keeps_fields(info: VideoInfo, target: Target) -> bool:
    """Whether interlaced pictures can stay so: rows must stay rows, and tone mapping and scaling mix fields."""
    whole = info.rotation % 180 == 0 and not info.color.is_hdr and not _sized(info, target)
    return target.fields and whole and info.height >= 4


def clip_filters(
    info: VideoInfo,
    pix_fmt: str,
    tags: ColorTags,
    fields: Fields | None,
    target: Target,
    look: tuple[str, ...] = (),
) -> str:
    """The ``-vf`` chain for raw pictures of ``pix_fmt`` and ``info.width`` x ``info.height``.

    ``fields`` is None for progressive pictures. The steps, in order: tags that the raw stream lost,
    deinterlacing where fields cannot be kept, even sides, limited-range 4:2:0 of the target's depth (HDR
    tone-mapped unless it stays), rotation, ``look``, size, pixel aspect ratio.
    """
    kept = fields is not None and keeps_fields(info, target)
    steps = [_tagging(tags, fields)]
    if fields is not None and not kept:
        steps.append("bwdif=mode=send_frame")
    steps += _even_sides(info, 4 if kept else 2)
    mapped = info.color.is_hdr and not target.hdr
    steps += _to_sdr(target) if mapped else _to_420(pix_fmt, tags, kept, target)
    if info.rotation:
        steps.append(_TURNS[info.rotation])
    steps += [*look, *_sized(info, target)]
    aspect = _turned_aspect(info)
    steps.append(f"setsar=sar={aspect.numerator}/{aspect.denominator}:max=65535")
    return ",".join([*steps, f"format={target.pix_fmt}"])


def _tagging(tags: ColorTags, fields: Fields | None) -> str:
    order = "prog" if fields is None else "tff" if fields.top_first else "bff"
    return (
        f"setparams=field_mode={order}:range={'pc' if tags.full_range else 'tv'}"
        f":colorspace={tags.matrix}:color_primaries={tags.primaries}:color_trc={tags.transfer}"
    )


def _even_sides(info: VideoInfo, row_step: int) -> list[str]:
    """Crop the odd column and rows that 4:2:0 cannot hold; a side of 1 becomes 2 by repeating it."""
    width, height = max(info.width, 2), max(info.height, 2)
    steps = []
    if (width, height) != (info.width, info.height):
        steps.append(f"scale={width}:{height}:flags=neighbor")
    even = (width // 2 * 2, height // row_step * row_step)
    if even != (width, height):
        steps.append(f"crop={even[0]}:{even[1]}:0:0")
    return steps


def _sized(info: VideoInfo, target: Target) -> list[str]:
    """Scale the short side down to the target's height; the long side follows, both even."""
    width, height = (info.height, info.width) if info.rotation % 180 else (info.width, info.height)
    if target.height is None or min(width, height) <= target.height:
        return []
    size = f"-2:{target.height}" if height <= width else f"{target.height}:-2"
    return [f"scale={size}:flags={_SCALE_FLAGS}"]


def _to_420(pix_fmt: str, tags: ColorTags, interlaced: bool, target: Target) -> list[str]:
    if pix_fmt == _PLANAR[target.deep] and not tags.full_range:
        return []
    matrix = tags.matrix or (_BT2020 if target.hdr else BT709)
    scale = f"scale=out_color_matrix={matrix}:out_range=tv:flags={_SCALE_FLAGS}"
    return [scale + (":interl=1" if interlaced else ""), f"format={_PLANAR[target.deep]}"]


def _to_sdr(target: Target) -> list[str]:
    """PQ or HLG to BT.709 SDR, by the table of `_tone.write_cube` in ffmpeg's working folder."""
    tagged = f"setparams=colorspace=gbr:color_primaries={BT709}:color_trc={BT709}:range=pc"
    return [
        f"scale=flags={_SCALE_FLAGS}",
        "format=gbrp16le",
        f"lut3d=file={TONE_TABLE}:interp=tetrahedral",
        tagged,
        f"scale=out_color_matrix={BT709}:out_range=tv:flags={_SCALE_FLAGS}",
        f"format={_PLANAR[target.deep]}",
    ]


def in_rgb(matrix: int, interlaced: bool, step: str) -> tuple[str, ...]:
    """``step`` on full-range RGB of 16 bits, between two exact conversions of limited-range 4:2:0 of 8 bits."""
    rows = ":interl=1" if interlaced else ""
    return (
        f"scale=flags={_SCALE_FLAGS}{rows}",
        "format=gbrp16le",
        step,
        "setparams=colorspace=gbr:range=pc",
        f"scale=out_color_matrix={matrix}:out_range=tv:flags={_SCALE_FLAGS}{rows}",
        f"format={_PLANAR[False]}",
    )


def _turned_aspect(info: VideoInfo) -> Fraction:
    aspect = info.pixel_aspect if info.pixel_aspect > 0 else Fraction(1)
    return 1 / aspect if info.rotation % 180 else aspect
