"""The tables of a projection: figures with their kinds and sources, operators on the roofline, and what-ifs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from profiler import units
from profiler.escaping import plain
from profiler.report.tables import table

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from profiler.values.projection import Figure, Projection

    Formatter = Callable[[float], str]

FIGURES = ("figure", "value", "kind", "note")
WHAT_IFS = ("stored in", "computes in", "weights", "bound", "estimate")
OPERATORS = ("operator", "calls", "op/byte", "limit", "bound", "estimate")
_MAX_OPERATORS = 8


class Row(NamedTuple):
    """A figure as a row of text."""

    label: str
    value: str
    kind: str
    source: str


def _rate(unit: str) -> Formatter:
    return lambda value: units.count(round(value), unit)


#: The rows in their order: field of ``Projection``, label, and formatter of the value.
_ROWS: tuple[tuple[str, str, Formatter], ...] = (
    ("estimate_s", "estimate", units.seconds),
    ("estimate_low_s", "at best", units.seconds),
    ("estimate_high_s", "at worst", units.seconds),
    ("bound_s", "bound", units.seconds),
    ("measured_s", "measured", units.seconds),
    ("share_of_bound", "bound / measured", units.rounded),
    ("achieved_ops_per_s", "achieved", _rate("OPS")),
    ("limit", "limit", str),
    ("max_fps", "largest rate", lambda value: f"{units.rounded(value)}/s"),
    ("headroom", "headroom", lambda value: f"{units.rounded(value)}×"),
    ("utilisation", "utilisation", "{:.3g}".format),
    ("required_ops_per_s", "required rate", _rate("OPS")),
    ("required_tops", "required TOPS", units.rounded),
    ("peak_ops_per_s", "peak", _rate("OPS")),
    ("bandwidth_bytes_per_s", "bandwidth", _rate("B/s")),
    ("energy_j", "energy per pass", units.joules),
    ("memory", "memory", lambda value: units.size(int(value))),
    ("memory_share", "share of memory", lambda value: f"{100 * value:.2f} %"),
    ("largest_batch", "largest batch", str),
)

#: The same for ``TrainingFigures``.
_TRAINING_ROWS: tuple[tuple[str, str, Formatter], ...] = (
    ("tokens_per_step", "tokens per step", lambda value: units.exact(int(value))),
    ("model_flops", "model FLOPs", _rate("FLOP")),
    ("hardware_flops", "hardware FLOPs", _rate("FLOP")),
    ("six_n_t", "6·N·T", _rate("FLOP")),
    ("eight_n_t", "8·N·T", _rate("FLOP")),
    ("mfu", "MFU", units.rounded),
    ("hfu", "HFU", units.rounded),
    ("measured_mfu", "measured MFU", units.rounded),
    ("measured_hfu", "measured HFU", units.rounded),
    ("pf_days", "PF-days", units.rounded),
    ("days", "days", units.rounded),
    ("devices_for_deadline", "devices needed", lambda value: units.exact(int(value))),
)


def heading(projection: Projection) -> str:
    """Format the device, the precision, the mode and the required rate."""
    rate = f" at {float(projection.fps.value):g} passes per second" if projection.fps is not None else ""
    mode = f", {projection.mode.value}" if projection.mode is not None else ""
    return f"on {projection.device.value} in {projection.precision.value}{mode}{rate}"


def answer(projection: Projection) -> str:
    """Return what a projection says, in one sentence.

    It is whether the device sustains the rate and has the memory, the time of a pass with its range, and where most of
    that time goes: "30 passes/s: yes. 12.5 ms (10.0 to 17.0) a pass, 2.7× headroom; 61% of …".
    """
    time = f"{units.seconds(float(projection.estimate_s.value))}{_range(projection)} a pass"
    rate = f"{units.rounded(float(projection.max_fps.value))} passes/s"
    if projection.fps is None or projection.headroom is None:
        return f"{time}, {rate}; {projection.limit.source}."
    verdict = f"{float(projection.fps.value):g} passes/s: {_verdict(projection)}."
    return f"{verdict} {time}, {units.rounded(float(projection.headroom.value))}× headroom; {projection.limit.source}."


def _verdict(projection: Projection) -> str:
    """Return yes or no; "perhaps" if the range of the estimate has the required time inside."""
    if projection.memory_share is not None and float(projection.memory_share.value) > 1:
        return "no, the memory is too small"
    period_s = 1 / float(projection.fps.value) if projection.fps is not None else 0.0
    low, high = projection.estimate_low_s, projection.estimate_high_s
    if low is None:
        return "yes" if float(projection.estimate_s.value) <= period_s else "no"
    if float(low.value) > period_s:
        return "no"
    return "yes" if high is not None and float(high.value) <= period_s else "perhaps"


def _range(projection: Projection) -> str:
    low, high = projection.estimate_low_s, projection.estimate_high_s
    if low is None:
        return " (no range: not validated)"
    if high is None:
        return f" ({units.seconds(float(low.value))} or more: the bandwidth is not known)"
    return f" ({units.seconds(float(low.value))} to {units.seconds(float(high.value))})"


def figure_rows(projection: Projection) -> list[Row]:
    """Return the rows of all figures that are not None."""
    figures = projection.figures
    rows = [_row(label, figures[name], formatter) for name, label, formatter in _ROWS if name in figures]
    return rows + training_rows(projection)


def training_rows(projection: Projection) -> list[Row]:
    """Return the rows of the training figures; none for a forward pass."""
    training = projection.training
    if training is None:
        return []
    cells = ((label, getattr(training, name), formatter) for name, label, formatter in _TRAINING_ROWS)
    return [_row(label, figure, formatter) for label, figure, formatter in cells if figure is not None]


def what_if_rows(projection: Projection) -> list[tuple[str, ...]]:
    """Return the rows of the what-if table: the same pass in other precisions."""
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
    """Return the rows of the operators with the longest estimates."""
    return [
        (
            row.operator,
            str(row.calls),
            units.rounded(row.intensity_ops_per_byte) if row.bytes else "",
            row.side,
            units.seconds(row.bound_s),
            units.seconds(row.estimate_s),
        )
        for row in projection.operators[:_MAX_OPERATORS]
    ]


def renderable(projection: Projection) -> RenderableType:
    """Return the section for any ``rich`` console."""
    return Group(
        Text(heading(projection), style="bold"),
        Text(answer(projection) + "\n", style="red" if projection.shortfall else ""),
        *([Text(f"does not fit: {projection.shortfall}\n", style="red")] if projection.shortfall else []),
        _figures(projection),
        *(Text(plain(f"[{i}] {source}")) for i, source in enumerate(_sources(projection), 1)),
        Text(),
        Text(
            table({c: "left" if c in {"operator", "limit"} else "right" for c in OPERATORS}, operator_rows(projection))
        ),
        Text(),
        Text(table({c: "left" if c.endswith(" in") else "right" for c in WHAT_IFS}, what_if_rows(projection))),
        *(Text(f"\n{plain(note)}") for note in projection.notes),
    )


def _row(label: str, figure: Figure, formatter: Formatter) -> Row:
    value = figure.value if isinstance(figure.value, str) else formatter(figure.value)
    return Row(label, value, figure.kind, figure.source)


def _figures(projection: Projection) -> Table:
    """Return the table of figures; a source is a number, that of its footnote."""
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    for column in FIGURES:
        grid.add_column(column, justify="right" if column == "value" else "left", no_wrap=True)
    numbers = {source: f"[{i}]" for i, source in enumerate(_sources(projection), 1)}
    for row in figure_rows(projection):
        cells = row._replace(source=numbers.get(row.source, ""))
        grid.add_row(*(Text(plain(cell)) for cell in cells))
    return grid


def _sources(projection: Projection) -> list[str]:
    """Return the sources of the figures, each once, in the order of the rows."""
    return list(dict.fromkeys(row.source for row in figure_rows(projection) if row.source))
