"""Mutants: which are drawn, and which tests try them. What changes the source is cosmic-ray's, and an extra."""

from __future__ import annotations

import pytest
from trust_checks import mutants
from trust_checks.mutants import Mutant

#: A file of ten lines: a table, a decorated class, and a statement of two lines.
SOURCE = """from dataclasses import dataclass
TABLE = (1, 2)
@dataclass
class A:
    x: int | None = 1
    def f(self) -> int | None:
        if self.x:
            return (self.x +
                    1)
        return 2
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of one file, and what runs which of its lines."""
    (tmp_path / "profiler/tally").mkdir(parents=True)
    (tmp_path / "profiler/tally/a.py").write_text(SOURCE)
    lines = {8: ["tests/trace/t.py::two|run", "tests/tally/t.py::one|run"], 7: ["tests/tally/t.py::one|run"], 2: [""]}
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    monkeypatch.setattr(mutants, "_tests_by_line", lambda _data: {"profiler/tally/a.py": lines})
    return tmp_path


def mutant(line):
    return Mutant("profiler/tally/a.py", "core/NumberReplacer", 0, line)


@pytest.mark.parametrize("line", [8, 9])
def test_a_statement_of_two_lines_has_the_tests_of_both(package, line):
    assert mutants.covering(mutant(line), package) == ["tests/tally/t.py::one", "tests/trace/t.py::two"]


def test_a_block_has_the_tests_of_its_head(package):
    assert mutants.covering(mutant(7), package) == ["tests/tally/t.py::one"]


@pytest.mark.parametrize("line", [2, 3])
def test_what_runs_at_import_has_the_tests_of_its_file(package, line):
    assert len(mutants.covering(mutant(line), package)) == 2


def test_the_tests_of_its_own_room_come_first(package):
    assert mutants.covering(mutant(8), package, 1) == ["tests/tally/t.py::one"]


@pytest.mark.parametrize(
    ("old", "new", "is_change"),
    [
        ("(1, 2)", "(1, 3)", True),
        ("-> int | None", "-> int & None", False),
        ("x: int | None = 1", "x: int + None = 1", False),
        ("@dataclass\n", "\n", True),
        ("return 2", "return )", False),
    ],
)
def test_a_change_of_an_annotation_is_none(package, monkeypatch, old, new, is_change):
    text = (package / "profiler/tally/a.py").read_text()
    monkeypatch.setattr(Mutant, "source", lambda _self: text.replace(old, new))
    assert mutants._is_change(mutant(1)) == is_change


def test_places_are_drawn_and_then_one_change_of_each(monkeypatch):
    places = [[Mutant("a", "core/Plus", 0, line), Mutant("a", "core/Minus", 0, line)] for line in range(900)]
    monkeypatch.setattr(mutants, "_places", lambda: places)
    monkeypatch.setattr(mutants, "_is_change", lambda _mutant: True)
    first, more = mutants.sample(10), mutants.sample(600)
    assert len({each.line for each in more}) == len(more) == 500
    assert more[:10] == first != mutants.sample(10, seed=1)
