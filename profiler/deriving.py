"""Derive the closed form of a target's cost: from its name and the sizes to vary, to everything that is said of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from profiler.derive import ClosedForm, derive
from profiler.derive.answers import Answers
from profiler.derive.comparison import compare
from profiler.derive.quantities import QUANTITIES
from profiler.derive.solving import largest
from profiler.derive.words import read_budget, read_letters, read_point
from profiler.errors import ModelError, UnknownNameError, one_line
from profiler.expressions import parse
from profiler.targets import build, make_inputs
from profiler.targets.families import find_family
from profiler.targets.packages import without_warnings
from profiler.targets.ranges import parse_vary, variables
from profiler.targets.sizes import Sized, is_in_sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from torch import nn

    from profiler.derive import Origin, Point
    from profiler.derive.quantities import Quantity
    from profiler.tally import Profile

    Run = Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], Profile]


@dataclass(frozen=True, slots=True)
class Request:
    """What to derive, in the words of the command line."""

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


@dataclass(frozen=True, slots=True)
class Running:
    """How a model is run, and how to tell that one failed for want of values."""

    run: Run
    wants_values: Callable[[ModelError], bool]
    say: Callable[[str], None]


def answer(request: Request, running: Running) -> Answers:
    """Derive, and answer what was asked. Whatever can be wrong with the words is found before the model runs.

    Raises:
        ProfilerError: A word is wrong, the model refuses a size, or there is no closed form.
    """
    if request.count not in QUANTITIES:
        kind = "quantity"
        raise UnknownNameError(kind, request.count, QUANTITIES)
    asked = parse_vary(request.vary)
    names = tuple(a.name for a in asked)
    shapes = tuple(text for text in request.inputs if is_in_sizes(text))
    sized = Sized(find_family(request.target), names, shapes, request.settings)
    values, renamed = read_letters(request.letters, names)
    ranges = tuple(replace(v, letter=renamed.get(v.name, v.letter)) for v in variables(asked, sized))
    point, budget = read_point(request.at, ranges), read_budget(request.at_most, request.solve_for, ranges)
    known = {v.letter: v.name for v in ranges} | {v.name: v.name for v in ranges}
    formula = None if request.formula is None else parse(request.formula, [*known, *values])
    quantity = QUANTITIES[request.count]
    runner = Runner(sized, quantity, request, running)
    ranges, pieces = derive(runner, ranges)
    form = ClosedForm(request.target, quantity.name, quantity.unit, ranges, pieces, runner.notes())
    compared = formula and compare(form.piece(point) or pieces[-1], formula, known, values)
    solved = budget and (largest(form, next(v for v in ranges if v.name == budget[0]), budget[1], point), budget[1])
    return Answers(form, values, point, compared, solved)


class Runner:
    """Measures a quantity of a model at a point; a model that stays the same is built once."""

    def __init__(self, sized: Sized, quantity: Quantity, request: Request, running: Running) -> None:
        """Prepare to measure."""
        self._sized, self._quantity, self._running = sized, quantity, running
        self._specs = [text for text in request.inputs if text not in sized.shapes]
        self._dtype = request.dtype
        self._may_change = request.device == "auto"
        self._device = "meta" if self._may_change else request.device
        self._built: tuple[dict[str, int], nn.Module] | None = None
        self._uncounted: set[str] = set()

    def __call__(self, point: Point) -> Mapping[Origin, int]:
        """Run the model at a point, on ``meta``, or from then on the CPU where it needs values.

        Raises:
            ModelError: The model refuses these sizes, or fails.
        """
        with without_warnings():
            try:
                return self._measure(point)
            except ModelError as error:
                if not (self._may_change and self._device == "meta" and self._running.wants_values(error)):
                    raise
                name, why = self._sized.family.name, one_line(error.__cause__ or error)
                self._running.say(f"{name} needs real values ({why}); running on the CPU")
            self._device, self._built = "cpu", None
            return self._measure(point)

    def notes(self) -> tuple[str, ...]:
        """Say what makes the form a lower bound."""
        names = ", ".join(sorted(self._uncounted))
        return (f"a lower bound: no formula is known for {names}",) if names else ()

    def _measure(self, point: Point) -> Mapping[Origin, int]:
        target = self._sized.target(point)
        if self._may_change and target.prefers == "cpu":
            self._device = "cpu"
        model = self._model(point)
        batch = point.get("batch") if self._specs else None
        args, kwargs = make_inputs(target, model, self._specs, batch=batch, device=self._device)
        profile = self._running.run(model, args, kwargs)
        self._uncounted |= {row.operator for row in profile.uncounted}
        return self._quantity.of(profile)

    def _model(self, point: Point) -> nn.Module:
        chosen = self._sized.chosen(point)
        if self._built is None or self._built[0] != chosen:
            self._built = None  # so that two are never in memory
            self._built = chosen, build(self._sized.target(point), device=self._device, dtype=self._dtype)
        return self._built[1]
