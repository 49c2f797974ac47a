"""Quantized modules against their floating-point equivalents, and quantized models without uncounted operators."""

from __future__ import annotations

import pytest
import torch
import torchvision
from formulas.array_operations import entry, entry_of, spec
from formulas.oracle import arithmetic, ones, products, profile_call, totals
from torch import nn
from torch.ao import quantization
from torch.ao.nn import quantized as nnq
from torch.ao.nn.intrinsic import quantized as nniq
from torch.nn import functional as F  # noqa: N812 - its usual name

import profiler

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.ao.quantization is deprecated"),
    pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor"),
    pytest.mark.filterwarnings("ignore:.*quantized"),
    pytest.mark.filterwarnings("ignore:.*reduce_range"),
    pytest.mark.filterwarnings("ignore:must run observer"),
]

#: FLOPs to quantize (divide, round, add the zero point, two compares) and to dequantize (subtract it, multiply).
QUANTIZE, DEQUANTIZE = 5, 2


def _quantized(*shape, zero_point=3):
    return torch.quantize_per_tensor(torch.rand(shape), 0.1, zero_point, torch.quint8)


#: Quantized class, floating-point class, arguments of both constructors, and shape of the input.
MODULES = {
    "linear": (nnq.Linear, nn.Linear, (8, 6), (5, 8)),
    "1-d": (nnq.Conv1d, nn.Conv1d, (4, 6, 3), (2, 4, 9)),
    "2-d": (nnq.Conv2d, nn.Conv2d, (4, 6, 3), (2, 4, 9, 9)),
    "2-d, strided, padded, dilated, grouped": (nnq.Conv2d, nn.Conv2d, (4, 6, 3, 2, 1, 2, 2), (2, 4, 9, 9)),
    "3-d": (nnq.Conv3d, nn.Conv3d, (4, 6, 3), (2, 4, 5, 5, 5)),
    "transposed": (nnq.ConvTranspose2d, nn.ConvTranspose2d, (4, 6, 3, 2), (2, 4, 5, 5)),
    "transposed 1-d": (nnq.ConvTranspose1d, nn.ConvTranspose1d, (4, 6, 3), (2, 4, 5)),
    "with ReLU": (nniq.ConvReLU2d, nn.Conv2d, (4, 6, 3), (2, 4, 9, 9)),
    "linear with ReLU": (nniq.LinearReLU, nn.Linear, (8, 6), (5, 8)),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_quantized_module_multiplies_as_much_as_the_one_it_stands_for(name):
    quantized, plain, arguments, shape = MODULES[name]
    module, floating = quantized(*arguments), plain(*arguments)
    module.zero_point = 3
    cost, expected = totals(module, _quantized(*shape)), totals(floating, torch.rand(shape))
    assert cost.macs == expected.macs
    assert cost.other_flops == expected.other_flops + QUANTIZE * floating(torch.rand(shape)).numel()


def test_the_macs_are_those_of_integers():
    (row,) = [row for row in profile_call(nnq.Conv2d(4, 6, 3), _quantized(2, 4, 9, 9)).operators if row.totals.macs]
    assert row.dtype in {"quint8", "qint8"}


def test_a_zero_point_of_zero_is_not_added():
    shifted, unshifted = nnq.Linear(8, 6), nnq.Linear(8, 6)
    shifted.zero_point = 3
    difference = totals(shifted, _quantized(5, 8)).other_flops - totals(unshifted, _quantized(5, 8)).other_flops
    assert difference == 5 * 6


def test_packed_weights_are_read_as_they_are():
    cost = entry("quantized.linear", lambda: nnq.Linear(8, 6)(_quantized(5, 8)))
    assert cost.bytes_read == 5 * 8 + 6 * 8 + 4 * 6
    assert cost.bytes_written == 5 * 6


def test_packed_weights_are_unpacked_once_and_let_go_of():
    recording = profiler.profile()
    module = nnq.Linear(8, 6)
    unpacked = recording._session._recorder.log.specs._unpacked
    with recording:
        for _ in range(3):
            module(_quantized(5, 8))
        assert len(unpacked) == 1
    assert not unpacked
    assert recording.totals.macs == 3 * 5 * 8 * 6


def _dynamic(module, *kinds, dtype=torch.qint8):
    return quantization.quantize_dynamic(nn.Sequential(module), set(kinds), dtype=dtype)


def test_a_dynamic_layer_quantizes_its_input_by_its_own_range():
    plain = nn.Linear(8, 6)
    x, elements, results = torch.rand(5, 8), 5 * 8, 5 * 6
    cost, floating = totals(_dynamic(plain, nn.Linear), x), totals(plain, x)
    assert cost.macs == floating.macs
    range_of_input = 2 * (elements - 1)
    assert cost.other_flops == floating.other_flops + range_of_input + QUANTIZE * elements + results


def test_packed_weights_are_parameters_in_the_memory():
    model = _dynamic(nn.Linear(80, 60), nn.Linear)
    with profiler.profile(model) as p:
        model(torch.rand(5, 80))
        first = p.memory.peak.bytes["parameter"]
    with p:
        model(torch.rand(5, 80))
    assert first == p.memory.peak.bytes["parameter"] == p.param_bytes == 60 * 80 + 60 * 4


class Half(nn.Module):
    """A layer, a recurrent layer and a cell."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.linear, self.cell = nn.LSTM(8, 16), nn.Linear(16, 4), nn.GRUCell(4, 4)

    def forward(self, x):
        return self.cell(self.linear(self.lstm(x)[0])[0])


def test_half_precision_weights_are_held_in_two_bytes_and_biases_in_four():
    model = quantization.quantize_dynamic(Half().eval(), {nn.Linear, nn.LSTM, nn.GRUCell}, dtype=torch.float16)
    weights, biases = 4 * 16 * (8 + 16) + 16 * 4 + 3 * 4 * (4 + 4), 2 * 4 * 16 + 4 + 2 * 3 * 4
    p = profiler.count(model, torch.rand(5, 2, 8))
    assert p.memory.peak.bytes["parameter"] == p.param_bytes == 2 * weights + 4 * biases


def test_a_layer_with_half_precision_weights_quantizes_nothing():
    plain, x = nn.Linear(8, 6), torch.rand(5, 8)
    assert arithmetic(totals(_dynamic(plain, nn.Linear, dtype=torch.float16), x)) == arithmetic(totals(plain, x))


RECURRENT = {
    "lstm": (nn.LSTM, {"num_layers": 2, "bidirectional": True}),
    "gru": (nn.GRU, {"num_layers": 2}),
    "lstm, batch first": (nn.LSTM, {"batch_first": True}),
}


@pytest.mark.parametrize("name", RECURRENT)
def test_a_dynamic_recurrent_layer_multiplies_as_much_as_the_one_it_stands_for(name):
    kind, options = RECURRENT[name]
    plain = kind(8, 6, **options)
    x = torch.rand(5, 3, 8)
    cost = totals(_dynamic(plain, kind), x)
    floating = totals(kind(8, 6, **options, device="meta"), x.to("meta"))
    assert (cost.macs, cost.transcendentals) == (floating.macs, floating.transcendentals)


@pytest.mark.parametrize("batch_first", [True, False])
def test_a_dynamic_lstm_quantizes_its_input_at_once_and_its_state_at_every_step(batch_first):
    plain, time, batch = nn.LSTM(8, 6, batch_first=batch_first), 5, 3
    x = torch.rand(batch, time, 8) if batch_first else torch.rand(time, batch, 8)
    cost, floating = totals(_dynamic(plain, nn.LSTM), x), totals(plain, x)
    of_input = 2 * (time * batch * 8 - 1) + QUANTIZE * time * batch * 8
    of_state = time * (2 * (batch * 6 - 1) + QUANTIZE * batch * 6)
    scaled_back = 2 * time * batch * 4 * 6
    assert cost.other_flops == floating.other_flops + of_input + of_state + scaled_back
    half = totals(_dynamic(plain, nn.LSTM, dtype=torch.float16), x)
    assert half.other_flops == floating.other_flops


def test_the_weights_and_biases_of_a_dynamic_lstm_are_read_once():
    x, module = torch.rand(5, 3, 8), _dynamic(nn.LSTM(8, 6), nn.LSTM)
    cost = entry("aten.quantized_lstm", lambda: module(x))
    weights, biases, states = 4 * 6 * (8 + 6), 2 * 4 * 6, 2 * 3 * 6
    assert cost.bytes_read == weights + 4 * (x.numel() + biases + states)


def test_a_dynamic_lstm_steps_through_packed_sequences():
    packed = nn.utils.rnn.pack_sequence([torch.rand(5, 8), torch.rand(2, 8)])
    assert totals(_dynamic(nn.LSTM(8, 6), nn.LSTM), packed).macs == (5 + 2) * 4 * 6 * (8 + 6)
    assert totals(_dynamic(nn.GRU(8, 6), nn.GRU), packed).macs == (5 + 2) * 3 * 6 * (8 + 6)


@pytest.mark.parametrize(
    ("cell", "options"),
    [(nn.LSTMCell, {}), (nn.GRUCell, {}), (nn.RNNCell, {}), (nn.RNNCell, {"nonlinearity": "relu"})],
)
def test_a_dynamic_cell_multiplies_as_much_as_the_one_it_stands_for(cell, options):
    plain, x = cell(8, 6, **options), torch.rand(5, 8)
    cost, floating = totals(_dynamic(plain, cell), x), totals(plain, x)
    assert (cost.macs, cost.transcendentals) == (floating.macs, floating.transcendentals)
    gates = plain.weight_ih.shape[0]
    quantization_flops = 2 * (5 * 8 - 1) + QUANTIZE * 5 * 8 + 2 * (5 * 6 - 1) + QUANTIZE * 5 * 6 + 2 * 5 * gates
    assert cost.other_flops == floating.other_flops + quantization_flops


SLOW = pytest.mark.slow
MODELS = [
    "resnet18",
    "mobilenet_v3_large",
    *(pytest.param(name, marks=SLOW) for name in ("mobilenet_v2", "googlenet", "shufflenet_v2_x0_5", "resnet50")),
]


@pytest.mark.parametrize("name", MODELS)
def test_a_quantized_model_is_counted_without_a_gap(name):
    build = getattr(torchvision.models.quantization, name)
    options = {"init_weights": False} if name == "googlenet" else {}
    x = torch.zeros(1, 3, 224, 224)
    p = profiler.count(build(quantize=True, **options).eval(), x)
    assert p.is_complete, p.uncounted
    with torch.device("meta"):
        plain = build(quantize=False, **options).eval()
    assert p.totals.macs == profiler.count(plain, x.to("meta")).totals.macs


ops = torch.ops.quantized
ELEMENTWISE = {
    "add": (lambda a, b: ops.add(a, b, 0.1, 3), 2 * DEQUANTIZE + 1 + QUANTIZE),
    "add_relu": (lambda a, b: ops.add_relu(a, b, 0.1, 3), 2 * DEQUANTIZE + 2 + QUANTIZE),
    "mul": (lambda a, b: ops.mul(a, b, 0.1, 3), 2 * DEQUANTIZE + 1 + QUANTIZE),
    "mul_scalar": (lambda a, b: ops.mul_scalar(a, 3.0), DEQUANTIZE + 1 + QUANTIZE),
    "add_scalar": (lambda a, b: ops.add_scalar(a, 3.0), DEQUANTIZE + 1 + QUANTIZE),
    "cat": (lambda a, b: ops.cat([a, b], 0, 0.1, 3), 2 * (DEQUANTIZE + QUANTIZE)),
    "hardswish": (lambda a, b: ops.hardswish(a, 0.1, 3), DEQUANTIZE + 5 + QUANTIZE),
    "leaky_relu": (lambda a, b: ops.leaky_relu(a, 0.01, False, 0.1, 3), DEQUANTIZE + 2 + QUANTIZE),
    "clamp": (lambda a, b: ops.clamp(a, 0.1, 0.5), 2),
    "relu6": (lambda a, b: ops.relu6(a), 2),
}


@pytest.mark.parametrize("operator", ELEMENTWISE)
def test_an_elementwise_operator_is_that_of_dequantized_elements(operator):
    run, operations = ELEMENTWISE[operator]
    operands = _quantized(4, 6), _quantized(4, 6)
    assert entry(f"quantized.{operator}", lambda: run(*operands)).other_flops == operations * 4 * 6


@pytest.mark.parametrize("bounds", [{"min": 0.1}, {"max": 0.1}, {"min": 0.1, "max": 0.3}])
def test_a_clamp_takes_a_compare_for_each_bound(bounds):
    clamp = entry("quantized.clamp", lambda: ops.clamp(_quantized(4, 6), **bounds))
    assert clamp.other_flops == len(bounds) * 4 * 6


def test_a_sigmoid_of_quantized_elements_is_transcendental_too():
    cost = entry("quantized.sigmoid", lambda: ops.sigmoid(_quantized(4, 6), 0.1, 3))
    floating = totals(torch.sigmoid, torch.rand(4, 6))
    assert cost.transcendentals == floating.transcendentals
    assert cost.other_flops == floating.other_flops + (DEQUANTIZE + QUANTIZE) * 4 * 6


NORMS = {
    "layer_norm": (
        lambda x, w, b: ops.layer_norm(x, [4, 4], w, b, 1e-5, 0.1, 3),
        lambda x, w, b: F.layer_norm(x, [4, 4], w, b), (4, 4),
    ),
    "group_norm": (
        lambda x, w, b: ops.group_norm(x, 2, w, b, 1e-5, 0.1, 3),
        lambda x, w, b: F.group_norm(x, 2, w, b), (6,),
    ),
    "instance_norm": (
        lambda x, w, b: ops.instance_norm(x, w, b, 1e-5, 0.1, 3),
        lambda x, w, b: F.group_norm(x, 6, w, b), (6,),
    ),
    "softmax": (
        lambda x, w, b: ops.softmax(x, 1, 0.1, 3), lambda x, w, b: torch.softmax(x, 1), (6,),
    ),
}  # fmt: skip


@pytest.mark.parametrize("operator", NORMS)
def test_a_normalisation_is_that_of_dequantized_elements(operator):
    quantized, floating, shape = NORMS[operator]
    w, b = torch.rand(shape), torch.rand(shape)
    cost = entry(f"quantized.{operator}", lambda: quantized(_quantized(2, 6, 4, 4), w, b))
    plain = totals(floating, torch.rand(2, 6, 4, 4), w, b)
    assert cost.other_flops == plain.other_flops + (DEQUANTIZE + QUANTIZE) * 2 * 6 * 4 * 4
    assert cost.transcendentals == plain.transcendentals


def test_batch_normalisation_multiplies_and_adds():
    cost = totals(nnq.BatchNorm2d(6).eval(), _quantized(2, 6, 4, 4))
    assert cost.other_flops == (DEQUANTIZE + 2 + QUANTIZE) * 2 * 6 * 4 * 4


def _embedding(module):
    module.qconfig = quantization.float_qparams_weight_only_qconfig
    return quantization.convert(quantization.prepare(nn.Sequential(module)))


def test_an_embedding_dequantizes_the_rows_that_it_picks():
    indices = torch.tensor([[1, 2], [3, 4]])
    cost = totals(_embedding(nn.Embedding(10, 4)), indices)
    assert (cost.other_flops, cost.bytes_read) == (DEQUANTIZE * 4 * 4, 8 * 4 + 4 * 4)
    bag = totals(_embedding(nn.EmbeddingBag(10, 4, mode="sum")), indices)
    assert bag.other_flops == DEQUANTIZE * 4 * 4 + (4 - 2) * 4


@pytest.mark.parametrize("per_channel", [False, True])
def test_an_observer_searches_averages_and_quantizes(per_channel):
    n, ranges = 6 * 8, 6 if per_channel else 1
    state = [torch.zeros(ranges) for _ in range(3)] + [torch.zeros(ranges, dtype=torch.int32)]
    on, x = torch.ones(1), torch.rand(6, 8)
    run = lambda: torch._fused_moving_avg_obs_fq_helper(x, on, on, *state, 0.01, 0, 255, 0, per_channel, False)
    cost = entry("aten._fused_moving_avg_obs_fq_helper", run)
    fake = totals(torch.fake_quantize_per_tensor_affine, x, torch.ones(1), torch.ones(1, dtype=torch.int32), 0, 255)
    # Minimum and maximum; each takes three FLOPs per range for its moving average.
    assert cost.other_flops == 2 * (n - ranges) + 2 * 3 * ranges + fake.other_flops


def test_a_dynamic_quantization_searches_the_range_first():
    cost = entry(
        "aten.quantize_per_tensor_dynamic",
        lambda: torch.quantize_per_tensor_dynamic(torch.rand(6, 8), torch.quint8, False),
    )
    assert cost.other_flops == 2 * (48 - 1) + QUANTIZE * 48


def test_two_quantized_matrices_are_multiplied():
    cost = entry("quantized.matmul", lambda: ops.matmul(_quantized(2, 4, 6), _quantized(2, 6, 5), 0.1, 3))
    assert cost.macs == products(torch.bmm, ones(2, 4, 6), ones(2, 6, 5))
    assert cost.other_flops == QUANTIZE * 2 * 4 * 5


def test_a_sum_may_be_fused_into_a_convolution():
    packed = (spec(6, 4, 3, 3, dtype="qint8"), spec(6))
    arguments = {"qx": spec(2, 4, 9, 9, dtype="quint8"), "packed_weight": packed, "output_zero_point": 3}
    cost = entry_of("quantized.conv2d_add.default", (spec(2, 6, 7, 7, dtype="quint8"),), **arguments)
    assert cost.macs == products(F.conv2d, ones(2, 4, 9, 9), ones(6, 4, 3, 3))
    assert cost.other_flops == (1 + QUANTIZE + DEQUANTIZE + 1) * 2 * 6 * 7 * 7
