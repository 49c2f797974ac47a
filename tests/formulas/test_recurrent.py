"""Fused recurrent kernels against the decomposed steps, and expressions of gradients against autograd."""

from __future__ import annotations

import itertools

import pytest
import torch
from formulas.array_operations import entry, entry_of, spec
from formulas.oracle import arithmetic, ones, products, profile_call, totals
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name
from torch.nn.utils.rnn import pack_sequence

from profiler.formulas.families.recurrent import GRU, LSTM, RELU, TANH

TIME, BATCH, INPUT, HIDDEN = 5, 2, 3, 4
TOKENS = TIME * BATCH
X = torch.rand(TIME, BATCH, INPUT)


def _products(width, *, gates=4, hidden=HIDDEN):
    """Return the oracle's count of the two products of one layer in one direction, over all steps."""
    of_input = products(F.linear, ones(TIME, BATCH, width), ones(gates * hidden, width))
    return of_input + TIME * products(F.linear, ones(BATCH, hidden), ones(gates * hidden, hidden))


@pytest.mark.parametrize(
    "options", [{}, {"num_layers": 2, "bidirectional": True}, {"bias": False}, {"batch_first": True}]
)
def test_an_lstm_on_the_cpu_costs_what_its_steps_do(options):
    fused = profile_call(nn.LSTM(INPUT, HIDDEN, **options).eval(), X)
    assert {row.operator for row in fused.operators if row.totals.macs} == {"aten.mkldnn_rnn_layer"}
    steps = profile_call(nn.LSTM(INPUT, HIDDEN, **options).double().eval(), X.double())  # not in oneDNN
    assert "aten.mkldnn_rnn_layer" not in {row.operator for row in steps.operators}
    assert arithmetic(fused.totals) == arithmetic(steps.totals)


def test_an_lstm_takes_the_products_of_every_layer_and_direction():
    module = nn.LSTM(INPUT, HIDDEN, num_layers=2, bidirectional=True).eval()
    assert totals(module, X).macs == 2 * (_products(INPUT) + _products(2 * HIDDEN))


@pytest.mark.parametrize("module", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_recurrent_layer_takes_the_products_of_its_gates(module, device):
    gates = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1}[module]
    cost = totals(module(INPUT, HIDDEN, device=device).eval(), X.to(device))
    assert cost.macs == _products(INPUT, gates=gates)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_a_projection_is_one_more_product():
    module = nn.LSTM(INPUT, HIDDEN, proj_size=2).eval()
    of_input = products(F.linear, ones(TIME, BATCH, INPUT), ones(4 * HIDDEN, INPUT))
    of_state = TIME * products(F.linear, ones(BATCH, 2), ones(4 * HIDDEN, 2))
    projection = TIME * products(F.linear, ones(BATCH, HIDDEN), ones(2, HIDDEN))
    assert totals(module, X).macs == of_input + of_state + projection


def test_packed_sequences_take_the_steps_that_are_there():
    packed = pack_sequence([torch.rand(5, INPUT), torch.rand(2, INPUT)])
    assert totals(nn.LSTM(INPUT, HIDDEN).eval(), packed).macs == (5 + 2) * 4 * HIDDEN * (INPUT + HIDDEN)


def test_matrices_that_stand_in_for_biases_are_not_read_for_it():
    def read(*, bias):
        module = nn.LSTM(INPUT, HIDDEN, bias=bias).eval()
        return entry("aten.mkldnn_rnn_layer", lambda: module(X)).bytes_read

    assert read(bias=True) - read(bias=False) == 4 * 2 * 4 * HIDDEN


@pytest.mark.parametrize("bias", [True, False])
def test_the_backward_of_an_lstm_takes_twice_the_forward_products(bias):
    module = nn.LSTM(INPUT, HIDDEN, bias=bias)
    cost = entry("aten.mkldnn_rnn_layer_backward", lambda: module(X)[0].sum().backward())
    assert cost.macs == 2 * _products(INPUT)
    # 22 FLOPs and a tanh per unit (see below), and the sums of the gate gradients over the tokens.
    assert cost.other_flops == 22 * TOKENS * HIDDEN + bias * (TOKENS - 1) * 4 * HIDDEN
    assert cost.transcendentals == TOKENS * HIDDEN


MODES = {"relu": (0, 1), "tanh": (1, 1), "lstm": (2, 4), "gru": (3, 3)}
MODULES = {
    "relu": lambda *a, **k: nn.RNN(*a, nonlinearity="relu", **k),
    "tanh": nn.RNN,
    "lstm": nn.LSTM,
    "gru": nn.GRU,
}


def _device_call(mode, *, layers, directions, bias, projection=0):
    """Return the arguments of a cuDNN or MIOpen call, with the weights of all layers and directions."""
    number, gates = MODES[mode]
    state = projection or HIDDEN
    weights = []
    for layer, _ in itertools.product(range(layers), range(directions)):
        weights += [spec(gates * HIDDEN, INPUT if layer == 0 else directions * state), spec(gates * HIDDEN, state)]
        weights += [spec(gates * HIDDEN)] * 2 * bias + [spec(projection, HIDDEN)] * bool(projection)
    return {
        "input": spec(TIME, BATCH, INPUT), "weight": tuple(weights), "mode": number, "hidden_size": HIDDEN,
        "weight_stride0": len(weights) // (layers * directions), "num_layers": layers, "dropout": 0.0,
        "train": False, "bidirectional": directions == 2,
    }  # fmt: skip


@pytest.mark.parametrize("operator", ["aten._cudnn_rnn", "aten.miopen_rnn"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("layers", "directions", "bias"), [(1, 1, True), (2, 2, True), (3, 1, False)])
def test_the_kernel_of_a_device_costs_what_its_steps_do(operator, mode, layers, directions, bias):
    arguments = _device_call(mode, layers=layers, directions=directions, bias=bias)
    module = MODULES[mode](
        INPUT, HIDDEN, num_layers=layers, bidirectional=directions == 2, bias=bias, device="meta"
    ).eval()
    assert arithmetic(entry_of(f"{operator}.default", (), **arguments)) == arithmetic(totals(module, X.to("meta")))


def test_the_kernel_of_a_device_projects():
    arguments = _device_call("lstm", layers=2, directions=2, bias=True, projection=2)
    module = nn.LSTM(INPUT, HIDDEN, num_layers=2, bidirectional=True, proj_size=2, device="meta").eval()
    assert arithmetic(entry_of("aten._cudnn_rnn.default", (), **arguments)) == arithmetic(totals(module, X.to("meta")))


def test_dropout_between_layers_costs_what_the_operator_does():
    arguments = _device_call("lstm", layers=3, directions=2, bias=True)
    without = entry_of("aten._cudnn_rnn.default", (), **arguments)
    dropped = entry_of("aten._cudnn_rnn.default", (), **arguments | {"dropout": None, "train": True})
    between = torch.rand(TIME, BATCH, 2 * HIDDEN, requires_grad=True)
    assert dropped.other_flops - without.other_flops == 2 * totals(lambda x: F.dropout(x, 0.1), between).other_flops


@pytest.mark.parametrize("operator", ["aten._cudnn_rnn_backward", "aten.miopen_rnn_backward"])
@pytest.mark.parametrize("of_weights", [True, False])
def test_the_gradients_of_weights_are_half_of_the_backward_products(operator, of_weights):
    arguments = _device_call("gru", layers=2, directions=2, bias=True)
    forward = entry_of("aten._cudnn_rnn.default", (), **arguments).macs
    cost = entry_of(f"{operator}.default", (), **arguments, output_mask=(True, True, True, of_weights))
    assert cost.macs == (1 + of_weights) * forward
    units, sums = 4 * TOKENS * HIDDEN, 2 * 4 * 3 * HIDDEN * (TOKENS - 1)
    assert cost.other_flops == 16 * units + of_weights * sums


def test_the_kernel_of_another_device_counts_its_list_of_weights():
    arguments = _device_call("lstm", layers=2, directions=1, bias=True)
    states = (spec(2, BATCH, HIDDEN), spec(2, BATCH, HIDDEN))
    cost = entry_of(
        "aten._lstm_mps.default", (), input=arguments["input"], hx=states, params=arguments["weight"],
        has_biases=True, num_layers=2, bidirectional=False,
    )  # fmt: skip
    assert arithmetic(cost) == arithmetic(entry_of("aten._cudnn_rnn.default", (), **arguments))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("cell", "gates"), [(nn.LSTMCell, 4), (nn.GRUCell, 3)])
def test_a_fused_cell_costs_what_the_cell_does_without_its_products(cell, gates, bias):
    whole_cell = totals(cell(INPUT, HIDDEN, bias=bias), torch.rand(BATCH, INPUT))
    biases = spec(gates * HIDDEN) if bias else None
    name = cell.__name__.lower().replace("cell", "_cell")
    cost = entry_of(
        f"aten._thnn_fused_{name}.default", (), cx=spec(BATCH, HIDDEN), hx=spec(BATCH, HIDDEN),
        input_gates=spec(BATCH, gates * HIDDEN), hidden_gates=spec(BATCH, gates * HIDDEN),
        input_bias=biases, hidden_bias=biases,
    )  # fmt: skip
    assert arithmetic(cost) == (0, whole_cell.other_flops, whole_cell.transcendentals)


@pytest.mark.parametrize("bias", [True, False])
def test_the_gradients_of_a_fused_cell_sum_its_biases(bias):
    lstm = entry_of("aten._thnn_fused_lstm_cell_backward_impl.default", (), cx=spec(BATCH, HIDDEN), has_bias=bias)
    gru = entry_of("aten._thnn_fused_gru_cell_backward.default", (), grad_hy=spec(BATCH, HIDDEN), has_bias=bias)
    assert lstm.other_flops == BATCH * HIDDEN * 22 + bias * (BATCH - 1) * 4 * HIDDEN
    assert gru.other_flops == BATCH * HIDDEN * 16 + 2 * bias * (BATCH - 1) * 3 * HIDDEN
    assert (lstm.transcendentals, gru.transcendentals) == (BATCH * HIDDEN, 0)
    assert (lstm.macs, gru.macs) == (0, 0)


def _evaluate(expression, **values):
    functions = {"tanh": torch.tanh, "where": torch.where, "max": lambda a, b: torch.clamp(a, min=b)}
    return eval(" ".join(expression.split()), functions | values)  # noqa: S307 - our own tables


def _leaves(names):
    return {name: torch.rand(7, dtype=torch.float64, requires_grad=True) for name in names}


def test_the_expressions_of_an_lstm_are_its_cell_and_its_gradients():
    raw = _leaves("figoc")
    f, i, o = (torch.sigmoid(raw[name]) for name in "fio")
    values = {"f": f, "i": i, "o": o, "g": raw["g"], "c": raw["c"]}
    new_c, h = _evaluate(LSTM.forward, **values)
    torch.testing.assert_close(h, o * torch.tanh(f * raw["c"] + i * torch.tanh(raw["g"])))
    grad, grad_c = torch.rand(2, 7, dtype=torch.float64)
    by_autograd = torch.autograd.grad((h, new_c), [raw[n] for n in "cifgo"], (grad, grad_c))
    steps = _evaluate(
        LSTM.backward, f=f, i=i, o=o, g=torch.tanh(raw["g"]), c=new_c, c_before=raw["c"], grad=grad, grad_c=grad_c
    )
    torch.testing.assert_close(steps[-5:], by_autograd)


def test_the_expressions_of_a_gru_are_its_cell_and_its_gradients():
    raw = _leaves(["r", "z", "n_x", "h", "h_n"])
    r, z = torch.sigmoid(raw["r"]), torch.sigmoid(raw["z"])
    h = _evaluate(GRU.forward, r=r, z=z, n=raw["n_x"] + r * raw["h_n"], h=raw["h"], h_n=raw["h_n"])[-1]
    n = torch.tanh(raw["n_x"] + r * raw["h_n"])
    torch.testing.assert_close(h, (1 - z) * n + z * raw["h"])
    grad = torch.rand(7, dtype=torch.float64)
    by_autograd = torch.autograd.grad(h, [raw[name] for name in ("z", "h", "n_x", "h_n", "r")], grad)
    steps = _evaluate(GRU.backward, r=r, z=z, n=n, h=raw["h"], h_n=raw["h_n"], grad=grad)
    torch.testing.assert_close(steps, by_autograd)


@pytest.mark.parametrize(("cell", "function"), [(RELU, torch.relu), (TANH, torch.tanh)])
def test_the_expressions_of_an_elman_cell_are_its_function_and_its_gradient(cell, function):
    x = torch.randn(7, dtype=torch.float64, requires_grad=True)
    h = _evaluate(cell.forward, h=x)
    torch.testing.assert_close(h, function(x))
    grad = torch.rand(7, dtype=torch.float64)
    (by_autograd,) = torch.autograd.grad(h, x, grad)
    torch.testing.assert_close(_evaluate(cell.backward, h=h, grad=grad), by_autograd)
