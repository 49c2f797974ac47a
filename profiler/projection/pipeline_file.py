"""Pipelines: several models, each at its own rate, in one TOML file.

    name = "a camera that answers"

    [[stages]]
    name = "see"
    target = "vit_b_16"
    input = ["3x224x224"]
    per_s = 30

    [[stages]]
    name = "answer"
    target = "hf:llama-7b"
    prompt = 512
    tokens_per_s = 20

A stage runs ``per_s`` times a second or once in ``every_s`` seconds; one with ``tokens_per_s`` reads a prompt of
``prompt`` tokens and then makes tokens, one a step. ``precision`` and ``device``, if not given, are the
command's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, PositiveFloat, PositiveInt, TypeAdapter, ValidationError

from profiler.errors import PlanError, UnknownNameError
from profiler.util.toml_files import read_toml

_FOLDER = Path(__file__).with_name("pipelines")
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Stage:
    """One model of a pipeline, and how often it runs."""

    __pydantic_config__ = _STRICT

    name: str
    target: str
    input: tuple[str, ...] = ()
    batch: PositiveInt | None = None
    per_s: PositiveFloat | None = None
    every_s: PositiveFloat | None = None
    tokens_per_s: PositiveFloat | None = None
    prompt: PositiveInt | None = None
    precision: str | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        """Refuse a stage without exactly one rate, or with half of what generation needs."""
        rates = [rate for rate in (self.per_s, self.every_s, self.tokens_per_s) if rate is not None]
        if len(rates) != 1:
            msg = f"stage {self.name!r} needs exactly one of per_s, every_s and tokens_per_s"
            raise ValueError(msg)
        if (self.tokens_per_s is None) != (self.prompt is None):
            msg = f"stage {self.name!r} needs prompt and tokens_per_s together"
            raise ValueError(msg)

    @property
    def rate(self) -> float:
        """Passes, or tokens, a second."""
        return self.per_s or self.tokens_per_s or 1 / (self.every_s or 1.0)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Stages that run one after another on the same data, and all the time."""

    __pydantic_config__ = _STRICT

    name: str
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    note: str = ""


def shipped() -> list[str]:
    """List the pipelines that come with the package."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def read_pipeline(name: str) -> Pipeline:
    """Read a pipeline: a file, or the name of one that is shipped.

    Raises:
        UnknownNameError: It is no file, and none of that name is shipped.
        PlanError: The file cannot be read, or holds no pipeline.
    """
    if not name.endswith(".toml") and name not in shipped():
        kind = "pipeline"
        raise UnknownNameError(kind, name, shipped())
    path = Path(name) if name.endswith(".toml") else _FOLDER / f"{name}.toml"
    try:
        return TypeAdapter(Pipeline).validate_python(read_toml(path, PlanError, "a TOML file with [[stages]]"))
    except ValidationError as error:
        found = error.errors()[0]
        place = ".".join(str(part) for part in found["loc"])
        msg = f"{name} is no pipeline: {place}: {found['msg'].removeprefix('Value error, ')}"
        raise PlanError(msg) from error
