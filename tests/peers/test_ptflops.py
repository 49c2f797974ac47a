"""ptflops with each of its backends: the smallest module that shows each deviation, counted by hand."""

from __future__ import annotations

import pytest
import torch
from peers.models import LinearSubclass, encoder_layer, matmul
from peers.peer_cases import Case, PeerCases, causes, given
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name
from torchvision.ops import DeformConv2d

from profiler.peers import PickledModel, find_peer, run_peer
from profiler.values.findings import Verdict

pytestmark = [
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN"),
    pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor"),
]


class Custom(nn.Module):
    """A model whose forward is a given function of the model and its inputs."""

    def __init__(self, code, **layers):
        super().__init__()
        self.code = code
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, a, b=None):
        return self.code(self, a) if b is None else self.code(self, a, b)


class FunctionalLinear(nn.Linear):
    """A Linear whose forward calls ``torch.matmul``."""

    def forward(self, a):
        return torch.matmul(a, self.weight.mT)


def shared():
    """Return a model with one layer under two parents, each of which calls it once."""
    layer = nn.Linear(2, 3)
    return Custom(lambda m, a: m.left(a) + m.right(a), left=nn.Sequential(layer), right=nn.Sequential(layer))


def nested():
    """Return a model in which a child of the root is also inside another child."""
    layer = nn.Linear(2, 3)
    return Custom(lambda m, a: m.left(a) + m.right(a), left=layer, right=nn.Sequential(layer))


def attention(**options):
    return Custom(lambda m, a: m.it(a, a, a)[0], it=nn.MultiheadAttention(8, 2, **options))


def masked():
    """Return attention with a causal mask of 3·3 scores."""
    mask = torch.ones(3, 3, dtype=torch.bool).triu(1)
    return Custom(lambda m, a: m.it(a, a, a, attn_mask=mask)[0], it=nn.MultiheadAttention(8, 2, batch_first=True))


def learned():
    bias = nn.Linear(3, 3, bias=False)
    return Custom(lambda m, a: F.scaled_dot_product_attention(a, a, a, attn_mask=m.bias.weight + 0), bias=bias)


def of_timm():
    return pytest.importorskip("timm").layers.Attention(8, 2)


def frozen():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    model[0].requires_grad_(requires_grad=False)
    return model


def sparse():
    """Return a model that multiplies by a sparse matrix with 2 stored elements."""
    left = torch.tensor([[1.0, 0, 0], [0, 2, 0]]).to_sparse()
    return Custom(lambda _, b: torch.mm(left, b))


def deformable(mask=None):
    offset = torch.zeros(1, 18, 2, 2)
    return Custom(lambda m, a: m.it(a, offset, mask), it=DeformConv2d(2, 3, 3))


def add(a, b):
    return torch.add(a, b)


def applied(function, *inputs):
    return given(Custom(lambda _, *tensors: function(*tensors)), *inputs)


x = torch.ones
ROW = x(1, 10)
QUANTIZED = lambda: given(torch.ao.nn.quantized.Linear(3, 2), torch.quantize_per_tensor(x(1, 3), 1, 0, torch.quint8))
FROZEN = lambda: given(frozen(), x(1, 2))
LAYER = lambda: given(encoder_layer(), x(1, 3, 8))
SHARED = lambda: given(shared(), x(1, 2))
COMPLEX = lambda: given(nn.Linear(3, 2, bias=False, dtype=torch.complex64), x(1, 3, dtype=torch.complex64))
CONVOLUTION = lambda: given(nn.Conv2d(2, 3, 3), x(1, 2, 4, 4))

# fmt: off
WORK = {
    "two layers": Case(
        lambda: given(nn.Sequential(nn.Linear(1000, 500), nn.Linear(500, 100)), x(1, 1000)), 550_000, 550_600,
        {"PT-BIAS": -600}),
    # 3·2·2 outputs of 2·9 products and a sum
    "convolution": Case(CONVOLUTION, 216, 228, {"PT-BIAS": -12}),
    "transposed": Case(lambda: given(nn.ConvTranspose2d(2, 3, 3, bias=False), x(1, 2, 4, 4)), 864, 864, {}),
    # 2 rows of 4·3 MACs and 3 sums; half of that
    "batch": Case(lambda: given(nn.Linear(4, 3), x(2, 4)), 24, 15, {"PT-BIAS": -6, "PT-BATCH": 15}),
    # 3 MACs for a batch of 2: 1.5, cut off
    "half": Case(
        lambda: given(Custom(lambda m, a: m.it(a[:1]), it=nn.Linear(3, 1, bias=False)), x(2, 3)), 3, 1,
        {"PT-BATCH": 2}),
    "batch by keyword": Case(
        lambda: given(Custom(lambda m, a: m.it(a), it=LinearSubclass(3, 4)), a=x(2, 3)), 24, 0, {"PT-SUBCLASS": 24}),
    "keyword": Case(
        lambda: given(Custom(lambda m, a: m.it(a), it=nn.Linear(3, 4, bias=False)), a=x(2, 3)), 24, 24, {}),
    "positional and keyword": Case(
        lambda: given(Custom(lambda m, a, b: m.it(a) @ b, it=nn.Linear(3, 4, bias=False)), x(2, 3), b=x(4, 5)), 64, 12,
        {"PT-FUNCTIONAL": 40, "PT-BATCH": 12}),
    # 18 elements: 1 operation each, with weights 2, but it does not see LayerNorm's
    "batch norm": Case(lambda: given(nn.BatchNorm2d(2), x(1, 2, 3, 3)), 0, 36, {"PT-NORM": -36}),
    "layer norm": Case(lambda: given(nn.LayerNorm(3), x(1, 2, 3, 3)), 0, 18, {"PT-NORM": -18}),
    # the module, and the function that it calls, if that is one of the replaced ones
    "relu": Case(lambda: given(nn.ReLU(), ROW), 0, 20, {"PT-ACTIVATION": -10, "PT-DOUBLE": -10}),
    "leaky relu": Case(lambda: given(nn.LeakyReLU(), ROW), 0, 10, {"PT-ACTIVATION": -10}),
    "silu": Case(lambda: given(nn.SiLU(), ROW), 0, 10, {"PT-ELEMENTS": -10}),
    "max pool": Case(lambda: given(nn.MaxPool2d(2), x(1, 1, 4, 4)), 0, 32, {"PT-POOL": -16, "PT-DOUBLE": -16}),
    # the hook: 16 elements of the first sample, halved by the batch; the function: 8 inputs at 2² each
    "upsample": Case(
        lambda: given(nn.Upsample(scale_factor=2), x(2, 1, 2, 2)), 0, 8 + 32,
        {"PT-UPSAMPLE": -16, "PT-DOUBLE": -32, "PT-BATCH": 8}),
    # 4 inputs at 1.5²
    "a half more": Case(
        lambda: applied(lambda a: F.interpolate(a, scale_factor=1.5), x(1, 1, 2, 2)), 0, 9, {"PT-ELEMENTS": -9}),
    "to a size": Case(lambda: applied(lambda a: F.interpolate(a, (3, 5)), x(2, 1, 2, 2)), 0, 30, {"PT-ELEMENTS": -30}),
    "to a length": Case(
        lambda: applied(lambda a: F.interpolate(a, size=3), x(1, 2, 2, 2)), 0, 18, {"PT-ELEMENTS": -18}),
    # 4 inputs at 1·2: each scale is cut off
    "by two scales": Case(
        lambda: applied(lambda a: F.interpolate(a, scale_factor=(1.5, 2.5)), x(1, 1, 2, 2)), 0, 8, {"PT-ELEMENTS": -8}),
    "softmax": Case(lambda: applied(lambda a: F.softmax(a, -1), ROW), 0, 10, {"PT-ELEMENTS": -10}),
    # it aligns (2, 3) and (3,) at the front: 3·3
    "sum": Case(lambda: applied(add, x(2, 3), x(3)), 0, 9, {"PT-ELEMENTS": -9}),
    "by a number": Case(lambda: applied(lambda a: a.mul(2), ROW), 0, 10, {"PT-ELEMENTS": -10}),
    "operators": Case(lambda: applied(lambda a: a * 2 + a, ROW), 0, 0, {}),
    "addmm": Case(
        lambda: applied(lambda a, b: torch.addmm(x(2, 4), a, b), x(2, 3), x(3, 4)), 24, 32, {"PT-ELEMENTS": -8}),
    "addmm of nothing": Case(
        lambda: applied(lambda a, b: torch.addmm(x(2, 4), a, b, beta=0), x(2, 3), x(3, 4)), 24, 24, {}),
    "matmul": Case(lambda: applied(matmul, x(2, 3), x(3, 4)), 24, 24, {}),
    # the function itself, taken from its place before another is put there
    "matmul, taken before": Case(lambda: applied(torch.matmul, x(2, 3), x(3, 4)), 24, 0, {"PT-FUNCTIONAL": 24}),
    "matmul, in a module": Case(
        lambda: given(Custom(lambda m, a: m.it(a), it=Custom(lambda _, a: a.matmul(a))), x(2, 2)), 8, 8,
        {"PT-TOTAL-ONLY": 0}),
    # 4 products of 2·3·5, counted as one
    "matmul, broadcast": Case(
        lambda: applied(matmul, x(1, 2, 3), x(4, 3, 5)), 120, 30,
        {"PT-BROADCAST": 90}),
    # 6 elements, by the 3 of the vector
    "matmul by a vector": Case(
        lambda: applied(matmul, x(2, 3), x(3)), 6, 18,
        {"PT-BROADCAST": -12}),
    "@": Case(lambda: applied(lambda a, b: a @ b, x(2, 3), x(3, 4)), 24, 0, {"PT-FUNCTIONAL": 24}),
    "matmul and @": Case(
        lambda: applied(lambda a, b: torch.matmul(a, a) @ b, x(2, 2), x(2, 3)), 20, 8, {"PT-FUNCTIONAL": 12}),
    "linear as a function": Case(lambda: applied(F.linear, x(2, 3), x(4, 3)), 24, 0, {"PT-FUNCTIONAL": 24}),
    "subclass": Case(lambda: given(LinearSubclass(3, 4), x(2, 3)), 24, 0, {"PT-SUBCLASS": 24}),
    "subclass, by a function": Case(lambda: given(FunctionalLinear(3, 4), x(2, 3)), 24, 24, {}),
    # 3 tokens: 8·24 in, 2·3·8 for scores and values, 8·8 out. The hook adds 3·8 scalings, 3·24 + 3·8 biases, 2·3·3 for
    # the softmax; its functions count 2 products of 72, and those 18 again
    "attention": Case(
        lambda: given(attention(batch_first=True), x(1, 3, 8)), 912, 1212, {"PT-MHA": -138, "PT-DOUBLE": -162}),
    "attention, step by step": Case(
        lambda: given(attention(), x(3, 1, 8)), 912, 1050 // 3 + 162,
        {"PT-MHA": -138, "PT-DOUBLE": -162, "PT-BATCH": 700}),
    # the product adds a mask of 3·3
    "attention, masked": Case(lambda: given(masked(), x(1, 3, 8)), 912, 1221, {"PT-MHA": -138, "PT-DOUBLE": -171}),
    # 8·(8 + 4 + 6) in and 8·8 out, a token. It takes 8² + 4² + 6² and 6², 6/2 for the width of a head's values, and the
    # 3·6 biases of the output
    "attention, other widths": Case(
        lambda: given(
            Custom(lambda m, a: m.it(a, a[..., :4], a[..., :6])[0],
                it=nn.MultiheadAttention(8, 2, kdim=4, vdim=6, batch_first=True)), x(1, 3, 8)),
        3 * 8 * 18 + 144 + 192, 876, {"PT-MHA": -132, "PT-MHA-WIDTH": 48 + 36 + 84 + 18, "PT-DOUBLE": -162}),
    # 2 keys more: 2·3·2 scores, of 2·4 products each
    "attention, more keys": Case(
        lambda: given(attention(add_bias_kv=True, add_zero_attn=True, batch_first=True), x(1, 3, 8)), 1008, 1320,
        {"PT-MHA": -138, "PT-MHA-KEYS": 96, "PT-DOUBLE": -270}),
    # 3·8·24 + 3·8·8 below; 3·8 scalings and 2·3·3 for the softmax
    "attention of timm": Case(lambda: given(of_timm(), x(1, 3, 8)), 912, 186, {"PT-BELOW": 768, "PT-MHA": -42}),
    # its layers run one by one: 3·(16 + 8) biases, two norms of 24 elements, attention without its functions
    "encoder layer": Case(LAYER, 1680, 1938, {"PT-FASTPATH": 0, "PT-MHA": -138, "PT-BIAS": -72, "PT-NORM": -48}),
    # 2 rows: x₁ᵀ·A for 5 matrices of 3·4, and 4 products with x₂ for each
    "bilinear": Case(lambda: given(nn.Bilinear(3, 4, 5), x(2, 3), x(2, 4)), 160, 0, {"PT-RULES": 160}),
    # 6 tokens: 20·(4 + 5) products; 5·10 operations and 40 biases; a third of that
    "lstm": Case(lambda: given(nn.LSTM(4, 5), x(3, 2, 4)), 1080, 540, {"PT-RNN": -540, "PT-BATCH": 1080}),
    # 2 rows: 12·(3 + 4) products; 4·7 operations and 24 biases; half of that
    "cell": Case(lambda: given(nn.GRUCell(3, 4), x(2, 3)), 168, 136, {"PT-RNN": -104, "PT-BATCH": 136}),
    # 2 tokens: 4·(2·(3 + 4) + 2·(8 + 4)) products; 4 cells of 4 units at 1 operation and 2 biases
    "two layers, two ways": Case(
        lambda: given(nn.RNN(3, 4, 2, bidirectional=True), x(1, 2, 3)), 304, 400, {"PT-RNN": -96}),
    # 2 tokens: 24·(4 + 3) products, and 6·3 that it leaves out; 6·10 operations and 48 biases
    "projected": Case(
        lambda: given(nn.LSTM(4, 6, proj_size=3), x(1, 2, 4)), 372, 552, {"PT-RNN": -216, "PT-RNN-PROJ": 36}),
    # 3·4·4 outputs of 18 products and a sum; it takes 2 samples of 4 places, and 2·4·4 sums, and halves that
    "image without a batch": Case(
        lambda: given(nn.Conv2d(2, 3, 3), x(2, 6, 6)), 864, 232,
        {"PT-BIAS": -48, "PT-UNBATCHED": 448, "PT-BATCH": 232}),
    # 3 steps of 6·(2 + 2) products, 7·2 operations and 12 biases; taken for 3·2 steps, and a third of them
    "sequence without a batch": Case(
        lambda: given(nn.GRU(2, 2), x(3, 2)), 72, 100, {"PT-RNN": -78, "PT-UNBATCHED": -150, "PT-BATCH": 200}),
    # 2·2 places of 9 samples at 24 operations, 25 with a mask
    "deformable": Case(lambda: given(deformable(), x(1, 2, 4, 4)), 216, 1092, {"PT-BIAS": -12, "PT-DEFORM": -864}),
    "complex": Case(COMPLEX, 24, 6, {"PT-COMPLEX": 18}),
    # two calls of 6 MACs and 3 sums, under both names
    "below two parents": Case(SHARED, 12, 36, {"PT-BIAS": -6, "PT-ALIAS": -18}),
}

ATEN = {
    "two layers": Case(WORK["two layers"].make, 550_000, 550_600, {"PTA-BIAS": -600}),
    "convolution": Case(CONVOLUTION, 216, 228, {"PTA-BIAS": -12}),
    "batch": Case(lambda: given(nn.Linear(4, 3), x(2, 4)), 24, 30, {"PTA-BIAS": -6}),
    "linear without bias": Case(lambda: given(nn.Linear(4, 3, bias=False), x(2, 5, 4)), 120, 120, {}),
    # 2·3·2 scores, of 4 products each way
    "attention in one operator": Case(
        lambda: applied(lambda a: F.scaled_dot_product_attention(a, a, a), x(1, 2, 3, 4)), 144, 0,
        {"PTA-ATTENTION": 144}),
    # a mask with a gradient: it runs in two products
    "attention with a learned mask": Case(lambda: given(learned(), x(1, 2, 3, 4)), 144, 144, {}),
    "baddbmm": Case(
        lambda: applied(lambda a, b: torch.baddbmm(x(1, 2, 4), a, b), x(1, 2, 3), x(1, 3, 4)), 24, 0, {"PTA-OPS": 24}),
    "by a vector": Case(lambda: applied(torch.mv, x(2, 3), x(3)), 6, 0, {"PTA-OPS": 6}),
    "lstm": Case(lambda: given(nn.LSTM(4, 5), x(3, 2, 4)), 1080, 0, {"PTA-OPS": 1080}),
    "complex": Case(COMPLEX, 24, 6, {"PTA-COMPLEX": 18}),
    # 2 stored elements by 4 columns, counted as 2·3·4
    "sparse": Case(lambda: given(sparse(), x(3, 4)), 8, 24, {"PTA-SPARSE": -16}),
    # 3·24 biases in and 3·8 out, 3·(16 + 8) of the other layers
    "encoder layer": Case(LAYER, 1680, 1704, {"PTA-FASTPATH": 0, "PTA-ATTENTION": 144, "PTA-BIAS": -168}),
    # of 2 sequences the products come in two steps: only the output's 6·8 biases come with them
    "attention": Case(lambda: given(attention(batch_first=True), x(2, 3, 8)), 1824, 1872, {"PTA-BIAS": -48}),
    "attention, masked": Case(
        lambda: given(masked(), x(1, 3, 8)), 912, 936, {"PTA-OPS": 72, "PTA-BIAS": -96}),
    # the child has the 6 MACs and 3 sums of both calls
    "another name": Case(lambda: given(nested(), x(1, 2)), 12, 18, {"PTA-BIAS": -6, "PTA-ALIAS": 0}),
}
PARAMS = {
    ("ptflops", "frozen"): Case(FROZEN, 13, 4, {"PT-PARAMS": 9}),
    ("ptflops", "quantized"): Case(QUANTIZED, 8, 0, {"PT-PARAMS": 8}),
    ("ptflops-aten", "frozen"): Case(FROZEN, 13, 4, {"PTA-PARAMS": 9}),
    ("ptflops-aten", "quantized"): Case(QUANTIZED, 8, 0, {"PTA-PARAMS": 8}),
}
# fmt: on
CASES = {"ptflops": WORK, "ptflops-aten": ATEN}
CANNOT = {"no positional input": lambda: given(nn.MultiheadAttention(8, 2), *3 * [x(3, 1, 8)])}
PEER_CASES = {
    peer: PeerCases(
        peer, {name: case.make for name, case in cases.items()} | {"frozen": FROZEN, "quantized": QUANTIZED} | CANNOT
    )
    for peer, cases in CASES.items()
}
NAMES = [(peer, name) for peer, cases in CASES.items() for name in cases]


@pytest.mark.parametrize(("peer", "name"), NAMES)
def test_work_is_reconciled_to_the_last_mac(peer, name):
    case, finding = CASES[peer][name], PEER_CASES[peer].total(name)
    assert (finding.ours, finding.claim.claimed) == (case.ours, case.claimed), finding.claim.error
    assert causes(finding) == case.causes
    assert finding.unexplained == 0


@pytest.mark.parametrize(("peer", "name"), PARAMS)
def test_only_trainable_parameters_are_claimed(peer, name):
    case, finding = PARAMS[peer, name], PEER_CASES[peer].total(name, "parameter")
    assert (finding.ours, finding.claim.claimed, causes(finding)) == (case.ours, case.claimed, case.causes)


@pytest.mark.parametrize(("peer", "name"), NAMES)
def test_every_module_that_it_reports_is_reconciled(peer, name):
    findings = PEER_CASES[peer].findings(name)
    assert {place: finding.unexplained for place, finding in findings.items() if finding.unexplained} == {}


@pytest.mark.parametrize("peer", CASES)
def test_every_deviation_has_a_case(peer):
    shown = {code for case in (*CASES[peer].values(), PARAMS[peer, "frozen"]) for code in case.causes}
    assert shown == {deviation.code for deviation in find_peer(peer).deviations}


def test_what_functions_count_is_in_no_module():
    finding = PEER_CASES["ptflops"].findings("matmul, in a module")["it", "MAC"]
    assert (finding.ours, finding.claim.claimed, causes(finding)) == (8, 0, {"PT-TOTAL-ONLY": 8})


def test_a_shared_layer_is_claimed_whole_under_each_of_its_names():
    findings = PEER_CASES["ptflops"].findings("below two parents")
    assert [findings[path, "MAC"].claim.claimed for path in ("left.0", "right.0")] == [18, 18]


def test_a_child_of_the_root_is_claimed_with_all_its_calls():
    findings = PEER_CASES["ptflops-aten"].findings("another name")
    assert [(findings[path, "MAC"].ours, findings[path, "MAC"].claim.claimed) for path in ("left", "right")] == [
        (6, 18),
        (6, 9),
    ]


def test_what_it_cannot_take_is_a_failure_in_its_own_words():
    finding = PEER_CASES["ptflops"].total("no positional input")
    assert finding.verdict is Verdict.FAILED
    assert "ValueError" in finding.claim.error
    assert "not enough values to unpack" in finding.claim.error


def test_the_users_model_is_as_it_was():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU()).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with PickledModel(lambda: (model, (x(2, 3),), {})) as pickled:
        answer = run_peer("ptflops", pickled)
    assert answer.total == (32 + 8) // 2 + 8
    assert model.training
    assert not any(m._forward_hooks or m._forward_pre_hooks or hasattr(m, "__flops__") for m in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
