"""Where a batch's workers run: on this machine, or on a Ray cluster."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

from ...config import BatchConfig, Config
from .devices import default_workers, devices_of

_MOST = 256


@contextlib.contextmanager
def workers(address: str | None, config: Config, batch: BatchConfig) -> Iterator[tuple[BatchConfig, dict[str, Any]]]:
    """``batch`` with a number of workers, and what `crew.Crew` has to know to start them.

    ``address`` is a Ray cluster's; None is this machine.

    Raises:
        BackendUnavailable: there is no Ray, or no cluster.
    """
    if address is None:
        yield here(config, batch)
        return
    from .ray_worker import Cluster

    with Cluster(address, batch, config) as cluster:
        count = batch.workers or min(_MOST, cluster.slots)
        place = f"ray {_kind(cluster.device)}"
        where = {"devices": [cluster.device], "place": place, "start": cluster.worker}
        yield dataclasses.replace(batch, workers=count), where


def here(config: Config, batch: BatchConfig) -> tuple[BatchConfig, dict[str, Any]]:
    """The same for this machine."""
    devices = devices_of(config)
    count = batch.workers or default_workers(devices)
    return dataclasses.replace(batch, workers=count), {"devices": devices, "place": _kind(devices[0])}


def _kind(device: str | None) -> str:
    return "cpu" if device is None else "gpu"
