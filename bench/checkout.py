"""Importing this makes what is measured the code of this checkout, whose commit the rows name.

Without it an older version that is installed would be measured under that name, by this process and by those it starts.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATHS = [str(ROOT / "engine"), str(ROOT / "kernels")]

sys.path[:0] = PATHS
os.environ["PYTHONPATH"] = os.pathsep.join([*PATHS, *filter(None, [os.environ.get("PYTHONPATH")])])
