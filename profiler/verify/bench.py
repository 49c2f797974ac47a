"""Measure what claims are about: each model is run once for each setting, however many claims look at it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from fractions import Fraction
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

import sympy

from profiler.api import profile
from profiler.counting import forward, wants_values
from profiler.derive import Origin, Variable, derive
from profiler.derive.quantities import QUANTITIES
from profiler.derive.quantities import family as stack
from profiler.derive.spacing import in_sizes
from profiler.devices import find_device
from profiler.documents import Measure
from profiler.errors import ClaimError, InputError, ModelError, UnknownNameError
from profiler.expressions import parse_unit
from profiler.peers import Failure, Subject, ask
from profiler.peers import find as find_peer
from profiler.targets import build, make_inputs
from profiler.targets.families import find_family
from profiler.targets.packages import without_warnings
from profiler.targets.sizes import Sized, is_in_sizes
from profiler.training import checkpointed, count_step, freeze, make_optimizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from concurrent.futures import Future
    from typing import Any

    from torch import nn

    from profiler.derive import Point
    from profiler.derive.polynomials import Polynomial
    from profiler.documents import Figure
    from profiler.peers import Answer
    from profiler.tally import Profile
    from profiler.targets import Target

#: Of what is counted, and of the figures of a device.
_UNITS = {
    "macs": "MAC", "masked_macs": "MAC", "bytes": "byte", "activations": "byte", "peak_memory": "byte",
    "params": "parameter", "transcendentals": "op", "bandwidth": "byte/s", "memory": "byte",
}  # fmt: skip
_family = cache(find_family)
#: A measure at which setting: what has the same key is run once.
_Key = tuple[object, ...]


class Form(NamedTuple):
    """What a measure is in the variables, and the parts that it is made of."""

    whole: sympy.Expr
    parts: dict[Origin, sympy.Expr]
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class _Run:
    """How a model is run, apart from its sizes."""

    train: bool
    optimizer: str | None
    checkpoint: bool
    freeze: tuple[str, ...]

    def __call__(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Profile:
        if not self.train:
            return forward(model, args, kwargs)
        model.train()
        freeze(model, self.freeze)
        optimizer = make_optimizer(self.optimizer, model) if self.optimizer else None
        if not self.checkpoint:
            return count_step(model, *args, optimizer=optimizer, **kwargs)
        with checkpointed(model):
            return count_step(model, *args, optimizer=optimizer, **kwargs)


class Bench:
    """Runs models, asks peers and reads catalogues, and remembers what came of it."""

    def __init__(self) -> None:
        """Begin with nothing measured."""
        self._profiles: dict[_Key, Profile] = {}
        self._answers: dict[_Key, Future[Answer | Failure]] = {}
        self._forms: dict[_Key, Form] = {}
        self._asking = ThreadPoolExecutor(1)

    @contextmanager
    def asking(self, figures: Iterable[Figure]) -> Iterator[None]:
        """Ask the peers of these figures, each in its process, while models run here."""
        try:
            for figure in figures:
                for measure in figure.measures.values():
                    if measure.peer is not None and not any(".." in str(v) for v in figure.variables.values()):
                        self._ask(measure, {})
            yield
        except BaseException:
            self._asking.shutdown(cancel_futures=True)
            raise

    def adopt(self, target: str, profile: Profile) -> None:
        """Take a profile that was made already for a forward pass of a target with its default input."""
        self._profiles[_key(Measure(target), {})] = profile

    def value(self, measure: Measure, point: Point) -> sympy.Expr:
        """Measure at one setting of the variables: a number times its unit.

        Raises:
            ProfilerError: A name in it is wrong, the model failed, or a peer did.
        """
        if measure.device is not None:
            return _device_figure(measure)
        if measure.setting is not None:
            return sympy.Integer(self._setting(measure, point))
        if measure.peer is not None:
            return self._peers_figure(measure, point)
        if measure.axis is not None:
            return sympy.Integer(self._size(measure, point))
        return _exactly(sum(self._cost(measure, point).values())) * unit_of(measure)

    def form(self, measure: Measure, variables: tuple[Variable, ...]) -> Form:
        """Derive the closed form of a measure in variables, verified at points that were not used to find it.

        Raises:
            ProfilerError: As for a value, or there is no closed form.
        """
        key = (*_key(measure, {}), measure.count, measure.modules, measure.operators, measure.phase, str(variables))
        if key not in self._forms:
            self._forms[key] = self._derive(measure, variables)
        return self._forms[key]

    def _derive(self, measure: Measure, variables: tuple[Variable, ...]) -> Form:
        _, pieces = derive(lambda point: self._cost(measure, point), variables, all_matter=False)
        if len(pieces) > 1:
            msg = f"{measure.target} has no single closed form in these sizes; narrow the ranges of the variables"
            raise ClaimError(msg)
        (piece,) = pieces
        unit = unit_of(measure)
        parts = {o: to_sympy(in_sizes(part, piece.variables)) * unit for o, part in piece.parts.items()}
        whole = to_sympy(in_sizes(piece.total, piece.variables)) * unit
        return Form(whole, parts, (*piece.used, *piece.verified))

    def _cost(self, measure: Measure, point: Point) -> dict[Origin, int]:
        profile = self.profile(measure, point)
        if measure.count == "peak_memory":
            return {Origin("", ""): profile.totals.peak_memory["total"]}
        if measure.count not in QUANTITIES:
            kind = "count"
            raise UnknownNameError(kind, measure.count, [*QUANTITIES, "peak_memory"])
        sums: dict[Origin, int] = {}
        for module, operator, part, cost in QUANTITIES[measure.count].rows(profile):
            if cost and _is_meant(measure, module, operator):
                origin = Origin(stack(module), operator, part)
                sums[origin] = sums.get(origin, 0) + cost
        if not sums and (measure.modules or measure.operators):
            _check_names(measure, profile)
        return sums

    def profile(self, measure: Measure, point: Point) -> Profile:
        """Run the model of a measure.

        Raises:
            ProfilerError: A name in it is wrong, or the model failed.
        """
        key = _key(measure, point)
        if key not in self._profiles and measure.count == "params":  # which needs no run, and so no inputs
            key = ("params", measure.target, measure.dtype, str(_sized(measure, point).chosen(point)))
        if key not in self._profiles:
            with without_warnings():
                self._profiles[key] = _run(measure, point)
        return self._profiles[key]

    def _size(self, measure: Measure, point: Point) -> int:
        profile = self.profile(measure, point)
        shapes = {module.path: module.outputs[0] for module in profile.modules if module.outputs}
        (path,) = measure.modules or ("",)
        shape = shapes.get(path)
        if shape is None or measure.axis is None or measure.axis >= len(shape):
            msg = f"no size {measure.axis} of an output of {path!r} in {measure.target}; its output is {shape}"
            raise ClaimError(msg)
        return int(shape[measure.axis])

    def _setting(self, measure: Measure, point: Point) -> int:
        family = _family(measure.target or "")
        found = _sized(measure, point).chosen(point) | {k: v for k, v in family.settings.items() if v is not None}
        name = family.setting(measure.setting or "")
        if name is None or name not in found:
            kind = f"setting of {measure.target}"
            raise UnknownNameError(kind, measure.setting or "", family.words())
        return found[name]

    def _peers_figure(self, measure: Measure, point: Point) -> sympy.Expr:
        answer = self._ask(measure, point).result()
        if isinstance(answer, Failure):
            msg = f"{measure.peer} failed on {measure.target}: {answer.error}"
            raise ClaimError(msg)
        if measure.count == "params":
            return _exactly(Fraction(answer.params or 0)) * parse_unit("parameter")
        return _exactly(Fraction(answer.total)) * parse_unit(find_peer(measure.peer or "").unit)

    def _ask(self, measure: Measure, point: Point) -> Future[Answer | Failure]:
        key = (*_key(measure, point), measure.peer)
        if key not in self._answers:
            self._answers[key] = self._asking.submit(_ask, measure, point)
        return self._answers[key]


def unit_of(measure: Measure) -> sympy.Expr:
    """Give the unit of what is measured."""
    return parse_unit(_UNITS.get(measure.count, "FLOP"))


def is_count(measure: Measure) -> bool:
    """Say whether it is what we count of a model that runs, and not a setting, a size or somebody else's figure."""
    return measure.device is None and measure.setting is None and measure.axis is None and measure.peer is None


def source(measure: Measure) -> str:
    """Say where a device's figure comes from."""
    device = find_device(measure.device or "")
    return f"{device.id} {device.cite((measure.figure or '').rpartition(' ')[2])}"


def to_sympy(polynomial: Polynomial) -> sympy.Expr:
    """Write a polynomial as an expression in its variables' names."""
    total = sympy.Integer(0)
    for monomial, coefficient in polynomial.items():
        term = _exactly(coefficient)
        for step, power in monomial:
            name = sympy.Symbol(step.variable, positive=True, integer=True)
            base = name if step.is_plain else sympy.ceiling((name + step.offset) / sympy.Integer(step.size))
            term *= base**power
        total += term
    return total


def _run(measure: Measure, point: Point) -> Profile:
    """Run a model on ``meta``, or on the CPU where it needs values."""
    target = _sized(measure, point).target(point)
    run = _Run(measure.train, measure.optimizer, measure.checkpoint, measure.freeze)
    if measure.values or target.prefers == "cpu":
        return _run_on("cpu", target, measure, run)
    try:
        return _run_on("meta", target, measure, run)
    except ModelError as error:
        if not wants_values(error):
            raise
    return _run_on("cpu", target, measure, run)


def _run_on(device: str, target: Target, measure: Measure, run: _Run) -> Profile:
    model = build(target, device=device, dtype=measure.dtype)
    if measure.count == "params":
        with profile(model) as unrun:
            pass
        return unrun.result
    args, kwargs = make_inputs(target, model, _specs(measure), batch=measure.batch, device=device)
    return run(model, args, kwargs)


def _sized(measure: Measure, point: Point) -> Sized:
    assert measure.target is not None  # noqa: S101 - a device has no sizes
    settings = tuple(f"{name}={value}" for name, value in measure.set.items())
    shapes = tuple(text for text in measure.input if is_in_sizes(text))
    try:
        return Sized(_family(measure.target), tuple(point), shapes, settings)
    except InputError as error:
        raise ClaimError(str(error)) from error


def _specs(measure: Measure) -> list[str]:
    return [text for text in measure.input if not is_in_sizes(text)]


def _key(measure: Measure, point: Mapping[str, int]) -> _Key:
    asked = (measure.target, measure.input, str(measure.set), measure.batch, measure.dtype, measure.values)
    return (*asked, measure.train, measure.optimizer, measure.checkpoint, measure.freeze, str(sorted(point.items())))


def _ask(measure: Measure, point: Point) -> Answer | Failure:
    """Let a peer count the model, on the CPU, where every peer can."""
    find_peer(measure.peer or "")
    with Subject(partial(_make, replace(measure, peer=None), dict(point))) as subject:
        return ask(measure.peer or "", subject)


def _make(measure: Measure, point: Point) -> tuple[nn.Module, tuple[Any, ...], dict[str, Any]]:
    target = _sized(measure, point).target(point)
    model = build(target, device="cpu", dtype=measure.dtype)
    return (model, *make_inputs(target, model, _specs(measure), batch=measure.batch, device="cpu"))


def _is_meant(measure: Measure, module: str, operator: str) -> bool:
    """Say whether a row is one of those that a measure is about."""
    name, _, phase = operator.partition(" ")
    inside = not measure.modules or any(_is_inside(module, pattern) for pattern in measure.modules)
    chosen = not measure.operators or any(fnmatchcase(name, pattern) for pattern in measure.operators)
    return inside and chosen and measure.phase in {None, phase.strip("()") or "forward"}


def _is_inside(module: str, pattern: str) -> bool:
    return fnmatchcase(module, pattern) or fnmatchcase(module, f"{pattern}.*")


def _check_names(measure: Measure, profile: Profile) -> None:
    """Refuse a pattern that matches nothing: it would measure zero."""
    paths = [row.path for row in profile.modules]
    for pattern in measure.modules:
        if not any(_is_inside(path, pattern) for path in paths):
            kind = f"module of {measure.target}"
            raise UnknownNameError(kind, pattern, paths)
    operators = [row.operator for row in profile.operators]
    for pattern in measure.operators:
        if not any(fnmatchcase(operator, pattern) for operator in operators):
            kind = f"operator of {measure.target}"
            raise UnknownNameError(kind, pattern, operators)


def _device_figure(measure: Measure) -> sympy.Expr:
    """Read a figure of a device."""
    device = find_device(measure.device or "")
    kind, _, precision = (measure.figure or "").rpartition(" ")
    if measure.figure == "memory":
        found: float | None = device.memory_bytes
    elif measure.figure == "bandwidth":
        found = device.bandwidth_bytes_per_s
    else:
        found = device.peak(precision) if not kind else dict(_table(device, kind)).get(precision)
    if found is None:
        msg = f"the catalogue has no {measure.figure} of {device.id}"
        raise ClaimError(msg)
    return _exactly(Fraction(found)) * parse_unit(_UNITS.get(measure.figure or "", "OPS"))


def _table(device: Any, kind: str) -> Iterator[tuple[str, float]]:
    tables = {
        "sparse": device.sparse_ops_per_s,
        "vector": device.vector_ops_per_s,
        "fp16-sum": device.fp16_sum_ops_per_s,
        "quoted": device.quoted,
    }
    if kind not in tables:
        what = "kind of rate"
        raise UnknownNameError(what, kind, tables)
    yield from tables[kind].items()


def _exactly(value: Fraction | int) -> sympy.Expr:
    fraction = Fraction(value)
    return sympy.Rational(fraction.numerator, fraction.denominator)
