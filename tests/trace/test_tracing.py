"""Runs that are not the user's, in which torch traces a program or works out the metadata of a result, do not count."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections import Counter

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch._subclasses.functional_tensor import FunctionalTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention.flex_attention import create_block_mask

import profiler

MACS = 2 * 8 * 4
X = torch.ones(2, 8)


def small() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 4, bias=False))


def fake(model):
    with FakeTensorMode():
        small()(torch.ones(2, 8))


def functional(model):
    with FunctionalTensorMode():
        model(X)


def symbolic(model):
    torch.fx.symbolic_trace(nn.Sequential(model, nn.ReLU()))


def proxies_on_fake_tensors(model):
    make_fx(lambda x: x @ x.t(), tracing_mode="symbolic")(torch.ones(4, 4))


def opcheck(model):
    torch.library.opcheck(
        torch.ops.aten.relu.default, (X,), test_utils=("test_faketensor", "test_aot_dispatch_dynamic")
    )


RUNS = {
    "torch.export": lambda model: torch.export.export(model, (X,)),
    "make_fx": lambda model: make_fx(model)(X),
    "make_fx before dispatch": lambda model: make_fx(model, pre_dispatch=True)(X),
    "make_fx on symbolic shapes": proxies_on_fake_tensors,
    "torch.fx": symbolic,
    "a fake mode": fake,
    "a functional mode": functional,
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_run_that_traces_adds_no_work_no_call_and_no_input(run):
    model = small()
    with profiler.profile(model) as p:
        run(model)
    traced = p.result
    with p:
        model(X)
    assert (traced.totals.macs, traced.totals.bytes_read, traced.inputs) == (0, 0, ())
    assert [module.calls for module in traced.modules] == [0, 0]
    assert p.totals.macs == MACS
    assert [module.calls for module in p.result.modules] == [1, 1]
    assert [name for name, _ in p.result.inputs] == ["input"]


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace")
def test_a_traced_program_is_the_same_under_a_profile():
    with profiler.profile() as p:
        inside = make_fx(nn.functional.gelu)(X).code
        scripted = torch.jit.trace(small().eval(), X).code
        opcheck(None)
    assert inside == make_fx(nn.functional.gelu)(X).code
    assert scripted == torch.jit.trace(small().eval(), X).code
    assert p.totals.macs > 0  # torch.jit.trace runs the model


def test_a_module_traced_inside_its_own_forward_stays_the_running_one():
    class Traces(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(8, 8, bias=False), nn.Linear(8, 4, bias=False)

        def forward(self, x):
            make_fx(self.a)(x)
            torch.export.export(self.b, (x,))
            return self.b(self.a(x) @ torch.ones(8, 8))

    p = profiler.count(Traces(), X)
    assert {path: node.own.macs for path, node in p.nodes.items()} == {"": 128, "a": 128, "b": MACS}
    assert {module.calls for module in p.modules} == {1}


@pytest.mark.parametrize("active", ["before", "again inside", "not at all"])
def test_a_model_that_is_fake_itself_counts(active):
    mode = FakeTensorMode()
    with mode:
        model, x = small(), torch.ones(2, 8)
    if active == "before":
        with mode, profiler.profile(model) as p:
            model(x)
    else:
        with profiler.profile(model) as p:
            if active == "again inside":
                with mode:
                    model(x)
            else:
                model(x)
    assert p.totals.macs == MACS


def test_a_profile_inside_of_make_fx_counts_what_is_traced_there():
    counts = []

    def traced(x):
        with profiler.profile() as p:
            result = x @ x.t()
        counts.append(p.totals.macs)
        return result

    make_fx(traced)(X)
    assert counts == [2 * 8 * 2]


def test_the_functions_of_a_higher_order_operator_count_where_they_run():
    model = small()
    with profiler.profile(model) as p, torch.no_grad():
        torch.cond(torch.tensor(True), model, lambda x: model(x) * 2, (X,))
    assert (p.totals.macs, p.totals.other_flops, p.is_complete) == (MACS, 0, True)


def test_the_mask_of_flex_attention_is_the_users_work():
    with profiler.profile() as p:
        create_block_mask(lambda b, h, q, k: q >= k, 1, 1, 128, 128, device="cpu")
    assert p.totals.other_flops >= 128 * 128


DTENSOR = """
    import torch, torch.distributed as dist, profiler
    from contextlib import nullcontext
    from torch import nn
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", rank=0, world_size=4, store=FakeStore())
    mesh = init_device_mesh("cpu", (4,))
    for fake in (nullcontext(), FakeTensorMode()):
        with fake:
            model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 8))
            parallelize_module(model, mesh, {"0": ColwiseParallel(), "2": RowwiseParallel()})
            for batch in (2, 2, 6):
                p = profiler.count(model, torch.ones(batch, 8))
                assert p.totals.macs == batch * 2 * 8 * 32 // 4, (fake, batch, p.totals.macs)
                assert p.totals.other_flops < batch * 32, p.totals.other_flops
            with profiler.profile(model) as p:
                model(torch.ones(5, 8)).sum().backward()
            assert p.phases["forward"].macs == 5 * 2 * 8 * 32 // 4, (fake, p.phases["forward"].macs)
            assert p.phases["backward"].macs == 5 * 3 * 8 * 32 // 4, (fake, p.phases["backward"].macs)

    from torch.distributed.tensor import Replicate, Shard, distribute_tensor
    for mode in (torch.no_grad(), torch.inference_mode()):
        with mode:
            rows, whole = torch.ones(8, 16), torch.ones(16, 12)
            a, b = distribute_tensor(rows, mesh, [Shard(0)]), distribute_tensor(whole, mesh, [Replicate()])
            for _ in range(2):
                with profiler.profile() as p:
                    a @ b
                    nn.functional.softmax(nn.functional.linear(a, b.t()), -1)
                with profiler.profile() as local:
                    rows[:2] @ whole
                    nn.functional.softmax(nn.functional.linear(rows[:2], whole.t()), -1)
                for name in ("macs", "other_flops", "transcendentals", "bytes_read", "bytes_written"):
                    assert getattr(p.totals, name) == getattr(local.totals, name), (mode, name, p.totals, local.totals)
"""


def test_distributed_tensors_are_counted_at_the_shapes_of_one_rank_from_the_first_call():
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(DTENSOR)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_a_zero_tangent_adds_what_runs_and_no_metadata():
    layer, x = nn.Linear(8, 16), torch.ones(4, 8)
    with profiler.profile(layer) as p:
        torch.func.jvp(layer, (x,), (x,))
    assert p.is_complete
    ran = Counter(entry.record.operator for entry in p.entries)
    assert not [name for name in ran if name.startswith("prims.")]
    # the layer, its tangent by the input's, and that by the weight's, which is zero and multiplied all the same
    assert p.totals.macs == 3 * 4 * 8 * 16


def test_prims_that_the_user_calls_are_listed():
    with profiler.profile() as p:
        torch.ops.prims.add(torch.ones(3), torch.ones(3))
    assert [row.operator for row in p.uncounted] == ["prims.add.default"]
