"""The rows of a projection: each figure with its kind and its source; operators against the roofline; what-ifs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from profiler import units
from profiler.report.tables import table

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from profiler.values.projection import Figure, Projection

    Write = Callable[[float], str]

FIGURES = ("figure", "value", "kind", "from")
WHAT_IFS = ("stored in", "computes in", "weights", "bound", "estimate")
OPERATORS = ("operator", "calls", "op/byte", "side", "bound", "estimate")
_SHOWN = 8


class Row(NamedTuple):
    """A figure as it is shown."""

    label: str
    value: str
    kind: str
    source: str


def _rate(unit: str) -> Write:
    return lambda value: units.count(round(value), unit)


#: What is shown, in this order: the field, what it is called, how its value is written.
_LINES: tuple[tuple[str, str, Write], ...] = (
    ("peak_ops_per_s", "peak", _rate("op/s")),
    ("bandwidth_bytes_per_s", "bandwidth", _rate("B/s")),
    ("required_ops_per_s", "demand", _rate("op/s")),
    ("required_tops", "required TOPS", units.rounded),
    ("headroom", "headroom", lambda value: f"{units.rounded(value)}×"),
    ("max_fps", "largest rate", lambda value: f"{units.rounded(value)}/s"),
    ("limit", "limit", str),
    ("utilisation", "utilisation", "{:g}".format),
    ("bound_s", "bound", units.seconds),
    ("estimate_s", "estimate", units.seconds),
    ("measured_s", "measured", units.seconds),
    ("share_of_bound", "bound / measured", units.rounded),
    ("energy_j", "energy a pass", lambda value: f"{units.rounded(value)} J"),
    ("memory", "memory", lambda value: units.size(int(value))),
    ("memory_share", "share of memory", lambda value: f"{100 * value:.2f} %"),
    ("largest_batch", "largest batch", str),
    ("smallest_device", "smallest device", str),
)


_TRAINING: tuple[tuple[str, str, Write], ...] = (
    ("tokens_per_step", "tokens a step", lambda value: units.exact(int(value))),
    ("model_flops", "model FLOPs", _rate("FLOP")),
    ("hardware_flops", "hardware FLOPs", _rate("FLOP")),
    ("six_n_t", "6·N·T", _rate("FLOP")),
    ("eight_n_t", "8·N·T", _rate("FLOP")),
    ("mfu", "MFU", units.rounded),
    ("hfu", "HFU", units.rounded),
    ("pf_days", "PF-days", units.rounded),
    ("days", "days", units.rounded),
    ("devices_for_deadline", "devices needed", lambda value: units.exact(int(value))),
)


def heading(projection: Projection) -> str:
    """Say on what, in which precision, and how often."""
    rate = f" at {float(projection.fps.value):g} passes a second" if projection.fps is not None else ""
    return f"on {projection.device.value} in {projection.precision.value}{rate}"


def figure_rows(projection: Projection) -> list[Row]:
    """List the figures that there are."""
    held = projection.figures
    rows = [_row(label, held[name], write) for name, label, write in _LINES if name in held]
    return rows + training_rows(projection)


def training_rows(projection: Projection) -> list[Row]:
    """List the figures of training, where a step was profiled."""
    found = projection.training
    if found is None:
        return []
    held = ((label, getattr(found, name), write) for name, label, write in _TRAINING)
    return [_row(label, figure, write) for label, figure, write in held if figure is not None]


def what_if_rows(projection: Projection) -> list[tuple[str, ...]]:
    """List the same pass in other precisions."""
    return [
        (
            row.precision,
            row.computes_in,
            units.size(int(row.weight_bytes.value)),
            units.seconds(float(row.bound_s.value)),
            units.seconds(float(row.estimate_s.value)),
        )
        for row in projection.what_if
    ]


def operator_rows(projection: Projection) -> list[tuple[str, ...]]:
    """List the operators that take most of the estimate."""
    return [
        (
            row.operator,
            str(row.calls),
            units.rounded(row.intensity_ops_per_byte) if row.bytes else "",
            row.side,
            units.seconds(row.bound_s),
            units.seconds(row.estimate_s),
        )
        for row in projection.operators[:_SHOWN]
    ]


def renderable(projection: Projection) -> RenderableType:
    """Build the section for any console."""
    return Group(
        Text(heading(projection), style="bold"),
        Text(f"does not fit: {projection.shortfall}\n" if projection.shortfall else "", style="red"),
        _figures(projection),
        Text(),
        Text(
            table({c: "left" if c in {"operator", "side"} else "right" for c in OPERATORS}, operator_rows(projection))
        ),
        Text(),
        Text(table({c: "left" if c.endswith(" in") else "right" for c in WHAT_IFS}, what_if_rows(projection))),
        *(Text(f"\n{note}") for note in projection.notes),
    )


def _row(label: str, figure: Figure, write: Callable[[float], str]) -> Row:
    value = figure.value if isinstance(figure.value, str) else write(figure.value)
    return Row(label, value, figure.kind, figure.source)


def _figures(projection: Projection) -> Table:
    """Lay the figures out; where they come from is long, and wraps."""
    found = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    for column in FIGURES:
        found.add_column(column, justify="right" if column == "value" else "left", no_wrap=column != "from")
    for row in figure_rows(projection):
        found.add_row(*(Text(cell) for cell in row))
    return found
