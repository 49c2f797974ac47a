"""``profiler operators``: which rule counts an operator, and where it is."""

from __future__ import annotations

import json
from pathlib import Path

import profiler
from profiler.cli import main
from profiler.formulas import rule_for

ROOT = Path(profiler.__file__).parents[1]


def lines(capsys, *words: str) -> list[str]:
    assert main(["operators", *words]) == 0
    return capsys.readouterr().out.splitlines()


def test_one_operator_is_shown_with_the_place_of_its_formula(capsys):
    head, place, summary = lines(capsys, "aten.bmm")
    assert head == "aten.bmm · formula: a formula of its own counts it"
    file, _, line = place.strip().rpartition(":")
    assert "def mm(" in (ROOT / file).read_text(encoding="utf-8").splitlines()[int(line) - 1]
    assert "product" in summary.lower()


def test_a_part_of_a_name_lists_the_operators_that_have_it(capsys):
    rows = [line.split() for line in lines(capsys, "convolution")[2:]]
    assert {"aten.convolution", "aten.convolution_backward"} <= {row[0] for row in rows}


def test_the_summary_counts_every_operator_once(capsys):
    text = lines(capsys)
    assert main(["operators", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)["operators"]
    listed = sum(int(line.replace("data movement", "data").replace("torch registry", "torch").split()[1])
                 for line in text[2:text.index("")])  # fmt: skip
    assert listed == len(rows) == len({row["operator"] for row in rows})


def test_uncounted_operators_have_no_rule(capsys):
    names = [line.split()[0] for line in lines(capsys, "--uncounted")[2:] if line.startswith("aten.")]
    assert names
    assert all(rule_for(f"{name}.default") is None for name in names)


def test_an_unknown_name_is_one_line(capsys):
    assert main(["operators", "convolutoin"]) == 2
    assert capsys.readouterr().err.startswith("error: no operator named 'convolutoin'")
