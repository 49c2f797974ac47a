"""The icicle of the modules as an SVG image, for a README or a paper: the width of a box is its share of the FLOPs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from profiler import units
from profiler.escaping import plain, shorten, xml
from profiler.report.profile_formats import PROFILE_FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profiler.report.module_rows import Row
    from profiler.report.report import Report

_WIDTH, _MARGIN, _ROW, _HEAD, _FOOT = 960, 16, 26, 64, 30
#: Levels below the root, unless more are asked for; narrower boxes, in pixels, are left out.
_LEVELS, _NARROWEST = 5, 0.6
#: Width of a character of the labels, in pixels, a little more than the mean.
_CHARACTER = 6.9
_LONGEST = 120
_STEPS = 8
_LIGHT = ("#eaf1fb", "#d3e2f7", "#b4cef1", "#8fb4e8", "#6797da", "#4179c6", "#235fb3", "#0b4ea8")
_DARK = ("#1d2732", "#213246", "#26405f", "#2d5386", "#3d6ca9", "#5287c9", "#6fa2e5", "#8dbbff")


@dataclass(frozen=True, slots=True)
class Box:
    """A module in the picture: its place in pixels, and its share of the whole."""

    row: Row
    x: float
    width: float
    share: float


@PROFILE_FORMATS.register("svg")
def svg(report: Report) -> str:
    """Return an image that follows the reader's light or dark colours."""
    boxes = list(_boxes(replace(report, depth=max(report.depth or 0, _LEVELS))))
    height = _HEAD + _FOOT + _ROW * (1 + max(box.row.level for box in boxes))
    totals = report.profile.totals
    numbers = (
        f"{report.at_least}{units.count(totals.macs, 'MAC')} · {report.at_least}{units.count(totals.flops, 'FLOP')}"
    )
    measure = _measure(report)[0]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img" aria-label="Icicle of the modules by {measure}">'
    )
    parts = [
        head,
        f"<style>{_style()}</style>",
        f'<rect class="page" width="{_WIDTH}" height="{height}"/>',
        f'<text class="title" x="{_MARGIN}" y="26">{_text(report.heading, _LONGEST)}</text>',
        f'<text class="note" x="{_MARGIN}" y="46">{numbers} · {units.count(totals.params)} parameters</text>',
        *(line for box in boxes for line in _draw(box, report)),
        f'<text class="note" x="{_MARGIN}" y="{height - 11}">Width and colour: share of the {measure}.</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _measure(report: Report) -> tuple[str, str]:
    """Return the name and the field of what is shown: FLOPs, or parameters if nothing ran."""
    return ("FLOPs", "flops") if report.profile.totals.flops else ("parameters", "params")


def _boxes(report: Report) -> Iterator[Box]:
    """Yield the modules, each to the right of its elder siblings, within its parent."""
    rows, figure = report.modules(), _measure(report)[1]
    whole = getattr(rows[0].totals, figure) or 1
    scale, begins = _WIDTH - 2 * _MARGIN, {0: float(_MARGIN)}
    for row in rows:
        share = getattr(row.totals, figure) / whole
        x = begins[row.level]
        begins[row.level], begins[row.level + 1] = x + share * scale, x
        if share * scale >= _NARROWEST or row.level == 0:
            yield Box(row, x, share * scale, share)


def _draw(box: Box, report: Report) -> Iterator[str]:
    row, y = box.row, _HEAD + _ROW * box.row.level
    step = min(_STEPS - 1, int(sqrt(box.share) * _STEPS))
    name = f"{row.name} {row.type}".strip()
    amount = units.count(getattr(row.totals, _measure(report)[1]), "" if row.totals.flops == 0 else "FLOP")
    size = f'x="{box.x:.2f}" y="{y}" width="{max(box.width - 1, 0.4):.2f}" height="{_ROW - 1}"'
    yield f'<rect class="s{step}" {size}><title>{_text(name, _LONGEST)}: {amount}, {box.share:.1%}</title></rect>'
    letters = int((box.width - 10) / _CHARACTER)
    label = name if len(name) <= letters else row.name or row.type
    if len(label) <= letters or letters > 5:  # noqa: PLR2004 - fewer letters say nothing
        yield f'<text class="t{step}" x="{box.x + 5:.2f}" y="{y + 17}">{_text(label, letters)}</text>'


def _text(text: str, most: int) -> str:
    return escape(xml(shorten(plain(text), most)))


def _style() -> str:
    """Return the colours, light and dark; a label is dark on the light steps and light on the dark ones."""
    font = "font-family:system-ui,-apple-system,'Segoe UI',Roboto,Arial,sans-serif"
    base = f"text{{font-size:12px;{font}}}.title{{font-size:15px;font-weight:600}}"
    light = _colours(_LIGHT, page="#ffffff", ink="#1b2027", muted="#57616d", on_scale=("#10151c", "#ffffff"))
    dark = _colours(_DARK, page="#12161b", ink="#e4e8ed", muted="#9da8b5", on_scale=("#e4e8ed", "#0b0f14"))
    return f"{base}{light}@media(prefers-color-scheme:dark){{{dark}}}"


def _colours(scale: tuple[str, ...], *, page: str, ink: str, muted: str, on_scale: tuple[str, str]) -> str:
    steps = "".join(f".s{i}{{fill:{tint}}}" for i, tint in enumerate(scale))
    inks = "".join(f".t{i}{{fill:{on_scale[i >= _STEPS // 2 + 1]}}}" for i in range(_STEPS))
    return f".page{{fill:{page}}}.title{{fill:{ink}}}.note{{fill:{muted}}}{steps}{inks}"
