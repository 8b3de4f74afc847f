"""What the product picks on real footage, kept as goldens: a change here is a change users will see.

``python tests/real/test_golden.py MEDIA_FOLDER`` writes them anew after a change that is meant.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

import bestshot_trt as bt

GOLDEN = Path(__file__).parent.parent / "golden" / "picks.json"
TAKES = (
    "franck_talking_head_200s.mp4",
    "gopro_hero7_walk.mp4",
    "iphone_hevc_vfr_face.mov",
    "phone_fire_dog_rot180_vfr.mp4",
    "psd_testvideo_multishot.mp4",
    "puppies_720p_30s.mp4",
    "tc_nasa_13013_hdr.mp4",
    "vtest_cctv.avi",
)


def picked(path: Path) -> dict[str, Any]:
    """The picks and rejections of one take with default settings, rounded where libraries may differ."""
    track = bt.analyze(path)
    document = bt.pick(track)
    reasons = [rejection.reason for rejection in document.rejected]
    return {
        "samples": len(track),
        "last_pts": int(track.pts[-1]),
        "picks": [[moment.rank, moment.peak_pts, round(moment.start_s, 3)] for moment in document.moments],
        "rejected": {reason: reasons.count(reason) for reason in sorted(set(reasons))},
        "sharpness": [float(f"{track.sharpness[i]:.4g}") for i in (0, len(track) // 2, -1)],
    }


@pytest.mark.real
@pytest.mark.parametrize("name", TAKES)
def test_picks_on_real_footage_stay_what_they_were(media: Path, name: str) -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))[name]
    found = picked(media / "fixtures" / name)
    # Rounded to four digits on both sides; the last one may fall either way.
    assert found.pop("sharpness") == pytest.approx(golden.pop("sharpness"), rel=2e-3)
    assert found == golden


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    text = json.dumps({name: picked(folder / "fixtures" / name) for name in TAKES}, indent=1)
    GOLDEN.write_text(text + "\n", encoding="utf-8")
