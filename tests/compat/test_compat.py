"""The replacements of other counters' entry points: the originals' signatures, result types and units, our counts."""

from __future__ import annotations

import inspect
from collections import Counter

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
    from fvcore.nn import FlopCountAnalysis

    pairs = {
        "thop.profile": (thop.profile, original_thop.profile),
        "thop.clever_format": (thop.clever_format, original_thop.clever_format),
        "ptflops": (ptflops.get_model_complexity_info, original_ptflops.get_model_complexity_info),
        "torch": (FlopCounterMode.__init__, TorchCounter.__init__),
    }
    public = [n for n, m in inspect.getmembers(FlopCountAnalysis, inspect.isfunction) if not n.startswith("_")]
    for name in ("__init__", *public):
        pairs[f"fvcore.{name}"] = getattr(fvcore.FlopCountAnalysis, name), getattr(FlopCountAnalysis, name)
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
    from io import StringIO

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
    assert result.by_operator() == Counter({"convolution": CONV, "bmm": PRODUCT})
    assert result.by_module_and_operator()["conv"] == Counter({"convolution": CONV})
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
