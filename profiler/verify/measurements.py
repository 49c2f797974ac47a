"""Measure what claims are about: each model is run once for each setting, however many claims look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import sympy

from profiler.derive import Origin, Variable, derive
from profiler.derive.strides import write_in_sizes
from profiler.documents import MeasureSpec
from profiler.errors import ClaimError, PeerError, UnknownNameError
from profiler.expressions import parse_unit
from profiler.peers import PeerFailure
from profiler.peers import find as find_peer
from profiler.verify.device_figures import device_figure
from profiler.verify.models import Key, family, key_of, run, sized
from profiler.verify.peer_queries import ask, query_key
from profiler.verify.select_entries import select
from profiler.verify.sympy_conversion import to_rational, to_sympy

if TYPE_CHECKING:
    from profiler.derive import Point
    from profiler.peers import PeerResult
    from profiler.tally import Profile
    from profiler.verify.peer_queries import Answers

#: Of what is counted; a FLOP where nothing else is said.
_UNITS = {
    "macs": "MAC", "masked_macs": "MAC", "bytes": "byte", "activations": "byte", "peak_memory": "byte",
    "params": "parameter", "transcendentals": "op",
}  # fmt: skip


class Form(NamedTuple):
    """What a measure is in the variables, and the parts that it is made of."""

    whole: sympy.Expr
    parts: dict[Origin, sympy.Expr]
    points: tuple[Point, ...]


class Measurements:
    """Runs models, asks peers and reads catalogues, and remembers what came of it."""

    def __init__(self) -> None:
        """Begin with nothing measured."""
        self._profiles: dict[Key, Profile] = {}
        self._answers: dict[Key, PeerResult | PeerFailure] = {}
        self._forms: dict[Key, Form] = {}

    def add_peer_answers(self, answers: Answers) -> None:
        """Take what peers have answered already."""
        self._answers |= answers

    def add_profile(self, target: str, profile: Profile) -> None:
        """Take a profile that was made already for a forward pass of a target with its default input."""
        self._profiles[key_of(MeasureSpec(target), {})] = profile

    def value(self, measure: MeasureSpec, point: Point) -> sympy.Expr:
        """Measure at one setting of the variables: a number times its unit.

        Raises:
            ProfilerError: A name in it is wrong, the model failed, or a peer did.
        """
        if measure.device is not None:
            return device_figure(measure)
        if measure.setting is not None:
            return sympy.Integer(self._setting(measure, point))
        if measure.peer is not None:
            return self._peers_figure(measure, point)
        if measure.axis is not None:
            return sympy.Integer(self._size(measure, point))
        return to_rational(sum(select(measure, self.profile(measure, point)).values())) * unit_of(measure)

    def form(self, measure: MeasureSpec, variables: tuple[Variable, ...]) -> Form:
        """Derive the closed form of a measure in variables, verified at points that were not used to find it.

        Raises:
            ProfilerError: As for a value, or there is no closed form.
        """
        key = (*key_of(measure, {}), measure.count, measure.modules, measure.operators, measure.phase, str(variables))
        if key not in self._forms:
            self._forms[key] = self._derive(measure, variables)
        return self._forms[key]

    def _derive(self, measure: MeasureSpec, variables: tuple[Variable, ...]) -> Form:
        _, pieces = derive(
            lambda point: select(measure, self.profile(measure, point)), variables, require_dependence=False
        )
        if len(pieces) > 1:
            msg = f"{measure.target} has no single closed form in these sizes; narrow the ranges of the variables"
            raise ClaimError(msg)
        (piece,) = pieces
        unit = unit_of(measure)
        parts = {o: to_sympy(write_in_sizes(part, piece.variables)) * unit for o, part in piece.parts.items()}
        whole = to_sympy(write_in_sizes(piece.total, piece.variables)) * unit
        return Form(whole, parts, (*piece.used, *piece.verified))

    def profile(self, measure: MeasureSpec, point: Point) -> Profile:
        """Run the model of a measure.

        Raises:
            ProfilerError: A name in it is wrong, or the model failed.
        """
        key = key_of(measure, point)
        if key not in self._profiles and measure.count == "params":  # which needs no run, and so no inputs
            key = ("params", measure.target, measure.dtype, str(sized(measure, point).settings_at(point)))
        if key not in self._profiles:
            self._profiles[key] = run(measure, point)
        return self._profiles[key]

    def _size(self, measure: MeasureSpec, point: Point) -> int:
        profile = self.profile(measure, point)
        shapes = {module.path: module.outputs[0] for module in profile.modules if module.outputs}
        (path,) = measure.modules or ("",)
        shape = shapes.get(path)
        if shape is None or measure.axis is None or measure.axis >= len(shape):
            msg = f"no size {measure.axis} of an output of {path!r} in {measure.target}; its output is {shape}"
            raise ClaimError(msg)
        return int(shape[measure.axis])

    def _setting(self, measure: MeasureSpec, point: Point) -> int:
        model = family(measure.target or "")
        found = sized(measure, point).settings_at(point) | {k: v for k, v in model.settings.items() if v is not None}
        name = model.setting(measure.setting or "")
        if name is None or name not in found:
            kind = f"setting of {measure.target}"
            raise UnknownNameError(kind, measure.setting or "", model.setting_names())
        return found[name]

    def _peers_figure(self, measure: MeasureSpec, point: Point) -> sympy.Expr:
        peer = find_peer(measure.peer or "")
        if query_key(measure, point) not in self._answers:
            self._answers |= ask([measure], point)
        answer = self._answers[query_key(measure, point)]
        if isinstance(answer, PeerFailure):
            msg = f"{peer.name} failed on {measure.target}: {answer.error}"
            raise PeerError(msg)
        if measure.count == "params":
            return to_rational(answer.params or 0) * parse_unit("parameter")
        return to_rational(answer.total) * parse_unit(peer.unit)


def unit_of(measure: MeasureSpec) -> sympy.Expr:
    """Give the unit of what is measured."""
    return parse_unit(_UNITS.get(measure.count, "FLOP"))


def is_count(measure: MeasureSpec) -> bool:
    """Say whether it is what we count of a model that runs, and not a setting, a size or somebody else's figure."""
    return measure.device is None and measure.setting is None and measure.axis is None and measure.peer is None
