"""Recurrent layers cost on meta what they cost on the CPU: the same operators, calls, figures and peak."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import profiler
from profiler.trace.onednn_recurrent import workspace_bytes

KINDS = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN": nn.RNN}
OPTIONS = {
    "plain": {},
    "relu": {"nonlinearity": "relu"},
    "no bias": {"bias": False},
    "batch first": {"batch_first": True},
    "stack": {"num_layers": 2, "bidirectional": True, "dropout": 0.5},
    "batch-first stack without biases": {"num_layers": 2, "bidirectional": True, "batch_first": True, "bias": False},
    "projected": {"proj_size": 2, "num_layers": 2, "bidirectional": True},
}


def make_input(device, dtype, *, packed, batch_first):
    x = torch.zeros((2, 4, 3) if batch_first else (4, 2, 3), dtype=dtype)
    if not packed:
        return x.to(device)
    sequence = pack_padded_sequence(x, [4, 2], batch_first=batch_first)
    return PackedSequence(sequence.data.to(device), sequence.batch_sizes)


def figures(layer, x, *, train):
    with profiler.profile(layer) as p, torch.inference_mode(not train):
        output = layer(x)[0]
        if train:
            (output.data if isinstance(x, PackedSequence) else output).sum().backward()
    rows = {
        (row.operator, row.dtype): (row.calls, row.totals.macs, row.totals.flops, row.totals.transcendentals,
                                    row.totals.bytes_read, row.totals.bytes_written)
        for row in p.operators
    }  # fmt: skip
    return rows, p.totals.peak_memory, p.uncounted


def cases():
    for kind in KINDS:
        for name, options in OPTIONS.items():
            if ("proj_size" in options and kind != "LSTM") or ("nonlinearity" in options and kind != "RNN"):
                continue
            for dtype in (torch.float32, torch.bfloat16, torch.float16, torch.float64):
                if dtype is torch.float32 or name in {"plain", "stack"}:
                    yield pytest.param(kind, options, dtype, id=f"{kind}-{name}-{str(dtype).removeprefix('torch.')}")


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("packed", [False, True], ids=["whole", "packed"])
@pytest.mark.parametrize("train", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize(("kind", "options", "dtype"), list(cases()))
def test_a_recurrent_layer_costs_on_meta_what_it_costs_on_the_cpu(kind, options, dtype, train, packed):
    sides = []
    for device in ("cpu", "meta"):
        layer = KINDS[kind](3, 5, device=device, dtype=dtype, **options).train(train)
        x = make_input(device, dtype, packed=packed, batch_first=options.get("batch_first", False))
        try:
            sides.append(figures(layer, x, train=train))
        except RuntimeError:
            if device == "cpu":
                pytest.skip("this CPU has no such layer")
            raise
    if dtype in {torch.bfloat16, torch.float16} and runs_whole(sides[1]) and not runs_whole(sides[0]):
        # this CPU runs it in steps; a float32 layer is whole
        layer = KINDS[kind](3, 5, **options).train(train)
        x = make_input("cpu", torch.float32, packed=packed, batch_first=options.get("batch_first", False))
        assert total_macs(sides[1]) == total_macs(figures(layer, x, train=train))
    else:
        assert sides[0] == sides[1]


def total_macs(side):
    return sum(row[1] for row in side[0].values())


def runs_whole(side):
    return any("mkldnn_rnn_layer" in operator for operator, _ in side[0])


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch has no oneDNN here")
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}, {"num_layers": 3, "bias": False}])
def test_each_layer_on_meta_is_told_of_the_stack_what_it_is_told_on_the_cpu(options):
    told = []
    for device in ("cpu", "meta"):
        p = profiler.count(nn.LSTM(3, 5, device=device, **options), torch.empty(4, 2, 3, device=device))
        layers = [dict(entry.record.arguments) for entry in p.entries if "rnn_layer" in entry.record.operator]
        told.append([(row["num_layers"], row["has_biases"], row["bidirectional"], row["reverse"]) for row in layers])
    assert told[0] == told[1] != []


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch has no oneDNN here")
@pytest.mark.parametrize(
    ("steps", "batch", "inputs", "hidden"),
    [(1, 1, 1, 1), (4, 2, 3, 5), (33, 16, 96, 64), (3, 8, 256, 64), (3, 8, 64, 128)],
)
def test_the_workspace_is_that_of_onednn(steps, batch, inputs, hidden):
    biases = [torch.zeros(4 * hidden)] * 2
    weights = [torch.zeros(4 * hidden, inputs), torch.zeros(4 * hidden, hidden), *biases]
    state = torch.zeros(batch, hidden)
    x = torch.zeros(steps, batch, inputs)
    results = torch.ops.aten.mkldnn_rnn_layer(
        x, *weights, state, state, False, [], 2, hidden, 1, True, False, False, True
    )
    assert results[3].nbytes == workspace_bytes(steps, batch, inputs, hidden, 4)


def test_a_long_lstm_is_one_operator_on_meta():
    p = profiler.count(nn.LSTM(8, 16, device="meta"), torch.empty(5000, 1, 8, device="meta"))
    assert {row.operator: row.calls for row in p.operators}["aten.mkldnn_rnn_layer"] == 1
