"""Mutants: copies of the package with one small change each, which the tests should notice.

    pip install cosmic-ray coverage pytest-cov
    PYTHONPATH=scripts python -m trust_checks.mutants --results mutants.json --count 100

The changes are those of cosmic-ray. A place in the source is drawn first, and then one change of it, so that an
operator that can be replaced in many ways is not drawn more often. Each mutant runs the tests that run the changed
line until one fails: first a case of each test function, those of its own file and room before others and short ones
before long ones. A copy of the repository is changed, never the repository. Results are kept in a file, and what is
there already does not run again: the first of 500 mutants are the same whether 100 or 500 are asked.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NoReturn
from xml.etree import ElementTree as ET

import pytest
import torchvision  # noqa: F401 - imported once, before the forks

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("formulas", "tally", "reconcile", "trace", "projection")
SAMPLE = 500
#: A mutant that computes for so many seconds, and so many times as long as its tests took when they were measured, is
#: taken to hang, which is noticed; one that only waits is ended later.
LIMIT_S, LIMIT_TIMES, WAIT_S = 40, 4, 3600
#: Of the tests that run one mutant, so many are tried at most, and no more than take so many seconds together.
MOST_TESTS, MOST_S = 60, 60.0
#: Tests that fail when they are measured or run together with nothing changed, or that watch the source itself.
_NOT_TRIED = ("tests/trace/test_interrupts.py", "tests/trace/test_thread_starts.py")


@dataclass(frozen=True)
class Mutant:
    """A change: the file, the operator of cosmic-ray, and which of the places that it fits."""

    path: str
    operator: str
    occurrence: int
    line: int

    @property
    def name(self) -> str:
        """Return what identifies it."""
        return f"{self.path}:{self.line} {self.operator} {self.occurrence}"

    def source(self) -> str:
        """Return the changed file."""
        from cosmic_ray.mutating import mutate_code  # noqa: PLC0415 - an extra
        from cosmic_ray.plugins import get_operator  # noqa: PLC0415

        text = (ROOT / self.path).read_text(encoding="utf-8")
        return str(mutate_code(text, get_operator(self.operator)(), self.occurrence))

    def diff(self) -> str:
        """Return the changed lines."""
        before = (ROOT / self.path).read_text(encoding="utf-8").splitlines()
        lines = list(difflib.unified_diff(before, self.source().splitlines(), lineterm="", n=0))[3:]
        return "\n".join(lines)


def sample(count: int, seed: int = 0) -> list[Mutant]:
    """Return the first *count* of 500 mutants: distinct places, and one change of each that is no change of a text."""
    rng, places = Random(seed), list(_places())  # noqa: S311
    chosen = []
    for options in rng.sample(places, len(places)):
        mutant = rng.choice(options)
        if _is_change(mutant):
            chosen.append(mutant)
        if len(chosen) == min(count, SAMPLE):
            break
    return chosen


def _places() -> Iterator[list[Mutant]]:
    """Yield what may be changed, by place."""
    for room in ROOMS:
        for path in sorted((ROOT / "profiler" / room).rglob("*.py")):
            yield from _places_of(path)


def _places_of(path: Path) -> Iterator[list[Mutant]]:
    from cosmic_ray.ast import ast_nodes, get_ast_from_path  # noqa: PLC0415 - an extra
    from cosmic_ray.plugins import get_operator, operator_names  # noqa: PLC0415

    options: dict[object, list[Mutant]] = defaultdict(list)
    nodes = list(ast_nodes(get_ast_from_path(path)))
    for name in sorted(operator_names()):
        operator = get_operator(name)
        if operator.arguments():
            continue
        positions = (position for node in nodes for position in operator().mutation_positions(node))
        for occurrence, (start, end) in enumerate(positions):
            options[start, end].append(Mutant(str(path.relative_to(ROOT)), name, occurrence, start[0]))
    yield from options.values()


def _is_change(mutant: Mutant) -> bool:
    """Return whether a mutant is a program that differs from the original in more than annotations."""
    try:
        changed = _program(mutant.source())
    except SyntaxError:
        return False
    return changed != _program((ROOT / mutant.path).read_text(encoding="utf-8"))


def _program(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(value=None)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.test, node.body = ast.Constant(value=None), [ast.Pass()]
    return ast.dump(tree)


def measure(data: Path) -> None:
    """Write which test runs which line, with coverage.py, and how long each test takes."""
    rooms = [f"--cov={ROOT}/profiler/{room}" for room in ROOMS]
    paths = [path for room in ROOMS for path in (f"tests/{room}", f"profiler/{room}")]
    without = [f"--deselect={path}" for path in _NOT_TRIED]  # one traces by itself, and ends what is measured
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *rooms, "--cov-context=test", *paths]
    report = f"--junitxml={_durations_file(data)}"
    subprocess.run(
        [*command, *without, "--cov-report=", report],
        cwd=ROOT,
        check=False,
        env=os.environ | {"COVERAGE_FILE": str(data)},
    )


def _durations_file(data: Path) -> Path:
    return data.with_suffix(".xml")


@cache
def _durations(data: Path) -> dict[str, float]:
    """Return the seconds of each test that was measured."""
    cases = ET.parse(_durations_file(data)).iter("testcase")  # noqa: S314 - pytest wrote it
    return {
        f"{case.attrib['classname'].replace('.', '/')}.py::{case.attrib['name']}": float(case.attrib["time"])
        for case in cases
    }


@cache
def _tests_by_line(data: Path) -> dict[str, dict[int, list[str]]]:
    from coverage import CoverageData  # noqa: PLC0415 - an extra

    measured = CoverageData(str(data))
    measured.read()
    return {
        f"profiler/{file.rpartition('/profiler/')[2]}": measured.contexts_by_lineno(file)
        for file in measured.measured_files()
    }


def covering(mutant: Mutant, data: Path, most: int = MOST_TESTS, most_s: float = MOST_S) -> list[str]:
    """Return the tests that run the changed statement, in the order in which they are tried, *most* of them.

    A head that runs at import, such as a decorator, has the tests that run its body; any other statement that does,
    such as a table, those that run anything in its file.
    """
    by_line = _tests_by_line(data).get(mutant.path, {})
    head, whole = _statement(mutant)
    for lines in (head, whole, by_line):
        if found := {test for line in lines for test in _names(by_line.get(line, []))}:
            break
    tests = sorted(test for test in found if not test.startswith(_NOT_TRIED))
    Random(mutant.name).shuffle(tests)  # noqa: S311
    durations = _durations(data)
    tests = _in_turn(tests, mutant.path, durations)[:most]
    spent = accumulate(durations.get(test, 0.0) for test in tests)
    return [test for test, seconds in zip(tests, spent, strict=True) if seconds <= most_s or test == tests[0]]


def _in_turn(tests: list[str], path: str, durations: dict[str, float]) -> list[str]:
    """Return a case of each test function, then a second one of each; of these, the likeliest to notice come first.

    These are the tests of the changed file by its name, those of its room, and then short ones before long ones.
    """
    room, name = f"/{path.split('/')[1]}/", Path(path).stem
    turns = Counter[str]()
    places = {}
    for test in tests:
        function, file = test.partition("[")[0], test.partition("::")[0]
        places[test] = (turns[function], name not in file, room not in file, durations.get(test, 0.0))
        turns[function] += 1
    return sorted(tests, key=lambda test: places[test])


def _names(contexts: list[str]) -> set[str]:
    return {context.rpartition("|")[0] for context in contexts if context}


def _statement(mutant: Mutant) -> tuple[range, range]:
    """Return the lines of the smallest statement around the change: those before its body, and all."""
    tree = ast.parse((ROOT / mutant.path).read_text(encoding="utf-8"))
    lines = [_lines(node) for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    smallest = min((each for each in lines if mutant.line in each), key=len)
    inner = [each.start for each in lines if each.start in smallest and len(each) < len(smallest)]
    return range(smallest.start, min([*inner, smallest.stop])), smallest


def _lines(node: ast.stmt) -> range:
    decorators = [each.lineno for each in getattr(node, "decorator_list", ())]
    return range(min([node.lineno, *decorators]), (node.end_lineno or node.lineno) + 1)


def try_mutant(mutant: Mutant, copy: Path, tests: list[str], limit_s: float = LIMIT_S) -> dict[str, object]:
    """Run the tests of a mutant in a copy of the repository, and return what became of it."""
    file = copy / mutant.path
    row: dict[str, object] = {"name": mutant.name, "diff": mutant.diff(), "tests": len(tests)}
    if not tests:
        return row | {"outcome": "no test runs it"}
    before, times, start = file.read_text(encoding="utf-8"), file.stat(), time.monotonic()
    try:
        file.write_text(mutant.source(), encoding="utf-8")
        status, output = _run_tests(copy, tests, limit_s)
    finally:
        row["seconds"] = round(time.monotonic() - start, 1)
        file.write_text(before, encoding="utf-8")
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))  # what is compiled already is still right
    failed = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
    by = "hangs" if status is None or status < 0 else failed[0][:160] if failed else f"status {status}"
    return row | {"outcome": "killed" if status != 0 else "survived", "by": by}


def _run_tests(copy: Path, tests: list[str], limit_s: float) -> tuple[int | None, str]:
    """Run tests until one fails, in a child that has torch already; return the status, or None if they hang."""
    output = copy / "mutant-output.txt"
    child = os.fork()
    if child == 0:
        _be_child(copy, tests, output, int(limit_s))
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), output.read_text(encoding="utf-8", errors="replace")
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None, ""


def _be_child(copy: Path, tests: list[str], output: Path, limit_s: int) -> NoReturn:
    """Run pytest in a child, and end it."""
    status = 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit_s, limit_s))
    try:
        with output.open("w", encoding="utf-8") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.chdir(copy)
        sys.dont_write_bytecode = True  # of the change
        sys.path[:0] = [str(copy)]
        options = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:cov", "--no-header", f"--rootdir={copy}"]
        status = int(pytest.main([*options, *tests]))
    finally:
        os._exit(status)


def main(words: list[str] | None = None) -> int:
    """Try mutants that have no result yet; print each survivor, and the score."""
    parser = argparse.ArgumentParser(prog="trust_checks.mutants")
    parser.add_argument(
        "--results", type=Path, required=True, help="a JSON file of results, which is read and added to"
    )
    parser.add_argument("--count", type=int, default=SAMPLE, help=f"how many of the {SAMPLE} to try")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--skip", type=int, default=0, help="how many of the first to leave out")
    parser.add_argument("--again", action="store_true", help="try those again that survived")
    parser.add_argument("--tests", type=int, default=MOST_TESTS, help="how many tests run a mutant at most")
    parser.add_argument("--seconds", type=float, default=MOST_S, help="how long these tests take together at most")
    parser.add_argument("--rooms", nargs="*", default=ROOMS, choices=ROOMS)
    parser.add_argument("--copy", type=Path, default=ROOT.parent / "mutants", help="a folder for the copy")
    options = parser.parse_args(words)
    mutants = sample(options.count, options.seed)[options.skip :]
    mutants = [mutant for mutant in mutants if mutant.path.split("/")[1] in options.rooms]
    if options.again:
        _forget_survivors(options.results)
    rows = run_mutants(mutants, options.results, options.copy, options.tests, options.seconds)
    for row in rows:
        if row["outcome"] != "killed":
            print(f"{row['outcome']}: {row['name']}\n{row['diff']}")
    killed = sum(row["outcome"] == "killed" for row in rows)
    print(f"{killed} of {len(rows)} killed")
    return int(killed < len(rows))


def _forget_survivors(results: Path) -> None:
    rows = [row for row in json.loads(results.read_text(encoding="utf-8")) if row["outcome"] == "killed"]
    results.write_text(json.dumps(rows, indent=1), encoding="utf-8")


def run_mutants(
    mutants: list[Mutant], results: Path, copy: Path, most: int = MOST_TESTS, most_s: float = MOST_S
) -> list[dict[str, object]]:
    """Return the outcome of each mutant; those that are not in *results* run, and are added to it."""
    data = results.with_suffix(".coverage")
    if not data.exists():
        measure(data)
    known = {row["name"]: row for row in json.loads(results.read_text())} if results.exists() else {}
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv", ".matrix"), dirs_exist_ok=True)
    for mutant in mutants:
        if mutant.name not in known:
            tests = covering(mutant, data, most, most_s)
            limit_s = LIMIT_S + LIMIT_TIMES * sum(_durations(data).get(test, 0.0) for test in tests)
            known[mutant.name] = try_mutant(mutant, copy, tests, limit_s)
            results.write_text(json.dumps(list(known.values()), indent=1), encoding="utf-8")
    return [known[mutant.name] for mutant in mutants]


if __name__ == "__main__":
    sys.exit(main())
