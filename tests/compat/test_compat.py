"""The replacements of other counters' entry points: the originals' signatures, result types and units, our counts."""

from __future__ import annotations

import inspect
from collections import Counter
from io import StringIO

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode as TorchCounter

from profiler.compat import fvcore, ptflops, thop
from profiler.compat.torch import FlopCounterMode
from profiler.errors import InputError, UnknownNameError


class Net(nn.Module):
    """A convolution of 8·6·6·27 = 7,776 MACs, a norm, and a product outside any submodule, 8·8·36 = 2,304 MACs."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)

    def forward(self, x):
        y = self.norm(self.conv(x)).flatten(2)
        return y @ y.mT


CONV, PRODUCT, PARAMS = 7_776, 2_304, 8 * 27 + 8 + 16


@pytest.fixture
def net() -> Net:
    return Net()


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(1, 3, 8, 8)


def names(function) -> list[tuple[str, object]]:
    return [(p.name, p.kind) for p in inspect.signature(function).parameters.values()]


def defaults(function) -> dict[str, object]:
    values = {p.name: p.default for p in inspect.signature(function).parameters.values() if p.default is not p.empty}
    return {name: getattr(value, "value", value) for name, value in values.items()}  # enums are compared by value


def originals() -> dict[str, tuple[object, object]]:
    import ptflops as original_ptflops
    import thop as original_thop
    from fvcore import nn as original_fvcore
    from fvcore.nn import FlopCountAnalysis

    pairs = {
        "thop.profile": (thop.profile, original_thop.profile),
        "thop.clever_format": (thop.clever_format, original_thop.clever_format),
        "thop.profile_origin": (thop.profile_origin, original_thop.profile_origin),
        "ptflops": (ptflops.get_model_complexity_info, original_ptflops.get_model_complexity_info),
        "ptflops.flops": (ptflops.flops_to_string, original_ptflops.flops_to_string),
        "ptflops.params": (ptflops.params_to_string, original_ptflops.params_to_string),
        "torch": (FlopCounterMode.__init__, TorchCounter.__init__),
    }
    public = [n for n, m in inspect.getmembers(FlopCountAnalysis, inspect.isfunction) if not n.startswith("_")]
    for name in ("__init__", *public):
        pairs[f"fvcore.{name}"] = getattr(fvcore.FlopCountAnalysis, name), getattr(FlopCountAnalysis, name)
    for name in fvcore.__all__:
        pairs[f"fvcore.{name}"] = getattr(fvcore, name), getattr(original_fvcore, name)
    return pairs


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_every_signature_is_the_originals():
    for name, (ours, theirs) in originals().items():
        assert names(ours) == names(theirs), name
        assert defaults(ours) == defaults(theirs), name


def test_thop_gives_macs_and_parameters_as_floats(net, x):
    result = thop.profile(net, inputs=(x,))
    assert result == (CONV + PRODUCT, PARAMS)
    assert [type(value) for value in result] == [float, float]
    assert thop.clever_format(result, "%.3f") == ("10.080K", "240.000B")


def test_thop_nests_the_children(net, x):
    _, _, layers = thop.profile(net, inputs=(x,), ret_layer_info=True)
    assert layers == {"conv": (CONV, 224.0, {}), "norm": (0.0, 16.0, {})}


def test_thop_leaves_the_model_as_it_was(net, x):
    state = {name: value.clone() for name, value in net.state_dict().items()}
    thop.profile(net, inputs=(x,))
    assert net.training
    assert list(net.state_dict()) == list(state)
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())


def test_ptflops_gives_one_samples_macs(net):
    result = ptflops.get_model_complexity_info(net, (3, 8, 8), as_strings=False, print_per_layer_stat=False)
    assert result == (CONV + PRODUCT, PARAMS)
    four = ptflops.get_model_complexity_info(
        net, (3, 8, 8), False, False, input_constructor=lambda size: torch.zeros(4, *size)
    )
    assert four == result
    whole = ptflops.get_model_complexity_info(
        net, (3, 8, 8), False, False, input_constructor=lambda size: {"x": torch.zeros(4, *size)}, backend="aten"
    )
    assert whole == (4 * (CONV + PRODUCT), PARAMS)


def test_ptflops_writes_the_originals_text_and_a_table(net):

    out = StringIO()
    result = ptflops.get_model_complexity_info(net, (3, 8, 8), ost=out)
    assert result == ("10.08 KMac", "240")
    assert "conv Conv2d" in out.getvalue()


def test_ptflops_ignores_classes(net):
    result = ptflops.get_model_complexity_info(net, (3, 8, 8), False, False, ignore_modules=[nn.Conv2d])
    assert result[0] == PRODUCT


def test_fvcore_counts_macs_by_module_and_operator(net, x):
    result = fvcore.FlopCountAnalysis(net.eval(), x)
    assert result.total() == CONV + PRODUCT
    assert result.total("conv") == CONV
    assert result.by_module() == Counter({"": CONV + PRODUCT, "conv": CONV, "norm": 0})
    assert result.by_operator() == Counter({"conv": CONV, "matmul": PRODUCT})
    assert result.by_module_and_operator()["conv"] == Counter({"conv": CONV})
    assert result.unsupported_ops() == Counter()
    assert result.uncalled_modules() == set()
    assert result.unsupported_ops_warnings(False).tracer_warnings("none").ancestor_mode("caller") is result
    with pytest.raises(UnknownNameError, match="'conv'"):
        result.total("cnv")


def test_fvcore_lists_what_nobody_counts(x):
    class Decomposes(nn.Module):
        def forward(self, x):
            return torch.linalg.svdvals(x)

    result = fvcore.FlopCountAnalysis(Decomposes(), torch.ones(3, 3))
    assert result.unsupported_ops() == Counter({"aten::_linalg_svd": 1})


def test_torchs_counter_sees_what_the_original_does_not(x):
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    tokens = torch.randn(2, 5, 8)
    with torch.no_grad(), FlopCounterMode(display=False) as ours:
        layer(tokens)
    # 10 tokens: 4·8² for the projections, 2·8·16 for the feed-forward layer; 2·5·8 for each token's attention
    assert ours.get_total_flops() == 2 * 10 * (4 * 64 + 2 * 128 + 2 * 5 * 8)


def test_torchs_counter_divides_a_grouped_backward_by_the_groups():
    conv, x = nn.Conv2d(4, 4, 3, groups=4), torch.randn(1, 4, 8, 8, requires_grad=True)
    with FlopCounterMode(display=False) as ours:
        conv(x).sum().backward()
    assert ours.get_total_flops() == 3 * 2 * 4 * 36 * 9  # forward, gradient of input, gradient of weight


def test_torchs_counter_names_modules_and_operators_as_the_original(net, x):
    with torch.no_grad():
        with FlopCounterMode(display=False) as ours:
            net(x)
        with TorchCounter(display=False) as theirs:
            net(x)
    assert ours.get_total_flops() == theirs.get_total_flops() == 2 * (CONV + PRODUCT)
    assert {name for name, ops in ours.get_flop_counts().items() if any(ops.values())} == set(theirs.get_flop_counts())
    assert ours.get_flop_counts()["Net.conv"][torch.ops.aten.convolution] == 2 * CONV
    assert ours.get_table().splitlines()[0].split() == ["Module", "FLOP", "%", "Total"]


def test_torchs_counter_takes_a_mapping_of_ones_own(net, x):
    with (
        torch.no_grad(),
        FlopCounterMode(display=False, custom_mapping={torch.ops.aten.bmm: lambda *_, **__: 7}) as ours,
    ):
        net(x)
    assert ours.get_total_flops() == 2 * CONV + 7


@pytest.mark.parametrize(
    "call",
    [
        lambda net: thop.profile(net, (), custom_ops={nn.Conv2d: print}),
        lambda net: ptflops.get_model_complexity_info(net, (1,), custom_modules_hooks={nn.Conv2d: print}),
        lambda net: fvcore.FlopCountAnalysis(net, ()).set_op_handle("aten::add", print),
    ],
)
def test_rules_of_another_counter_are_refused(net, call):
    with pytest.raises(InputError, match="register a formula with @profiler"):
        call(net)


@pytest.mark.parametrize("options", [{}, {"depth": 1}, {"display": False}, {"custom_mapping": {}}])
def test_torchs_counter_takes_the_arguments_of_this_torch(options):
    with FlopCounterMode(**options) as ours:
        torch.ones(2, 3) @ torch.ones(3, 4)
    assert ours.get_total_flops() == 2 * 2 * 3 * 4


@pytest.mark.parametrize("flops", [9001, 1, 7])
def test_torchs_counter_keeps_an_odd_number_of_a_registered_formula(flops):
    from torch.utils.flop_counter import flop_registry, register_flop_formula

    @torch.library.custom_op(f"compat_tests::odd{flops}", mutates_args=())
    def odd(x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    packet = getattr(torch.ops.compat_tests, f"odd{flops}")
    register_flop_formula(packet)(lambda *_args, **_kwargs: flops)
    try:
        counts = []
        for counter in (FlopCounterMode(display=False), TorchCounter(display=False)):
            with counter:
                odd(torch.ones(2, 3))
            counts.append(counter.get_total_flops())
    finally:
        del flop_registry[packet]
    assert counts == [flops, flops]


class Product(nn.Module):
    """A matrix product without parameters."""

    def forward(self, x):
        return x.matmul(x.t())


def original_ptflops(model, size, **options):
    import ptflops as original

    return original.get_model_complexity_info(model, size, False, False, ost=StringIO(), **options)


def our_ptflops(model, size, **options):
    return ptflops.get_model_complexity_info(model, size, False, False, ost=StringIO(), **options)


aten = torch.ops.aten
PLAIN = nn.Sequential(nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.Flatten()), nn.Linear(288, 10, bias=False))


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("model", "size", "options"),
    [
        (Product(), (10,), {"backend": "aten"}),
        (Product(), (10,), {"backend": "aten", "ignore_modules": [aten.mm]}),
        (Product(), (10,), {"backend": "aten", "ignore_modules": [aten.matmul]}),
        (PLAIN, (3, 8, 8), {}),
        (PLAIN, (3, 8, 8), {"ignore_modules": [nn.Conv2d]}),
        (PLAIN, (3, 8, 8), {"ignore_modules": [nn.Sequential]}),
        (PLAIN, (3, 8, 8), {"ignore_modules": [nn.Conv2d, nn.Linear]}),
        (PLAIN, (3, 8, 8), {"backend_specific_config": {"count_functional": True}}),
        (PLAIN, (3, 8, 8), {"backend": "aten", "ignore_modules": [aten.convolution]}),
        (PLAIN, (3, 8, 8), {"backend": "aten", "ignore_modules": [aten.mm, aten.addmm]}),
    ],
)
def test_ptflops_honours_its_options_as_the_original(model, size, options):
    ours = our_ptflops(model, size, **options)
    assert ours == original_ptflops(model, size, **options)
    assert [type(value) for value in ours] == [int, int]


def test_ptflops_ignores_an_operator_inside_a_fused_layer():
    """Per token 2·8·16 of the feed-forward network and 4·8² of the projections are addmm; the rest is attention."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    macs, _ = our_ptflops(layer, (5, 8), backend="aten", ignore_modules=[aten.addmm])
    assert our_ptflops(layer, (5, 8), backend="aten")[0] - macs == 5 * (2 * 8 * 16 + 4 * 64)
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"ignore_modules": [aten.mm]}, "'pytorch' are classes of modules, not"),
        ({"ignore_modules": [nn.Linear(2, 2)]}, "are classes of modules, not"),
        ({"ignore_modules": [nn.Linear], "backend": "aten"}, "operators such as torch.ops.aten.mm, not"),
        ({"ignore_modules": [aten.mm.default], "backend": "aten"}, "operators such as torch.ops.aten.mm, not"),
        ({"backend_specific_config": {"count_functional": False}}, "functions are always counted; leave it out"),
        ({"backend_specific_config": {"other": 1}}, "{'other': 1} is not supported"),
        ({"backend": "jit"}, "backend must be one of 'pytorch', 'aten', not 'jit'"),
        ({"input_res": [10]}, "input_res must be a tuple"),
        ({"input_res": ()}, "input_res must be a tuple"),
    ],
)
def test_ptflops_refuses_what_it_cannot_honour_in_one_line(options, part):
    with pytest.raises(InputError) as caught:
        ptflops.get_model_complexity_info(Product(), **{"input_res": (10,)} | options)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_ptflops_takes_the_originals_enum():
    import ptflops as original

    backend = original.FLOPS_BACKEND.ATEN
    assert our_ptflops(Product(), (10,), backend=backend) == original_ptflops(Product(), (10,), backend=backend)


class Decomposes(nn.Module):
    """Calls an operator without a formula."""

    def forward(self, x):
        return torch.linalg.svdvals(x)


@pytest.mark.parametrize(("options", "lines"), [({}, 1), ({"verbose": False}, 0), ({"report_missing": True}, 1)])
@pytest.mark.parametrize("function", [thop.profile, thop.profile_origin])
def test_thop_prints_what_it_does_not_count(capsys, function, options, lines):
    assert function(Decomposes(), (torch.ones(3, 3),), **options) == (0.0, 0.0)
    printed = capsys.readouterr().out.splitlines()
    assert printed == ["[WARN] Cannot find a formula for aten._linalg_svd.default. Treat it as zero MACs."] * lines


def test_ptflops_writes_what_it_does_not_count():
    out = StringIO()
    ptflops.get_model_complexity_info(Decomposes(), (3, 3), print_per_layer_stat=False, ost=out, verbose=True)
    assert out.getvalue() == "Warning: aten._linalg_svd.default operation is treated as a zero-op\n"


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_thop_agrees_with_the_original_where_it_has_a_rule_for_every_layer():
    import thop as original

    model, x = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10)), torch.ones(2, 3, 8, 8)
    for name in ("profile", "profile_origin"):
        theirs = getattr(original, name)(model, (x,), verbose=False)
        ours = getattr(thop, name)(model, (x,), verbose=False)
        assert ours == theirs
        assert [type(value) for value in ours] == [type(value) for value in theirs]


@pytest.mark.parametrize(
    "run",
    [
        lambda model, x: thop.profile(model, (x,)),
        lambda model, x: our_ptflops(model, tuple(x.shape[1:])),
    ],
)
def test_each_modules_own_mode_is_restored(net, x, run):
    net.norm.eval()
    run(net, x)
    assert [module.training for module in net.modules()] == [True, True, False]


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("units", [{}, {"flops_units": "GMac", "param_units": "M", "output_precision": 5}])
def test_ptflops_formats_its_text_as_the_original(units):
    import ptflops as original

    texts = [
        module.get_model_complexity_info(PLAIN, (3, 8, 8), print_per_layer_stat=False, ost=StringIO(), **units)
        for module in (original, ptflops)
    ]
    assert texts[0] == texts[1]
    assert [type(text) for text in texts[1]] == [str, str]


@pytest.mark.parametrize("x", [torch.tensor(1.0), torch.ones(0, 3)])
def test_ptflops_refuses_an_input_without_samples(x):
    with pytest.raises(InputError, match="no samples to average over"):
        ptflops.get_model_complexity_info(nn.ReLU(), (3,), False, False, input_constructor=lambda _: x)


def test_torch_counts_a_layer_that_draws_in_train_mode():
    """Attention draws with a number, ``bernoulli_(p)``; another overload takes a tensor of probabilities."""
    layer, x = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), torch.randn(2, 5, 8)
    counts = []
    for counter in (FlopCounterMode(display=False), TorchCounter(display=False)):
        with counter:
            layer(x).sum().backward()
            torch.empty(4).bernoulli_(torch.full((4,), 0.5))
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] > 0
