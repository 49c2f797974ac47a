"""A session in every mode that a model can run in, and the state that it leaves the model in."""

from __future__ import annotations

import pickle
import sys
import threading
from copy import deepcopy

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.modules import module as module_hooks
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode_stack

import profiler

MACS = 2 * (4 * 8 + 8 * 3)
X = torch.ones(2, 4)


def small() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 3))


def hooks_on(model: nn.Module) -> int:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_always_called", "_forward_pre_hooks_with_kwargs")
    everywhere = len(module_hooks._global_forward_hooks) + len(module_hooks._global_forward_pre_hooks)
    return everywhere + sum(len(getattr(m, kind)) for m in model.modules() for kind in kinds)


def state(model: nn.Module) -> dict[str, object]:
    values = {name: value.clone() for name, value in model.state_dict().items()}
    flags = {name: m.training for name, m in model.named_modules()}
    attributes = {name: sorted(vars(m)) for name, m in model.named_modules()}
    return {"values": values, "flags": flags, "attributes": attributes, "rng": torch.get_rng_state()}


def assert_untouched(model: nn.Module, before: dict[str, object]) -> None:
    after = state(model)
    assert list(after["values"]) == list(before["values"])
    assert all(torch.equal(a, b) for a, b in zip(after["values"].values(), before["values"].values(), strict=True))
    assert after["flags"] == before["flags"]
    assert after["attributes"] == before["attributes"]
    assert torch.equal(after["rng"], before["rng"])
    assert hooks_on(model) == 0
    assert _get_current_dispatch_mode_stack() == []


@pytest.mark.parametrize("context", [torch.no_grad, torch.enable_grad, torch.inference_mode])
@pytest.mark.parametrize("training", [True, False])
def test_counts_are_the_same_in_every_grad_mode(context, training):
    model = small().train(training)
    with context(), profiler.profile(model) as p:
        model(X)
    assert p.totals.macs == MACS
    assert p.nodes["3"].own.macs == 2 * 8 * 3


def test_autocast_computes_in_the_lower_dtype():
    model = nn.Linear(4, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16), profiler.profile(model) as p:
        model(X)
    assert [(e.record.packet, e.dtype) for e in p.entries if e.macs] == [("aten.addmm", "bfloat16")]


def test_fake_tensors_count_as_real_ones_whichever_mode_is_outside():
    with FakeTensorMode() as fake:
        model, x = small(), torch.ones(2, 4)
        with profiler.profile(model) as inside:
            model(x)
    with profiler.profile(model) as outside, fake:
        model(x)
    with profiler.profile(model) as alone:
        model(x)
    real = profiler.count(small().train(), X)
    assert inside.totals.macs == outside.totals.macs == alone.totals.macs == MACS
    assert {p.totals.other_flops for p in (inside, outside, alone)} == {real.totals.other_flops}


def test_meta_tensors_count_as_real_ones():
    real, meta = profiler.count(small(), X), profiler.count(small().to("meta"), X.to("meta"))
    assert meta.totals == real.totals
    assert (meta.device, real.device) == ("meta", "cpu")


def test_a_nested_profile_sees_its_own_part_and_the_outer_one_everything():
    model = nn.Linear(4, 8)
    with profiler.profile(model) as outer:
        model(X)
        with profiler.profile(model) as inner:
            model(X)
    assert (inner.totals.macs, outer.totals.macs) == (64, 128)
    assert hooks_on(model) == 0


def test_a_profile_that_is_entered_again_goes_on_adding():
    model = nn.Linear(4, 8)
    p = profiler.profile(model)
    for _ in range(2):
        with p:
            model(X)
    assert p.totals.macs == 128


def test_a_profile_entered_inside_itself_counts_once():
    model = nn.Linear(4, 8)
    with profiler.profile(model) as p, p:
        model(X)
    assert p.totals.macs == 64


def test_the_numbers_can_be_read_while_the_block_runs():
    model = nn.Linear(4, 8)
    with profiler.profile(model) as p:
        model(X)
        early = p.totals.macs
        model(X)
    assert (early, p.totals.macs) == (64, 128)


def test_two_threads_on_one_model_see_only_their_own_work():
    model, totals, gate = small().eval(), {}, threading.Barrier(2)

    def work(times: int) -> None:
        with torch.no_grad(), profiler.profile(model) as p:
            gate.wait()
            for _ in range(times):
                model(X)
            gate.wait()
        totals[times] = (p.totals.macs, p.nodes["0"].own.macs, p.nodes["0"].module.calls)

    threads = [threading.Thread(target=work, args=(n,)) for n in (20, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert totals == {n: (n * MACS, n * 64, n) for n in (20, 50)}
    assert hooks_on(model) == 0


def test_a_thousand_passes_take_no_more_records_than_one():
    model = small().eval()
    with torch.no_grad(), profiler.profile(model) as once:
        model(X)
    with torch.no_grad(), profiler.profile(model) as often:
        for _ in range(1000):
            model(X)
    assert len(often.entries) == len(once.entries)
    assert often.totals.macs == 1000 * once.totals.macs


def test_a_schedule_of_float_arguments_makes_no_new_records():
    with profiler.profile() as p:
        for step in range(100):
            X * (1e-3 / (step + 1))
    assert sum(e.record.packet == "aten.mul" for e in p.entries) == 1


def test_count_leaves_everything_as_it_was():
    model = small().train()
    before = state(model)
    profiler.count(model, X)
    assert_untouched(model, before)


def test_profile_changes_nothing_that_the_same_run_would_not():
    watched, bare = small(), small()
    bare.load_state_dict(watched.state_dict())
    torch.manual_seed(1)
    with profiler.profile(watched):
        a = watched(X)
    torch.manual_seed(1)
    b = bare(X)
    assert torch.equal(a, b)
    assert all(
        torch.equal(v, w) for v, w in zip(watched.state_dict().values(), bare.state_dict().values(), strict=True)
    )


class Raises(nn.Module):
    """Raises in the middle of a model."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def forward(self, x):
        raise self.error


@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyboardInterrupt(), SystemExit(1)])
def test_a_model_that_raises_in_the_middle_leaves_nothing(error):
    model = nn.Sequential(nn.Linear(4, 8), Raises(error), nn.Linear(8, 3))
    before = state(model)
    with pytest.raises(type(error)), profiler.profile(model) as p:
        model(X)
    assert_untouched(model, before)
    assert p.totals.macs == 64


@pytest.mark.parametrize("register", ["register_forward_pre_hook", "register_forward_hook"])
def test_a_hook_that_raises_leaves_nothing(register):
    def fail(*_args):
        message = "hook"
        raise RuntimeError(message)

    model = small().train()
    handle = getattr(model[1], register)(fail)
    before = state(model)
    with pytest.raises(profiler.errors.ModelError, match=r"^Sequential raised RuntimeError: hook$"):
        profiler.count(model, X)
    handle.remove()
    assert_untouched(model, before)


def test_an_interrupt_while_hooks_are_attached_leaves_none(monkeypatch):
    from profiler.trace import module_stack

    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    model = small()
    monkeypatch.setattr(module_stack, "follow", interrupted)
    with pytest.raises(KeyboardInterrupt), profiler.profile(model):
        pass
    assert hooks_on(model) == 0
    assert _get_current_dispatch_mode_stack() == []


def test_a_copy_of_the_model_made_in_the_block_is_clean():
    model = small().eval()
    with profiler.profile(model) as p:
        copy = deepcopy(model)
        copy(X)
        model(X)
        pickled = pickle.loads(pickle.dumps(model))
    assert hooks_on(copy) == hooks_on(pickled) == 0
    assert p.nodes[""].module.calls == 1


def test_a_model_that_raises_is_one_line_with_its_cause():
    with pytest.raises(
        profiler.errors.ModelError, match=r"^Linear raised RuntimeError: .*mat1 and mat2 shapes"
    ) as caught:
        profiler.count(nn.Linear(5, 5), X)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Guards may run slower on Python 3.13.0")
def test_a_compiled_model_counts_as_its_eager_program_and_keeps_its_cache():
    from torch._dynamo.utils import counters

    model = small().eval()
    compiled = torch.compile(model, backend="eager")
    with torch.no_grad():
        compiled(X)
        graphs = counters["stats"]["unique_graphs"]
        with profiler.profile(compiled) as p:
            compiled(X)
        compiled(X)
    assert p.totals.macs == MACS
    assert counters["stats"]["unique_graphs"] == graphs


def test_profiling_does_not_import_the_compiler():
    import subprocess

    code = "import sys, torch, profiler; m = torch.nn.Linear(2, 2); profiler.count(m, torch.ones(1, 2)); "
    code += "print('torch._dynamo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_users_own_mode_sees_every_operator_still():
    class Names(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[str] = []

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.seen.append(str(func))
            return func(*args, **(kwargs or {}))

    with Names() as outside, profiler.profile() as p, Names() as inside:
        torch.ones(2, 3) @ torch.ones(3, 4)
    assert inside.seen == outside.seen == ["aten.ones.default", "aten.ones.default", "aten.mm.default"]
    assert p.totals.macs == 24


def test_the_cost_of_a_view_is_nothing():
    with profiler.profile() as p:
        torch.ones(4, 6).reshape(24).view(2, 12).t().unsqueeze(0)[0, :3]
    assert [e.record.packet for e in p.entries] == ["aten.ones"]


def test_an_expanded_operand_is_read_once():
    with profiler.profile() as p:
        torch.ones(1, 5).expand(1000, 5) * 2
    product = next(e for e in p.entries if e.record.packet == "aten.mul")
    assert (product.bytes_read, product.bytes_written) == (5 * 4, 5000 * 4)
