"""Names that are markup, control characters, marks of direction or very long, in every format of every command.

They name a module, its class, its parameters, stages, claims, budgets and devices, and are their texts. A name
is lost if a command fails, if its output cannot be read back as the format that it is, or if a character that is not
printable reaches a terminal.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import os
import tempfile
from collections import Counter
from contextlib import chdir
from pathlib import Path
from random import Random
from unittest.mock import patch
from xml.etree import ElementTree as ET

from profiler.report import PROFILE_FORMATS
from profiler.report.checks import CHECK_FORMATS
from profiler.report.profile_differences import DIFF_FORMATS
from trust_checks.commands import complaint, run_command
from trust_checks.mutations import toml
from trust_checks.outcome import Outcome

#: What names are made of.
_PIECES = [
    "[/]", "[bold red]", "[x](javascript:alert)", "a|b", "<script>alert(1)</script>", "</script>", "&lt;", "__init__",
    "*a*", "`b`", "~~c~~", "\x1b[31m", "\x1b]0;title\x07", "\x1b]8;;http://x\x1b\\", "\x9b2J", "\a", "\b\b", "\r", "\n",
    "\v", "\f", "\x85", "\u2028", "\u2029", "\t", "\x7f", "\u202e", "\u202d", "\u2066", "\u2069", "\u200f", "\u061c",
    "\u200b", "\ufeff", "\ud800", "\udfff", "\0", "=1+1", "+1", "-1", "@SUM(A1)", "'", '"', '""', ",", ";", "\\",
    "%s", "%n", "{0}", "{{7*7}}", "${x}", "$x^2$", "\\input{/etc/passwd}", "&", "#", "_", "^", "~", "]]>", "<!--",
    "<![CDATA[", "::error::x", "%0A", "|---|", "# head", "\u0300" * 50, "é", "漢字", "🧑‍🚀", "\U000e0001",
    "\\\\", "-->", "\ufffe", "\uffff", "ﷺ", "null", "NaN", "x", "0", "a" * 300, " ", "\xa0",
]  # fmt: skip
_LONGEST = 10**6
#: The exit status of a data file that cannot be used.
_REFUSED = 2
_NETS = """
import json
from torch import nn, ones
name = json.load(open("name.json"))
def net(width=4):
    kind = type(name.replace("\\0", "0").encode("utf-8", "replace").decode(), (nn.Linear,), {})
    model = nn.Sequential()
    path = name.replace(".", "_") or "_"
    path = path + "_" if hasattr(model, path) else path
    model.add_module(path, kind(8, width))
    model.register_buffer(path + "b", ones(2))
    return model
def wide(): return net(16)
"""
_TABLE = ("text", "csv", "json", "markdown")
_NET = ("nets.py:net", "--input", "8")
_BOTH = ("nets.py:net", "nets.py:wide", "--input", "8")
#: Commands, and their formats.
_COMMANDS = (
    ((*_NET, "--train", "--on", "board.toml"), tuple(PROFILE_FORMATS.names())),
    (("view", "saved.json", "--depth", "9"), tuple(PROFILE_FORMATS.names())),
    (("compare", *_BOTH, "--on", "l4"), (*_TABLE, "html", "latex", "svg")),
    (("rank", *_NET, "--on", "board.toml,l4", "--prices", "prices.csv"), (*_TABLE, "html", "svg")),
    (("diff", *_BOTH), tuple(DIFF_FORMATS.names())),
    (("check", "budgets.toml"), tuple(CHECK_FORMATS.names())),
    (("verify", "claims.toml"), _TABLE),
    (("derive", *_NET, "--vary", "batch"), (*_TABLE, "latex", "python")),
    (("plan", "pipeline.toml", "--on", "l4"), _TABLE),
    (("devices", "board.toml"), _TABLE),
)


def run(*, quick: bool, seed: int) -> Outcome:
    """Write every name in every format."""
    random = Random(f"names {seed}")  # noqa: S311 - no secret
    names = [
        *(["\x1b[31m</script>|\u202e\ud800"] if quick else _PIECES),
        *(_name(random) for _ in range(1 if quick else 60)),
    ]
    names += [] if quick else [piece * (_LONGEST // len(piece)) for piece in ("x", "\x1b[31m", "<a|")]
    lost, tried, refused = [], 0, Counter()
    with tempfile.TemporaryDirectory() as folder, chdir(folder), patch.dict(os.environ, {"XDG_CACHE_HOME": folder}):
        Path("nets.py").write_text(_NETS, encoding="utf-8")
        for name in names:
            _write_files(name)
            for words, form in _cases():
                status, wrong = outcome(words, form)
                refused[words[0]] += status == _REFUSED
                lost += [f"{name[:60]!r} in {' '.join((words[0], '--format', form))}: {wrong}"] if wrong else []
                tried += 1
    said = ", ".join(f"{command} {times}" for command, times in refused.items() if times)
    notes = (f"refused in one line, as names that such a file cannot hold: {said}",) if said else ()
    return Outcome(tried, f"results with {len(names)} odd names", tuple(lost), notes)


def outcome(words: tuple[str, ...], form: str) -> tuple[int, str]:
    """Run a command in a format; return its exit status, and what was wrong."""
    ran = run_command(*words, "--format", form)
    wrong = complaint(ran, frozenset({0, 1, _REFUSED}))
    if wrong or ran.status == _REFUSED:
        return ran.status, wrong
    if not all(line.isprintable() for line in ran.err.split("\n")):
        return ran.status, f"stderr holds {ran.err[:200]!r}"
    try:
        return ran.status, _CHECKS.get(form, _printable)(ran.out)
    except (ValueError, SyntaxError, ET.ParseError, csv.Error) as error:
        return ran.status, f"it is no {form}: {error!s:.200}"


def _cases() -> list[tuple[tuple[str, ...], str]]:
    return [(words, form) for words, forms in _COMMANDS for form in forms]


def _name(random: Random) -> str:
    return "".join(random.choice(_PIECES) for _ in range(random.choice((2, 3, 5, 9))))


def _write_files(name: str) -> None:
    """Write a model and data files with the *name* wherever a name or a text stands."""
    Path("name.json").write_text(json.dumps(name), encoding="utf-8")
    run_command(*_NET, "--format", "json", "--output", "saved.json")
    net = {"target": "nets.py:net", "input": ["8"]}
    claim = {"id": name, "says": name, "kind": "fact", "unit": "parameter", "printed": "36"}
    claim |= {"measures": {"ours": net | {"count": "params"}}}
    sheet = {"title": name, "url": "https://example.org", "read": True}
    board = {"name": name, "kind": "NPU", "year": 2026, "confidence": "high", "sources": ["sheet"], "note": name}
    board |= {"memory_gib": 8, "bandwidth_bytes_per_s": 1e11, "peak_ops_per_s": {"fp32": 4e12}}
    documents = {
        "budgets": {"budget": [net | {"name": name, "macs": 31}, net | {"name": name + "2", "macs": 32}]},
        "claims": {"title": name, "origin": name, "claims": [claim]},
        "pipeline": {"name": name, "note": name, "stages": [net | {"name": name, "per_s": 30, "precision": "fp32"}]},
        "board": {"vendor": name, "sources": {"sheet": sheet}, "devices": {"board": board}},
    }
    for file, document in documents.items():
        Path(f"{file}.toml").write_text(toml(document), encoding="utf-8", errors="replace")
    Path("prices.csv").write_text("device,price\nl4,2500\n", encoding="utf-8")


def _printable(text: str) -> str:
    odd = sorted({character for line in text.split("\n") for character in line if not character.isprintable()})
    return f"it holds {odd[:5]!r}" if odd else ""


def _json(text: str) -> str:
    json.loads(text)
    return ""


def _csv(text: str) -> str:
    csv.field_size_limit(2 * len(text) + 1)  # a spreadsheet's limit may be lower
    rows = list(csv.reader(io.StringIO(text)))
    formulas = [cell for row in rows for cell in row if cell.startswith(("=", "+", "@", "\t", "\r"))]
    if len({len(row) for row in rows}) != 1:
        return "its rows have different widths"
    return f"a cell is the formula {formulas[0][:50]!r}" if formulas else _printable(text)


def _html(text: str) -> str:
    return "it holds a script of the name" if "<script>alert" in text or "<!-->" in text else _printable(text)


def _xml(text: str) -> str:
    ET.fromstring(text)  # noqa: S314 - our own
    return _printable(text)


def _python(text: str) -> str:
    ast.parse(text)
    return _printable(text)


def _markdown(text: str) -> str:
    return (
        "it holds HTML of the name"
        if "<script" in text or "](javascript" in text.replace("\\]", "")
        else _printable(text)
    )


_CHECKS = {
    "json": _json, "perfetto": _json, "speedscope": _json, "csv": _csv, "communication-csv": _csv, "html": _html,
    "svg": _xml, "junit": _xml, "python": _python, "markdown": _markdown, "github-markdown": _markdown,
}  # fmt: skip
