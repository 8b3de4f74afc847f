"""A synthetic take with known good and bad stretches, and a check of which of them a run found."""

from ._check import TAKE, Finding, check, run_demo
from ._shots import DURATION_S, PLANTED, Planted
from ._take import make_take

__all__ = ["DURATION_S", "PLANTED", "TAKE", "Finding", "Planted", "check", "make_take", "run_demo"]
