from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bestshot_trt.bounds import describe_bounds
from bestshot_trt.config import AnalyzeConfig, Config, ExportConfig, PickConfig, Weights
from bestshot_trt.errors import BestshotError, ConfigError

EFFORTS = "fastest, fast, medium, slow"
BOUNDS = {
    (Weights, "aesthetic"): "at least -100, at most 100",
    (Weights, "sharpness"): "at least -100, at most 100",
    (Weights, "exposure"): "at least -100, at most 100",
    (Weights, "prompt"): "at least -100, at most 100",
    (AnalyzeConfig, "fps"): "above 0, at most 60 Hz",
    (AnalyzeConfig, "score_height"): "at least 16, at most 4320 pixels",
    (AnalyzeConfig, "precision"): "one of auto, fp32, fp16, bf16, fp8, int8",
    (AnalyzeConfig, "framing"): "one of crop, squash, pad",
    (AnalyzeConfig, "backend"): "one of auto, cpu, gpu",
    (PickConfig, "normalize"): "one of track, none",
    (PickConfig, "window"): "at least 0, at most 3600 s",
    (PickConfig, "min_gap"): "at least 0, at most 86400 s",
    (PickConfig, "top"): "at least 1, at most 1000",
    (PickConfig, "pre"): "at least 0, at most 3600 s",
    (PickConfig, "post"): "at least 0, at most 3600 s",
    (PickConfig, "diversity"): "at least 0, at most 2",
    (ExportConfig, "encoder"): "one of auto, nvenc, software",
    (ExportConfig, "codec"): "one of auto, h264, hevc, av1",
    (ExportConfig, "quality"): "at least 0, at most 100",
    (ExportConfig, "effort"): f"one of {EFFORTS}",
    (ExportConfig, "container"): "one of mp4, mov, mkv, webm",
    (ExportConfig, "timecode"): "one of df, ndf",
    (ExportConfig, "height"): "at least 16, at most 4320 pixels",
    (ExportConfig, "fps"): "at least 1, at most 240 Hz",
    (ExportConfig, "stabilize"): "one of off, vidstab, deshake",
    (ExportConfig, "jobs"): "at least 1, at most 32",
    (ExportConfig, "reel_order"): "one of time, rank",
    (ExportConfig, "crossfade"): "at least 0, at most 10 s",
}
SETTINGS = [
    pytest.param(kind, field, id=f"{kind.__name__}.{field.name}")
    for kind in (Weights, AnalyzeConfig, PickConfig, ExportConfig)
    for field in dataclasses.fields(kind)
    if field.metadata and describe_bounds(field)
]
NUMBERS = [setting for setting in SETTINGS if not setting.values[1].metadata["choices"]]


def test_every_bounded_setting_is_in_the_table():
    assert {(s.values[0], s.values[1].name) for s in SETTINGS} == set(BOUNDS)


@pytest.mark.parametrize(("kind", "field"), SETTINGS)
def test_bounds_are_described_in_words(kind, field):
    assert describe_bounds(field) == BOUNDS[kind, field.name]
    assert field.metadata["help"]


def edges(field):
    """(the last value inside, the first outside) at each bound of a numeric setting."""
    low, high, above = (field.metadata[name] for name in ("low", "high", "above"))
    step = 1 if "int" in field.type else 1e-6
    pairs = [(high, high + step)]
    pairs += [] if low is None else [(low, low - step)]
    pairs += [] if above is None else [(above + step, above)]
    return pairs


@pytest.mark.parametrize(("kind", "field"), NUMBERS)
def test_bounds_hold_to_the_last_value(kind, field):
    for inside, outside in edges(field):
        assert getattr(kind(**{field.name: inside}), field.name) == inside
        with pytest.raises(ConfigError) as caught:
            kind(**{field.name: outside})
        assert str(caught.value) == f"{field.name} is {outside!r}; it must be {BOUNDS[kind, field.name]}"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "3", True, [1]], ids=repr)
@pytest.mark.parametrize(("kind", "field"), NUMBERS)
def test_what_is_no_number_is_refused(kind, field, value):
    with pytest.raises(ConfigError, match=f"^{field.name} is "):
        kind(**{field.name: value})


@pytest.mark.parametrize(
    ("kind", "name"), [(PickConfig, "top"), (ExportConfig, "quality"), (AnalyzeConfig, "score_height")]
)
def test_a_count_is_a_whole_number(kind, name):
    with pytest.raises(ConfigError, match=rf"{name} is 20\.0"):
        kind(**{name: 20.0})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AnalyzeConfig(backend="cuda"), "backend is 'cuda'; it must be one of auto, cpu, gpu"),
        (lambda: PickConfig(normalize="file"), "normalize is 'file'; it must be one of track, none"),
        (
            lambda: ExportConfig(effort="placebo"),
            f"effort is 'placebo'; it must be one of {EFFORTS}",
        ),
        (lambda: PickConfig(pre=0, post=0), "pre and post are 0 s and 0 s; a clip needs 0.001 s or more"),
    ],
)
def test_errors_name_the_value_and_what_is_allowed(make, message):
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value) == message


@pytest.mark.parametrize("lengths", [(0.0, 3.0), (7.0, 3.0), (3.0, 7201.0), (-1.0, 3.0), (math.nan, 3.0)])
def test_clip_lengths_out_of_order_are_refused(lengths):
    with pytest.raises(ConfigError, match=r"clip_length is .*; it must be MIN:MAX"):
        PickConfig(clip_length=lengths)


def test_a_clip_length_needs_no_pre_and_post():
    assert PickConfig(clip_length=(3.0, 7.0), pre=0, post=0).clip_length == (3.0, 7.0)


@given(st.floats(0, 3600), st.floats(0, 86400), st.integers(1, 1000), st.floats(0, 2))
def test_everything_within_the_bounds_is_accepted(window, gap, top, tau):
    config = PickConfig(window=window, min_gap=gap, top=top, diversity=tau)
    assert (config.window, config.min_gap, config.top, config.diversity) == (window, gap, top, tau)


def test_the_defaults_are_those_of_the_pipeline():
    pick = Config().pick
    assert Config().analyze.fps == 3
    assert Config().analyze.score_height == 720
    assert (pick.window, pick.min_gap, pick.top, pick.pre, pick.post) == (2, 5, 5, 1, 2)
    assert pick.diversity == 0.12
    weights = pick.weights
    assert (weights.aesthetic, weights.sharpness, weights.exposure, weights.prompt) == (1, 0.5, 0.5, None)


def test_settings_are_frozen_and_named():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PickConfig().top = 3
    with pytest.raises(TypeError):
        PickConfig(3.0)


def test_a_config_error_is_both_ours_and_a_value_error():
    assert issubclass(ConfigError, BestshotError)
    assert issubclass(ConfigError, ValueError)


@pytest.mark.parametrize("name", ["prompt", "avoid"])
@pytest.mark.parametrize("texts", ["a dog", ("",), (" \n",), (7,), ["a dog"]], ids=repr)
def test_prompts_are_tuples_of_texts_that_say_something(name, texts):
    with pytest.raises(ConfigError, match=f"{name} is .*; it must be a text, or a list of texts"):
        PickConfig(**{name: texts})
