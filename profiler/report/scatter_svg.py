"""Points as an SVG image, for a README or a paper: one figure against another, drawn by matplotlib."""

from __future__ import annotations

import re
import warnings
from io import StringIO
from itertools import cycle
from typing import TYPE_CHECKING, Any

from profiler.escaping import plain, shorten, xml
from profiler.report.scatter import best_of_both, points_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis as Ruler

    from profiler.report.scatter import Axis, Scatter

    #: The number of a thing, and its place.
    Point = tuple[int, float, float]

_INCHES = (10.0, 6.25)
_LONGEST, _LONGEST_NAME = 110, 40
#: Images with more points name only those that no other point beats.
_MOST_LABELS = 30
#: How far beyond the points the line of what was asked is still drawn.
_FAR = 3
#: From this ratio of the largest value to the smallest, an axis is logarithmic.
_WIDE = 3
#: The marks of an axis between two powers of ten, up to this ratio.
_MARKS, _FEW_POWERS = (1, 2, 5), 1000
#: Half of a symbol's width, in points.
_HALF = 4
_SYMBOLS = "oDs^Pv*"
_COLOURS = ("#0b5cc4", "#a85b06", "#8d6db3", "#35806a", "#b04e68", "#857321", "#57616d")
#: Words stay text; equal points make an equal file.
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "profiler",
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e7eaee",
}


def scatter_svg(scatter: Scatter, title: str) -> str:
    """Return an image of the points, in their places on two axes, with the names that fit."""
    from matplotlib import rc_context  # noqa: PLC0415 - half a second, for this format alone
    from matplotlib.figure import Figure  # noqa: PLC0415

    x, y = scatter.drawn
    with rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the reader's font may have it
        figure = Figure(_INCHES, layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(_text(title, _LONGEST), loc="left", weight="bold", pad=14)
        _draw(axes, scatter, x, y)
        image = StringIO()
        figure.savefig(image, format="svg", metadata={"Date": None, "Creator": None})
    return image.getvalue()


def _draw(axes: Axes, scatter: Scatter, x: Axis, y: Axis) -> None:
    points = points_of(x, y)
    _set_scales(axes, x, y, points)
    best = best_of_both(x, y)
    axes.plot([a for _, a, _ in best], [b for *_, b in best], ":", color="#57616d", linewidth=1, zorder=1)
    _draw_kinds(axes, scatter, points)
    _draw_asked(axes, scatter, y, [b for *_, b in points])
    if not points:
        axes.text(0.5, 0.5, "no point has both figures", transform=axes.transAxes, ha="center")
    _label(axes, scatter.names, points, [*best, *(points if len(points) <= _MOST_LABELS else [])])


def _set_scales(axes: Axes, x: Axis, y: Axis, points: Sequence[Point]) -> None:
    across, up = [a for _, a, _ in points], [b for *_, b in points]
    _set_scale(x, axes.xaxis, axes.set_xscale, across)
    _set_scale(y, axes.yaxis, axes.set_yscale, up)


def _set_scale(axis: Axis, drawn: Ruler, set_scale: Callable[..., None], values: Sequence[float]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter  # noqa: PLC0415

    drawn.set_label_text(axis.label)
    if values and min(values) > 0 and max(values) > _WIDE * min(values):
        set_scale("log")
        drawn.set_major_locator(LogLocator(subs=_MARKS if max(values) < _FEW_POWERS * min(values) else (1,)))
        drawn.set_minor_formatter(NullFormatter())
    drawn.set_major_formatter(lambda value, _position: _without_zeros(axis.text(value)))


def _draw_kinds(axes: Axes, scatter: Scatter, points: Sequence[Point]) -> None:
    """Draw the points of each kind with a symbol and a colour; those that miss what was asked are open."""
    groups = scatter.groups or ("",) * len(scatter.names)
    kinds = dict.fromkeys(groups[i] for i, *_ in points)
    for kind, symbol, colour in zip(kinds, cycle(_SYMBOLS), cycle(_COLOURS), strict=False):
        own = [point for point in points if groups[point[0]] == kind]
        faces = [colour if not scatter.filled or scatter.filled[i] else "white" for i, *_ in own]
        label = _text(kind, _LONGEST_NAME)
        x, y = [a for _, a, _ in own], [b for *_, b in own]
        axes.scatter(x, y, s=40, c=faces, marker=symbol, edgecolors=colour, label=label, zorder=2)
    if len(kinds) > 1:
        handles: Iterable[Any] = axes.legend(frameon=False).legend_handles
        for handle in handles:
            handle.set_facecolor(handle.get_edgecolor())  # also where the first point of a kind is open


def _draw_asked(axes: Axes, scatter: Scatter, y: Axis, values: Sequence[float]) -> None:
    """Draw the line of what was asked, unless it is far beyond the points."""
    if scatter.line is None or scatter.line[0] != y.label or not values:
        return
    _, at, words = scatter.line
    if min(values) <= at * _FAR and at <= max(values) * _FAR:
        axes.axhline(at, color="#1b2027", linewidth=1, linestyle="--", zorder=1)
        axes.annotate(words, (0, at), (4, 4), xycoords=("axes fraction", "data"), textcoords="offset points")


def _label(axes: Axes, names: Sequence[str], points: Iterable[Point], named: Iterable[Point]) -> None:
    """Write the names above or below their points, where they meet no other; the first ones have the first choice."""
    from matplotlib.transforms import Bbox  # noqa: PLC0415

    figure: Any = axes.figure
    figure.draw_without_rendering()
    middles = [axes.transData.transform((a, b)) for _, a, b in points]
    taken = [Bbox([middle - _HALF, middle + _HALF]) for middle in middles]
    taken += [text.get_window_extent() for text in axes.texts]
    for i, a, b in dict.fromkeys(named):
        for offset in (7, -15):
            words = _text(names[i], _LONGEST_NAME)
            label = axes.annotate(words, (a, b), (0, offset), textcoords="offset points", ha="center", fontsize="small")
            box = label.get_window_extent()
            if not box.count_overlaps(taken):
                taken.append(box)
                break
            label.remove()


def _without_zeros(text: str) -> str:
    """Return a rounded number without zeros at its end: ``200.0 M`` is ``200 M``."""
    return re.sub(r"(\.\d*?)0+(?!\d)", r"\1", text).replace(". ", " ").removesuffix(".")


def _text(text: str, most: int) -> str:
    return xml(shorten(plain(text), most))
