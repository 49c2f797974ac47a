"""Derive the closed form of a target's cost, from its name and the sizes to vary."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from profiler.derive import ClosedForm, derive
from profiler.derive.analysis import find_largest_size
from profiler.derive.comparison import compare
from profiler.derive.options import read_budget, read_letters, read_point
from profiler.derive.quantities import QUANTITIES
from profiler.derive.result import DerivationResult
from profiler.errors import InputError, UnknownNameError
from profiler.expressions import parse
from profiler.run.forward import count_forward
from profiler.run.runner import Runner
from profiler.run.step_options import StepOptions
from profiler.targets.input_file import FILE_MARK, is_input_file
from profiler.targets.optional_imports import without_warnings
from profiler.targets.registry import find_configurable_target
from profiler.targets.sized_target import SizedTarget, is_symbolic_shape
from profiler.targets.vary import parse_vary, variables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from profiler.derive import Origin, Point
    from profiler.derive.quantities import Quantity
    from profiler.run.runner import Notify


@dataclass(frozen=True, slots=True)
class DeriveRequest:
    """The options of ``profiler derive``, as text."""

    target: str
    vary: tuple[str, ...]
    count: str = "flops"
    inputs: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    letters: tuple[str, ...] = ()
    formula: str | None = None
    at_most: str | None = None
    solve_for: str | None = None
    at: tuple[str, ...] = ()
    dtype: str | None = None
    device: str = "auto"
    #: Count a training step instead of a forward pass.
    train: bool = False


def derive_target(request: DeriveRequest, notify: Notify = lambda _: None) -> DerivationResult:
    """Derive the closed form, compare it with a formula, and solve it for a budget, as requested.

    Every option is checked before the model runs.

    Args:
        request: The options.
        notify: Called with each note for the user.

    Raises:
        ProfilerError: An option is invalid, the model rejects a size, or the cost has no closed form.
    """
    quantity = _find_quantity(request.count)
    _refuse_files(request.inputs)
    options = parse_vary(request.vary)
    names = tuple(option.name for option in options)
    shapes = tuple(text for text in request.inputs if is_symbolic_shape(text))
    sized = SizedTarget(find_configurable_target(request.target), names, shapes, request.settings)
    constants, letters = read_letters(request.letters, names)
    ranges = tuple(replace(v, letter=letters.get(v.name, v.letter)) for v in variables(options, sized))
    point, budget = read_point(request.at, ranges), read_budget(request.at_most, request.solve_for, ranges)
    names_by_letter = {v.letter: v.name for v in ranges} | {v.name: v.name for v in ranges}
    formula = None if request.formula is None else parse(request.formula, [*names_by_letter, *constants])

    runner = QuantityRunner(sized, quantity, request, notify)
    ranges, pieces = derive(runner, ranges)
    form = ClosedForm(request.target, quantity.name, quantity.unit, ranges, pieces, runner.notes())
    result = DerivationResult(form, constants, point)
    if formula is not None:
        result = replace(result, comparison=compare(result.main, formula, names_by_letter, constants))
    if budget is not None:
        variable = next(v for v in ranges if v.name == budget[0])
        result = replace(result, largest=find_largest_size(form, variable, budget[1], point))
    return result


class QuantityRunner:
    """Runs a model at a point and returns one quantity of the profile, by origin."""

    def __init__(self, sized: SizedTarget, quantity: Quantity, request: DeriveRequest, notify: Notify) -> None:
        """Prepare to run *sized*; nothing is built yet."""
        self._sized, self._quantity = sized, quantity
        self._specs = [text for text in request.inputs if text not in sized.shapes]
        run = StepOptions() if request.train or quantity.needs_training else count_forward
        self._runner = Runner(run, device=request.device, dtype=request.dtype, notify=notify)
        self._uncounted: set[str] = set()

    def __call__(self, point: Point) -> Mapping[Origin, int]:
        """Run the model at a point. It is rebuilt only if the point changes one of its settings.

        Raises:
            ModelError: The model rejects these sizes, or raised.
        """
        target, batch = self._sized.target(point), point.get("batch") if self._specs else None
        with without_warnings():
            profile = self._runner(target, self._specs, batch=batch, settings=self._sized.settings_at(point))
        self._uncounted |= {row.operator for row in profile.uncounted}
        return self._quantity.by_origin(profile)

    def notes(self) -> tuple[str, ...]:
        """Return a note if operators without a formula make the closed form a lower bound."""
        names = ", ".join(sorted(self._uncounted))
        return (f"a lower bound: no formula is known for {names}",) if names else ()


def _refuse_files(inputs: tuple[str, ...]) -> None:
    for text in filter(is_input_file, inputs):
        msg = (
            f"the inputs in {text.removeprefix(FILE_MARK)} have fixed sizes; write --input NAME=SIZE,SIZE to vary them"
        )
        raise InputError(msg)


def _find_quantity(name: str) -> Quantity:
    if name not in QUANTITIES:
        kind = "quantity"
        raise UnknownNameError(kind, name, QUANTITIES)
    return QUANTITIES[name]
