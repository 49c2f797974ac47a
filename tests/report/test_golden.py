"""The reports as whole texts: a change of what a reader sees is a change of a file here.

``UPDATE_GOLDEN=1 pytest tests/report/test_golden.py`` writes the files anew; read the difference before you commit it.
"""

from __future__ import annotations

import os
from io import StringIO
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import nn

import profiler
from profiler.report import Report, render
from profiler.report.formats.text import renderable

FOLDER = Path(__file__).parent / "golden"


class Net(nn.Module):
    """A small network with a stack of equal blocks, a frozen layer and a layer that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.blocks = nn.Sequential(*(nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()) for _ in range(3)))
        self.head = nn.Linear(16, 10).requires_grad_(requires_grad=False)
        self.unused = nn.Linear(16, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


@pytest.fixture(scope="module")
def profile() -> profiler.Profile:
    return profiler.count(Net().to("meta"), torch.empty(2, 3, 32, 32, device="meta"))


def wide(profile: profiler.Profile, width: int) -> str:
    """Return the text report as a terminal of this width shows it."""
    console = Console(file=StringIO(), width=width, color_system=None, legacy_windows=False)
    console.print(renderable(Report(profile, "net", 3), width))
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


FORMS = {
    "80.txt": lambda profile: wide(profile, 80),
    "140.txt": lambda profile: wide(profile, 140),
    "modules.csv": lambda profile: render(profile, "csv", title="net"),
    "report.md": lambda profile: render(profile, "markdown", title="net", depth=3),
    "table.tex": lambda profile: render(profile, "latex", title="net", depth=3),
    "icicle.svg": lambda profile: render(profile, "svg", title="net"),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_report_is_what_its_golden_file_says(profile, name):
    file, text = FOLDER / name, FORMS[name](profile)
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text, "utf-8")
    assert text == file.read_text("utf-8")


@pytest.mark.parametrize("width", [80, 100, 120, 140, 200])
def test_no_line_is_wider_than_the_terminal(profile, width):
    assert max(map(len, wide(profile, width).splitlines())) <= width


def test_wider_lines_say_more(profile):
    heads = [set(wide(profile, width).splitlines()[2].split()) for width in (80, 100, 140)]
    assert heads[0] < heads[1] < heads[2]


def test_the_own_shares_of_all_modules_are_the_whole(profile):
    rows = Report(profile, "net", 9).modules()
    assert sum(row.own.flops for row in rows) == profile.totals.flops


def test_names_that_one_copies_are_not_cut():
    from profiler.devices.loader import all_devices
    from profiler.report import device_catalogue

    table = device_catalogue.table(list(all_devices().values()))
    assert all(any(line.startswith(f"{name} ") for line in table.splitlines()) for name in all_devices())
    library = torch.library.Library("profiler_test_golden", "DEF")
    long = "an_operator_with_a_very_long_name_indeed_" * 3
    library.define(f"{long}(Tensor x) -> Tensor")
    library.impl(long, lambda x: x + 1, "CompositeExplicitAutograd")
    with profiler.profile() as p:
        getattr(torch.ops.profiler_test_golden, long)(torch.ones(4, 4))
    text = render(p.result)
    assert f"profiler_test_golden.{long}" in "".join(line.split("  ")[0].strip() for line in text.splitlines())
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("width", [80, 140])
def test_rich_prints_a_profile_as_wide_as_its_console(profile, width):
    console = Console(file=StringIO(), width=width, color_system=None, legacy_windows=False)
    console.print(profile)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert set(lines[1:]) <= set((FOLDER / f"{width}.txt").read_text("utf-8").splitlines())
    assert any(line.startswith("module ") for line in lines)


def test_to_latex_is_the_format_latex(profile):
    assert profile.to_latex(depth=1) == render(profile, "latex", depth=1)
    assert profile.to_latex(depth=1) != profile.to_latex()
