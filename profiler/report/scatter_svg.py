"""Points as an SVG image, for a README or a paper: one figure against another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from profiler.escaping import plain, shorten, xml
from profiler.report.scatter import best_of_both, points_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from profiler.report.scatter import Axis, Scatter

_WIDTH, _HEIGHT = 960, 600
_LEFT, _RIGHT, _TOP, _BOTTOM = 92, 40, 84, 56
#: Images with more points name only those that no other point beats.
_MOST_LABELS = 30
_TICKS = 6
#: How far beyond the points the line of what was asked is still drawn.
_FAR = 3
#: Width of a letter and height of a label, in pixels.
_LETTER, _LABEL = 6.6, 14
_LONGEST, _LONGEST_NAME = 140, 40
#: The path of a symbol around its middle, one for each kind.
_SYMBOLS = (
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z", "M0 -7L7 0L0 7L-7 0z", "M-5 -5H5V5H-5z", "M0 -6L6 5H-6z",
    "M-6 -2H-2V-6H2V-2H6V2H2V6H-2V2H-6z", "M0 6L6 -5H-6z", "M-6 0L-3 -5H3L6 0L3 5H-3z",
)  # fmt: skip
_LIGHT = ("#0b5cc4", "#a85b06", "#8d6db3", "#35806a", "#b04e68", "#857321", "#57616d")
_DARK = ("#7db2ff", "#e3a765", "#b79ae0", "#58b296", "#e08aa0", "#c9b45c", "#9da8b5")


@dataclass(frozen=True, slots=True)
class _Line:
    """An axis in the picture: from the place in pixels of its lower end to that of its upper end."""

    axis: Axis
    low: float
    high: float
    start: float
    end: float
    is_log: bool

    @classmethod
    def of(cls, axis: Axis, values: Sequence[float], start: float, end: float) -> _Line:
        is_log = min(values) > 0 and max(values) > 3 * min(values)
        low, high = (log10(min(values)), log10(max(values))) if is_log else (min(values), max(values))
        room = 0.06 * (high - low) or abs(high) * 0.1 or 1.0
        return cls(axis, low - room, high + room, start, end, is_log)

    def place(self, value: float) -> float:
        """Return where a value is, in pixels."""
        at = log10(value) if self.is_log else value
        return self.start + (at - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return the values to mark: 1, 2 and 5 of each power of ten, or round steps; about six."""
        if not self.is_log:
            return _round_steps(self.low, self.high)
        powers = range(floor(self.low), ceil(self.high) + 1)
        for digits in ((1, 2, 5), (1, 3), (1,)):
            marks = [digit * 10.0**power for power in powers for digit in digits]
            kept = [mark for mark in marks if self.low <= log10(mark) <= self.high]
            if len(kept) <= 2 * _TICKS:
                return kept
        return kept[:: len(kept) // _TICKS]


class _Labels:
    """The names beside their points: above or below, where they meet no other name and no point."""

    def __init__(
        self, across: _Line, up: _Line, names: Sequence[str], points: Sequence[tuple[int, float, float]]
    ) -> None:
        self.across, self.up, self.names = across, up, names
        self._points = [(i, across.place(a), up.place(b)) for i, a, b in points]
        self.drawn: dict[int, list[str]] = {}
        self._placed: list[tuple[float, float, float]] = []

    def place(self, points: Sequence[tuple[int, float, float]]) -> None:
        """Place the names of *points*; the first ones have the first choice."""
        for i, a, b in points:
            x, half = self.across.place(a), _LETTER * min(len(self.names[i]), _LONGEST_NAME) / 2
            for y in (self.up.place(b) - 10, self.up.place(b) + 20):
                if i not in self.drawn and self._is_free(i, x - half, x + half, y):
                    self._placed.append((x - half, x + half, y))
                    self.drawn[i] = _say(x, y, self.names[i])

    def _is_free(self, own: int, left: float, right: float, y: float) -> bool:
        """Return whether a name covers no other name, and no point but its own."""
        middle = y - 4
        is_covered = any(
            i != own and left - 4 < a < right + 4 and abs(b - middle) < _LABEL - 2 for i, a, b in self._points
        )
        return not is_covered and all(
            left > end or right < start or abs(y - other) > _LABEL for start, end, other in self._placed
        )


def scatter_svg(scatter: Scatter, title: str) -> str:
    """Return an image that follows the reader's light or dark colours."""
    x, y = scatter.drawn
    points = points_of(x, y)
    body = _picture(scatter, x, y, points) if points else _say(_WIDTH / 2, _HEIGHT / 2, "no point has both figures")
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'role="img" aria-label="{_text(y.label, _LONGEST)} against {_text(x.label, _LONGEST)}">'
    )
    title_line = f'<text class="title" x="16" y="26">{_text(title, _LONGEST)}</text>'
    page = f'<rect class="page" width="{_WIDTH}" height="{_HEIGHT}"/>'
    return "\n".join([head, f"<style>{_style()}</style>", page, title_line, *body, "</svg>"]) + "\n"


def _picture(scatter: Scatter, x: Axis, y: Axis, points: list[tuple[int, float, float]]) -> Iterator[str]:
    across = _Line.of(x, [a for _, a, _ in points], _LEFT, _WIDTH - _RIGHT)
    asked = _asked(scatter, y, [b for *_, b in points])
    up = _Line.of(y, [*(b for *_, b in points), *asked], _HEIGHT - _BOTTOM, _TOP)
    yield from _axes(across, up)
    if scatter.line is not None and asked:
        at = up.place(asked[0])
        yield f'<path class="asked" d="M{_LEFT} {at:.1f}H{_WIDTH - _RIGHT}"/>'
        yield from _say(_LEFT + 4, at - 5, scatter.line[2], anchor="start")
    best = best_of_both(x, y)
    if len(best) > 1:
        path = "L".join(f"{across.place(a):.1f} {up.place(b):.1f}" for _, a, b in best)
        yield f'<path class="front" d="M{path}"/>'
    kinds = list(dict.fromkeys(scatter.groups[i] if scatter.groups else "" for i, *_ in points))
    yield from _legend(kinds if len(kinds) > 1 else [])
    labels = _Labels(across, up, scatter.names, points)
    labels.place([*best, *(points if len(points) <= _MOST_LABELS else [])])
    for i, a, b in points:
        kind = kinds.index(scatter.groups[i]) % len(_SYMBOLS) if scatter.groups else 0
        words = f"{scatter.names[i]}: {x.text(a)}, {y.text(b)}"
        place = f"translate({across.place(a):.1f} {up.place(b):.1f})"
        is_filled = not scatter.filled or scatter.filled[i]
        yield (
            f'<path class="k{kind}{"" if is_filled else " open"}" transform="{place}" d="{_SYMBOLS[kind]}">'
            f"<title>{_text(words, _LONGEST)}</title></path>"
        )
        yield from labels.drawn.get(i, ())


def _asked(scatter: Scatter, y: Axis, values: Sequence[float]) -> list[float]:
    """Return where the line of what was asked is, unless it is far beyond the points."""
    if scatter.line is None or scatter.line[0] != y.label:
        return []
    at = scatter.line[1]
    return [at] if min(values) <= at * _FAR and at <= max(values) * _FAR else []


def _axes(across: _Line, up: _Line) -> Iterator[str]:
    for mark in across.ticks():
        at = across.place(mark)
        yield f'<path class="grid" d="M{at:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>'
        yield from _say(at, _HEIGHT - _BOTTOM + 18, _without_zeros(across.axis.text(mark)))
    for mark in up.ticks():
        at = up.place(mark)
        yield f'<path class="grid" d="M{_LEFT} {at:.1f}H{_WIDTH - _RIGHT}"/>'
        yield from _say(_LEFT - 8, at + 4, _without_zeros(up.axis.text(mark)), anchor="end")
    yield from _say((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 12, across.axis.label)
    yield from _say(_LEFT, _TOP - 14, f"↑ {up.axis.label}", anchor="start")


def _legend(kinds: Sequence[str]) -> Iterator[str]:
    at = 16.0
    for i, name in enumerate(kinds):
        kind = i % len(_SYMBOLS)
        yield f'<path class="k{kind}" transform="translate({at + 6:.1f} 46)" d="{_SYMBOLS[kind]}"/>'
        yield from _say(at + 18, 50, name, anchor="start")
        at += 36 + 7 * len(shorten(plain(name), _LONGEST_NAME))


def _say(x: float, y: float, words: str, anchor: str = "middle") -> list[str]:
    return [f'<text class="note" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_text(words, _LONGEST_NAME)}</text>']


def _without_zeros(text: str) -> str:
    """Return a rounded number without zeros at its end: ``200.0 M`` is ``200 M``."""
    return re.sub(r"(\.\d*?)0+(?!\d)", r"\1", text).replace(". ", " ").removesuffix(".")


def _round_steps(low: float, high: float) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten, about six."""
    rough = (high - low) / _TICKS
    power = 10.0 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return [i * step for i in range(ceil(low / step), floor(high / step) + 1) if i >= 0 or low < 0]


def _text(text: str, most: int) -> str:
    return escape(xml(shorten(plain(text), most)), {'"': "&quot;"})


def _style() -> str:
    font = "font-family:system-ui,-apple-system,'Segoe UI',Roboto,Arial,sans-serif"
    base = (
        f"text{{font-size:12px;{font}}}.title{{font-size:15px;font-weight:600}}path{{stroke-width:1.5}}"
        ".grid,.front,.asked{fill:none;stroke-width:1}.front{stroke-dasharray:2 3}.asked{stroke-dasharray:6 4}"
    )
    light = _colours(_LIGHT, page="#ffffff", ink="#1b2027", muted="#57616d", line="#e7eaee")
    dark = _colours(_DARK, page="#12161b", ink="#e4e8ed", muted="#9da8b5", line="#262d36")
    return f"{base}{light}@media(prefers-color-scheme:dark){{{dark}}}"


def _colours(tints: Sequence[str], *, page: str, ink: str, muted: str, line: str) -> str:
    kinds = "".join(f".k{i}{{fill:{tint};stroke:{tint}}}" for i, tint in enumerate(tints))
    lines = f".grid{{stroke:{line}}}.front{{stroke:{muted}}}.asked{{stroke:{ink}}}"
    return f".page,.open{{fill:{page}}}.title{{fill:{ink}}}.note{{fill:{muted}}}{kinds}.open{{fill:{page}}}{lines}"
