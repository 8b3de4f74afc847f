"""Where a scaled picture lies in the model's square."""

from __future__ import annotations

from dataclasses import dataclass

FRAMINGS = ("crop", "squash", "pad")


@dataclass(frozen=True)
class Placement:
    """The scaled picture is ``height`` x ``width`` pixels; its pixel (``top``, ``left``) is the square's first.

    ``top`` or ``left`` below 0 stands for that many rows or columns of bars.
    """

    height: int
    width: int
    top: int
    left: int

    def seen(self, size: int) -> tuple[slice, slice]:
        """Rows and columns of the scaled picture that a square of side ``size`` shows."""
        return (
            slice(max(self.top, 0), min(self.top + size, self.height)),
            slice(max(self.left, 0), min(self.left + size, self.width)),
        )

    def covered(self, size: int) -> tuple[slice, slice]:
        """Rows and columns of a square of side ``size`` that `seen` fills."""
        rows, columns = self.seen(size)
        return (
            slice(rows.start - self.top, rows.stop - self.top),
            slice(columns.start - self.left, columns.stop - self.left),
        )


def place(height: int, width: int, size: int, framing: str) -> Placement:
    """How a picture of ``height`` x ``width`` pixels is framed; roundings as in torchvision and open_clip."""
    if framing == "squash":
        return Placement(size, size, 0, 0)
    if framing == "crop":
        short = min(height, width)
        high, wide = (size if side == short else int(size * side / short) for side in (height, width))
        # torchvision's CenterCrop rounds halves to even.
        return Placement(high, wide, round((high - size) / 2), round((wide - size) / 2))
    ratio = max(height / size, width / size)
    high, wide = (max(1, round(side / ratio)) for side in (height, width))
    return Placement(high, wide, -((size - high) // 2), -((size - wide) // 2))
