"""Names that are markup, formulas or control characters in some format: every format shows them as they are."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
import torch
from rich.console import Console
from torch import nn

import profiler
from profiler.errors import BudgetError
from profiler.guard import check, diff
from profiler.guard.limits import parse_limits
from profiler.report import PROFILE_FORMATS, Report, render
from profiler.report.checks import CHECK_FORMATS, CheckReport
from profiler.report.formats.text import renderable
from profiler.report.profile_differences import DIFF_FORMATS, DiffReport
from profiler.tally import load

NAMES = {
    "closing tag": "[/]",
    "tag": "[bold red]",
    "link": "[x](javascript:alert)",
    "column": "a|b",
    "html": "<script>alert(1)</script>",
    "entity": "&lt;",
    "emphasis": "__init__ *a* `b` ~~c~~",
    "escape": "\x1b[31mred\x1b]0;title\x07",
    "line": "a\nb\r\n# c",
    "direction": "\u202egnp",
    "half": "\ud800",
    "null": "a\0b",
    "formula": "=cmd|' /C calc'!A0",
    "sum": "+1+1",
    "minus": "-1",
    "at": "@SUM(A1)",
    "comma": 'a,"b"',
    "backslash": "a\\",
    "long": "x" * 10**5,
    "empty": " ",
}


def profile_of(name: str) -> profiler.Profile:
    """Return the profile of a model in which a module, its class, an input and the model have this name."""
    inner = type(name.replace("\0", "0").replace("\ud800", "half"), (nn.Linear,), {})(2, 2)

    class Holder(nn.Module):
        def forward(self, x):
            return self.get_submodule("inner")(x)

    model = Holder()
    model.inner = inner
    profile = profiler.count(model, torch.ones(1, 2))
    modules = tuple(replace(m, path=m.path.replace("inner", name)) for m in profile.modules)
    entries = tuple(
        replace(e, record=replace(e.record, module=e.record.module.replace("inner", name))) for e in profile.entries
    )
    inputs = tuple((name, value) for _, value in profile.inputs)
    return replace(profile, modules=modules, entries=entries, inputs=inputs, model=name)


def outputs(name: str) -> dict[str, str]:
    profile = profile_of(name)
    texts = {form: render(profile, form, title=name, depth=3) for form in PROFILE_FORMATS.names()}
    changed = diff(profile, profiler.count(nn.Sequential(nn.Linear(2, 3)), torch.ones(1, 2)))
    texts |= {
        f"diff {form}": DIFF_FORMATS.render(DiffReport(changed, name, name), form) for form in DIFF_FORMATS.names()
    }
    outcome = check(name, profile, parse_limits({"macs": 1}), None)
    report = CheckReport({name: outcome, "other": BudgetError(name)}, name)
    texts |= {f"check {form}": CHECK_FORMATS.render(report, form) for form in CHECK_FORMATS.names()}
    return texts


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_no_output_holds_a_control_character_or_a_mark_of_direction(name):
    for form, text in outputs(name).items():
        lines = text.split("\n")
        if form.endswith("json"):
            document = json.loads(text)
            assert form != "json" or document["model"] == name.replace("\ud800", "\\ud800")
        else:
            assert all(line.isprintable() for line in lines), form


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_row_of_a_markdown_table_has_as_many_cells_as_its_heading(name):
    cells = [
        len(re.findall(r"(?<!\\)(?:\\\\)*\|", line))
        for line in outputs(name)["markdown"].splitlines()
        if line[:1] == "|"
    ]
    assert set(cells) <= {3, 4, 7, 8}
    assert "<script" not in outputs(name)["markdown"]
    assert not re.search(r"[^\\]\]\(", outputs(name)["markdown"])


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_cell_of_a_csv_file_is_no_formula_and_is_read_back(name):
    rows = list(csv.reader(io.StringIO(outputs(name)["csv"])))
    assert len({len(row) for row in rows}) == 1
    assert len(rows) == 3
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)


@pytest.mark.parametrize("name", ["[/]", "a|b", "<script>", "=1+1", "__init__"])
def test_text_shows_the_name_as_it_is(name):
    texts = outputs(name)
    assert f"  {name} " in texts["text"]
    assert name.lstrip("=") in texts["csv"]
    console = Console(file=io.StringIO(), width=200, force_terminal=True)
    console.print(renderable(Report(profile_of(name), name, 3), 200))
    assert name in console.file.getvalue()


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_junit_is_xml(name):
    assert ET.fromstring(outputs(name)["check junit"]).tag == "testsuites"  # noqa: S314 - our own


@pytest.mark.parametrize(
    "name", [n for n in NAMES.values() if "\ud800" not in n], ids=[n for n in NAMES if n != "half"]
)
def test_a_profile_with_such_names_can_be_saved_and_loaded(name, tmp_path):
    profile = profile_of(name)
    profile.save(tmp_path / "a.json")
    assert load(tmp_path / "a.json") == profile


def test_a_module_dict_with_odd_keys_is_counted_and_printed():
    inner = nn.ModuleDict({name: nn.Linear(2, 2) for name in NAMES.values() if "." not in name})
    inner.forward = lambda x: [module(x) for module in inner.values()]
    profile = profiler.count(inner, torch.ones(1, 2))
    assert profile.totals.macs == 4 * len(inner)
    assert "[/] Linear" in str(profile)
    str(profile).encode("utf-8")
