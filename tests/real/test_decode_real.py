"""Sampling and cutting give what a full decode gives, on real footage and on damaged files."""

from __future__ import annotations

import random
import re

import pytest
from takes import CONCEALED

from bestshot_trt.decode import probe
from bestshot_trt.errors import BestshotError, DecodeError, InputError

pytestmark = pytest.mark.real

UNREADABLE = {
    "ff_1833894.mp4": InputError,
    "ff_bug1066943.webm": InputError,
    "ff_bug1079747.mp4": InputError,
    "ff_garbled.webm": InputError,
    "ff_1859384.mp4": DecodeError,
    "ff_negative_duration.mp4": DecodeError,
}
SPANS_PER_FILE = 3


def spans(seed, duration):
    chance = random.Random(seed)
    starts = [chance.uniform(0, duration * 0.97) for _ in range(SPANS_PER_FILE)]
    return [(start, min(duration, start + length)) for start, length in zip(starts, (0.0, 0.3, 1.0), strict=True)]


def test_samples_and_stretches_are_those_of_a_full_decode(clips, recording):
    if recording.name in UNREADABLE:
        with pytest.raises(UNREADABLE[recording.name], match=re.escape(str(recording))):
            probe(recording)
        return
    info = probe(recording)
    samplings = [clips.sample(info, fps) for fps in (3.0, 1.7)]
    for sampling in samplings:
        clips.assert_complete(sampling)
    if recording.name not in CONCEALED:
        pictures = clips.full_decode(info)
        clips.assert_as_full_decode(info, *samplings, pictures=pictures)
        last = max(picture.pts for picture in pictures)
        clips.assert_as_slice(info, spans(recording.name, float(info.media_time(last))), pictures)


def test_at_most_two_fifths_of_the_packets_are_decoded_at_the_default_rate(clips, media):
    report = clips.sample(probe(media / "fixtures" / "puppies_720p_30s.mp4"), 3.0).report
    assert report.packets_fed <= 0.4 * report.packets


def test_a_container_that_lies_about_its_length_is_noted(clips, media):
    report = clips.sample(probe(media / "hostile" / "ff_no-container-codec-delay.webm"), 3.0).report
    assert float(report.duration) == pytest.approx(1.768, abs=0.01)
    assert any("165.1 s" in note for note in report.notes)


def test_cut_recordings_give_samples_or_a_plain_error(clips, media, tmp_path):
    for share in (0.2, 0.5, 0.8):
        data = (media / "hostile" / "ff_pixel_aspect_ratio.mp4").read_bytes()
        cut = tmp_path / "cut.mp4"
        cut.write_bytes(data[: int(len(data) * share)])
        try:
            sampling = clips.sample(probe(cut), 3.0)
        except BestshotError:
            continue
        clips.assert_complete(sampling)
