"""The options ``--input`` and ``--input-file``: what a model is called with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from profiler.cli.subjects import MODEL

_INPUT = "Shape of one sample, such as `3x224x224`, or of a whole input by name: `input_ids=1x2048:int64`."
_FILE = "File of `torch.save` with the inputs: a dict by name, a tuple by position. No code runs."


@Parameter(name="*", group=MODEL)
@dataclass(frozen=True, slots=True)
class InputOptions:
    """What a model is called with, instead of its default inputs."""

    input: Annotated[tuple[str, ...], Parameter(alias="-i", consume_multiple=True, help=_INPUT)] = ()
    input_file: Annotated[Path | None, Parameter(help=_FILE)] = None

    @property
    def specs(self) -> tuple[str, ...]:
        """The input specifications: those of shapes, and the file as ``@FILE``."""
        if self.input_file is None:
            return self.input
        from profiler.targets.input_file import FILE_MARK

        return (f"{FILE_MARK}{self.input_file}", *self.input)


DEFAULT_INPUTS = InputOptions()
