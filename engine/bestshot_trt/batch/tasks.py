"""What workers are told to do: a take's job, or a stretch of one, as the task that a worker can take on its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ..config import Config
from . import plan
from .workers.messages import LengthTask, RangeTask, Ready, TakeTask
from .workers.splitting import Stretch


class Tasks:
    """Makes the tasks of one batch, whose results lie at ``uri`` in the end if that is told."""

    def __init__(self, layout: plan.Layout, config: Config, ready: Ready, uri: str | None) -> None:
        """``ready`` is what the first worker said of the model."""
        self._layout, self._config, self._uri = layout, config, uri
        self._model = ready.model
        # Found once, it is so for all takes, whatever the hub says meanwhile.
        self._without_model = ready.note if ready.model == "none" and config.analyze.model == "auto" else None

    def length(self, stretch: Stretch) -> LengthTask:
        """To look how long the take is, before it is cut in stretches."""
        place = stretch.footage.place
        return LengthTask(path=stretch.footage.path, uri=None if place is None else place.uri)

    def part(self, stretch: Stretch, within: range) -> RangeTask:
        """To analyse the samples ``within`` of the take."""
        return RangeTask(
            path=stretch.footage.path,
            place=stretch.footage.place,
            config=self._config,
            parts=self._layout.parts(stretch.job.content, stretch.job.keys.analyze),
            within=within,
            without_model=self._without_model,
        )

    def take(self, job: plan.Job, staging: Path) -> TakeTask:
        """To do all that is left of a take, in ``staging``; on the CPU where it failed twice."""
        config, target = self._config, self._layout.target(job.name)
        if len(job.failures) > 1:
            config = dataclasses.replace(config, analyze=dataclasses.replace(config.analyze, backend="cpu"))
        return TakeTask(
            path=job.footage.path,
            place=job.footage.place,
            content=job.content,
            config=config,
            target=target,
            home=target if self._uri is None else f"{self._uri}/{plan.TAKES}/{job.name}",
            staging=staging,
            track=self._layout.track(job.content, job.keys.analyze),
            parts=self._layout.parts(job.content, job.keys.analyze),
            known=job.known,
            origin=job.footage.origin,
            receipt=plan.receipt_text(job.content, job.keys, self._model),
            without_model=self._without_model,
        )
