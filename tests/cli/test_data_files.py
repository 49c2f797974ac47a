"""Every data file that can be named, with contents that no writer made: one line and status 2."""

from __future__ import annotations

import pytest
from cli.command import run

NETS = """
from torch import nn
def net(): return nn.Linear(8, 4)
"""

TOML = {
    "empty": b"",
    "binary": bytes(range(256)),
    "not UTF-8": b"name = '\xff\xfe'",
    "UTF-16": "name = 'x'".encode("utf-16"),
    "nested lists": b"a = " + b"[" * 50_000 + b"]" * 50_000,
    "nested tables": b"a = " + b"{a = " * 5_000 + b"1" + b"}" * 5_000,
    "less nested": b"a = " + b"[" * 300 + b"]" * 300,
    "a dotted key": b".".join([b"a"] * 40_000) + b" = 1",
    "5,000 digits": b"a = 1" + b"0" * 5_000,
    "100 digits": b"a = 1" + b"0" * 100,
    "hexadecimal": b"a = 0x" + b"f" * 100_000,
    "infinite": b"a = inf",
    "not a number": b"a = nan",
    "twice": b"a = 1\na = 2",
    "large": b"#" * 2**21,
    "other": b"color = 'blue'",
}
JSON = {
    "empty": b"",
    "binary": bytes(range(256)),
    "not UTF-8": b'{"schema": "\xff"}',
    "UTF-16": '{"schema": 1}'.encode("utf-16"),
    "nested lists": b"[" * 100_000 + b"]" * 100_000,
    "nested objects": b'{"a": ' * 50_000 + b"1" + b"}" * 50_000,
    "less nested": b"[" * 300 + b"]" * 300,
    "5,000 digits": b'{"schema": 1' + b"0" * 5_000 + b"}",
    "100 digits": b'{"schema": 1' + b"0" * 100 + b"}",
    "infinite": b'{"schema": Infinity}',
    "overflow": b'{"schema": 1e999}',
    "not a number": b'{"schema": NaN}',
    "twice": b'{"schema": 1, "schema": 2}',
    "a number": b"7",
    "null": b"null",
    "a list": b"[]",
    "other": b'{"color": "blue"}',
}
COMMANDS = [
    *((("check", "x.toml"), TOML), (("plan", "x.toml", "--on", "l4"), TOML), (("verify", "x.toml"), TOML)),
    *((("nets.py:net", "--input", "8", "--on", "x.toml"), TOML), (("devices", "x.toml"), TOML)),
    *((("view", "x.json"), JSON), (("diff", "x.json", "x.json"), JSON), (("hf:x.json",), JSON)),
    (("check", "budgets.toml"), JSON),
]
CASES = [(words, name, data) for words, contents in COMMANDS for name, data in contents.items()]


def one_line(result) -> str:
    """Return the line of a refusal."""
    assert result.status == 2, result
    assert result.out == ""
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert len(result.err) < 1700
    return result.err


@pytest.mark.parametrize(("words", "data"), [(w, d) for w, _, d in CASES], ids=[f"{w[0]}-{n}" for w, n, _ in CASES])
def test_a_file_that_no_writer_made_is_refused_in_one_line(capsys, here, words, data):
    (here / "x.toml").write_bytes(data)
    (here / "x.json").write_bytes(data)
    (here / "budgets.toml").write_text('[[budget]]\ntarget = "nets.py:net"\ninput = "8"\nmacs = "+0 %"')
    (here / "baselines").mkdir()
    (here / "baselines" / "nets.py-net-7d9a171f.json").write_bytes(data)
    if "budgets.toml" in words:  # the other budgets are checked all the same, and reported
        result = run(capsys, *words, "--output", "report.txt")
        assert "restore it, or delete it and update" in one_line(result)
    else:
        one_line(run(capsys, *words))


@pytest.mark.parametrize(("words", "kind"), [(w, k) for w, k in COMMANDS if w[-1] != "budgets.toml"])
@pytest.mark.parametrize("name", ["none", "a\0b", "folder"])
def test_a_path_that_is_no_file_is_refused_in_one_line(capsys, here, words, kind, name):
    for suffix in (".toml", ".json"):
        (here / f"folder{suffix}").mkdir()
    named = [word.replace("x.toml", f"{name}.toml").replace("x.json", f"{name}.json") for word in words]
    one_line(run(capsys, *named))


def test_a_byte_order_mark_is_no_part_of_the_file(capsys, here):
    run(capsys, "nets.py:net", "--input", "8", "--format", "json", "--output", "a.json")
    (here / "b.json").write_bytes(b"\xef\xbb\xbf" + (here / "a.json").read_bytes())
    assert run(capsys, "diff", "a.json", "b.json", "--fail-on-change").status == 0
    (here / "x.toml").write_bytes(b'\xef\xbb\xbf[[budget]]\ntarget = "nets.py:net"\ninput = "8"\nmacs = 32')
    assert run(capsys, "check", "x.toml").status == 0


DEVICE = """
vendor = "me"
[sources.sheet]
title = "Data sheet"
[devices.board]
name = "My board"
kind = "NPU"
year = 2026
confidence = "high"
sources = ["sheet"]
memory_gib = 8
bandwidth_bytes_per_s = 1e11
peak_ops_per_s = {fp32 = 4e12}
[devices.boards]
name = "Two boards"
year = 2026
confidence = "high"
sources = ["sheet"]
of = "board"
count = 2
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[sources.sheet]\ntitle", "sources = 7\n[other]\ntitle"),
        ("[sources.sheet]\ntitle", "[sources.sheet]\ntitel"),
        ('sources = ["sheet"]', "sources = 7"),
        ('sources = ["sheet"]', "sources = [[]]"),
        ('of = "board"', "of = []"),
        ('of = "board"', "of = {}"),
        ('of = "board"', 'of = "boards"'),
        ("count = 2", "count = true"),
        ("count = 2", "count = -1"),
        ("count = 2", "count = 1" + "0" * 30),
        ("count = 2", "count = 2\nnot_read = 7"),
        ("memory_gib = 8", "memory_gib = 1e308"),
        ("fp32 = 4e12", "fp32 = 1e-300"),
        ("fp32 = 4e12", "fp32 = '4e12 of them'"),
        ("{fp32 = 4e12}", "[]"),
        ('vendor = "me"', "vendor = 7"),
        ("year = 2026", "year = 1e400"),
        ("[devices.board]\nname", "[devices.'" + "x" * 10_000 + "\\u001b']\nnaem"),
    ],
)
def test_a_device_of_the_wrong_type_is_refused_in_one_line(capsys, here, old, new):
    (here / "x.toml").write_text(DEVICE)
    (here / "y.toml").write_text(DEVICE.replace(old, new, 1))
    assert DEVICE.count(old) >= 1
    one_line(run(capsys, "devices", "y.toml"))


CONFIG = '{"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 64, "num_attention_heads": 4}'


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"bert"', "[]"),
        ('"bert"', "{}"),
        ('"bert"', "7"),
        ('"bert"', '"' + "x" * 10**6 + '"'),
        ('["BertModel"]', "7"),
        ('["BertModel"]', "[7]"),
        ('["BertModel"]', '{"a": 1}'),
        ('["BertModel"]', '"BertModel"'),
        ('["BertModel"]', '["__name__"]'),
        ('["BertModel"]', '["' + "x" * 10**6 + '"]'),
        ("64", '64, "max_position_embeddings": "many"'),
        ("64", '64, "max_position_embeddings": -5'),
        ("64", '64, "max_position_embeddings": []'),
        ("64", '"wide"'),
        ("64", "[]"),
        ("64", "-64"),
        ("64", "1" + "0" * 39),
        ("4}", "0}"),
        ("4}", '4, "dtype": "float31"}'),
    ],
)
def test_a_configuration_with_odd_values_is_refused_in_one_line(capsys, here, old, new):
    (here / "x.json").write_text(CONFIG.replace(old, new))
    result = run(capsys, "hf:x.json")
    assert result.status in {2, 3}, result
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert len(result.err) < 1700
