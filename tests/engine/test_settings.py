from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bestshot_trt import settings
from bestshot_trt.config import Config
from bestshot_trt.errors import ConfigError


def write(tmp_path, text):
    path = tmp_path / "my.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_anything_given_all_is_default():
    assert settings.load() == Config()


def test_an_option_beats_a_file_beats_a_preset_beats_the_default(tmp_path):
    file = write(tmp_path, "[analyze]\nfps = 4\n[pick]\nmin_gap = 9\nwindow = 1.5\n")
    config = settings.load(preset="action", file=file, options={"pick": {"window": 0.5}})
    assert config.pick.window == 0.5
    assert (config.analyze.fps, config.pick.min_gap) == (4.0, 9.0)
    assert (config.pick.pre, config.pick.weights.sharpness) == (1.5, 1.0)
    assert (config.pick.top, config.pick.weights.aesthetic) == (5, 1.0)


@pytest.mark.parametrize("name", settings.preset_names())
def test_every_preset_loads_and_changes_something(name):
    assert settings.load(preset=name) != Config()


def test_the_presets_are_those_promised():
    assert settings.preset_names() == ["action", "drone", "interior", "talking-head"]


def test_weights_merge_one_by_one(tmp_path):
    file = write(tmp_path, "[pick.weights]\nsharpness = 2\nexposure = 3\n")
    weights = settings.load(file=file, options={"pick": {"weights": "exposure=4, prompt=0.25"}}).pick.weights
    assert (weights.aesthetic, weights.sharpness, weights.exposure, weights.prompt) == (1.0, 2, 4.0, 0.25)


def test_weights_in_a_file_may_be_written_as_on_the_command_line(tmp_path):
    assert settings.load(file=write(tmp_path, '[pick]\nweights = "sharpness=2"')).pick.weights.sharpness == 2.0


@pytest.mark.parametrize("given", [{"pre": 0.5}, {"post": 0.5}])
def test_pre_or_post_puts_a_clip_length_of_a_preset_out_of_use(given):
    assert settings.load(preset="drone").pick.clip_length == (4.0, 8.0)
    pick = settings.load(preset="drone", options={"pick": given}).pick
    assert pick.clip_length is None
    assert {key: getattr(pick, key) for key in given} == given


def test_a_clip_length_puts_pre_and_post_of_a_file_out_of_use(tmp_path):
    file = write(tmp_path, "[pick]\npre = 0.5\npost = 0.5\n")
    assert settings.load(file=file, options={"pick": {"clip_length": "2:4"}}).pick.clip_length == (2.0, 4.0)


def test_a_file_puts_a_clip_length_of_a_preset_out_of_use(tmp_path):
    assert settings.load(preset="drone", file=write(tmp_path, "[pick]\npre = 2\n")).pick.clip_length is None


def test_clip_length_and_pre_from_one_source_contradict_each_other():
    with pytest.raises(ConfigError, match="clip_length and pre or post are two ways"):
        settings.load(options={"pick": {"clip_length": "3:7", "pre": 1.0}})


BAD_FILES = {
    "[analyze]\nfps = 0": "fps is 0.0; it must be above 0, at most 60 Hz",
    '[analyze]\nfps = "3"': "fps is '3'; it must be above 0",
    "[analyze]\nfps = true": "fps is True; it must be above 0",
    "[analyze]\nfps = nan": "fps is nan",
    f"[analyze]\nfps = {10**400}": "fps is 10+; it must be above 0",
    "[analyze]\nfps = 2020-01-01": "it must be above 0",
    "[analyze]\nfsp = 3": "analyze.fsp is not known; it must be one of backend, fps",
    "[analyse]\nfps = 3": r"section \[analyse\] is not known; it must be one of analyze, pick, export",
    "fps = 3": r"section \[fps\] is not known",
    "analyze = 3": r"analyze must be a section, \[analyze\]",
    '["a\\nb"]\nx = 1': r"section \[a\\nb\] is not known",
    "[pick]\ntop = 5.0": "top is 5.0; it must be at least 1",
    "[pick]\nclip_length = 5": "clip_length is 5; it must be MIN:MAX in seconds, as 3:7",
    '[pick]\nclip_length = "7:3"': r"clip_length is \(7.0, 3.0\)",
    "[pick]\nweights = 3": "weights are 3; write NAME=NUMBER",
    "[pick.weights]\nsharp = 1": "weight 'sharp' is not known; it must be one of aesthetic, exposure, prompt, sharp",
    "[pick.weights]\nsharpness = 1000": "weight sharpness is 1000; it must be at least -100, at most 100",
    "[export]\naudio = 1": "audio is 1; it must be true or false",
    "nonsense": "is not valid TOML: ",
    f"x = {'9' * 5000}": "is not valid TOML",
    f"x = {'[' * 3000}": "is not valid TOML",
}


@pytest.mark.parametrize("text", BAD_FILES, ids=lambda text: text[:30].replace("\n", " "))
def test_a_bad_file_is_refused_in_one_line_that_names_it(tmp_path, text):
    file = write(tmp_path, text)
    with pytest.raises(ConfigError, match=f"my.toml: .*({BAD_FILES[text]})") as caught:
        settings.load(file=file)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "is a folder"),
        (os.mkfifo, "is a pipe or device"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "is not valid TOML"),
    ],
    ids=["missing", "folder", "pipe", "not UTF-8"],
)
def test_a_file_that_is_none_is_refused(tmp_path, make, message):
    make(tmp_path / "my.toml")
    with pytest.raises(ConfigError, match=f"my.toml: {message}"):
        settings.load(file=tmp_path / "my.toml")


def test_a_byte_order_mark_is_no_harm(tmp_path):
    (tmp_path / "my.toml").write_bytes(b"\xef\xbb\xbf[analyze]\nfps = 4\n")
    assert settings.load(file=tmp_path / "my.toml").analyze.fps == 4.0


@pytest.mark.parametrize("name", ["", "Drone", "../config", "drone.toml"])
def test_an_unknown_preset_names_the_known_ones(name):
    with pytest.raises(ConfigError, match="it must be one of action, drone, interior, talking-head"):
        settings.load(preset=name)


@given(st.dictionaries(st.sampled_from(["aesthetic", "sharpness", "exposure", "prompt"]), st.floats(-100, 100)))
def test_weights_survive_being_written_and_parsed(weights):
    assert settings.parse_weights(",".join(f"{name}={value}" for name, value in weights.items())) == weights


@given(st.text())
def test_any_text_is_a_clip_length_or_a_clear_error(text):
    try:
        shortest, longest = settings.parse_clip_length(text)
    except ConfigError as error:
        assert "it must be MIN:MAX in seconds, as 3:7" in str(error)
    else:
        assert isinstance(shortest, float)
        assert isinstance(longest, float)


@pytest.mark.parametrize("written", ['"a dog"', '["a dog"]'], ids=["text", "list"])
def test_a_file_gives_one_prompt_or_several(tmp_path, written):
    file = tmp_path / "mine.toml"
    file.write_text(f"[pick]\nprompt = {written}\navoid = ['a cat', 'rain']\n")
    assert settings.load(file=file).pick.prompt == ("a dog",)
    assert settings.load(file=file).pick.avoid == ("a cat", "rain")
    assert settings.load(file=file, options={"pick": {"prompt": ["a bird"]}}).pick.prompt == ("a bird",)


def test_a_prompt_that_is_no_text_is_named(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[pick]\nprompt = 7\n")
    with pytest.raises(ConfigError, match=r"mine\.toml: prompt is 7; it must be a text"):
        settings.load(file=file)
