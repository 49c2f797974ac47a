"""Read the presets: transformers models with their published configurations, one TOML table each in ``presets``.

A preset needs no network: its table has the configuration, and the model is built without weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from profiler.errors import TargetError, UnknownNameError
from profiler.targets.target import TensorInput
from profiler.util.plain_data import first_problem
from profiler.util.toml_files import read_toml

_FOLDER = Path(__file__).with_name("presets")


@dataclass(frozen=True, slots=True)
class Preset:
    """One model: its class, configuration and default inputs."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    #: Name of a class that transformers exports.
    model: Annotated[str, Field(alias="class")]
    #: Where the configuration was published.
    source: str
    #: Name of an argument of ``forward`` → its default.
    inputs: dict[str, TensorInput]
    #: Arguments of the model's configuration class that differ from its defaults or matter for shapes.
    configuration: dict[str, Any]
    aliases: tuple[str, ...] = ()
    note: str = ""
    prefers: Literal["meta", "cpu"] = "meta"
    #: Parameter → the value to fill it with, where the amount of work depends on it.
    fill: dict[str, float] = field(default_factory=dict)


def find_preset(name: str) -> Preset:
    """Return a preset by its name or an alias.

    Raises:
        UnknownNameError: There is no such preset; the message has the nearest names.
    """
    presets = all_presets()
    by_name = presets | {alias: preset for preset in presets.values() for alias in preset.aliases}
    if name not in by_name:
        kind = "preset"
        raise UnknownNameError(kind, name, by_name)
    return by_name[name]


@cache
def all_presets() -> dict[str, Preset]:
    """Return every preset by name, in the order of the files."""
    presets: dict[str, Preset] = {}
    for path in sorted(_FOLDER.glob("*.toml")):
        presets |= read_presets(path)
    return presets


def read_presets(path: Path) -> dict[str, Preset]:
    """Return the presets in one file, by name.

    Raises:
        TargetError: The file is not TOML, or a table in it is not a valid preset.
    """
    table = read_toml(path, TargetError, "a TOML file with a table for each preset")
    try:
        return TypeAdapter(dict[str, Preset]).validate_python(table)
    except ValidationError as error:
        msg = f"{path.name} is not a valid preset file: {first_problem(error)}"
        raise TargetError(msg) from error
