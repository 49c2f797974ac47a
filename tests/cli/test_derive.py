"""``profiler derive``: from a command to a verified formula; every invalid option is an error of one line."""

from __future__ import annotations

import json
import re

import pytest
from cli.command import run

from profiler.derive.quantities import QUANTITIES
from profiler.report.closed_form_formats import CLOSED_FORM_FORMATS
from profiler.util.encoder_fast_path import no_fast_path

NETS = """
import torch
from torch import nn

def layer(hidden=32, heads=4):
    return nn.TransformerEncoderLayer(hidden, heads, 4 * hidden, batch_first=True)

class Scan(nn.Module):
    def forward(self, x): return x.cumsum(-1) if x.shape[0] < 3 else x.cumsum(-1) * 2 ** x.shape[0]

def stack(): return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(8, 4, 3, 2, 1))
def wide(units=8):
    if units % 8: raise ValueError("units have to be a multiple of 8, and are %d" % units)
    return nn.Linear(units, 4)
class Odd(nn.Module):
    def forward(self, x): return torch.linalg.svdvals(x @ x.mT)
def odd(): return Odd()
"""
LAYER = ("derive_nets.py:layer", "--vary", "batch,sequence=2..64,hidden=16..64:8", "-i", "src=batch,sequence,hidden")


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "derive_nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def derive(capsys, *words):
    return run(capsys, "derive", *words)


def terms(document) -> dict[str, int]:
    (piece,) = document["pieces"]
    return {term["term"]: term["coefficient"] for term in piece["terms"]}


def test_a_transformer_layer_has_its_textbook_contractions(here, capsys):
    status, out, err = derive(capsys, *LAYER, "--with", "24*B*S*E**2 + 4*B*S**2*E", "--count", "contractions")
    assert (status, err) == (0, "")
    assert "contractions = 24·B·S·E² + 4·B·S²·E" in out
    assert "the formula equals the closed form, term by term" in out
    assert "(S = 6·E)" in out
    assert "verified at 5 others" in out


def test_its_pointwise_terms_are_separate_and_reported_as_missing(here, capsys):
    """QKV and output biases 4E, FFN biases 4E + E, ReLU 4E, two residuals 2E, two norms 14E + 2, softmax per head."""
    with no_fast_path():
        status, out, err = derive(capsys, *LAYER, "--with", "24*B*S*E**2 + 4*B*S**2*E", "--format", "json")
    document = json.loads(out)
    parts = document["pieces"][0]["parts"]
    assert status == 1
    assert err.startswith("error: the formula differs from the model in")
    assert parts["contraction"] == "24*B*S*E**2 + 4*B*S**2*E"
    differences = document["comparison"]["differences"]
    assert {d["kind"] for d in differences} == {"missing"}
    assert {o["part"] for d in differences for o in d["origins"]} == {"pointwise"}
    (linear,) = [d for d in differences if d["term"] == "B*S*E"]
    shares = {o["module"]: o["coefficient"] for o in linear["origins"]}
    assert (shares["norm1"], shares["linear1"], shares["linear2"]) == (7, 4, 1)


def test_a_strided_network_is_written_in_its_steps(here, capsys):
    """3·9·8 MAC a pixel after one stride, 8·9·4 after three."""
    status, out, _ = derive(
        capsys,
        "derive_nets.py:stack",
        "-v",
        "batch,resolution=16..128",
        "-i",
        "batch,3,resolution,resolution",
        "-c",
        "macs",
        "-f",
        "json",
    )
    assert status == 0
    assert terms(json.loads(out)) == {"B*ceil(R/2)**2": 216, "B*ceil(R/8)**2": 288}


def test_parameters_and_bytes_have_forms(here, capsys):
    status, out, _ = derive(capsys, *LAYER[:2], "hidden=16..64:8", "-i", "src=1,2,hidden", "-c", "params", "-f", "json")
    assert status == 0
    assert terms(json.loads(out)) == {"E**2": 12, "E": 13}
    status, out, _ = derive(
        capsys, "derive_nets.py:wide", "-v", "batch,units=8..64", "-i", "batch,units", "-c", "bytes", "-f", "json"
    )
    assert status == 0  # input, weight and bias are read, the output is written; 4 bytes each
    assert terms(json.loads(out)) == {"B*units": 4, "units": 16, "B": 16, "1": 16}


def test_a_training_step_multiplies_three_times_as_much(here, capsys):
    """The gradients of weights and inputs cost twice the forward; that of the model's input is not computed."""
    words = (
        "derive_nets.py:wide",
        "-v",
        "batch,units=8..64",
        "-i",
        "batch,units",
        "-c",
        "macs",
        "-f",
        "json",
        "--train",
    )
    status, out, _ = derive(capsys, *words)
    assert status == 0
    assert terms(json.loads(out)) == {"B*units": 2 * 4}
    assert {o["operator"] for t in json.loads(out)["pieces"][0]["terms"] for o in t["origins"]} == {
        "aten.addmm",
        "aten.mm (backward)",
    }


def test_activations_are_those_kept_for_backward(here, capsys):
    status, out, _ = derive(
        capsys,
        *LAYER[:2],
        "batch=2..8,sequence=2..64",
        "-i",
        "src=batch,sequence,32",
        "-c",
        "activations",
        "-f",
        "json",
    )
    assert status == 0
    for piece in json.loads(out)["pieces"]:  # the fused kernel pads what it keeps of each row to 32 rows
        assert "B*S" in {term["term"] for term in piece["terms"]}
        assert "B*S**2" not in {term["term"] for term in piece["terms"]}  # it keeps no scores


def test_a_budget_is_solved_for_a_size(here, capsys):
    words = (
        *LAYER[:2],
        "sequence=2..64",
        "-i",
        "src=3,sequence,32",
        "-c",
        "contractions",
        "--at-most",
        "1e9",
        "--for",
        "S",
    )
    status, out, _ = derive(capsys, *words, "-f", "json")
    largest = json.loads(out)["at_most"]
    cost = lambda s: 3 * (24 * s * 32**2 + 4 * s**2 * 32)
    assert status == 0
    assert largest["is_beyond"]
    assert largest["cost"] == cost(largest["size"]) <= 10**9 < cost(largest["size"] + 1) == largest["next_cost"]


def test_constants_can_have_letters(here, capsys):
    words = (*LAYER[:2], "batch,sequence=2..64", "-i", "src=batch,sequence,32", "--letters", "E=32,T=sequence")
    status, out, _ = derive(capsys, *words, "--with", "24*B*T*E**2 + 4*B*T**2*E", "-c", "contractions")
    assert status == 0
    assert "24·B·T·E² + 4·B·T²·E" in out or "4·B·T²·E + 24·B·T·E²" in out


@pytest.mark.parametrize("form", ["latex", "python"])
def test_the_other_formats(here, capsys, form):
    status, out, _ = derive(capsys, "derive_nets.py:wide", "-v", "batch,units=8..64", "-i", "batch,units", "-f", form)
    assert status == 0
    assert (
        out
        == {
            "latex": "\\mathrm{flops} = 8\\,B\\,\\mathrm{units} + 4\\,B\n",
            "python": "def flops(B, units):\n"
            '    """FLOP of derive_nets.py:wide: B = batch 1 … 8, units 8, 16 … 64."""\n'
            "    return 8*B*units + 4*B\n",
        }[form]
    )


def test_what_is_uncounted_makes_it_a_lower_bound(here, capsys):
    status, out, _ = derive(capsys, "derive_nets.py:odd", "-v", "batch,n=4..32", "-s", "", "-i", "batch,n,n")
    assert status == 2  # an empty setting
    status, out, _ = derive(capsys, "derive_nets.py:odd", "-v", "batch,n=4..32", "-i", "batch,n,n")
    assert status == 0
    assert "a lower bound: no formula is known for aten._linalg_svd" in out


def test_the_sizes_that_a_factory_takes_are_found(here, capsys):
    _, out, _ = derive(capsys, "derive_nets.py:wide", "-v", "units=8..64", "-i", "1,units", "-c", "macs")
    assert "units 8, 16 … 64" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*LAYER[:2], "batch,wide=1..4", "-i", "src=batch,2,32"), "no variable of derive_nets.py:layer named 'wide'"),
        ((*LAYER[:2], "batch,sequence=2..9", "-i", "src=batch,4,32"), "no variable of derive_nets.py:layer named 'seq"),
        ((*LAYER[:2], "batch,hidden=16..64:8", "-i", "src=batch,2,hidden", "-c", "params"), "not depend on 'batch'"),
        (("derive_nets.py:wide", "-v", "units=9..57:8", "-i", "1,units"), "units have to be a multiple of 8"),
        ((*LAYER, "--with", "24*B*S*(E"), "at column 8"),
        ((*LAYER, "--with", "24*B*S*Q"), "at column 8: unknown name 'Q'"),
        ((*LAYER, "--with", "__import__('os')"), "at column 1"),
        ((*LAYER, "--at-most", "1e9"), "given together"),
        ((*LAYER, "--letters", "E=wide"), "no size in --vary named 'wide'"),
        ((*LAYER[:2], "batch", "-i", "src=batch,4,32:float99"), "no dtype named 'float99'"),
        (("derive_nets.py:none", "-v", "batch"), "no factory in derive_nets.py named 'none'"),
        (("resnet19", "-v", "batch"), "no torchvision model named 'resnet19'"),
    ],
)
def test_bad_input_is_one_line_and_status_2(here, capsys, words, message):
    status, out, err = derive(capsys, *words)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_a_result_goes_whole_to_a_file(here, capsys):
    status, out, _ = derive(
        capsys, *LAYER[:2], "hidden=16..64:8", "-i", "src=1,2,hidden", "-c", "params", "-o", "form.txt"
    )
    assert (status, out) == (0, "")
    assert "params = 12·E² + 13·E" in (here / "form.txt").read_text()


@pytest.mark.parametrize(
    ("option", "known"),
    [("--count", QUANTITIES), ("--format", CLOSED_FORM_FORMATS.names())],
    ids=["quantities", "formats"],
)
def test_an_unknown_name_is_refused_with_all_known_ones(here, capsys, option, known):
    status, out, err = derive(capsys, *LAYER, option, "zzz")
    assert (status, out) == (2, "")
    assert err.startswith(f"error: no {'quantity' if option == '--count' else 'format'} named 'zzz'; known: ")
    assert err.split("known: ")[1].strip().split(", ") == sorted(known)


def test_the_help_names_every_quantity_and_format(capsys):
    _, out, _ = derive(capsys, "--help")
    assert all(re.search(rf"\b{name}\b", out) for name in (*QUANTITIES, *CLOSED_FORM_FORMATS.names()))


def test_a_formula_of_zero_is_compared(here, capsys):
    status, _, err = derive(
        capsys, "derive_nets.py:wide", "-v", "batch,units=8..64", "-i", "batch,units", "--with", "0"
    )
    assert (status, err) == (1, "error: the formula differs from the model in 2 terms: 2 missing\n")


def test_a_registered_format_is_offered_at_once(here, capsys, monkeypatch):
    monkeypatch.setitem(CLOSED_FORM_FORMATS._writers, "length", lambda result: f"{len(result.pieces)} piece\n")
    _, out, _ = derive(capsys, "derive_nets.py:wide", "-v", "units=8..64", "-i", "1,units", "-f", "length")
    assert out == "1 piece\n"
