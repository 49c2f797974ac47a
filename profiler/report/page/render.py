"""``render_page()``: the page as one file that needs nothing else.

The policy of the page (CSP) allows its own script, plotly's script and its own style, by hash, and nothing else: no
request leaves the page, and a name that looks like a script is not one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from profiler.report.page.context import CHANGES, context
from profiler.report.page.data import page_data
from profiler.report.page.first_icicle import first_icicle
from profiler.report.page.overview import Overview, overview_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profiler.report.report import Report

#: The scripts in the order in which they are joined: each uses those before it.
SCRIPTS = (
    "format", "graph", "dom", "rows", "copy", "table", "theme", "unpack", "icicle", "roofline", "memory", "waterfall",
    "link", "comparison", "difference", "sort", "tabs", "main",
)  # fmt: skip
#: What would end a script element, or begin a comment in one.
_IN_SCRIPT = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}
#: plotly's maps put their style sheet into the page, against its policy, unless an element has this id.
_STYLE_ID = re.compile(r'getElementById\("([0-9a-f]{64})"\)')
#: plotly's script is one function, given to another as its last argument: what stands before it, it, and what follows.
_WRAPPED = re.compile(r"(.*?\bthis, )(\(\) => \{.*\})(\)\);\s*)", re.DOTALL)
#: plotly fills a style element from its script: it is empty when the policy looks at it.
_EMPTY = ""


def render_page(
    reports: Sequence[Report],
    title: str,
    changes: Sequence[tuple[str, ...]] | None = None,
    overview: Overview | None = None,
) -> str:
    """Return a page with one or several reports; several have a tab each, after one in which they are compared.

    Args:
        reports: What to show.
        title: The title of the page.
        changes: If the two reports are of a model before and after a change: the rows of `CHANGES`, for a page that
            shows the two icicles against each other.
        overview: What the first tab shows; by default the totals of the reports, if there are several.
    """
    data = [page_data(report) for report in reports]
    first = overview or (overview_of(reports) if len(reports) > 1 else None)
    script, style = scripts(), read("style.css")
    page: str = _template().render(
        title=title,
        policy=_policy((script, _plotly()), (style, _EMPTY)),
        style=style,
        script=script,
        plotly=_packed_plotly(),
        style_ids=_style_ids(),
        data=json_in_script(data),
        reports=[context(report) | {"icicle": first_icicle(d)} for report, d in zip(reports, data, strict=True)],
        overview=first,
        scatter=json_in_script(first.scatter.data) if first is not None and first.scatter is not None else "",
        changes=changes,
        change_columns=CHANGES,
    )
    return page


def scripts() -> str:
    """Return the page's scripts, joined."""
    return "\n".join(read(f"scripts/{name}.js") for name in SCRIPTS)


def read(name: str) -> str:
    """Return a text file of this package."""
    return files("profiler.report.page").joinpath(name).read_text("utf-8")


def json_in_script(data: Any) -> str:
    r"""Return JSON that can stand in a script element.

    Example:
        >>> print(json_in_script({"name": "</script>"}))
        {"name":"\u003c/script\u003e"}
    """
    return json.dumps(data, separators=(",", ":"), allow_nan=False).translate(_IN_SCRIPT)


def _policy(script_texts: Sequence[str], style_texts: Sequence[str]) -> str:
    allowed = {"script-src": script_texts, "style-src": style_texts}
    sources = [f"{kind} {' '.join(map(_hash, texts))}" for kind, texts in allowed.items()]
    return "; ".join(["default-src 'none'", *sources, "img-src data: blob:", "base-uri 'none'", "form-action 'none'"])


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("profiler.report.page", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("page.html.jinja")


@cache
def _plotly() -> str:
    return compiled_at_once(files("plotly").joinpath("package_data/plotly.min.js").read_text("utf-8"))


def compiled_at_once(script: str) -> str:
    """Return plotly's script with its one function in parentheses, which browsers compile as they meet it.

    Without them, V8 parses the 5 MB once to find the end of the function and once more when it is called: a fifth of
    the time to the first picture. A script of another shape is returned as it is.

    Example:
        >>> compiled_at_once("(function(root, make) { make(); }(this, () => { draw(); }));")
        '(function(root, make) { make(); }(this, (() => { draw(); })));'
    """
    wrapped = _WRAPPED.fullmatch(script)
    return f"{wrapped[1]}({wrapped[2]}){wrapped[3]}" if wrapped else script


@cache
def _style_ids() -> tuple[str, ...]:
    return tuple(dict.fromkeys(_STYLE_ID.findall(_plotly())))


@cache
def _packed_plotly() -> str:
    return base64.b64encode(zlib.compress(_plotly().encode(), 9)).decode()
