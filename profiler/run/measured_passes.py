"""Measured times of passes: read from a CSV file, and counted."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, get_args

from profiler.devices import find_device
from profiler.errors import AmbiguousNameError, InputError, UnknownNameError
from profiler.projection.device_pass import default_mode
from profiler.projection.fit import Sample
from profiler.projection.ideal_times import ideal_times
from profiler.projection.mode import MODES, Step
from profiler.projection.model_bytes import compulsory_bytes
from profiler.projection.precision import PRECISION_OF_DTYPE, choose_precision, parse_precision
from profiler.projection.roofline import roofline_bound
from profiler.projection.work import operator_work
from profiler.run.autocast import under_autocast
from profiler.run.count_target import count_target
from profiler.run.forward import count_forward
from profiler.run.step_options import StepOptions
from profiler.util.text_files import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from profiler.devices import Device
    from profiler.projection.mode import Mode
    from profiler.projection.precision import PrecisionScheme
    from profiler.run.runner import Run
    from profiler.tally import Profile

#: The dtypes of models by the names of a CSV file. Others are "amp", which is autocast to float16 over float32 weights,
#: and the precisions of devices, to which an inference engine converts a model.
_DTYPES = {
    "fp32": "float32", "float32": "float32", "fp16": "float16", "float16": "float16", "half": "float16",
    "bf16": "bfloat16", "bfloat16": "bfloat16", "": "float32",
}  # fmt: skip
_AMP = "amp"
_NEEDED = ("target", "ms")
_HINT = "a CSV file with the columns target, batch, input, precision and ms"
_MAX_BYTES = 16 * 2**20
Name = TypeVar("Name", bound=str)


@dataclass(frozen=True, slots=True)
class MeasuredPass:
    """A pass of a model whose time was measured."""

    target: str
    #: Shape of a sample, as in ``--input 3x224x224``; None for the target's own inputs.
    input: str | None
    batch: int
    #: The dtype of the model (float32, float16, bfloat16), amp, or a precision to which it was converted, such as int8.
    precision: str
    seconds: float
    step: Step = "inference"
    #: None for a pass in the mode that is asked for, whichever it is.
    mode: Mode | None = None
    #: Id of the device in the catalogue; None for the one that is asked for.
    device: str | None = None

    @property
    def scheme(self) -> PrecisionScheme | None:
        """The scheme that the model was converted to; None if it ran in its own precision."""
        return None if self.precision in {_AMP, *_DTYPES.values()} else parse_precision(self.precision)

    @property
    def compute_precision(self) -> str:
        """The precision of the arithmetic, as devices name it."""
        if self.scheme is not None:
            return self.scheme.compute
        return "fp16" if self.precision == _AMP else PRECISION_OF_DTYPE[self.precision]

    @property
    def run(self) -> Run:
        """What runs the model: a forward pass or a training step, under autocast if it was."""
        run: Run = StepOptions("sgd") if self.step == "training" else count_forward
        return under_autocast(run, "float16") if self.precision == _AMP else run

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
        scheme = choose_precision(counted, device, None if self.scheme is None else self.precision)
        kernels = operator_work(counted, scheme, mode)
        bound = roofline_bound(kernels, compulsory_bytes(counted, scheme), device)
        name = f"{self.target}, batch {self.batch}"
        return Sample(ideal_times(kernels, device), self.seconds, name, bound.seconds, scheme.compute)


def read_measured_passes(path: Path, *, step: Step) -> list[MeasuredPass]:
    """Read the rows of a CSV file.

    The columns are ``target`` and ``ms``, and if there are any ``batch`` (1), ``input`` (the target's own),
    ``precision`` (fp32, fp16, bf16, amp, or one that a model was converted to, such as int8), ``mode``, ``step`` and
    ``device``; others are ignored.

    Args:
        path: The file.
        step: The step of rows that name none.

    Raises:
        InputError: The file cannot be read, lacks a column, or has a value that is no number or no name.
    """
    reader = csv.DictReader(io.StringIO(read_text(path, InputError, _HINT, _MAX_BYTES)))
    try:
        columns = reader.fieldnames or []
        missing = [column for column in _NEEDED if column not in columns]
        if missing:
            msg = f"{path} has no column {' and no column '.join(missing)}; give {_HINT}"
            raise InputError(msg)
        return [_measured_pass(row, step, f"{path}, line {reader.line_num}") for row in reader]
    except csv.Error as error:
        msg = f"{path}, line {reader.line_num + 1}: {error}; give {_HINT}"
        raise InputError(msg) from error


def first_mode(passes: Sequence[MeasuredPass], device: Device) -> Mode:
    """Return the mode of the first pass: the one that it names, or that in which its precision runs on the device."""
    if not passes:
        return "eager"
    return passes[0].mode or default_mode(device, passes[0].scheme)


def comparable(passes: Iterable[MeasuredPass], device: Device, mode: Mode, step: Step) -> list[MeasuredPass]:
    """Return the passes that were measured on a device in a mode and a step; those that do not say count as such."""
    asked = (device.id, mode, step)
    return [one for one in passes if (one.device or device.id, one.mode or mode, one.step) == asked]


def _measured_pass(row: dict[str, str | None], step: Step, where: str) -> MeasuredPass:
    words = {column: (row.get(column) or "").strip() for column in ("target", "input", "precision", "device")}
    if not words["target"]:
        msg = f"{where}: the target is missing"
        raise InputError(msg)
    return MeasuredPass(
        target=words["target"],
        input=words["input"] or None,
        batch=_whole(row.get("batch") or "1", "batch", where),
        precision=_precision(words["precision"].lower(), where),
        seconds=_number(row.get("ms"), "ms", where) / 1e3,
        step=_one_of(get_args(Step), row.get("step"), "step", where) or step,
        mode=_one_of(MODES, row.get("mode"), "mode", where),
        device=_device_id(words["device"], where) if words["device"] else None,
    )


def _one_of(names: Sequence[Name], text: str | None, column: str, where: str) -> Name | None:
    """Return the name that a column has; None if it is empty."""
    word = (text or "").strip()
    found = next((name for name in names if name == word), None)
    if word and found is None:
        msg = f"{where}: there is no {column} {word!r}; write {', '.join(names)}"
        raise InputError(msg)
    return found


def _device_id(name: str, where: str) -> str:
    try:
        return find_device(name).id
    except (AmbiguousNameError, UnknownNameError) as error:
        msg = f"{where}: {error}"
        raise InputError(msg) from error


def _precision(name: str, where: str) -> str:
    """Return a precision as `MeasuredPass` has it."""
    if name == _AMP or name in _DTYPES:
        return _DTYPES.get(name, name)
    try:
        return parse_precision(name).name
    except UnknownNameError as error:
        msg = f"{where}: there is no precision {name!r}; write fp32, fp16, bf16, amp, int8 or another of --precision"
        raise InputError(msg) from error


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
