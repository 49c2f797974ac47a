"""The catalogue of transformers models that can be named: one TOML table each, in the folder ``presets``.

A preset needs no network: it holds the published configuration itself, and the model has no weights.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from profiler.errors import TargetError, UnknownNameError
from profiler.targets.target import TensorInput

_FOLDER = Path(__file__).with_name("presets")


@dataclass(frozen=True, slots=True)
class Preset:
    """One model: what to build and what to call it with."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    #: A class that transformers exports.
    model: Annotated[str, Field(alias="class")]
    #: Where the configuration was published.
    source: str
    #: By the names of the arguments of ``forward``.
    inputs: dict[str, TensorInput]
    #: What the published configuration says where it matters for the model's shape.
    configuration: dict[str, Any]
    aliases: tuple[str, ...] = ()
    note: str = ""
    prefers: Literal["meta", "cpu"] = "meta"
    #: Values for parameters on which the amount of work depends.
    fill: dict[str, float] = field(default_factory=dict)


def find_preset(name: str) -> Preset:
    """Look a preset up by its name or an alias.

    Raises:
        UnknownNameError: There is none; the message gives the nearest names.
    """
    presets = all_presets()
    named = presets | {alias: preset for preset in presets.values() for alias in preset.aliases}
    if name not in named:
        kind = "preset"
        raise UnknownNameError(kind, name, named)
    return named[name]


@cache
def all_presets() -> dict[str, Preset]:
    """Read every preset, by its name, in the order of the files."""
    presets: dict[str, Preset] = {}
    for path in sorted(_FOLDER.glob("*.toml")):
        presets |= read_presets(path)
    return presets


def read_presets(path: Path) -> dict[str, Preset]:
    """Read one file of presets.

    Raises:
        TargetError: The file is not TOML, or a table in it is no preset.
    """
    try:
        return TypeAdapter(dict[str, Preset]).validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        detail = _first(error) if isinstance(error, ValidationError) else str(error)
        msg = f"{path.name} holds no presets: {detail}"
        raise TargetError(msg) from error


def _first(error: ValidationError) -> str:
    found = error.errors()[0]
    return f"{'.'.join(str(part) for part in found['loc'])}: {found['msg']}"
