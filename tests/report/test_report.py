"""What a person reads, and that every format says the same."""

from __future__ import annotations

import csv
import io
import json

import pytest
import torch
from torch import nn

import profiler
from profiler.errors import UnknownNameError
from profiler.report import PROFILE_FORMATS, render
from profiler.report.report import Report
from profiler.report.tables import Side, table


def blocks(count: int) -> nn.Module:
    return nn.Sequential(*(nn.Sequential(nn.Linear(8, 8), nn.ReLU()) for _ in range(count)))


@pytest.fixture(scope="module")
def p() -> profiler.Profile:
    return profiler.count(nn.Sequential(nn.Conv2d(3, 16, 3), blocks(3)), torch.ones(1, 3, 10, 8 + 2))


@pytest.fixture(scope="module")
def partly() -> profiler.Profile:
    library = torch.library.Library("profiler_test_report", "DEF")
    library.define("mystery(Tensor x) -> Tensor")
    library.impl("mystery", lambda x: x + 1, "CompositeExplicitAutograd")
    with profiler.profile() as p:
        torch.ops.profiler_test_report.mystery(torch.ones(4, 4) @ torch.ones(4, 4))
    return p.result


@pytest.mark.parametrize("depth", [0, 1, 5])
def test_the_text_fits_eighty_columns(depth):
    net = nn.Sequential(nn.TransformerEncoder(nn.TransformerEncoderLayer(512, 8, batch_first=True), 12))
    text = render(profiler.count(net.to("meta"), torch.ones(4, 1024, 512, device="meta")), depth=depth)
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text


def test_the_name_of_an_operator_stays_whole_where_narrow_gaps_leave_room():
    net = nn.Sequential(nn.Conv2d(64, 64, 3), nn.MaxPool2d(2)).to("meta")
    text = render(profiler.count(net, torch.empty(8, 64, 224, 224, device="meta")))
    rows = [line.split() for line in text.splitlines() if line.startswith("aten.")]
    assert [row[0] for row in rows] == ["aten.convolution", "aten.max_pool2d_with_indices"]
    assert max(map(len, text.splitlines())) <= 80


def test_the_columns_of_a_table_are_narrow_only_where_it_fits_then():
    def gap(*cells: str) -> int:
        columns: dict[str, Side] = {"name": "left", "a": "left", "b": "left"}
        line = table(columns, [("n", *cells)], width=20).splitlines()[-1]
        return line.index(cells[1]) - line.index(cells[0]) - len(cells[0])

    assert (gap("x", "y"), gap("x" * 7, "y" * 7), gap("x" * 12, "y" * 12)) == (2, 1, 2)


def test_a_long_name_gives_way_and_no_number_does():
    inner: nn.Module = nn.Linear(1000, 1000)
    for _ in range(6):
        wrapper = nn.Module()
        wrapper.a_very_long_name_for_a_module = inner
        wrapper.forward = inner.forward
        inner = wrapper
    net = nn.Sequential(inner)
    text = render(profiler.count(net, torch.ones(1, 1000)), depth=9)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("1.000 M") >= 2


def test_sisters_that_do_the_same_are_one_row_with_the_sum_of_all(p):
    rows = {(row.level, row.name): row for row in Report(p, "", 3).modules()}
    together = rows[2, "0–2"]
    assert together.type == "Sequential ×3"
    assert together.totals.macs == p.nodes["1"].total.macs
    assert rows[3, "0"].totals.macs == p.nodes["1"].total.macs


def test_sisters_that_differ_keep_their_rows():
    net = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 4))
    rows = [row.name for row in Report(profiler.count(net, torch.ones(1, 8)), "", 1).modules()]
    assert rows == ["", "0–1", "2"]


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_rows_of_one_level_sum_to_the_root(p, depth):
    rows = Report(p, "", depth).modules()
    assert sum(row.totals.flops for row in rows if row.level == 1) == rows[0].totals.flops


def test_a_module_that_never_ran_says_so():
    net = nn.Linear(4, 4)
    net.unused = nn.Linear(4, 4)
    assert "not called" in render(profiler.count(net, torch.ones(1, 4)))


def test_every_total_says_that_it_is_a_bound_where_something_is_uncounted(partly):
    text = render(partly)
    for label in ("MACs", "FLOPs = 2·MACs + other", "bytes read"):
        line = next(line for line in text.splitlines() if line.startswith(label))
        assert "≥" in line
    assert "profiler_test_report.mystery" in text
    assert "lower bounds" in text


def test_a_complete_count_says_that_nothing_is_missing(p):
    text = render(p)
    assert "Every operator is counted, or free." in text
    assert "≥" not in text


def test_all_formats_have_the_same_total(p):
    macs = p.totals.macs
    assert f"{macs:,}" in render(p, "text")
    assert f"{macs:,}" in render(p, "markdown")
    assert json.loads(render(p, "json"))["totals"]["macs"] == macs
    rows = list(csv.DictReader(io.StringIO(render(p, "csv"))))
    assert sum(int(row["self_macs"]) for row in rows) == int(rows[0]["total_macs"]) == macs


def test_markdown_tables_are_tables(p):
    lines = [line for line in render(p, "markdown").splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in lines)
    assert sum(set(line) <= set("|-: ") for line in lines) == 4  # totals, memory, modules, operators


def test_an_unknown_format_names_those_there_are(p):
    with pytest.raises(UnknownNameError, match=r"^no format named 'txt'; did you mean 'text'\?$"):
        render(p, "txt")


def test_the_command_line_offers_the_formats_there_are():
    from typing import get_args

    from profiler.cli.output import ProfileFormat

    assert list(get_args(ProfileFormat)) == PROFILE_FORMATS.names()


def test_printing_a_profile_prints_the_text_report(p):
    assert str(p) == render(p, "text")
