"""Measured times of passes: read from a CSV file, and counted."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.errors import InputError
from profiler.projection.fit import Sample
from profiler.projection.model_bytes import compulsory_bytes
from profiler.projection.precision import choose_precision
from profiler.projection.roofline import roofline_bound
from profiler.projection.time_table import ideal_times
from profiler.projection.work import operator_work
from profiler.run.autocast import under_autocast
from profiler.run.count_target import count_target
from profiler.run.forward import count_forward
from profiler.run.step_options import StepOptions
from profiler.util.text_files import read_text

if TYPE_CHECKING:
    from pathlib import Path

    from profiler.devices import Device
    from profiler.projection.mode import Mode, Step
    from profiler.run.runner import Run
    from profiler.tally import Profile

#: How the precisions of a CSV file are run: the dtype of the model, or "amp": autocast to float16 over float32 weights.
_PRECISIONS = {
    "fp32": "float32", "float32": "float32", "fp16": "float16", "float16": "float16", "half": "float16",
    "bf16": "bfloat16", "bfloat16": "bfloat16", "amp": "amp", "": "float32",
}  # fmt: skip
_NEEDED = ("target", "ms")
_HINT = "a CSV file with the columns target, batch, input, precision and ms"
_MAX_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class MeasuredPass:
    """A pass of a model whose time was measured."""

    target: str
    #: Shape of a sample, as in ``--input 3x224x224``; None for the target's own inputs.
    input: str | None
    batch: int
    #: float32, float16, bfloat16, or amp.
    precision: str
    seconds: float
    step: Step = "inference"

    @property
    def run(self) -> Run:
        """What runs the model: a forward pass or a training step, under autocast if it was."""
        run: Run = StepOptions("sgd") if self.step == "training" else count_forward
        return under_autocast(run, "float16") if self.precision == "amp" else run

    def count(self, run: Run | None = None) -> Profile:
        """Count the pass on ``meta``.

        Args:
            run: What runs the model; by default ``self.run``.

        Raises:
            ProfilerError: The target or the input is invalid, or the model raised.
        """
        specs = [self.input] if self.input else []
        dtype = self.precision if self.precision in {"float16", "bfloat16"} else None
        return count_target(self.target, specs=specs, batch=self.batch, dtype=dtype, device="meta", run=run or self.run)

    def sample(self, device: Device, mode: Mode, profile: Profile | None = None) -> Sample:
        """Return the ideal times of the pass on a device in a mode, beside its measured time and its bound.

        Args:
            device: The device on which it was measured.
            mode: The mode in which it ran there.
            profile: The profile of the pass; by default it is counted.
        """
        counted = self.count() if profile is None else profile
        scheme = choose_precision(counted, device, None)
        kernels = operator_work(counted, scheme, mode)
        bound = roofline_bound(kernels, compulsory_bytes(counted, scheme), device)
        name = f"{self.target}, batch {self.batch}"
        return Sample(ideal_times(kernels, device), self.seconds, name, bound.seconds)


def read_measured_passes(path: Path, *, mode: Mode, step: Step) -> list[MeasuredPass]:
    """Read the rows of a CSV file that were measured in a mode and a step.

    The columns are ``target`` and ``ms``, and if there are any ``batch`` (1), ``input`` (the target's own),
    ``precision`` (fp32, fp16, bf16 or amp), ``mode`` and ``step``; others are ignored.

    Raises:
        InputError: The file cannot be read, lacks a column, or has a value that is no number.
    """
    reader = csv.DictReader(io.StringIO(read_text(path, InputError, _HINT, _MAX_BYTES)))
    try:
        columns = reader.fieldnames or []
        missing = [column for column in _NEEDED if column not in columns]
        if missing:
            msg = f"{path} has no column {' and no column '.join(missing)}; give {_HINT}"
            raise InputError(msg)
        rows = [
            _measured_pass(row, f"{path}, line {reader.line_num}")
            for row in reader
            if (row.get("mode") or mode) == mode and (row.get("step") or step) == step
        ]
    except csv.Error as error:
        msg = f"{path}, line {reader.line_num + 1}: {error}; give {_HINT}"
        raise InputError(msg) from error
    return rows


def _measured_pass(row: dict[str, str | None], where: str) -> MeasuredPass:
    precision = (row.get("precision") or "").strip().lower()
    if precision not in _PRECISIONS:
        msg = f"{where}: there is no precision {precision!r}; write fp32, fp16, bf16 or amp"
        raise InputError(msg)
    target = (row.get("target") or "").strip()
    if not target:
        msg = f"{where}: the target is missing"
        raise InputError(msg)
    return MeasuredPass(
        target=target,
        input=(row.get("input") or "").strip() or None,
        batch=_whole(row.get("batch") or "1", "batch", where),
        precision=_PRECISIONS[precision],
        seconds=_number(row.get("ms"), "ms", where) / 1e3,
        step="training" if row.get("step") == "training" else "inference",
    )


def _whole(text: str, column: str, where: str) -> int:
    """Return a positive whole number of a column."""
    number = _number(text, column, where)
    if not number.is_integer():
        msg = f"{where}: {column} is {text!r}; write a whole number"
        raise InputError(msg)
    return int(number)


def _number(text: str | None, column: str, where: str) -> float:
    """Return a positive number of a column."""
    try:
        number = float(text or "")
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        msg = f"{where}: {column} is {text!r}; write a positive number"
        raise InputError(msg)
    return number
