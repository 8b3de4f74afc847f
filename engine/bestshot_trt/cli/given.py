"""From the options of a command to its settings: what was not given is left to files, presets and defaults."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from . import options as o

if TYPE_CHECKING:
    from ..config import Config

Command: TypeAlias = Callable[..., None]


@dataclass(frozen=True)
class Given:
    """What was given on the command line: options by section and name, a preset and a config file."""

    options: dict[str, dict[str, Any]]
    preset: str | None
    file: Path | None

    def settings(self) -> Config:
        """The settings of results, merged; how a batch works is no part of them.

        Raises:
            ConfigError: as `settings.load`.
        """
        from ..settings import load

        options = {section: values for section, values in self.options.items() if section != "batch"}
        return load(preset=self.preset, file=self.file, options=options)


def takes(*, files: bool = True, **sections: o.Options) -> Callable[[Command], Command]:
    """Give a command the options of ``sections``, and with ``files`` a preset and a config file.

    Typer reads options from a command's signature. The one it sees has them all where the command's own has its
    parameter ``given``, each named by section and setting, since two sections may have settings of one name.
    """
    options = {f"{section}_{name}": kind for section, group in sections.items() for name, kind in group.items()}
    sources = {"preset": o.Preset, "config": o.ConfigFile} if files else {}

    def give(command: Command) -> Command:
        @functools.wraps(command)
        def called(**values: Any) -> None:
            told = {name: values.pop(name) for name in options | sources}
            chosen = {section: _chosen(told, section, group) for section, group in sections.items()}
            command(given=Given(chosen, told.get("preset"), told.get("config")), **values)

        shown: Any = called
        shown.__signature__ = _with_options(command, options | sources)
        shown.__annotations__ = {each.name: each.annotation for each in shown.__signature__.parameters.values()}
        return called

    return give


def _with_options(command: Command, options: o.Options) -> inspect.Signature:
    """The signature of ``command`` with ``options`` in place of ``given``."""
    own = [*inspect.signature(command, eval_str=True).parameters.values()]
    place = [parameter.name for parameter in own].index("given")
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in options.items()
    ]
    return inspect.Signature([*own[:place], *added, *own[place + 1 :]])


def _chosen(told: dict[str, Any], section: str, group: o.Options) -> dict[str, Any]:
    values = {name: told[f"{section}_{name}"] for name in group}
    return {name: value for name, value in values.items() if value not in (None, [])}
