"""``--against`` and ``peers``: the table on stdout, progress on stderr, and what is wrong in one line."""

from __future__ import annotations

import json

from cli.command import run

NETS = """
import torch
from torch import nn

def net(): return nn.Sequential(nn.Linear(8, 4), nn.ReLU())
class Tired(nn.Module):
    def forward(self, x):
        from multiprocessing import parent_process
        if parent_process(): raise ValueError("not for children")
        return x * 2
"""


def test_a_peer_is_asked_and_explained(capsys, here):
    status, out, err = run(capsys, "nets.py:net", "--input", "8", "--against", "flop_counter", "--strict")
    assert status == 0
    assert err == "note: peers need real values; running on the CPU\n"
    assert "FCM-BIAS" in out
    assert "cpu" in out.splitlines()[0]
    assert max(map(len, out.splitlines())) <= 80


def test_json_has_the_findings_and_quiet_says_nothing(capsys, here):
    words = ("nets.py:net", "--input", "8", "--against", "flop_counter", "--format", "json", "--quiet")
    status, out, err = run(capsys, *words)
    assert (status, err) == (0, "")
    total = json.loads(out)["findings"][0]
    # 8·4 multiply-adds; 4 adds of the bias, 4 compares of the ReLU
    assert (total["claimed"], total["ours"], total["verdict"]) == (64, 72, "explained")
    assert {cause["code"]: cause["amount"] for cause in total["causes"]} == {"FCM-BIAS": 4, "FCM-ELEMENTWISE": 4}


def test_a_peer_that_fails_is_a_row_and_with_strict_a_status(capsys, here):
    words = ("nets.py:Tired", "--input", "8", "--against", "flop_counter")
    status, out, _ = run(capsys, *words)
    assert status == 0
    assert "failed: ValueError: not for children" in out
    status, out, err = run(capsys, *words, "--strict")
    assert status == 1
    assert "failed: ValueError" in out  # the report is there all the same
    assert err.splitlines()[-1] == "error: --strict: 1 of 1 findings failed or are unexplained (flop_counter failed)"


def test_an_unknown_peer_is_one_line(capsys, here):
    status, out, err = run(capsys, "nets.py:net", "--input", "8", "--against", "flop_countr")
    assert (status, out) == (2, "")
    assert err == "error: no peer named 'flop_countr'; did you mean 'flop_counter'?\n"


def test_peers_lists_what_is_known(capsys):
    status, out, err = run(capsys, "peers")
    assert (status, err) == (0, "")
    for word in ("flop_counter", "fvcore", "thop", "torchinfo", "FLOP", "MAC", "Two FLOPs for each multiply-add"):
        assert word in out
    assert max(map(len, out.splitlines())) <= 80


def test_one_peer_is_shown_with_its_departures(capsys):
    status, out, _ = run(capsys, "peers", "flop_counter")
    assert status == 0
    assert "FCM-FASTPATH (fused path missed)" in out
    assert "seen in 2.11 to 2.15" in out
    assert run(capsys, "peers", "flop_countr")[0] == 2
