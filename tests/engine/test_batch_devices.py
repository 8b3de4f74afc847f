"""Which cards a batch gives to its workers: a stand-in for the driver's libraries tells of them."""

from __future__ import annotations

from typing import Any

import pytest

from bestshot_trt.batch.workers.devices import default_workers, devices_of
from bestshot_trt.batch.workers.places import here
from bestshot_trt.cards import survey
from bestshot_trt.config import AnalyzeConfig, BatchConfig, Config

MIG = "MIG-b0b0b0b0-b0b0-b0b0-b0b0-b0b0b0b0b00"


@pytest.fixture(autouse=True)
def nvml() -> None:
    pytest.importorskip("pynvml")


def test_each_card_that_cuda_may_use_gets_a_worker(cards: Any) -> None:
    cards("L4,H100,V100")
    batch, where = here(Config(), BatchConfig())
    assert (batch.workers, where["devices"]) == (3, ["0", "1", "2"])


def test_cards_are_left_alone_by_a_batch_on_the_cpu(cards: Any) -> None:
    cards("L4")
    assert devices_of(Config(analyze=AnalyzeConfig(backend="cpu"))) == [None]


@pytest.mark.parametrize(
    ("listed", "expected"),
    [("1", ["1"]), ("0, 7", ["0"]), ("", [None]), ("-1", [None]), ("MIG-x,0", [None])],
)
def test_cuda_visible_devices_counts_as_far_as_cuda_knows_its_names(
    cards: Any, listed: str, expected: list[str | None]
) -> None:
    cards("L4,H100", CUDA_VISIBLE_DEVICES=listed)
    assert devices_of(Config()) == expected


def test_every_mig_instance_and_every_whole_card_beside_it_gets_a_worker(cards: Any) -> None:
    cards("MIG,L4,MIG")
    assert devices_of(Config()) == [f"{MIG}0", f"{MIG}2", "GPU-a0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a001"]
    cards("MIG", FAKE_INSTANCES="0", CUDA_VISIBLE_DEVICES="")
    assert devices_of(Config()) == [None]


def test_named_mig_instances_each_get_a_worker(cards: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cards("MIG,MIG")
    seen = survey()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"{MIG}1,{MIG}0")
    assert devices_of(Config(), seen) == [f"{MIG}1", f"{MIG}0"]


@pytest.mark.parametrize("fault", ["FAKE_HANG", "FAKE_CRASH"])
def test_a_driver_that_hangs_or_crashes_leaves_the_cpu(cards: Any, fault: str) -> None:
    cards("L4", **{fault: "1"})
    devices = devices_of(Config(), survey(wait_s=1.0))
    assert devices == [None]
    assert default_workers(devices) >= 1


def test_cards_without_cuda_are_no_devices(cards: Any) -> None:
    cards("L4", "nvml")
    assert devices_of(Config()) == [None]
