"""Pipeline files: several models, each running at its own rate, in one TOML file.

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

A stage runs ``per_s`` times per second, or once in ``every_s`` seconds. A stage with ``tokens_per_s`` generates text:
it reads a prompt of ``prompt`` tokens, then generates one token per step. ``precision`` and ``device`` default to those
of the command line.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from profiler.errors import PlanError, UnknownNameError
from profiler.projection.amounts import Amount, Count
from profiler.util.plain_data import first_problem
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
    batch: Count | None = None
    per_s: Amount | None = None
    every_s: Amount | None = None
    tokens_per_s: Amount | None = None
    prompt: Count | None = None
    precision: str | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        """Reject a stage without exactly one rate, and a generating stage without its prompt or its token rate."""
        rates = [rate for rate in (self.per_s, self.every_s, self.tokens_per_s) if rate is not None]
        if len(rates) != 1:
            msg = f"stage {self.name!r} needs exactly one of per_s, every_s and tokens_per_s"
            raise ValueError(msg)
        if (self.tokens_per_s is None) != (self.prompt is None):
            msg = f"stage {self.name!r} needs prompt and tokens_per_s together"
            raise ValueError(msg)

    @property
    def passes_per_s(self) -> float:
        """Passes per second; of a stage that generates text, decoding steps per second."""
        return self.per_s or self.tokens_per_s or 1 / (self.every_s or 1.0)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Stages that process the same data one after another, all of them continuously."""

    __pydantic_config__ = _STRICT

    name: str
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    note: str = ""


def list_pipelines() -> list[str]:
    """Return the names of the pipelines that are included in the package."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def read_pipeline(name: str) -> Pipeline:
    """Return a pipeline.

    Args:
        name: The path of a file that ends in ``.toml``, or the name of an included pipeline.

    Raises:
        UnknownNameError: There is no included pipeline of that name.
        PlanError: The file cannot be read, or is not a valid pipeline.

    Example:
        >>> [stage.target for stage in read_pipeline("vision-language").stages]
        ['vit_b_16', 'hf:blip2-qformer', 'hf:llama-7b']
    """
    if not name.endswith(".toml") and name not in list_pipelines():
        kind = "pipeline"
        raise UnknownNameError(kind, name, list_pipelines())
    path = Path(name) if name.endswith(".toml") else _FOLDER / f"{name}.toml"
    try:
        return TypeAdapter(Pipeline).validate_python(read_toml(path, PlanError, "a TOML file with [[stages]]"))
    except ValidationError as error:
        msg = f"{name} is not a valid pipeline: {first_problem(error)}"
        raise PlanError(msg) from error
