"""Words of the command line that nobody means: one line, a status, and never a traceback."""

from __future__ import annotations

import pytest
from cli.command import run

NETS = """
import sys
from torch import nn
class Other(BaseException): pass
def net(): return nn.Sequential(nn.Linear(8, 4), nn.LayerNorm(4))
def leaves(): sys.exit(0)
def ends(): raise Other("the end")
class Leaves(nn.Module):
    def forward(self, x): sys.exit(0)
NAME = 7
"""
NET = ("nets.py:net", "--input", "8")
LONG = "9" * 5000
MANY = "x" * 10**6


def option(name, *values, also=()):
    return [((*NET, *also, name, value), {2}) for value in values]


def targets(*names, statuses=frozenset({2}), also=()):
    return [((name, *also), statuses) for name in names]


INPUTS = (
    f"2x{LONG}",
    LONG,
    "x".join(["1"] * 5000),
    "x".join(["9" * 18] * 4),
    MANY,
    "",
    "8:",
    "-8",
    "8\0",
    "8\n8x",
    "８",
    "0x8",
)
ON, PLAN = ("--on", "l4"), ("--on", "l4", "--train", "--tokens", "1")
TRAIN = ("--train",)
PATHS = ("", ".", "a\0b", MANY, "[/]")
WORDS = [
    *[(("nets.py:net", "--input", value), {2}) for value in INPUTS],
    *option("--batch", "1" + "0" * 30, LONG, "-1", "0", "nan", "inf", "1e400", "", "two"),
    *option("--fps", "1e308", "nan", "inf", "-inf", "0", "-1", LONG, "1e-320", "", also=ON),
    *option("--utilisation", "nan", "0", "2", "1e-320", "-0.0", LONG, also=ON),
    *option("--tokens", "nan", "0", "1e308", LONG, also=(*ON, "--train")),
    *option("--devices", "0", "-1", LONG, "1" + "0" * 400, also=PLAN),
    *option("--deadline", "nan", "0", "1e-320", also=PLAN),
    *option("--precision", "", "fp33", MANY, "\0", also=ON),
    *option("--optimizer", "muon", "lbfgs", "", "optimizer", MANY, "__init__", also=TRAIN),
    *option("--freeze", "", "[", MANY, also=TRAIN),
    *option("--on", "", "\0", ".", "nosuch", MANY, "[/]", ".toml", "local:moon"),
    *option("--device", "", "moon", "cpu:x", "\0", MANY, "hpu", "xla", "privateuseone", "-1"),
    *option("--dtype", "", "float31", "__class__", "int8", "\0", "Tensor", MANY),
    *option("--against", "nosuch", "\0", MANY),
    *option("--input-file", "", ".", "a\0b", MANY, LONG, "[/]", "nets.py"),
    *option("--depth", "many", LONG, "nan"),
    *option("--format", "xml", "", "\x1b[31m", MANY),
    *option("--output", "", ".", "a\0b", MANY, "nets.py/a"),
    *targets("", "\0", ".", "/", "..", "a b", "[/]", MANY, "nets.py", "nets.py:", ":net", ":", "a\0b:net"),
    *targets("nets.py:NAME", "nets.py:sys", "math:pi", "sys:path", "json:", "a\0b.py:net"),
    *targets("x" * 300 + ".py:net", "x" * 300 + ".pt2", "x" * 300 + ".ts", MANY + ".py:net", "a\0b.pt2"),
    *targets("hf:", "hf:\0", "timm:", "timm:.", "timm:\0", "torchvision:", "hf:../x.json", "hf:.json"),
    *targets("sys:exit", "os:abort", "builtins:print", "os:fork", "signal:pause"),
    *targets("builtins:exit", "site:exit", "./:net", statuses={2, 3}),
    *targets("nets.py:leaves", "nets.py:ends", "nets.py:Leaves", "leaving.py:net", statuses={3}, also=("--input", "8")),
    *[((command, word), {2}) for command in ("view", "check", "plan", "verify") for word in PATHS],
    *[(("derive", *NET, "--vary", word), {2}) for word in ("", "batch=", f"batch=1..{LONG}", MANY, "\0")],
    *[(("devices", word), {2}) for word in ("nosuch", "\0", "[/]", MANY, ".toml")],
    *[(("operators", word), {2}) for word in ("nosuch", "\0", "[/]", MANY)],
    (("--nosuch" + MANY,), {2}),
    (("resnet18", "[/]", "\x1b[31m"), {2}),
]


@pytest.mark.parametrize(("words", "statuses"), WORDS, ids=[ascii(" ".join(words))[:60] for words, _ in WORDS])
def test_odd_words_are_one_short_line_and_a_status(capsys, here, words, statuses):
    (here / "leaving.py").write_text("raise SystemExit(0)")
    status, out, err = run(capsys, *words)
    assert status in statuses, (status, err[:2000])
    assert out == ""
    lines = [line for line in err.splitlines() if not line.startswith("note: ")]
    assert len(lines) == 1, err[:2000]
    assert lines[0].startswith("error: ")
    assert "profiler failed" not in lines[0]
    assert len(lines[0]) < 1700
    assert lines[0].isprintable()


@pytest.mark.parametrize(
    "words",
    [
        "verify --claim ,",
        "resnet18 --on l4,",
        "rank resnet18 --on ,l4",
        "serve hf:gpt2 --on l4,,a10",
        "resnet18 --against ,",
    ],
)
def test_an_empty_name_in_a_list_is_an_error(words, capsys):
    status, _, err = run(capsys, *words.split())
    assert (status, "has an empty name" in err) == (2, True)
