"""What `bestshot-trt doctor` says of NVIDIA machines: surveys of cards and lists of packages, made up."""

import importlib
import json

import pytest
from typer.testing import CliRunner

from bestshot_trt import doctor
from bestshot_trt.cards import Card, Format, Slice, Survey
from bestshot_trt.cli.app import app
from bestshot_trt.doctor import _cards, _libraries, inspect, is_healthy

export = importlib.import_module("bestshot_trt.export")

ALL = {"cuda": True, "nvcuvid": True, "nvenc": True, "nvml": True}
CUDA_12 = {
    "nvidia-dali-cuda120": "2.4.0",
    "cupy-cuda12x": "14.2.0",
    "nvidia-cuda-nvrtc-cu12": "12.9.86",
    "nvidia-ml-py": "13.0.0",
    "tensorrt-cu12": "11.4.0",
    "onnxruntime": "1.32.0",
}


def formats(engines, *codecs):
    largest = (8192, 8192)
    return tuple(
        Format(codec=codec, chroma=chroma, bits=bits, engines=engines, largest=largest)
        for codec, chroma, bits in codecs
    )


PLAIN = (("h264", "4:2:0", 8), ("hevc", "4:2:0", 8), ("hevc", "4:2:0", 10), ("hevc", "4:4:4", 8))
L4 = Card(
    name="NVIDIA L4",
    uuid="GPU-4",
    ordinal=0,
    capability=(8, 9),
    memory=23 << 30,
    encodes=("h264", "hevc", "av1"),
    decodes=formats(4, *PLAIN, ("av1", "4:2:0", 8)),
)
H100 = Card(
    name="NVIDIA H100 80GB HBM3",
    uuid="GPU-9",
    ordinal=0,
    capability=(9, 0),
    memory=80 << 30,
    encodes=(),
    decodes=formats(7, *PLAIN),
)


@pytest.fixture
def look(monkeypatch):
    """The checks by name, on a machine with these cards and packages."""
    monkeypatch.setattr(export, "prove_encoder", lambda name: None)
    monkeypatch.setattr(_cards, "in_container", lambda: False)
    monkeypatch.setattr(_libraries, "_system_nvrtc", lambda: None)
    for variable in ("CUDA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"):
        monkeypatch.delenv(variable, raising=False)

    def with_(*cards, packages=CUDA_12, cuda=(12, 4), driver="550.54.15", libraries=ALL, **rest):
        found = Survey(driver=driver, cuda=cuda, cards=cards, libraries=libraries, **rest)
        monkeypatch.setattr(doctor, "survey", lambda: found)
        monkeypatch.setattr(_libraries, "_version", packages.get)
        return {check.name: check for check in inspect()}

    return with_


def no_driver():
    return {"driver": None, "cuda": None, "libraries": dict.fromkeys(ALL, False)}


def test_without_a_gpu_nothing_is_asked_for_and_the_machine_is_healthy(look):
    checks = look(packages={"onnxruntime": "1.32.0"}, **no_driver())
    for name in ("backend gpu", "gpu", "NVDEC", "NVENC", "DALI", "CuPy", "NVRTC", "TensorRT", "TensorRT-RTX", "NVML"):
        assert checks[name].ok is False
        assert checks[name].hint.startswith("not needed")
    assert checks["ONNX Runtime"].ok
    assert is_healthy(list(checks.values()))


def test_an_l4_is_told_in_full(look):
    checks = look(L4)
    assert checks["gpu"].value == "0: NVIDIA L4 (sm_89, 23.0 GiB); driver 550.54.15, CUDA 12.4"
    assert checks["NVDEC"].value == "NVIDIA L4: 4 engines: h264 8-bit, hevc 8/10-bit + 4:4:4 8-bit, av1 8-bit"
    assert checks["NVENC"].value.endswith("NVIDIA L4: 2 engines (h264, hevc, av1)")
    assert all(checks[name].ok for name in ("gpu", "NVDEC", "NVENC", "DALI", "CuPy", "NVRTC", "TensorRT", "NVML"))
    assert checks["backend gpu"].ok


def test_an_h100_is_said_to_have_no_encoder_and_no_av1_and_needs_neither(look):
    checks = look(H100)
    assert checks["NVDEC"].ok
    assert checks["NVDEC"].value.endswith("; no av1")
    assert (checks["NVENC"].ok, checks["NVENC"].hint) == (False, "not needed: clips are encoded on the CPU")
    assert "no engine" in checks["NVENC"].value
    assert checks["TensorRT-RTX"].hint.startswith("not needed: TensorRT-RTX builds nothing for NVIDIA H100")


def test_two_kinds_of_card_are_told_apart(look):
    checks = look(H100, Card(**{**vars(L4), "ordinal": 1}))
    assert checks["gpu"].value.startswith("0: NVIDIA H100 80GB HBM3 (sm_90, 80.0 GiB); 1: NVIDIA L4 (sm_89, 23.0 GiB)")
    assert "NVIDIA H100 80GB HBM3: 7 engines" in checks["NVDEC"].value
    assert "NVIDIA L4: 4 engines" in checks["NVDEC"].value


def test_a_mig_instance_is_named_with_its_own_memory_and_engines(look):
    part = Slice(name="NVIDIA H100 80GB HBM3 MIG 1g.10gb", uuid="MIG-1", memory=10 << 30, engines=1)
    checks = look(Card(**{**vars(H100), "is_mig": True, "slices": (part,)}))
    assert checks["gpu"].value.startswith("0: NVIDIA H100 80GB HBM3 MIG 1g.10gb (sm_90, 10.0 GiB)")
    assert "1 engine:" in checks["NVDEC"].value


def test_mig_without_an_instance_says_how_to_make_one(look):
    checks = look(Card(**{**vars(H100), "is_mig": True, "ordinal": None}))
    assert checks["gpu"].value == "NVIDIA H100 80GB HBM3: MIG is on, and there is no MIG instance"
    assert "nvidia-smi mig -cgi" in checks["gpu"].hint


def test_cuda_visible_devices_that_hides_every_card_is_named(look, monkeypatch):
    hidden = Card(**{**vars(L4), "ordinal": None})
    look(L4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    checks = look(hidden, faults=("CUDA: cuInit: CUDA_ERROR_NO_DEVICE",))
    assert checks["gpu"].value == "NVIDIA L4: hidden from this process by CUDA_VISIBLE_DEVICES='7'"
    assert checks["gpu"].hint == "unset CUDA_VISIBLE_DEVICES, or set it to GPU-4"


def test_a_container_without_video_gets_the_very_option(look, monkeypatch):
    monkeypatch.setattr(_cards, "in_container", lambda: True)
    bare = Card(**{**vars(L4), "decodes": None})
    without = {**ALL, "nvcuvid": False}
    assert look(bare, libraries=without)["NVDEC"].hint == (
        "start the container with --gpus all -e NVIDIA_DRIVER_CAPABILITIES=compute,utility,video"
        " (now: not set, so compute,utility)"
    )
    monkeypatch.setenv("NVIDIA_DRIVER_CAPABILITIES", "compute,video")
    assert "install its video libraries there" in look(bare, libraries=without)["NVDEC"].hint
    assert "--encoder nvenc: the host" in look(bare, libraries={**without, "nvenc": False})["NVENC"].hint


def test_a_machine_without_nvdecs_library_is_told_the_package_and_its_engines(look):
    check = look(Card(**{**vars(L4), "decodes": None}), libraries={**ALL, "nvcuvid": False})["NVDEC"]
    assert "NVIDIA L4 has 4 engines" in check.value
    assert "libnvidia-decode-VERSION" in check.hint


def test_a_card_that_cannot_be_asked_is_answered_for_by_the_table_and_that_is_said(look):
    check = look(Card(**{**vars(L4), "decodes": None, "decode_fault": "cuDevicePrimaryCtxRetain: OUT_OF_MEMORY"}))[
        "NVDEC"
    ]
    assert (check.ok, check.value) == (True, "NVIDIA L4: 4 engines; AV1 too")
    assert check.hint.endswith("cuDevicePrimaryCtxRetain: OUT_OF_MEMORY")


def test_wheels_for_cuda_13_on_a_cuda_12_driver_are_refused_with_both_ways_out(look):
    packages = {**CUDA_12, "nvidia-dali-cuda130": "2.4.0"}
    del packages["nvidia-dali-cuda120"]
    check = look(L4, packages=packages)["DALI"]
    assert check.ok is False
    assert check.value == ("nvidia-dali-cuda130 2.4.0: is built for CUDA 13, and driver 550.54.15 gives CUDA 12.4")
    assert check.hint == (
        'pip uninstall nvidia-dali-cuda130, then pip install "bestshot-trt[gpu]"; '
        "or update the NVIDIA driver to 580 or later"
    )


def test_a_driver_older_than_cuda_12_has_to_be_updated(look):
    check = look(L4, cuda=(11, 4), driver="470.82.01")["CuPy"]
    assert (check.ok, check.hint) == (False, "update the NVIDIA driver to 535 or later")


def test_a_new_driver_gets_the_wheels_for_cuda_13_unless_the_card_is_too_old(look):
    volta = Card(name="Tesla V100-SXM2-16GB", uuid="GPU-7", ordinal=0, capability=(7, 0))
    assert look(L4, cuda=(13, 0), packages={})["CuPy"].hint == 'pip install "bestshot-trt[gpu-cuda13]"'
    assert look(volta, cuda=(13, 0), packages={})["CuPy"].hint == 'pip install "bestshot-trt[gpu]"'
    check = look(volta, cuda=(13, 0), packages={"cupy-cuda13x": "14.2.0"})["CuPy"]
    assert "which no longer knows Tesla V100-SXM2-16GB (sm_70)" in check.value


def test_what_is_missing_comes_with_its_pip_line(look):
    checks = look(L4, packages={"onnxruntime": "1.32.0"})
    for name in ("DALI", "CuPy", "NVRTC", "NVML"):
        assert (checks[name].ok, checks[name].hint) == (False, 'pip install "bestshot-trt[gpu]"')
    assert checks["TensorRT"].hint.startswith('pip install "bestshot-trt[tensorrt]" --extra-index-url https://')
    assert checks["TensorRT-RTX"].hint == 'pip install "bestshot-trt[rtx]"'
    assert checks["ONNX Runtime"].hint.endswith('then pip install "onnxruntime-gpu[cuda,cudnn]<1.27"')
    assert checks["backend gpu"].value == "cannot be used: DALI, CuPy, NVRTC"


def test_a_tensorrt_of_a_container_counts_though_its_cuda_is_not_told(look):
    packages = {name: version for name, version in CUDA_12.items() if not name.startswith("tensorrt")}
    check = look(H100, packages={**packages, "tensorrt": "10.14.1"})["TensorRT"]
    assert (check.ok, check.value.split(",")[0]) == (True, "tensorrt 10.14.1")


def test_two_builds_of_one_module_are_a_fault(look):
    check = look(L4, packages={**CUDA_12, "cupy-cuda13x": "14.2.0"})["CuPy"]
    assert (check.ok, check.hint) == (False, 'pip uninstall cupy-cuda13x, then pip install "bestshot-trt[gpu]"')


def test_both_onnx_runtimes_are_a_fault_and_the_build_that_fits_is_named(look):
    check = look(L4, packages={**CUDA_12, "onnxruntime-gpu": "1.26.0"})["ONNX Runtime"]
    assert check.ok is False
    assert check.hint == (
        'pip uninstall onnxruntime onnxruntime-gpu, then pip install "onnxruntime-gpu[cuda,cudnn]<1.27"'
    )


def test_onnx_runtime_for_cuda_13_does_not_fit_a_cuda_12_driver(look):
    packages = {**CUDA_12, "onnxruntime-gpu": "1.31.1"}
    del packages["onnxruntime"]
    check = look(L4, packages=packages)["ONNX Runtime"]
    assert (check.ok, "is built for CUDA 13" in check.value) == (False, True)


def test_libraries_of_another_driver_than_the_loaded_one_ask_for_a_restart(look):
    faults = ("NVML: Driver/library version mismatch", "CUDA: cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH")
    for fault in faults:
        assert "restart" in look(faults=(fault,))["gpu"].hint


def test_a_driver_that_does_not_answer_holds_nothing_up(look, monkeypatch):
    look()
    tried = []
    monkeypatch.setattr(export, "prove_encoder", tried.append)
    checks = look(has_answered=False, faults=("the driver did not answer within 20 s",), **no_driver())
    assert checks["gpu"].value == "the driver did not answer within 20 s"
    assert "nvidia-smi" in checks["gpu"].hint
    assert "h264_nvenc" not in tried
    assert checks["encoder h264_nvenc"].value == "not tried: the NVIDIA driver does not answer"


def test_the_engine_cache_is_counted_and_the_engines_of_this_card_with_it(look, tmp_path, monkeypatch):
    monkeypatch.setenv("BESTSHOT_ENGINES", str(tmp_path))
    assert look(L4)["engines"].value == f"no engines, 0 MiB in {tmp_path}"
    (tmp_path / "ViT-B-32").mkdir()
    for architecture in ("sm_89", "sm_90"):
        engine = tmp_path / "ViT-B-32" / f"visual.fp16.{architecture}.tensorrt-11.4.0.b64.0123.engine"
        engine.write_bytes(bytes(1 << 20))
        engine.with_name(engine.name + ".json").write_text("{}")
    assert look(L4)["engines"].value == f"2 engines (1 for a GPU of this machine), 2 MiB in {tmp_path}"


def test_json_has_every_check(look):
    checks = look(L4)
    done = CliRunner().invoke(app, ["doctor", "--json"])
    document = json.loads(done.stdout)
    assert document["healthy"] is True
    assert {check["name"] for check in document["checks"]} == set(checks)
    assert set(document["checks"][0]) == {"name", "ok", "value", "hint"}


def test_what_is_required_by_name_decides_too(look):
    look(H100)
    run = CliRunner().invoke
    assert run(app, ["doctor", "--require", "gpu", "--require", "NVDEC"]).exit_code == 0
    assert run(app, ["doctor", "--require", "NVENC"]).exit_code == 1
    refused = run(app, ["doctor", "--require", "nvdec"])
    assert refused.exit_code == 2
    assert "no such check; there are" in refused.stderr
