"""What the driver tells of its cards, asked of a stand-in for its libraries that is compiled for the test."""

import time
from pathlib import Path

import pytest

from bestshot_trt.cards import Card, Survey, survey
from bestshot_trt.cards.load import Load, Loads


@pytest.fixture
def machine(cards):
    """Make this a machine with these cards and libraries; says what a survey of it finds."""

    def make(names, *libraries, wait_s=20.0, **environment):
        cards(names, *libraries, **environment)
        return survey(wait_s)

    return make


@pytest.fixture
def nvml():
    pytest.importorskip("pynvml")


def formats(card):
    return {(each.codec, each.chroma, each.bits) for each in card.decodes}


def test_no_driver_is_an_answer(monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", "")
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("there is a driver")
    found = survey()
    assert (found.has_answered, found.cards, found.faults, found.driver) == (True, (), (), None)


def test_an_l4_decodes_av1_with_four_engines_and_encodes(machine, nvml):
    found = machine("L4")
    (card,) = found.usable
    assert (found.driver, found.cuda) == ("550.54.15", (12, 4))
    assert (card.name, card.capability, card.memory) == ("NVIDIA L4", (8, 9), 24152899584)
    assert (card.decoders, card.has_av1) == (4, True)
    assert {("h264", "4:2:0", 8), ("hevc", "4:2:0", 12), ("hevc", "4:4:4", 10), ("av1", "4:2:0", 10)} <= formats(card)
    assert ("h264", "4:2:0", 10) not in formats(card)
    assert {each.largest for each in card.decodes if each.codec == "hevc"} == {(8192, 8192)}
    assert card.encodes == ("h264", "hevc", "av1")


def test_an_h100_has_no_encoder_and_decodes_no_av1(machine, nvml):
    (card,) = machine("H100").usable
    assert (card.decoders, card.has_av1, card.encodes) == (7, False, ())
    assert {("h264", "4:2:0", 8), ("vp9", "4:2:0", 10)} <= formats(card)


def test_the_cuda_driver_alone_names_the_card(machine):
    found = machine("L4", "cuda", "nvcuvid")
    (card,) = found.usable
    assert (card.name, card.capability, card.decoders, card.encodes) == ("NVIDIA L4", (8, 9), 4, None)
    assert found.cuda == (12, 4)


def test_cards_of_nvml_and_cuda_are_matched_by_uuid_not_by_index(machine, nvml):
    found = machine("L4,H100")
    assert [(card.name, card.ordinal) for card in found.cards] == [("NVIDIA L4", 1), ("NVIDIA H100 80GB HBM3", 0)]
    assert [card.decoders for card in found.usable] == [7, 4]


def test_a_card_hidden_by_cuda_visible_devices_is_listed_but_not_usable(machine, nvml):
    found = machine("L4,H100", CUDA_VISIBLE_DEVICES="0")
    assert [card.name for card in found.usable] == ["NVIDIA H100 80GB HBM3"]
    assert len(found.cards) == 2
    hidden = machine("L4,H100", CUDA_VISIBLE_DEVICES="")
    assert (hidden.usable, len(hidden.cards)) == ((), 2)
    assert "CUDA_ERROR_NO_DEVICE" in hidden.faults[0]


def test_a_mig_instance_is_known_by_its_own_uuid_and_has_its_own_engines(machine, nvml):
    (card,) = machine("MIG").usable
    (instance,) = card.slices
    assert instance.uuid.startswith("MIG-b0b0")
    assert instance.name.endswith("MIG 1g.10gb")
    assert (instance.memory, instance.engines) == (9728 << 20, 1)
    assert (card.is_mig, card.decoders) == (True, 1)


def test_mig_without_instances_gives_no_usable_card(machine, nvml):
    found = machine("MIG", FAKE_INSTANCES="0", CUDA_VISIBLE_DEVICES="")
    assert (found.usable, found.cards[0].slices, found.cards[0].decoders) == ((), (), None)


def test_without_nvdecs_library_its_engines_come_from_the_table(machine):
    found = machine("H100", "cuda")
    assert not found.libraries["nvcuvid"]
    assert (found.usable[0].decodes, found.usable[0].decoders, found.usable[0].has_av1) == (None, 7, False)


def test_a_card_without_memory_for_a_context_says_so_and_falls_back_to_the_table(machine):
    (card,) = machine("L4", FAKE_CONTEXT_ERROR="2").usable
    assert card.decode_fault == "cuDevicePrimaryCtxRetain: CUDA_ERROR_OUT_OF_MEMORY"
    assert (card.decodes, card.decoders, card.has_av1) == (None, 4, True)


def test_libraries_of_another_driver_than_the_loaded_one_are_a_fault(machine, nvml):
    found = machine("L4", FAKE_NVML_ERROR="18", FAKE_CUDA_ERROR="803")
    assert "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH" in found.faults[1]
    assert found.faults[0].startswith("NVML: ")
    assert found.usable == ()


def test_a_driver_that_hangs_does_not_hang_the_survey(machine):
    found = machine("L4", FAKE_HANG="1", wait_s=0.5)
    assert not found.has_answered
    assert found.faults == ("the driver did not answer within 0.5 s",)


def test_a_driver_that_crashes_takes_only_its_own_process_along(machine):
    found = machine("L4", FAKE_CRASH="1")
    assert (found.has_answered, found.cards) == (False, ())


def test_a_card_that_no_table_knows_is_not_guessed_at():
    card = Card(name="NVIDIA Z9000", uuid="GPU-0", capability=(12, 0))
    assert (card.decoders, card.encoders) == (None, None)
    assert Survey(cards=(card,)).usable == ()


def sampled(loads):
    end = time.monotonic() + 300
    while not (found := loads.latest) and time.monotonic() < end:
        time.sleep(0.02)
    return found


def test_the_load_of_cards_is_sampled_while_work_goes_on(machine, nvml):
    machine("L4,H100", FAKE_LOAD="86")
    with Loads(every_s=0.5) as loads:
        first, second = sampled(loads)
    assert (first.name, first.decoder, first.sm, first.used) == ("NVIDIA L4", 86, 43, 24152899584 // 4)
    assert str(first) == "decoders 86 %, SMs 43 %, memory 5.6 of 22.5 GiB"
    assert second.memory > first.memory


def test_a_card_that_tells_no_load_is_named_all_the_same(machine, nvml):
    machine("MIG")
    with Loads(every_s=0.5) as loads:
        (card,) = sampled(loads)
    assert (card.decoder, card.sm) == (None, None)
    assert str(card).startswith("memory ")
    assert str(Load(name="x", decoder=None, sm=None, used=None, memory=None)) == "tells nothing of its load"


def test_no_driver_gives_no_load_and_no_error(monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", "")
    with Loads(every_s=0.01) as loads:
        time.sleep(0.3)
        assert loads.latest == ()
