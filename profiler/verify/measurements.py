"""Measure what claims are about. Each model runs once per setting, however many claims use it."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import sympy

from profiler.derive import Origin, Variable, derive
from profiler.derive.polynomials import add
from profiler.derive.strides import write_in_sizes
from profiler.documents import MeasureSpec
from profiler.errors import ClaimError, PeerError, UnknownNameError
from profiler.expressions import parse_unit
from profiler.peers import PeerFailure, find_peer
from profiler.verify.device_figures import device_figure
from profiler.verify.measurement_cache import MeasurementCache, StoredForm
from profiler.verify.models import Key, configurable_target, run_key, run_model, sized_target
from profiler.verify.peer_queries import query_key, query_measures
from profiler.verify.select_entries import sum_by_origin
from profiler.verify.sympy_conversion import to_rational, to_sympy

if TYPE_CHECKING:
    from profiler.derive import Point
    from profiler.peers import PeerResult
    from profiler.tally import Profile
    from profiler.values.findings import Number
    from profiler.verify.peer_queries import PeerAnswers

#: The units of the counts that are not in FLOP.
_UNITS = {
    "macs": "MAC", "masked_macs": "MAC", "bytes": "byte", "activations": "byte", "peak_memory": "byte",
    "params": "parameter", "transcendentals": "op",
}  # fmt: skip


class MeasureForm(NamedTuple):
    """The closed form of a measure, its parts by origin, and the points at which it was measured."""

    whole: sympy.Expr
    parts: dict[Origin, sympy.Expr]
    points: tuple[Point, ...]


class NotMeasuredError(Exception):
    """A value has not been measured before, and nothing may run."""


class Measurements:
    """What was measured: profiles of models, answers of peers and closed forms."""

    def __init__(self, cache: MeasurementCache | None = None) -> None:
        """Begin with the values in *cache*, which takes those that are measured; by default with none."""
        self._cache = cache or MeasurementCache(on_disk=False)
        self._profiles: dict[Key, Profile] = {}
        self._answers: dict[Key, PeerResult | PeerFailure] = {}
        self._forms: dict[Key, MeasureForm] = {}

    def add_peer_answers(self, answers: PeerAnswers) -> None:
        """Add answers of peers, so that these queries are not run again."""
        self._answers |= answers

    def add_profile(self, target: str, profile: Profile) -> None:
        """Add the profile of one forward pass of *target* with its default input, so that it is not run again."""
        self._profiles[run_key(MeasureSpec(target), {})] = profile

    def save(self) -> None:
        """Save what was measured, if the cache is on disk."""
        self._cache.save()

    def value(self, measure: MeasureSpec, point: Point) -> sympy.Expr:
        """Measure at one setting of the variables, and return the number times its unit.

        Raises:
            ProfilerError: A name in the measure is unknown, or the model or the peer failed.
        """
        if measure.device is not None:
            return device_figure(measure)
        number = self._cache.number(measure, point)
        if number is None:
            number = Fraction(self._measure(measure, point))
            self._cache.keep_number(measure, point, number)
        return to_rational(number) * _unit_of(measure)

    def closed_form(self, measure: MeasureSpec, variables: tuple[Variable, ...]) -> MeasureForm:
        """Derive the closed form of a measure in *variables*; it is verified at points that were not used to fit it.

        Raises:
            ProfilerError: As for `value`, or there is no single closed form.
        """
        key = (*run_key(measure, {}), measure.count, measure.modules, measure.operators, measure.phase, str(variables))
        if key not in self._forms:
            stored = self._cache.form(measure, variables)
            if stored is None:
                stored = self._derive(measure, variables)
                self._cache.keep_form(measure, variables, stored)
            self._forms[key] = _measure_form(stored, _unit_of(measure))
        return self._forms[key]

    def _measure(self, measure: MeasureSpec, point: Point) -> Number:
        """Measure at one setting, in the unit of the measure."""
        if measure.setting is not None:
            return self._setting(measure, point)
        if measure.peer is not None:
            return self._peer_figure(measure, point)
        if measure.axis is not None:
            return self._output_size(measure, point)
        return sum(sum_by_origin(measure, self._profile(measure, point)).values())

    def _derive(self, measure: MeasureSpec, variables: tuple[Variable, ...]) -> StoredForm:
        _, pieces = derive(
            lambda point: sum_by_origin(measure, self._profile(measure, point)), variables, require_dependence=False
        )
        if len(pieces) > 1:
            msg = f"{measure.target} has no single closed form in these sizes; narrow the ranges of the variables"
            raise ClaimError(msg)
        (piece,) = pieces
        parts = {o: write_in_sizes(part, piece.variables) for o, part in piece.polynomials.items()}
        return StoredForm.of(parts, (*piece.used, *piece.verified))

    def _profile(self, measure: MeasureSpec, point: Point) -> Profile:
        """Run the model of a measure, unless it has been run already."""
        key = run_key(measure, point)
        if key not in self._profiles and measure.count == "params":  # needs no run, so the inputs do not matter
            key = ("params", measure.target, measure.dtype, str(sized_target(measure, point).settings_at(point)))
        if key not in self._profiles:
            self._profiles[key] = run_model(measure, point)
        return self._profiles[key]

    def _output_size(self, measure: MeasureSpec, point: Point) -> int:
        """Return the size of one axis of the output of the measure's module."""
        profile = self._profile(measure, point)
        shapes = {module.path: module.outputs[0] for module in profile.modules if module.outputs}
        (path,) = measure.modules or ("",)
        shape = shapes.get(path)
        if shape is None or measure.axis is None or measure.axis >= len(shape):
            what = f"an output of {path!r}" if path else "the output"
            msg = f"{what} in {measure.target} has no axis {measure.axis}; its shape is {shape}"
            raise ClaimError(msg)
        return int(shape[measure.axis])

    def _setting(self, measure: MeasureSpec, point: Point) -> int:
        """Return a number of the model's configuration."""
        model = configurable_target(measure.target or "")
        own = {name: value for name, value in model.settings.items() if value is not None}
        settings = sized_target(measure, point).settings_at(point) | own
        name = model.setting(measure.setting or "")
        if name is None or name not in settings:
            kind = f"setting of {measure.target}"
            raise UnknownNameError(kind, measure.setting or "", model.setting_names())
        return settings[name]

    def _peer_figure(self, measure: MeasureSpec, point: Point) -> Number:
        """Return the count of a peer, in its unit."""
        peer = find_peer(measure.peer or "")
        key = query_key(measure, point)
        if key not in self._answers:
            self._answers |= query_measures([measure], point)
        answer = self._answers[key]
        if isinstance(answer, PeerFailure):
            msg = f"{peer.name} failed on {measure.target}: {answer.error}"
            raise PeerError(msg)
        return (answer.params or 0) if measure.count == "params" else answer.total


class KnownMeasurements(Measurements):
    """What was measured before: for any other value it raises a `NotMeasuredError`, and runs nothing."""

    def _measure(self, measure: MeasureSpec, point: Point) -> NoReturn:
        raise NotMeasuredError(measure, point)

    def _derive(self, measure: MeasureSpec, variables: tuple[Variable, ...]) -> NoReturn:
        raise NotMeasuredError(measure, variables)


def is_count(measure: MeasureSpec) -> bool:
    """Return whether a measure is one of our counts, not a setting, an output size, or a figure of a peer or device."""
    return measure.device is None and measure.setting is None and measure.axis is None and measure.peer is None


def _measure_form(stored: StoredForm, unit: sympy.Expr) -> MeasureForm:
    polynomials = stored.polynomials
    parts = {origin: to_sympy(polynomial) * unit for origin, polynomial in polynomials.items()}
    return MeasureForm(to_sympy(add(polynomials.values())) * unit, parts, tuple(stored.points))


def _unit_of(measure: MeasureSpec) -> sympy.Expr:
    if measure.setting is not None or measure.axis is not None:
        return sympy.Integer(1)
    if measure.peer is not None and measure.count != "params":
        return parse_unit(find_peer(measure.peer).unit)
    return parse_unit(_UNITS.get(measure.count, "FLOP"))
