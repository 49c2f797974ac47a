"""``compat.fvcore`` against fvcore itself: names, modules, modes, tables, types."""

from __future__ import annotations

import logging
import warnings
from collections import Counter, defaultdict

import pytest
import torch
import torchvision
from torch import nn

from profiler import count
from profiler.compat import fvcore as ours
from profiler.errors import InputError, ModelError, ProfilerError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it scripts functions, which torch deprecates
    import fvcore.nn as original

pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning"
)


class Inner(nn.Module):
    """Calls a module that it shares with others."""

    def __init__(self, shared):
        super().__init__()
        self.shared = shared

    def forward(self, x):
        return self.shared(x)


class Shared(nn.Module):
    """One layer in two parents, and another under two names."""

    def __init__(self):
        super().__init__()
        layer = nn.Linear(10, 10)
        self.a, self.b = Inner(layer), Inner(layer)
        self.one = self.two = nn.Linear(10, 1)

    def forward(self, x):
        x = self.a(x) + self.b(x)
        return self.one(x) + self.two(x)


class Reached(nn.Module):
    """Its layer is called by a method that is not forward, and in the second call by forward."""

    class Part(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(10, 10)

        def forward(self, x):
            return self.fc(x)

        def other(self, x):
            return self.fc(x)

    def __init__(self):
        super().__init__()
        self.part, self.never = self.Part(), nn.Linear(3, 3)

    def forward(self, x):
        return self.part(self.part.other(x))


class Recursive(nn.Module):
    """Calls itself."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(10, 10)

    def forward(self, x, depth=3):
        return self(x, depth - 1) if depth else self.fc(x)


class Kinds(nn.Module):
    """The contractions that fvcore has handlers for, each at another size."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv1d(4, 6, 3), nn.ConvTranspose1d(6, 4, 3, groups=2)])
        self.skip = nn.Identity()
        self.weight = nn.Parameter(torch.randn(8, 4))

    def forward(self, x):
        for conv in self.convs:
            x = conv(x)
        y = torch.einsum("nct,ncp->ntp", x, x)
        y = torch.bmm(y, y) @ self.weight
        return self.skip(torch.addmm(y[0], y[0], self.weight.T @ self.weight).relu())


class Unused(nn.Module):
    """Has containers and layers that never run."""

    def __init__(self):
        super().__init__()
        self.fc, self.unused = nn.Linear(10, 10), nn.Linear(5, 5)
        self.list, self.empty = nn.ModuleList([nn.Linear(10, 2)]), nn.ModuleDict({"x": nn.ReLU()})

    def forward(self, x):
        return self.list[0](self.fc(x))


def nested() -> nn.Module:
    return nn.Sequential(nn.Sequential(nn.Linear(10, 20), nn.ReLU()), nn.DataParallel(nn.Linear(20, 5)), nn.Flatten())


def plain() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(392, 10))


CASES = {
    "shared": (Shared, torch.ones(1, 10)),
    "reached": (Reached, torch.ones(2, 10)),
    "recursive": (Recursive, torch.ones(1, 10)),
    "kinds": (Kinds, torch.ones(2, 4, 8)),
    "unused": (Unused, torch.ones(3, 10)),
    "nested": (nested, torch.ones(3, 10)),
    "data parallel": (lambda: nn.DataParallel(nn.Sequential(nn.Linear(10, 20))), torch.ones(3, 10)),
    "plain": (plain, torch.ones(2, 3, 16, 16)),
    "squeezenet": (torchvision.models.squeezenet1_1, torch.ones(1, 3, 64, 64)),
    "mobilenet": (torchvision.models.mobilenet_v2, torch.ones(1, 3, 64, 64)),
}
MODES = ("owner", "caller")
#: What fvcore adds beside multiply-adds; counted 0 here by convention.
NO_CONTRACTIONS = {"batch_norm", "adaptive_avg_pool2d", "layer_norm"}


@pytest.fixture(params=CASES)
def pair(request):
    """The same model and input in both analyses."""
    make, x = CASES[request.param]
    model = make().eval()
    return [silent(module.FlopCountAnalysis(model, (x,))) for module in (original, ours)]


def silent(analysis):
    return analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)


def contractions(counts: dict[str, Counter[str]]) -> dict[str, Counter[str]]:
    return {
        name: Counter({op: n for op, n in ops.items() if op not in NO_CONTRACTIONS and n})
        for name, ops in counts.items()
    }


@pytest.mark.parametrize("mode", MODES)
def test_modules_and_operators_are_those_of_fvcore(pair, mode):
    theirs, mine = (analysis.ancestor_mode(mode) for analysis in pair)
    expected = contractions(theirs.by_module_and_operator())
    assert mine.by_module_and_operator() == expected
    assert list(mine.by_module()) == list(theirs.by_module()), "the same modules in the same order"
    assert mine.by_module() == {name: sum(ops.values()) for name, ops in expected.items()}
    assert mine.uncalled_modules() == theirs.uncalled_modules()
    for name in theirs.by_module_and_operator():
        assert mine.by_operator(name) == expected[name]
        assert mine.total(name) == sum(expected[name].values())


def test_results_have_the_types_of_fvcore(pair):
    theirs, mine = pair
    for call in (
        lambda a: a.total(),
        lambda a: a.by_operator(),
        lambda a: a.by_module(),
        lambda a: a.by_module_and_operator(),
        lambda a: a.by_module_and_operator()[""],
        lambda a: a.unsupported_ops(),
        lambda a: a.uncalled_modules(),
        lambda a: a.canonical_module_name(""),
    ):
        assert type(call(mine)) is type(call(theirs))


def test_the_total_is_what_count_says(pair):
    _, mine = pair
    assert mine.total() == count(mine._model, *mine._inputs).totals.macs


def test_a_module_under_two_names_has_all_of_its_work_under_the_first():
    mine = ours.FlopCountAnalysis(Shared(), torch.ones(1, 10))
    assert mine.total("b.shared") == mine.total("a.shared") == 200
    assert mine.total("two") == mine.total("one") == 20
    assert mine.canonical_module_name("b.shared") == "a.shared"


def test_modules_that_run_belong_to_the_caller_or_to_the_owner():
    """The part's layer runs twice, 2·10·10 each; one of these calls is not inside the part's forward."""
    mine = ours.FlopCountAnalysis(Reached(), torch.ones(2, 10))
    assert mine.total("part") == 400
    assert mine.ancestor_mode("caller").total("part") == 200
    assert mine.total("part.fc") == mine.total() == 400


@pytest.mark.parametrize(("option", "value"), [("ancestor_mode", "nonsense"), ("tracer_warnings", "some")])
def test_an_unknown_mode_is_refused_in_one_line(option, value):
    for module in (original, ours):
        with pytest.raises(ValueError, match=value):
            getattr(module.FlopCountAnalysis(nn.Linear(2, 2), torch.ones(1, 2)), option)(value)
    with pytest.raises(ProfilerError, match=f"{option} must be one of"):
        getattr(ours.FlopCountAnalysis(nn.Linear(2, 2), torch.ones(1, 2)), option)(value)


def test_an_unknown_module_is_a_key_error_that_reads_as_one_line():
    with pytest.raises(KeyError) as caught:
        ours.FlopCountAnalysis(Shared(), torch.ones(1, 10)).total("ohne")
    assert str(caught.value) == "no module named 'ohne'; did you mean 'one'?"


def test_a_handle_of_none_leaves_an_operator_out():
    """As fvcore documents; it does so only if the operator had no handle before."""
    mine = ours.FlopCountAnalysis(Kinds(), torch.ones(2, 4, 8))
    everything = mine.by_operator()
    mine.set_op_handle("aten::_convolution", None, "aten::bmm", None)
    assert mine.by_operator() == {name: everything[name] for name in ("einsum", "matmul", "addmm")}
    assert mine.copy().by_operator() == mine.by_operator()
    with pytest.raises(TypeError, match="pairs"):
        mine.set_op_handle("aten::bmm")
    with pytest.raises(InputError, match="register a formula"):
        mine.set_op_handle(**{"aten::bmm": lambda _i, _o: 1})
    with pytest.raises(InputError, match="clear_op_handles is not supported"):
        mine.clear_op_handles()


def test_a_copy_keeps_the_settings_and_not_the_results():
    mine = ours.FlopCountAnalysis(Reached(), torch.ones(2, 10)).ancestor_mode("caller")
    assert mine.total("part") == 200
    assert mine.copy(new_inputs=torch.ones(4, 10)).total("part") == 400
    assert mine.copy(new_model=nn.Sequential()).total() == 0, "a model without children is a model"


def test_warnings_are_logged_unless_switched_off(caplog):
    class Decomposes(Unused):
        def forward(self, x):
            return torch.linalg.svdvals(self.fc(x))

    caplog.set_level(logging.WARNING)
    analysis = ours.FlopCountAnalysis(Decomposes(), torch.ones(3, 10))
    analysis.total()
    messages = [record.getMessage() for record in caplog.records]
    assert "Unsupported operator aten::_linalg_svd encountered 1 time(s)" in messages
    assert any("never called" in m and m.endswith("empty.x, list.0, unused") for m in messages), "and no container"
    caplog.clear()
    silent(analysis.copy()).total()
    assert not caplog.records


@pytest.mark.parametrize(("mode", "shown"), [("all", 1), ("no_tracer_warning", 1), ("none", 0)])
def test_the_warnings_of_the_model_are_shown_as_asked(mode, shown):
    class Warns(nn.Linear):
        def forward(self, x):
            warnings.warn("from the model", RuntimeWarning, stacklevel=1)
            return super().forward(x)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ours.FlopCountAnalysis(Warns(2, 2), torch.ones(1, 2)).tracer_warnings(mode).total()
    assert len([w for w in caught if "from the model" in str(w.message)]) == shown


@pytest.mark.parametrize("name", ["shared", "reached", "unused", "nested", "plain"])
@pytest.mark.parametrize("mode", MODES)
def test_tables_are_those_of_fvcore(name, mode):
    make, x = CASES[name]
    model = make().eval()
    texts = []
    for module in (original, ours):
        flops = module.FlopCountAnalysis(model, x).ancestor_mode(mode)
        acts = module.ActivationCountAnalysis(model, x).ancestor_mode(mode)
        texts.append(
            [
                module.flop_count_table(flops),
                module.flop_count_table(flops, max_depth=1, activations=acts, show_param_shapes=False),
                module.flop_count_str(flops),
                module.flop_count_str(flops, activations=acts),
                module.parameter_count_table(model, max_depth=2),
            ]
        )
    assert texts[1] == texts[0]


@pytest.mark.parametrize("name", [name for name in CASES if name != "kinds"])
def test_activations_and_parameters_are_those_of_fvcore(name):
    make, x = CASES[name]
    model = make().eval()
    theirs, mine = (silent(m.ActivationCountAnalysis(model, x)) for m in (original, ours))
    assert mine.by_module_and_operator() == theirs.by_module_and_operator()
    assert ours.parameter_count(model) == original.parameter_count(model)
    assert type(ours.parameter_count(model)) is defaultdict


def test_attention_is_an_activation_too():
    def attention(q):
        return nn.functional.scaled_dot_product_attention(q, q, q)

    layer = nn.Module()
    layer.forward = attention
    assert ours.ActivationCountAnalysis(layer, torch.ones(1, 2, 5, 8)).by_operator() == {
        "scaled_dot_product_attention": 80
    }


def test_the_functions_return_scaled_counts_and_what_is_not_supported():
    model, x = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), torch.ones(1, 3, 8, 8)
    for name in ("flop_count", "activation_count"):
        theirs, mine = (getattr(module, name)(model, (x,)) for module in (original, ours))
        assert mine == theirs
        assert [type(part) for part in mine] == [type(part) for part in theirs]
        assert mine[0]["nothing"] == 0.0
        with pytest.raises(InputError, match="register a formula"):
            getattr(ours, name)(model, (x,), {"aten::relu": lambda _i, _o: 1})


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Dropout())
    state = {name: value.clone() for name, value in model.state_dict().items()}
    x, seed = torch.randn(1, 3, 8, 8), torch.get_rng_state()
    ours.FlopCountAnalysis(model, x).total()
    assert torch.equal(torch.get_rng_state(), seed)
    assert model.training
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_module_that_is_born_in_forward_counts():
    class Grows(nn.Module):
        def forward(self, x):
            self.late = nn.Linear(10, 2)
            return self.late(x)

    assert ours.FlopCountAnalysis(Grows(), torch.ones(3, 10)).by_operator() == {"linear": 60}


class Force(nn.Module):
    """Returns the gradient of an energy: 2·4·3 and 2·3·1 MACs forward, and as many for the gradients of the inputs."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 3, bias=False), nn.Tanh())
        self.readout = nn.Linear(3, 1, bias=False)

    def forward(self, x):
        with torch.enable_grad():
            x = x.clone().requires_grad_()
            return torch.autograd.grad(self.readout(self.body(x)).sum(), x)[0]


def test_a_model_that_differentiates_in_its_forward_is_counted():
    mine = ours.FlopCountAnalysis(Force(), torch.ones(2, 4))
    assert mine.total() == count(Force(), torch.ones(2, 4)).totals.macs == 2 * (2 * 4 * 3 + 2 * 3 * 1)
    assert mine.by_module() == {"": 60, "body": 48, "body.0": 48, "body.1": 0, "readout": 12}
    assert mine.by_operator() == {"mm": 60}


@pytest.mark.parametrize("wrap", [torch.jit.script, torch.compile], ids=["scripted", "compiled"])
def test_a_scripted_or_compiled_model_is_counted(wrap):
    model = wrap(nn.Sequential(nn.Linear(4, 5), nn.ReLU()))
    assert ours.FlopCountAnalysis(model, torch.ones(2, 4)).total() == 40


def test_a_model_that_raises_is_a_model_error():
    with pytest.raises(ModelError, match="mat1 and mat2"):
        ours.FlopCountAnalysis(nn.Linear(4, 5), torch.ones(2, 3)).total()


MODELS = {
    "encoder": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (torch.ones(2, 5, 8),)),
    "attention": (lambda: nn.MultiheadAttention(8, 2), (torch.ones(5, 2, 8),) * 3),
    "lstm": (lambda: nn.LSTM(8, 16, bidirectional=True), (torch.ones(5, 2, 8),)),
    "gru cell": (lambda: nn.GRUCell(8, 16), (torch.ones(2, 8), torch.ones(2, 16))),
    "bilinear": (lambda: nn.Bilinear(4, 5, 6), (torch.ones(2, 4), torch.ones(2, 5))),
    "same padding": (lambda: nn.Conv2d(3, 4, 3, padding="same"), (torch.ones(1, 3, 8, 8),)),
    "swin": (torchvision.models.swin_t, (torch.empty(1, 3, 224, 224, device="meta"),)),
}


@pytest.mark.parametrize("name", MODELS)
def test_what_fvcore_leaves_out_is_counted(name):
    make, inputs = MODELS[name]
    model = make().to(inputs[0].device).eval()
    assert ours.FlopCountAnalysis(model, inputs).total() == count(model, *inputs).totals.macs > 0
