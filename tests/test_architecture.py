"""The rooms: who may import whom, and what no room may do."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import profiler

ROOT = Path(profiler.__file__).parent

#: A room imports only from rows below its own, and from itself.
ROWS = {
    "__main__": 10, "cli": 9,
    "__init__": 8, "api": 8, "targets": 8, "testing": 8,
    "training": 8.3, "counting": 8.4, "deriving": 8.5, "verify": 8.5, "compat": 8.5,
    "report": 7,
    "reconcile": 6, "guard": 6, "derive": 6,
    "peers": 5, "project": 5, "expressions": 5, "documents": 5,
    "tally": 4,
    "trace": 3, "formulas": 3, "devices": 3,
    "memory": 2.5,
    "records": 2, "projection": 2, "claims": 2, "catalogue": 2,
    "toml": 1.5, "files": 1.5, "processes": 1,
    "errors": 1, "units": 1,
}  # fmt: skip

FILES = sorted(ROOT.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> list[str]:
    """List what a file imports of this package when it is imported; an import inside a function is for later."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "profiler":
            parts = node.module.split(".")
            found += [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [a.name.split(".")[1] for a in node.names if a.name.startswith("profiler.")]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_room_imports_only_from_below(path):
    here = room(path)
    upward = [name for name in imports(path) if name != here and ROWS[name] >= ROWS[here] and here != "__init__"]
    assert not upward, f"{path.name} in row {ROWS[here]} imports {upward}"


def test_every_room_has_a_row():
    assert {room(path) for path in FILES} <= set(ROWS)


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


def test_what_the_package_exports_is_documented():
    assert all(getattr(profiler, name).__doc__ for name in profiler.__all__)
