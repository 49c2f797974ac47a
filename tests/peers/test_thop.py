"""thop: the smallest module that shows each deviation, counted by hand."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from types import SimpleNamespace

import pytest
import torch
import torchvision
from peers.models import LinearSubclass
from peers.peer_cases import Case, PeerCases, causes, given
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name
from torch.nn.utils.rnn import pack_padded_sequence

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

    def forward(self, *inputs):
        return self.code(self, *inputs)


def shared():
    """Return a model with one layer under two parents, each of which calls it once."""
    layer = nn.Linear(2, 3)
    return Custom(lambda m, x: m.a(x) + m.b(x), a=nn.Sequential(layer), b=nn.Sequential(layer))


def twice():
    """Return a model with one layer under two names in the same parent, both of them called."""
    layer = nn.Linear(2, 3)
    return Custom(lambda m, x: m.a(x) + m.b(x), a=layer, b=layer)


def tied():
    """Return two layers that share a weight of 4 elements; each has its own bias of 2."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    return model


def alexnet():
    with torch.device("meta"):
        return given(torchvision.models.alexnet(), torch.empty(1, 3, 224, 224))


def packed(lengths, width):
    return pack_padded_sequence(torch.ones(max(lengths), len(lengths), width), torch.tensor(lengths))


x = torch.ones

# fmt: off
WORK = {
    # 1000·500 + 500·100: what it calls FLOPs are MACs, and biases are no part of them
    "two layers": Case(
        lambda: given(nn.Sequential(nn.Linear(1000, 500), nn.Linear(500, 100)), x(1, 1000)), 550_000, 550_000, {}),
    # 714,188,480 MACs; 256·6·6 outputs of the pool at 6/6·6/6 + 1 operations
    "AlexNet": Case(alexnet, 714_188_480, 714_206_912, {"TH-POOL": -18_432}),
    "grouped convolution": Case(
        lambda: given(nn.Conv2d(4, 6, 3, groups=2), x(2, 4, 5, 5)), 2 * 54 * 2 * 9, 2 * 54 * 2 * 9, {}),
    # 18 elements at 4 operations with weights, and 2 without
    "batch norm": Case(lambda: given(nn.BatchNorm2d(2), x(1, 2, 3, 3)), 0, 72, {"TH-NORM": -72}),
    "layer norm, plain": Case(
        lambda: given(nn.LayerNorm(4, elementwise_affine=False), x(2, 4)), 0, 16, {"TH-NORM": -16}),
    # 2 rows of 5: 5 exponentials, 4 sums, 5 quotients
    "softmax": Case(lambda: given(nn.Softmax(-1), x(2, 5)), 0, 28, {"TH-SOFTMAX": -28}),
    "prelu": Case(lambda: given(nn.PReLU(), x(2, 3)), 0, 6, {"TH-PRELU": -6}),
    "average pool": Case(lambda: given(nn.AvgPool2d(2), x(1, 2, 4, 4)), 0, 8, {"TH-POOL": -8}),
    # 12 outputs at 4/2·6/2 + 1
    "adaptive pool": Case(lambda: given(nn.AdaptiveAvgPool2d(2), x(1, 3, 4, 6)), 0, 84, {"TH-POOL": -84}),
    # 3 outputs at 7/3 + 1, which is 10
    "adaptive pool, uneven": Case(lambda: given(nn.AdaptiveAvgPool1d(3), x(1, 1, 7)), 0, 10, {"TH-POOL": -10}),
    # 16 outputs at 11, and at nothing for a mode that it does not know
    "bilinear": Case(
        lambda: given(nn.Upsample(scale_factor=2, mode="bilinear"), x(1, 1, 2, 2)), 0, 176, {"TH-UPSAMPLE": -176}),
    "trilinear": Case(lambda: given(nn.Upsample(scale_factor=2, mode="trilinear"), x(1, 1, 2, 2, 2)), 0, 0, {}),
    # 2·4·4 inputs · 3·9 are 864; the grid of 6·6 outputs has 3·36·2·9
    "transposed": Case(lambda: given(nn.ConvTranspose2d(2, 3, 3), x(1, 2, 4, 4)), 864, 1944, {"TH-CONVT": -1080}),
    # 3·4·4 outputs · 2·9; the height 6 is taken for the channels
    "image without a batch": Case(lambda: given(nn.Conv2d(2, 3, 3), x(2, 6, 6)), 864, 2592, {"TH-UNBATCHED": -1728}),
    # 3 steps, taken for 3 steps of 2 sequences: 3·2·(2 + 2) products and 2·13 other operations for each
    "sequence without a batch": Case(
        lambda: given(nn.GRU(2, 2), x(3, 2)), 3 * 24, 6 * 50, {"TH-RNN": -3 * 26, "TH-UNBATCHED": -3 * 50}),
    "complex": Case(
        lambda: given(nn.Linear(3, 2, dtype=torch.complex64), x(4, 3, dtype=torch.complex64)),
        96, 24, {"TH-COMPLEX": 72}),
    # 6 tokens: 4·5·(4 + 5) products; 5 units at 4·3 + 4 other operations
    "lstm": Case(lambda: given(nn.LSTM(4, 5), x(3, 2, 4)), 1080, 1560, {"TH-RNN": -480}),
    # 2 rows: 3·4·(3 + 4) products; 4 units at 3·3 + 4
    "cell": Case(lambda: given(nn.GRUCell(3, 4), x(2, 3)), 168, 272, {"TH-RNN": -104}),
    # 2 tokens: 4·(2·(3 + 4) + 2·(8 + 4)) products; 4 cells of 4 units at 3
    "two layers, two ways": Case(
        lambda: given(nn.RNN(3, 4, 2, bidirectional=True), x(2, 1, 3)), 304, 400, {"TH-RNN": -96}),
    # 6 tokens: 4·6·(4 + 3) + 6·3 products, taken for 4·6·(4 + 6); 6 units at 16
    "projected": Case(
        lambda: given(nn.LSTM(4, 6, proj_size=3), x(3, 2, 4)), 1116, 2016, {"TH-RNN": -576, "TH-RNN-PROJ": -324}),
    # 1 token, two ways: 24·(4 + 3) + 6·3, then 24·(6 + 3) + 6·3; taken for 24·(4 + 6) and 24·(12 + 6); 4·6 units at 16
    "projected, two layers": Case(
        lambda: given(nn.LSTM(4, 6, 2, bidirectional=True, proj_size=3), x(1, 1, 4)), 2 * 186 + 2 * 234, 1728,
        {"TH-RNN": -384, "TH-RNN-PROJ": -504}),
    # 3 + 1 tokens, taken for 2·3
    "packed": Case(
        lambda: given(nn.GRU(2, 2), packed([3, 1], 2)), 4 * 24, 6 * 50, {"TH-RNN": -4 * 26, "TH-PACKED": -2 * 50}),
    # 3 tokens: 8·24 in, 2·3·8 for scores and values, 8·8 out
    "attention": Case(
        lambda: given(nn.MultiheadAttention(8, 2, batch_first=True), *3 * [x(1, 3, 8)]), 912, 0, {"TH-RULES": 912}),
    "subclass": Case(lambda: given(LinearSubclass(3, 4), x(2, 3)), 24, 0, {"TH-SUBCLASS": 24}),
    "matrix product": Case(
        lambda: given(Custom(lambda _, a, b: a @ b), x(2, 3), x(3, 4)), 24, 0, {"TH-FUNCTIONAL": 24}),
    "keyword argument": Case(lambda: given(Custom(lambda m, a: m.fc(a), fc=nn.Linear(3, 4)), x(2, 3)), 24, 24, {}),
    # a 1×1 convolution of 2·2 places: 3·2 MACs each; uᵀ·(W·v) of the weight (3, 2) is 6 + 3 more, in a hook of its own
    "spectral norm": Case(
        lambda: given(nn.utils.spectral_norm(nn.Conv2d(2, 3, 1)), x(1, 2, 2, 2)), 33, 24, {"TH-FUNCTIONAL": 9}),
    # its layers run one by one: attention as above, 2·3·8·16 in two layers, and two norms of 24 elements at 4
    "encoder layer": Case(
        lambda: given(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), x(1, 3, 8)), 1680, 960,
        {"TH-FASTPATH": 0, "TH-RULES": 912, "TH-NORM": -192}),
    # 6 MACs a call; two hooks see two calls, and both names have all of it
    "below two parents": Case(lambda: given(shared(), x(1, 2)), 12, 48, {"TH-ALIAS": -36}),
    "two names in one parent": Case(lambda: given(twice(), x(1, 2)), 12, 12, {}),
}

PARAMS = {
    "two layers": Case(WORK["two layers"].make, 550_600, 550_600, {}),
    "AlexNet": Case(alexnet, 61_100_840, 61_100_840, {}),
    "the root": Case(lambda: given(nn.Linear(2, 3), x(1, 2)), 9, 0, {"TH-PARAMS": 9}),
    "embedding": Case(
        lambda: given(nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2)), torch.tensor([[1]])),
        23, 8, {"TH-PARAMS": 15}),
    "weight of a layer that is not called": Case(
        lambda: given(Custom(lambda m, a: F.linear(a, m.fc.weight), fc=nn.Linear(2, 3)), x(1, 2)),
        9, 0, {"TH-PARAMS-UNCALLED": 9}),
    "quantized": Case(
        lambda: given(torch.ao.nn.quantized.Linear(3, 2), torch.quantize_per_tensor(x(1, 3), 1, 0, torch.quint8)), 8, 0,
        {"TH-PARAMS": 8}),
    "below two parents": Case(WORK["below two parents"].make, 9, 18, {"TH-PARAMS-SHARED": -9}),
    "tied": Case(lambda: given(tied(), x(1, 2)), 8, 12, {"TH-PARAMS-SHARED": -4}),
}
# fmt: on
PEER_CASES = PeerCases(
    "thop",
    {f"{name}, work": case.make for name, case in WORK.items()}
    | {f"{name}, params": case.make for name, case in PARAMS.items()}
    | {"no dimension": lambda: given(nn.Sequential(nn.Linear(2, 2), nn.Softmax()), x(1, 2))},
)


@pytest.mark.parametrize("name", WORK)
def test_work_is_reconciled_to_the_last_mac(name):
    case, finding = WORK[name], PEER_CASES.total(f"{name}, work")
    assert (finding.ours, finding.claim.claimed) == (case.ours, case.claimed), finding.claim.error
    assert causes(finding) == case.causes
    assert finding.unexplained == 0


@pytest.mark.parametrize("name", PARAMS)
def test_parameters_are_reconciled_to_the_last_one(name):
    case, finding = PARAMS[name], PEER_CASES.total(f"{name}, params", "parameter")
    assert (finding.ours, finding.claim.claimed) == (case.ours, case.claimed), finding.claim.error
    assert causes(finding) == case.causes
    assert finding.unexplained == 0


@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
@pytest.mark.parametrize("name", PEER_CASES.cases)
def test_every_module_that_it_reports_is_reconciled(name):
    assert {
        place: finding.unexplained for place, finding in PEER_CASES.findings(name).items() if finding.unexplained
    } == {}


def test_every_deviation_has_a_case():
    shown = {code for case in (*WORK.values(), *PARAMS.values()) for code in case.causes}
    assert shown == {deviation.code for deviation in find_peer("thop").deviations}


def test_a_shared_layer_is_claimed_whole_under_each_of_its_names():
    findings = PEER_CASES.findings("below two parents, work")
    assert [(findings[path, "MAC"].ours, findings[path, "MAC"].claim.claimed) for path in ("a.0", "b.0")] == [
        (6, 24),
        (6, 24),
    ]


@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
def test_what_it_cannot_take_is_a_failure_in_its_own_words():
    finding = PEER_CASES.total("no dimension")
    assert finding.verdict is Verdict.FAILED
    assert "TypeError" in finding.claim.error


def test_the_users_model_is_as_it_was_and_keyword_arguments_are_passed():
    model = Custom(lambda m, a, b: m.fc(a) + b, fc=nn.Linear(3, 4)).train()
    model.forward = lambda *, a, b: model.code(model, a, b)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with PickledModel(lambda: (model, (), {"a": x(2, 3), "b": x(2, 4)})) as pickled:
        answer = run_peer("thop", pickled)
    assert answer.total == 24
    assert model.training
    assert not any(
        hasattr(m, name) or m._forward_hooks for m in model.modules() for name in ("total_ops", "total_params")
    )
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def installed(**hashes):
    """Return a fake of ``metadata.distribution``, in which each distribution recorded a hash of ``thop/profile.py``."""
    true = next(f for f in metadata.files("thop") if str(f) == "thop/profile.py")

    def distribution(name):
        if name.replace("-", "_") not in hashes:
            raise metadata.PackageNotFoundError(name)
        value = hashes[name.replace("-", "_")] or true.hash.value
        file = SimpleNamespace(hash=SimpleNamespace(mode="sha256", value=value), locate=true.locate, __str__=str)
        return SimpleNamespace(version="2.2.3" if "ultra" in name else "0.1.1", files=[DistributionFile(file)])

    return distribution


class DistributionFile(SimpleNamespace):
    """The entry of ``thop/profile.py`` in the list of a distribution's files."""

    def __init__(self, file):
        super().__init__(hash=file.hash, locate=file.locate)

    def __str__(self):
        return "thop/profile.py"


@pytest.mark.parametrize(
    ("hashes", "answers"),
    [
        ({"thop": None}, "thop 0.1.1"),
        ({"ultralytics_thop": None}, "ultralytics-thop 2.2.3"),
        ({"thop": "overwritten", "ultralytics_thop": None}, "ultralytics-thop 2.2.3"),
        ({"thop": None, "ultralytics_thop": "overwritten"}, "thop 0.1.1"),
        ({}, "not installed"),
    ],
)
def test_the_distribution_whose_files_are_in_place_is_the_one_that_answers(monkeypatch, hashes, answers):
    monkeypatch.setattr(metadata, "distribution", installed(**hashes))
    assert find_peer("thop").version == answers


def test_the_installed_one_is_recognised():
    assert find_peer("thop").version == f"thop {metadata.version('thop')}"


WITHOUT_DISTUTILS = """
import sys

class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "distutils":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Gone())
from torch import nn, ones
from profiler.peers.registry import find_peer

print(find_peer("thop").run(nn.Linear(2, 3), (ones(1, 2),), {}).total)
"""


def test_thop_runs_where_python_has_no_distutils():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_DISTUTILS], capture_output=True, text=True, check=False
    )
    assert done.stdout == "6.0\n", done.stderr
