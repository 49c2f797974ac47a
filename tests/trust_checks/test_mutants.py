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
    monkeypatch.setattr(mutants, "_durations", lambda _data: {})
    return tmp_path


def mutant(line):
    return Mutant("profiler/tally/a.py", "core/NumberReplacer", 0, line)


@pytest.mark.parametrize("line", [8, 9])
def test_a_statement_of_two_lines_has_the_tests_of_both(package, line):
    assert mutants.covering(mutant(line), package) == ["tests/tally/t.py::one", "tests/trace/t.py::two"]


def test_a_block_has_the_tests_of_its_head(package):
    assert mutants.covering(mutant(7), package) == ["tests/tally/t.py::one"]


def test_a_table_has_the_tests_of_its_file(package):
    assert len(mutants.covering(mutant(2), package)) == 2


def test_a_decorator_has_the_tests_of_what_it_decorates(package):
    more = package / "profiler/tally/a.py"
    more.write_text(SOURCE + "@dataclass\ndef g():\n    return 7\n")
    mutants._tests_by_line(package)["profiler/tally/a.py"][13] = ["tests/tally/t.py::three|run"]
    assert mutants.covering(mutant(11), package) == ["tests/tally/t.py::three"]


def test_the_tests_of_its_own_room_come_first(package):
    assert mutants.covering(mutant(8), package, 1) == ["tests/tally/t.py::one"]


def test_a_case_of_each_test_comes_before_a_second_one_and_the_likeliest_and_shortest_first():
    durations = {"tests/tally/t.py::a[1]": 3.0, "tests/tally/t.py::a[2]": 3.0, "tests/tally/t.py::b": 1.0}
    durations["tests/tally/test_live_totals.py::d"] = 9.0
    tests = [*durations, "tests/trace/t.py::c"]
    assert mutants._in_turn(tests, "profiler/tally/live_totals.py", durations) == [
        "tests/tally/test_live_totals.py::d",
        "tests/tally/t.py::b",
        "tests/tally/t.py::a[1]",
        "tests/trace/t.py::c",
        "tests/tally/t.py::a[2]",
    ]


def test_the_tests_of_a_mutant_take_no_longer_than_is_asked(package, monkeypatch):
    monkeypatch.setattr(mutants, "_durations", lambda _data: dict.fromkeys(("tests/tally/t.py::one",), 8.0))
    both, first = ["tests/tally/t.py::one", "tests/trace/t.py::two"], ["tests/tally/t.py::one"]
    assert mutants.covering(mutant(8), package, most_s=8.0) == both
    monkeypatch.setattr(mutants, "_durations", lambda _data: dict.fromkeys(both, 8.0))
    assert mutants.covering(mutant(8), package, most_s=8.0) == first
    assert mutants.covering(mutant(8), package, most_s=1.0) == first  # one at least


def test_durations_are_those_that_pytest_wrote(tmp_path):
    case = '<testcase classname="tests.tally.t" name="one[a.b]" time="1.5"/>'
    (tmp_path / "r.xml").write_text(f"<testsuites><testsuite>{case}</testsuite></testsuites>")
    assert mutants._durations(tmp_path / "r.coverage") == {"tests/tally/t.py::one[a.b]": 1.5}


def test_a_changed_file_is_put_back_as_it_was(package, monkeypatch):
    monkeypatch.setattr(Mutant, "source", lambda _self: "changed")
    monkeypatch.setattr(mutants, "_run_tests", lambda copy, *_: (1, (copy / "profiler/tally/a.py").read_text()))
    before = (package / "profiler/tally/a.py").stat().st_mtime_ns
    row = mutants.try_mutant(mutant(8), package, ["t"])
    assert (row["outcome"], row["by"]) == ("killed", "status 1")
    assert (package / "profiler/tally/a.py").read_text() == SOURCE
    assert (package / "profiler/tally/a.py").stat().st_mtime_ns == before


def test_a_mutant_that_computes_without_end_is_noticed(tmp_path):
    (tmp_path / "test_a.py").write_text("def test_endless():\n    while True: pass\n")
    status, _ = mutants._run_tests(tmp_path, ["test_a.py"], 1)
    assert status is not None
    assert status < 0


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
