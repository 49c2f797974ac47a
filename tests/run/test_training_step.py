"""Counting a training step: what is counted, and that all state is restored."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections import Counter
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import profiler
from profiler.errors import InputError, ModelError, UnknownNameError
from profiler.run.allocator import with_allocator_peak
from profiler.run.optimizers import make_optimizer
from profiler.run.step_options import checkpointed, freeze
from profiler.run.training_step import default_loss
from profiler.targets import build, make_inputs, resolve
from profiler.values.memory import estimate_training

X = torch.ones(3, 10)


def net():
    return nn.Sequential(nn.Linear(10, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Dropout(0.5), nn.Linear(20, 5))


def state(model, optimizer):
    """Copy everything that a step can change."""
    return deepcopy((
        dict(model.state_dict()), [p.grad for p in model.parameters()], optimizer.state_dict(), torch.get_rng_state(),
    ))  # fmt: skip


def same(left, right):
    """Compare nests of tensors bit for bit."""
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


def step(model, optimizer, x=X):
    optimizer.zero_grad()
    model(x).sum().backward()
    optimizer.step()


@pytest.mark.parametrize("has_state", [False, True])
def test_a_counted_step_leaves_everything_as_it_was(has_state):
    model = net()
    optimizer = torch.optim.AdamW(model.parameters())
    if has_state:
        step(model, optimizer)
    before = state(model, optimizer)
    profiler.count_step(model, X, optimizer=optimizer)
    assert same(state(model, optimizer), before)


def test_a_profiled_step_does_what_the_same_step_does_without_the_profiler():
    torch.manual_seed(0)
    models = [net()]
    models.append(deepcopy(models[0]))
    optimizers = [torch.optim.AdamW(model.parameters()) for model in models]
    after = []
    for model, optimizer, watched in zip(models, optimizers, (True, False), strict=True):
        torch.manual_seed(1)
        for _ in range(2):
            if watched:
                with profiler.profile(model):
                    step(model, optimizer)
            else:
                step(model, optimizer)
        after.append(state(model, optimizer))
    assert same(*after)


def test_model_flops_leave_recompute_out_and_hardware_flops_have_it():
    block = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 8), nn.Tanh())
    model = nn.Sequential(deepcopy(block), deepcopy(block))
    x = torch.ones(4, 8)
    plain = profiler.count_step(model, x)
    with checkpointed(model) as names:
        again = profiler.count_step(model, x)
    assert names == ["0", "1"]
    assert plain.model_flops == plain.hardware_flops == again.model_flops
    assert again.hardware_flops - again.model_flops == again.phases["recompute"].flops > 0
    # torch stops early: the last tanh's output is kept as the output, and is not computed again
    assert again.phases["recompute"].macs == plain.phases["forward"].macs
    assert "forward" not in vars(model[0])


def test_checkpointed_gpt2_repeats_the_products_of_its_blocks():
    model = build(resolve("hf:gpt2"))
    args, kwargs = make_inputs(resolve("hf:gpt2"), model, ["input_ids=1x32"])
    model.train()
    with checkpointed(model) as names:
        p = profiler.count_step(model, *args, **kwargs)
    assert names == [f"transformer.h.{i}" for i in range(12)]
    # a block of 32 tokens: 12·E² products for each token, and 2·S²·E for scores and values
    width, tokens = 768, 32
    assert p.phases["recompute"].macs == 12 * (12 * tokens * width**2 + 2 * tokens**2 * width)
    assert p.tokens == tokens
    assert 6 * p.totals.params * tokens / p.model_flops == pytest.approx(1, abs=0.01)


def test_the_models_own_loss_is_taken():
    class Model(nn.Linear):
        def forward(self, x):
            return {"loss": super().forward(x).mean(), "logits": None}

    p = profiler.count_step(Model(4, 4), torch.ones(2, 4))
    assert any(entry.record.packet == "aten.mean" for entry in p.entries)


def test_a_loss_is_the_sum_of_all_floating_outputs():
    a, b = torch.ones(2), torch.ones(3)
    assert default_loss({"a": a, "more": [b, torch.ones(9, dtype=torch.int64)]}) == 5


def test_an_optimizer_of_other_parameters_is_refused():
    with pytest.raises(InputError, match=r"has 2 parameters that are not the model's"):
        profiler.count_step(net(), X, optimizer=torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1))


def test_a_loss_that_needs_no_gradient_is_refused():
    model = net().requires_grad_(False)
    with pytest.raises(InputError, match="does not require gradients"):
        profiler.count_step(model, X)
    with pytest.raises(InputError, match="no floating-point tensor"):
        default_loss(torch.ones(2, dtype=torch.int64))


def test_a_model_without_blocks_cannot_be_checkpointed():
    with pytest.raises(InputError, match="no blocks to checkpoint"), checkpointed(net()):
        pass


def test_a_model_that_raises_in_its_backward_pass_is_left_as_it_was():
    class Raises(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            msg = "no gradient today"
            raise ValueError(msg)

    class Model(nn.Linear):
        def forward(self, x):
            return Raises.apply(super().forward(x))

    model = Model(10, 3)
    with pytest.raises(ModelError, match="no gradient today"):
        profiler.count_step(model, X)
    assert model.weight.grad is None


@pytest.mark.parametrize("name", ["adamw", "SGD", "adafactor"])
def test_an_optimizer_is_found_by_its_name(name):
    assert type(make_optimizer(name, net())).__name__.lower() == name.lower()


def test_an_unknown_optimizer_is_refused_with_its_neighbours():
    with pytest.raises(UnknownNameError, match="did you mean 'adamw'"):
        make_optimizer("adamww", net())


def test_what_matches_a_pattern_is_frozen():
    model = net()
    freeze(model, ["0.*", "*.bias"])
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["1.weight", "4.weight"]
    with pytest.raises(InputError, match=r"'9\.\*' matches no parameter"):
        freeze(model, ["9.*"])


def test_a_frozen_backbone_costs_no_weight_gradients():
    model = nn.Sequential(nn.Linear(10, 20, bias=False), nn.ReLU(), nn.Linear(20, 5, bias=False))
    freeze(model, ["0.*"])
    p = profiler.count_step(model, X)
    assert p.phases["backward"].macs == 3 * 20 * 5  # the head's weight alone


def test_lora_runs_the_gradients_of_its_own_factors_and_of_what_leads_to_them():
    class Lora(nn.Module):
        """W·x + B·A·x, with W frozen and A, B of rank r."""

        def __init__(self, base, rank):
            super().__init__()
            self.base = base.requires_grad_(False)
            self.a = nn.Linear(base.in_features, rank, bias=False)
            self.b = nn.Linear(rank, base.out_features, bias=False)

        def forward(self, x):
            return self.base(x) + self.b(self.a(x))

    n, r = 10, 2
    model = nn.Sequential(Lora(nn.Linear(n, n), r), nn.Tanh(), Lora(nn.Linear(n, n), r))
    p = profiler.count_step(model, X)
    macs = Counter()
    for entry in p.entries:
        if entry.record.phase == "backward":
            macs[entry.record.module] += entry.totals.macs
    rows, full, low = 3, n * n, n * r
    assert macs["0.base"] == 0  # neither the input nor the frozen weight requires a gradient
    assert macs["2.base"] == rows * full  # its input's gradient leads to the first layer's factors
    assert macs["0.a"] == rows * low  # its weight's alone
    assert macs["0.b"] == macs["2.a"] == macs["2.b"] == 2 * rows * low


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("efficientnet_b0", 14.0), ("mobilenet_v2", 6.9), ("mobilenet_v3_large", 9.1), ("convnext_tiny", 2.9),
        ("shufflenet_v2_x1_0", 2.0), ("resnext50_32x4d", 1.57),
    ],
)  # fmt: skip
def test_the_gradients_of_grouped_convolutions_cost_twice_the_forward(name, factor):
    """Torch's own counter does not divide the weight's gradient by the groups: its step is *factor* times ours."""
    from torch.utils.flop_counter import FlopCounterMode

    model = build(resolve(name)).train()
    x = torch.empty(2, 3, 224, 224, device="meta")
    p = profiler.count_step(model, x)
    first = next(e for e in p.entries if e.record.phase == "forward" and e.macs)
    assert p.phases["backward"].macs == 2 * p.phases["forward"].macs - first.totals.macs
    with FlopCounterMode(display=False) as counter:
        model(x).sum().backward()
    assert counter.get_total_flops() / (2 * p.totals.macs) == pytest.approx(factor, rel=0.005)


PLACED = [
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "mnasnet1_0", "mobilenet_v2", "mobilenet_v3_small",
    "regnet_y_400mf", "resnet18", "resnext50_32x4d", "shufflenet_v2_x1_0", "squeezenet1_0", "swin_t", "vgg11",
    "vit_b_16", "hf:gpt2",
]  # fmt: skip
CONTRACTIONS = {"aten.convolution_backward", "aten.mm", "aten.bmm", "aten.addmm"}
A_FEW = {"resnet18", "vit_b_16", "hf:gpt2"}


@pytest.mark.parametrize("name", [n if n in A_FEW else pytest.param(n, marks=pytest.mark.slow) for n in PLACED])
def test_each_gradient_sits_on_the_module_of_its_forward(name):
    target = resolve(name)
    model = build(target).train()
    args, kwargs = make_inputs(target, model, ["input_ids=1x16"] if name == "hf:gpt2" else [])
    p = profiler.count_step(model, *args, **kwargs)
    macs = {phase: Counter() for phase in p.phases}
    for entry in p.entries:
        if entry.record.packet in CONTRACTIONS or entry.macs:
            macs[entry.record.phase][entry.record.module] += entry.totals.macs
    assert sum(macs["backward"].values()) == p.phases["backward"].macs
    assert macs["backward"].keys() == {module for module, n in macs["forward"].items() if n}
    fused = Counter()  # attention in one kernel: the two products of its forward are five in its backward
    for entry in p.entries:
        if entry.record.phase == "forward" and "attention" in entry.record.operator:
            fused[entry.record.module] += entry.totals.macs
    for module, forward in macs["forward"].items():  # both gradients, or the weight's alone
        assert macs["backward"][module] - fused[module] // 2 in {forward, 2 * forward}, module
    alone = [module for module, forward in macs["forward"].items() if macs["backward"][module] == forward]
    assert len(alone) == (0 if name == "hf:gpt2" else 1)  # the layer that reads the image


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc exists on Linux only")
def test_a_training_step_of_llama_7b_takes_seconds_and_little_memory():
    script = """
        from pathlib import Path
        import torch
        import profiler
        from profiler.targets import build, make_inputs, resolve

        target = resolve("hf:llama-7b")
        model = build(target).train()
        args, kwargs = make_inputs(target, model, ["input_ids=1x2048"])
        optimizer = torch.optim.AdamW(model.parameters())
        p = profiler.count_step(model, *args, optimizer=optimizer, **kwargs)
        print(p.phases["forward"].macs, p.phases["backward"].macs, p.totals.peak_memory["optimizer_state"])
        print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True, timeout=300
    )
    forward, backward, states, memory = map(int, done.stdout.split())
    scores = 32 * 32 * 2048 * 2048 * 128  # layers, heads, queries, keys, width: fused attention computes them once more
    assert backward == 2 * forward + scores
    assert states >= 2 * 4 * 6_738_415_616  # two float32 values for each parameter
    assert 1024 * memory < 1.5e9


def test_the_classical_estimate_stands_beside_the_peak():
    model = net()
    p = profiler.count_step(model, X, optimizer=torch.optim.AdamW(model.parameters()))
    # 10·20 + 20, two of 20 for the norm, 20·5 + 5; parameters, gradients and two states, of 4 bytes each
    assert p.memory.estimate["total"] == 4 * 4 * (220 + 40 + 105)
    assert p.memory.peak.total > p.memory.estimate["total"]
    assert "by rule, from parameters" in str(p)


@pytest.mark.parametrize(("params", "options", "total"), [
    (7_000_000_000, {"dtype": "bfloat16", "optimizer": "adamw", "master_weights": True}, 112_000_000_000),
    (1_000, {"dtype": "float32", "optimizer": "sgd"}, 8_000),
    (1_000, {"dtype": "float32", "optimizer": "adam", "activations": 5}, 16_005),
])  # fmt: skip
def test_the_classical_estimate_is_so_many_bytes_a_parameter(params, options, total):
    """ZeRO's 2 + 2 + 12 for mixed-precision Adam, 4 + 4 for SGD, 4 + 4 + 8 for Adam in float32."""
    assert estimate_training(params, **options)["total"] == total


def test_an_estimate_of_what_is_not_known_is_refused():
    with pytest.raises(InputError, match="no dtype named 'float33'"):
        estimate_training(1, "float33")
    with pytest.raises(InputError, match="no optimizer named 'adamv'"):
        estimate_training(1, optimizer="adamv")


STATES = {
    "sgd": 0, "adam": 2, "adamw": 2, "rmsprop": 1, "adagrad": 1, "adadelta": 2, "nadam": 2, "radam": 2, "adamax": 2,
    "rprop": 2, "asgd": 1,
}  # fmt: skip


@pytest.mark.parametrize(("name", "states"), STATES.items())
def test_a_live_optimizer_keeps_as_many_values_as_the_estimate_says(name, states):
    model = nn.Linear(50, 50, bias=False)
    optimizer = make_optimizer(name, model)
    step(model, optimizer, torch.ones(1, 50))
    elements = sum(
        t.numel() for state in optimizer.state.values() for t in state.values() if isinstance(t, torch.Tensor)
    )
    assert elements // 2500 == states
    assert estimate_training(2500, "float32", name)["optimizer_state"] == 4 * 2500 * states


def test_on_cuda_the_allocators_own_peak_stands_beside(monkeypatch):
    profile = profiler.count_step(net(), X)
    assert with_allocator_peak(profile, lambda: None) is profile
    for name in ("synchronize", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 2 * profile.memory.peak.total)
    ran = []
    measured = with_allocator_peak(replace(profile, device="cuda"), lambda: ran.append(1))
    assert (measured.memory.measured, ran) == (2 * profile.memory.peak.total, [1])
    assert "2.000 of the above" in str(measured)


KINDS = {
    kind.__name__: kind
    for kind in vars(torch.optim).values()
    if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer) and kind is not torch.optim.Optimizer
}


@pytest.mark.parametrize("how", [{}, {"foreach": True}, {"foreach": False}, {"fused": True}], ids=str)
@pytest.mark.parametrize("name", KINDS)
def test_nothing_of_any_optimizers_step_is_uncounted(name, how):
    model = nn.Linear(6, 4, bias=False)
    try:
        optimizer = KINDS[name](model.parameters(), lr=0.01, **how)
    except (TypeError, RuntimeError):
        pytest.skip("not offered")

    def closure():
        optimizer.zero_grad()
        model(torch.ones(2, 6)).sum().backward()
        return torch.zeros(())

    if name == "SparseAdam":
        model.weight.grad = torch.eye(4, 6).to_sparse()
        closure = None
    with profiler.profile(model) as p:
        optimizer.step(closure)
    assert p.uncounted == ()
    assert p.phases["optimizer"].other_flops > 0


def test_clipping_scaling_and_averaging_are_counted():
    model = nn.Linear(6, 4)
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
    scaler, optimizer = torch.amp.GradScaler("cpu"), torch.optim.SGD(model.parameters(), lr=0.1)
    with profiler.profile(model) as p:
        scaler.scale(model(torch.ones(2, 6)).sum()).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        average.update_parameters(model)
    ran = {entry.record.packet for entry in p.entries}
    assert p.uncounted == ()
    assert ran >= {"aten._amp_foreach_non_finite_check_and_unscale_", "aten._foreach_norm"}


def test_the_model_that_an_optimizers_closure_runs_is_forward_work():
    model = nn.Linear(6, 4, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = model(torch.ones(2, 6)).sum()
        loss.backward()
        return loss

    with profiler.profile(model) as p:
        optimizer.step(closure)
    assert (p.phases["forward"].macs, p.phases["backward"].macs, p.phases["optimizer"].macs) == (48, 48, 0)
