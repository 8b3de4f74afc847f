"""What one look at the machine gives."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import shown


@dataclass(frozen=True)
class Check:
    """One thing looked at; ``value`` and ``hint`` are one line each.

    ``ok`` is None for plain information, else whether it works. What does not work may well not be
    needed: `is_healthy` knows. ``hint`` says what to do, and is empty when there is nothing to do.
    """

    name: str
    ok: bool | None
    value: str
    hint: str = ""

    def __post_init__(self) -> None:
        for field in ("value", "hint"):
            object.__setattr__(self, field, shown(" ".join(str(getattr(self, field)).split())))
