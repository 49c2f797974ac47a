"""``Report``: the rows that every format of a profile shows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler import units
from profiler.escaping import plain, shorten
from profiler.report.lines import Line
from profiler.report.module_rows import Row, module_rows
from profiler.report.savings import applied_line, saving_row
from profiler.values.records import ITEMSIZE, UNSEEN_WORK, TensorSpec, Value, tensors

if TYPE_CHECKING:
    from profiler.tally import Operator, Profile, Totals
    from profiler.tally.operator_tables import Uncounted
    from profiler.values.memory import MemorySaving
    from profiler.values.records import Phase


#: How many levels of modules the tree shows by default.
DEPTH = 2
#: The longest name in a line of text, in characters.
_LONGEST = 300


#: The modes of a model, in words.
_MODES = {"eval": "eval mode", "train": "train mode", "mixed": "modules in eval and in train mode"}
#: What to do about uncounted operators, and about kernels that are none.
_HINTS = {
    False: "No formula is known for these: the totals are lower bounds. Register one with @profiler.formula.",
    True: (
        "Unseen work: a kernel that is no operator of torch (NumPy, a C++ extension, Triton) made these tensors. "
        "Its cost is in no total. Register one with @profiler.formula(F), where F is its autograd.Function or module."
    ),
}


#: What is said of attention whose lengths are unknown.
_BOUNDS = (
    "An upper bound (≤): the lengths of the sequences have no values here, and {} is counted as if every query "
    "attended to all keys of the longest sequence. Run it on a device with values."
)


@dataclass(frozen=True, slots=True)
class Report:
    """A profile, its title, how many levels of modules to show, and the command that made it, where it is known."""

    profile: Profile
    title: str
    #: None for the default of the format.
    depth: int | None = None
    command: str = ""

    @property
    def heading(self) -> str:
        """The model, its inputs and its device, in one line."""
        inputs = ", ".join(f"{name} {describe(value)}" for name, value in self.profile.inputs)
        parts = (shorten(plain(part), _LONGEST) for part in (self.title, inputs, self.profile.device))
        return " · ".join(part for part in parts if part)

    @property
    def heading_with_mode(self) -> str:
        """The heading, and in which mode the model was."""
        mode = self.profile.mode
        return f"{self.heading} · {_MODES[mode]}" if mode in _MODES else self.heading

    @property
    def at_least(self) -> str:
        """``≥`` if operators are uncounted, so that totals are lower bounds; otherwise empty.

        ``≤`` if some are counted at more than ran, and ``≈`` if both is so.
        """
        if self.profile.upper_bounds:
            return "≤ " if self.profile.is_complete else "≈ "
        return "" if self.profile.is_complete else "≥ "

    def modules(self) -> list[Row]:
        """List the modules, parents first, down to ``depth``."""
        activations = self.profile.memory.activations if self.profile.memory else {}
        depth = DEPTH if self.depth is None else self.depth
        return list(module_rows(self.profile.tree, depth, _with_parents(activations)))

    def reaches(self, path: str) -> bool:
        """Return whether a module is within the depth that was asked for; all are if none was."""
        return self.depth is None or (path.count(".") + 1 if path else 0) <= self.depth

    @property
    def is_step(self) -> bool:
        """Whether a phase other than forward has FLOPs."""
        return any(totals.flops for phase, totals in self.profile.phases.items() if phase != "forward")

    def phases(self) -> list[tuple[Phase, Totals]]:
        """List the phases that ran."""
        return [(phase, totals) for phase, totals in self.profile.phases.items() if totals.flops or totals.bytes_read]

    def step(self) -> list[Line]:
        """List the FLOPs of a training step, with the rules of thumb 6·N·T and 8·N·T beside them."""
        p = self.profile
        lines = [self._step("model FLOPs = forward + backward", p.model_flops)]
        if p.phases["recompute"].flops:
            lines.append(self._step("hardware FLOPs = model + recompute", p.hardware_flops))
        lines += self.applied_savings()
        if p.tokens is not None:
            rules = [("6·N·T", 6, p.model_flops)]
            rules += [("8·N·T", 8, p.hardware_flops)] if p.phases["recompute"].flops else []
            for name, factor, counted in rules:
                value = factor * p.totals.params * p.tokens
                share = f"{value / counted:.3f} of what is counted" if counted else "nothing is counted"
                lines.append(Line(name, units.exact(value), share))
        return lines

    def applied_savings(self) -> list[Line]:
        """List what the changes that the step has save at the peak, beside what they cost."""
        savings = self.profile.memory.savings if self.profile.memory else ()
        return [applied_line(saving) for saving in savings if saving.is_applied]

    def proposed_savings(self) -> list[tuple[str, ...]]:
        """List what other changes would save, as rows of ``SAVINGS``."""
        return [saving_row(saving, saving.after) for saving in self._proposed() if saving.after is not None]

    def unknown_savings(self) -> list[str]:
        """List the changes whose step could not run, each with the reason."""
        return [f"{saving.change}: {saving.why}" for saving in self._proposed() if saving.after is None]

    def _proposed(self) -> list[MemorySaving]:
        savings = self.profile.memory.savings if self.profile.memory else ()
        return [saving for saving in savings if not saving.is_applied]

    def memory(self) -> list[Line]:
        """List the peak of live memory, by category."""
        memory = self.profile.memory
        if memory is None or not memory.peak.total:
            return []
        where = " ".join(shorten(part, _LONGEST) for part in (memory.peak.module, memory.peak.operator) if part)
        categories = [
            Line(f"  {name.replace('_', ' ')}", units.exact(size), units.size(size))
            for name, size in memory.peak.bytes.items()
            if size and name != "total"
        ]
        total = memory.peak.total
        lines = [Line("peak memory", units.exact(total), f"{units.size(total)} at {where}"), *categories]
        if memory.estimate is not None:
            estimate = memory.estimate["total"]
            note = f"{units.size(estimate)}, {estimate / total:.3f} of the peak"
            lines.append(Line("by rule, from parameters", units.exact(estimate), note))
        if memory.measured is not None:
            ratio = f"{units.size(memory.measured)}, {memory.measured / total:.3f} of the above"
            lines.append(Line("measured by the allocator", units.exact(memory.measured), ratio))
        return lines

    def _step(self, label: str, value: int) -> Line:
        each = self.profile.tokens or self.profile.samples
        name = "token" if self.profile.tokens else "sample"
        note = f"{units.count(value // each, 'FLOP')} per {name}" if each else "of an empty batch"
        return Line(label, self.at_least + units.exact(value), note)

    def operators(self) -> list[Operator]:
        """List the operators that have FLOPs or read memory."""
        return [row for row in self.profile.operators if row.totals.flops or row.totals.bytes_read]

    def _whole(self) -> str:
        """Return the number of parameters of the whole model, if this rank holds a part of them."""
        whole = self.profile.global_params
        return f" of {units.count(whole)} in all" if whole is not None and whole != self.profile.totals.params else ""

    def uncounted(self) -> list[tuple[str, str]]:
        """List what no formula covers, and how often it ran; of a kernel that is none, what it made and where."""
        return [(_describe_uncounted(row), str(row.calls)) for row in self.profile.uncounted]

    def hints(self) -> list[str]:
        """Say how the totals become whole, if something is uncounted or counted at more than ran."""
        is_unseen = {row.operator == UNSEEN_WORK for row in self.profile.uncounted}
        return [*(_HINTS[unseen] for unseen in (False, True) if unseen in is_unseen), *self._bounds()]

    def _bounds(self) -> list[str]:
        names = ", ".join(row.operator for row in self.profile.upper_bounds)
        return [_BOUNDS.format(names)] if names else []

    def _held(self) -> str:
        """Return the bytes that hold the parameters, if their number and dtypes do not tell: packed, or with scales."""
        held = self.profile.param_bytes
        told = sum(n * ITEMSIZE[dtype] for dtype, n in self.profile.params_by_dtype)
        return "" if held is None or held == int(told) else f", held in {units.size(held)}"

    def totals(self) -> list[Line]:
        """List the totals with their units."""
        t = self.profile.totals
        dtypes = ", ".join(f"{units.count(n)} {dtype}" for dtype, n in self.profile.params_by_dtype)
        dtypes += self._whole() + self._held()
        lines = [
            self._line("MACs", t.macs, "MAC"),
            self._line("other FLOPs", t.other_flops, "FLOP"),
            self._line("FLOPs = 2·MACs + other", t.flops, "FLOP"),
            self._line("transcendentals", t.transcendentals, "op"),
            Line("bytes read", self.at_least + units.exact(t.bytes_read), units.size(t.bytes_read)),
            Line("bytes written", self.at_least + units.exact(t.bytes_written), units.size(t.bytes_written)),
            Line("parameters", units.exact(t.params), dtypes),
            Line("buffers", units.exact(t.buffers), f"{units.count(t.buffers)} elements" if t.buffers else ""),
        ]
        if t.trainable_params != t.params:
            lines.insert(7, Line("trainable parameters", units.exact(t.trainable_params)))
        if t.masked_macs != t.macs:
            lines.insert(1, self._line("MACs less the mask's", t.masked_macs, "MAC"))
        return lines

    def _line(self, label: str, value: int, unit: str) -> Line:
        return Line(label, self.at_least + units.exact(value), self.at_least + units.count(value, unit))


def _describe_uncounted(row: Uncounted) -> str:
    if row.operator != UNSEEN_WORK:
        return row.operator
    made = ", ".join(units.shape(shape) or "a number" for shape in row.shapes)
    return f"{row.operator} in {row.module or 'the model'}{': ' if made else ''}{made}"


def describe(value: Value) -> str:
    """Return an input as text: shape and dtype of a tensor, or the value itself.

    Example:
        >>> describe(TensorSpec((1, 3, 8, 8), "float32", 192))
        '1×3×8×8 float32'
    """
    if isinstance(value, TensorSpec):
        return f"{units.shape(value.shape)} {value.dtype}"
    specs = tensors(value)
    if specs:
        return f"[{', '.join(describe(spec) for spec in specs)}]"
    return str(value)


def _with_parents(amounts: dict[str, int]) -> dict[str, int]:
    """Add the amount of each path to all its parents; the root is ""."""
    sums: Counter[str] = Counter()
    for path, amount in amounts.items():
        parts = path.split(".") if path else []
        for end in range(len(parts) + 1):
            sums[".".join(parts[:end])] += amount
    return sums
