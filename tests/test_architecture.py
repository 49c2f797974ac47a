"""The rooms: which may import which, and what no room may do."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import profiler

ROOT = Path(profiler.__file__).parent
CONTRIBUTING = Path(__file__).parent.parent / "CONTRIBUTING.md"
FILES = sorted(ROOT.rglob("*.py"))

#: The one import from above: printing a ``Profile`` renders it.
EXCEPTIONS = {("tally/presentation.py", "report")}
#: Data classes that are filled step by step.
MUTABLE = {"ModuleGraph", "_Decomposition", "_Node"}
#: What it needs inside functions: what renders a ``Profile``, and what saves one; and for types, ``Profile`` itself.
CIRCULAR = {"profiler.tally.presentation": {"profiler.report", "profiler.tally.saved", "profiler.tally.profile"}}


def rows():
    """Read the rows of the rooms from the table in CONTRIBUTING.md."""
    table = re.findall(r"^\| (\d+) \| (.+?) \|", CONTRIBUTING.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: int(row) for row, names in table for name in re.findall(r"`(\w+)(?:/|\.py)`", names)}


ROWS = rows()


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> list[str]:
    """List the rooms that a file imports: at its top, inside functions, and for types alone."""
    rooms = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "profiler":
            parts = node.module.split(".")
            rooms += [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            rooms += [alias.name.split(".")[1] for alias in node.names if alias.name.startswith("profiler.")]
    return rooms


def upward(path: Path) -> list[str]:
    here = room(path)
    above = [name for name in imports(path) if name != here and ROWS[name] >= ROWS[here]]
    return [name for name in above if (path.relative_to(ROOT).as_posix(), name) not in EXCEPTIONS]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_room_imports_only_from_the_rows_below(path):
    assert not upward(path), f"{path.name} in row {ROWS[room(path)]} imports upward"


def test_every_room_has_a_row():
    assert {room(path) for path in FILES} == set(ROWS)


def test_every_exception_is_needed():
    assert all(name in imports(ROOT / file) for file, name in EXCEPTIONS)


def test_formulas_and_trace_do_not_know_each_other():
    both = {r: {name for path in FILES if room(path) == r for name in imports(path)} for r in ("trace", "formulas")}
    assert "formulas" not in both["trace"]
    assert "trace" not in both["formulas"]


def test_only_the_command_line_prints():
    printing = [
        path.name
        for path in FILES
        if room(path) != "cli"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
    ]
    assert not printing


def modules() -> dict[str, Path]:
    return {".".join(p.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): p for p in FILES}


def test_no_two_modules_need_each_other():
    names = modules()
    graph = {}
    for name, path in names.items():
        needed = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                full = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
                needed |= {full[alias] if full[alias] in names else node.module for alias in full}
        graph[name] = (needed & names.keys()) - {name} - CIRCULAR.get(name, set())
    assert len(list(TopologicalSorter(graph).static_order())) == len(names)


def private_uses(path: Path) -> list[str]:
    """List the private names of other modules of this package that a file imports, or reads from a module."""
    tree, names, used = ast.parse(path.read_text(encoding="utf-8")), modules(), []
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "profiler":
            used += [alias.name for alias in node.names if alias.name.startswith("_")]
            imported |= {alias.asname or alias.name for alias in node.names if f"{node.module}.{alias.name}" in names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported:
            used += [node.attr] if node.attr.startswith("_") and not node.attr.startswith("__") else []
    return used


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_no_module_uses_the_private_names_of_another(path):
    assert not private_uses(path)


def dataclasses(path: Path) -> list[tuple[str, set[str], bool]]:
    """List the data classes of a file, with what their decorators set to true, and whether they cache a property."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for decorator in getattr(node, "decorator_list", ()) if isinstance(node, ast.ClassDef) else ():
            if re.match(r"dataclass\b", ast.unparse(decorator)):
                options = {word.arg for word in getattr(decorator, "keywords", ()) if ast.unparse(word.value) == "True"}
                found.append((node.name, options, "@cached_property" in ast.unparse(node)))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_values_are_frozen_and_have_slots_unless_they_cache(path):
    for name, options, caches in dataclasses(path):
        if name not in MUTABLE:
            assert "frozen" in options, name
            assert caches or "slots" in options, name


def test_what_the_package_exports_is_documented():
    assert all(getattr(profiler, name).__doc__ for name in profiler.__all__)
