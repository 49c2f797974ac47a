"""Tables of plain text, in which long names are cut and numbers never are."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from profiler import units
from profiler.escaping import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Side = Literal["left", "right"]
WIDTH = 80
_NARROWEST = 20
#: The spaces between columns.
GAP, _NARROW_GAP = 2, 1


def table(
    columns: Mapping[str, Side], rows: Sequence[Sequence[str]], width: int = WIDTH, narrowest: int = _NARROWEST
) -> str:
    """Return rows under their headings; the first cell of a line longer than *width* is cut, to *narrowest* at least.

    If it fits only with one space between the columns, there is one, and not two.

    Example:
        >>> print(table({"module": "left", "MACs": "right"}, [("conv1", "+1")]))
        module  MACs
        ────────────
        conv1     +1
    """
    cells = [tuple(map(plain, row)) for row in rows]
    natural = [max(len(heading), *(len(row[i]) for row in cells), 0) for i, heading in enumerate(columns)]
    others, gaps = sum(natural[1:]), len(natural) - 1
    gap = gap_between(gaps, min(natural[0], narrowest) + others, width)
    natural[0] = min(natural[0], max(narrowest, width - others - gap * gaps))
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, gap - 1, 0, 0), pad_edge=False, show_edge=False)
    for (heading, side), wide in zip(columns.items(), natural, strict=True):
        grid.add_column(Text(heading), justify=side, no_wrap=True, overflow="ellipsis", width=wide)
    for row in cells:
        grid.add_row(*map(Text, row))
    console = Console(file=StringIO(), width=sum(natural) + gap * len(natural), color_system=None, highlight=False)
    with console.capture() as capture:
        console.print(grid)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def gap_between(gaps: int, cells: int, width: int) -> int:
    """Return the spaces between columns: 1 if a line of *cells* characters and so many *gaps* fits only then, else 2.

    Example:
        >>> gap_between(3, 70, 80), gap_between(3, 76, 80), gap_between(3, 90, 80)
        (2, 1, 2)
    """
    return _NARROW_GAP if cells + _NARROW_GAP * gaps <= width < cells + GAP * gaps else GAP


def signed(change: int, *, binary: bool = False) -> str:
    """Return a change rounded, with its sign; empty for 0.

    Example:
        >>> signed(1_500), signed(-2048, binary=True), signed(0)
        ('+1.500 k', '−2.000 KiB', '')
    """
    if not change:
        return ""
    size = units.size(abs(change)) if binary else units.count(abs(change))
    return f"{'+' if change > 0 else '−'}{size}"


def signed_exact(change: int) -> str:
    """Return a change with its sign and every digit.

    Example:
        >>> signed_exact(1_500), signed_exact(-1), signed_exact(0)
        ('+1,500', '−1', '0')
    """
    return f"{'+' if change > 0 else '−' if change < 0 else ''}{units.exact(abs(change))}"


def percent(change: int, before: int) -> str:
    """Return a change as a percentage of *before*; empty if it rounds to 0.0 or *before* is 0.

    Example:
        >>> percent(10, 200), percent(-1, 2), percent(1, 10**9), percent(1, 0)
        ('+5.0', '−50.0', '', '')
    """
    if not before or abs(change) * 2000 < before:
        return ""
    return f"{'+' if change > 0 else '−'}{units.share(abs(change), before)}"
