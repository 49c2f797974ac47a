"""Tensor subclasses that wrap others: parameters, dtypes and memory are those of the tensors inside."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.utils._python_dispatch import return_and_correct_aliasing

import profiler

ROWS, COLUMNS = 256, 512
X = torch.zeros(1, COLUMNS, dtype=torch.bfloat16)
SCALE_BYTES = 2 * ROWS


class OpaqueWeight(torch.Tensor):
    """A bfloat16 matrix stored as int8 with one scale a row. It names the tensors inside nowhere."""

    @staticmethod
    def __new__(cls, data, scale):
        return torch.Tensor._make_wrapper_subclass(
            cls, (data.shape[0], COLUMNS), dtype=torch.bfloat16, device=data.device
        )

    def __init__(self, data, scale):
        self.data_inside, self.scale = data, scale

    def dequantized(self):
        return self.data_inside.to(torch.bfloat16)

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is nn.functional.linear:
            x, weight = args[0], args[1]
            return (x @ weight.dequantized().t()) * weight.scale.t()
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        if func in {torch.ops.aten.detach.default, torch.ops.aten.alias.default}:
            copy = type(args[0])(args[0].data_inside, args[0].scale)
            return return_and_correct_aliasing(func, args, kwargs or {}, copy)
        raise NotImplementedError(func)


class Int8Weight(OpaqueWeight):
    """The same, as a wrapper that torch can take apart."""

    def __tensor_flatten__(self):
        return ["data_inside", "scale"], None

    @classmethod
    def __tensor_unflatten__(cls, inner, meta, size, stride):
        return cls(inner["data_inside"], inner["scale"])


class PackedInt4Weight(Int8Weight):
    """Two 4-bit numbers in each byte; a subclass of a subclass."""

    def dequantized(self):
        low, high = self.data_inside & 15, self.data_inside >> 4
        return torch.stack([low, high], -1).flatten(1).to(torch.bfloat16)


def int8(cls=Int8Weight, data=None):
    data = torch.zeros(ROWS, COLUMNS, dtype=torch.int8) if data is None else data
    return nn.Parameter(cls(data, torch.ones(ROWS, 1, dtype=torch.bfloat16)), requires_grad=False)


def packed():
    return int8(PackedInt4Weight, torch.zeros(ROWS, COLUMNS // 2, dtype=torch.uint8))


def layer(weight):
    model = nn.Linear(COLUMNS, ROWS, bias=False, device="meta")
    model.weight = weight
    return model


CASES = {
    "int8 and scales": (int8, "int8", ROWS * COLUMNS + SCALE_BYTES),
    "4 bits, two in a byte": (packed, "uint8", ROWS * COLUMNS // 2 + SCALE_BYTES),
    "without __tensor_flatten__": (lambda: int8(OpaqueWeight), "int8", ROWS * COLUMNS + SCALE_BYTES),
    "int8 inside a wrapper": (lambda: int8(data=int8().data), "int8", ROWS * COLUMNS + 2 * SCALE_BYTES),
}


@pytest.mark.parametrize("case", list(CASES)[:3])
def test_the_operators_inside_count_once_and_only_what_is_held_is_memory(case):
    weight, dtype, held = CASES[case]
    p = profiler.count(layer(weight()), X)
    assert (p.totals.macs, p.is_complete) == (ROWS * COLUMNS, True)
    assert p.memory.peak.bytes["parameter"] == held
    assert p.memory.peak.bytes["input"] == X.nbytes
    assert (p.totals.params, p.totals.trainable_params) == (ROWS * COLUMNS, 0)
    assert p.params_by_dtype == ((dtype, ROWS * COLUMNS),)
    assert p.param_bytes == held


def test_a_wrapper_inside_a_wrapper_is_held_in_its_innermost_tensors():
    weight, dtype, held = CASES["int8 inside a wrapper"]
    with profiler.profile(layer(weight())) as p:
        pass
    assert (p.params_by_dtype, p.param_bytes) == (((dtype, ROWS * COLUMNS),), held)
    assert p.totals.params == ROWS * COLUMNS


def test_wrappers_that_share_their_data_hold_it_once():
    data = torch.zeros(ROWS, COLUMNS, dtype=torch.int8)
    model = nn.Sequential(layer(int8(data=data)), nn.Identity(), layer(int8(data=data)))
    model[2].forward = lambda x: x
    p = profiler.count(model, X)
    assert p.memory.peak.bytes["parameter"] == p.param_bytes == ROWS * COLUMNS + 2 * SCALE_BYTES
    weight = int8()
    tied = nn.ModuleList([layer(weight), layer(nn.Parameter(weight.detach(), requires_grad=False))])
    with profiler.profile(tied) as p:
        pass
    assert (p.totals.params, p.param_bytes) == (ROWS * COLUMNS, ROWS * COLUMNS + SCALE_BYTES)


def test_a_parameter_that_is_swapped_for_a_wrapper_inside_the_block_is_a_parameter():
    model = nn.Sequential(nn.Linear(COLUMNS, ROWS, bias=False, dtype=torch.bfloat16))
    with profiler.profile(model) as p:
        torch.utils.swap_tensors(model[0].weight, int8())
        model(X)
    assert p.memory.phases["forward"].bytes["input"] == X.nbytes
    assert p.memory.timeline[-1].bytes["parameter"] == ROWS * COLUMNS + SCALE_BYTES
    assert p.params_by_dtype == (("int8", ROWS * COLUMNS),)


def test_a_parametrized_parameter_is_held_once():
    class Doubled(nn.Module):
        def forward(self, weight):
            return 2 * weight

    model = nn.Linear(8, 4, bias=False)
    parametrize.register_parametrization(model, "weight", Doubled())
    p = profiler.count(model, torch.ones(1, 8))
    assert (p.totals.params, p.param_bytes, p.memory.peak.bytes["parameter"]) == (32, 128, 128)


def test_a_jagged_parameter_holds_its_values():
    nested = torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(4, 3)], layout=torch.jagged)
    model = nn.Module()
    model.table = nn.Parameter(nested)
    with profiler.profile(model) as p:
        pass
    inside = nested.values().nbytes + nested.offsets().nbytes
    assert (p.totals.params, p.params_by_dtype) == (18, (("float32", 18),))
    assert p.param_bytes == p.memory.peak.bytes["parameter"] == inside


def test_the_report_says_what_packed_parameters_are_held_in(tmp_path):
    p = profiler.count(layer(packed()), X)
    line = next(line for line in str(p).splitlines() if line.startswith("parameters"))
    assert line.split() == ["parameters", "131,072", "131.1", "k", "uint8,", "held", "in", "64.50", "KiB"]
    path = tmp_path / "packed.json"
    p.save(path)
    assert profiler.load(path).param_bytes == 64 * 1024 + SCALE_BYTES


SHARDED = """
    import torch, torch.distributed as dist, profiler
    from torch import nn
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", rank=0, world_size=4, store=FakeStore())
    model = nn.Sequential(*(nn.Linear(64, 64, bias=False) for _ in range(8)))
    for layer in model:
        fully_shard(layer, mesh=init_device_mesh("cpu", (4,)))
    fully_shard(model)
    optimizer = torch.optim.AdamW(model.parameters(), foreach=False)
    x = torch.ones(2, 64)
    for _ in range(2):
        with profiler.profile(model) as p:
            model(x).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    local = 8 * 64 * 64 // 4
    peak = p.memory.peak.bytes
    assert (p.totals.params, p.param_bytes) == (local, 4 * local), p.totals.params
    moments = [moment for moment in p.memory.timeline if moment.module != "(before)"]
    assert all(moment.bytes["parameter"] == 4 * local for moment in moments), moments
    with profiler.profile(model) as p, torch.no_grad():
        model(x)
    gathered = max(moment.total for moment in p.memory.timeline) - 4 * local
    whole = nn.Sequential(nn.Linear(64, 64, bias=False), nn.Linear(64, 64, bias=False))
    fully_shard(whole, mesh=init_device_mesh("cpu", (4,)))
    for _ in range(2):  # the root stays gathered after its forward
        p = profiler.count(whole, x)
        assert (p.totals.params, p.param_bytes) == (2 * 1024, 8 * 1024), (p.totals.params, p.param_bytes)
        assert p.memory.peak.bytes["parameter"] == 8 * 1024, p.memory.peak.bytes
    with profiler.profile(whole) as p:
        whole(x).sum().backward()
    phases = p.memory.phases
    assert {m.bytes["parameter"] for m in phases.values()} == {8 * 1024}, phases
    assert all(m.bytes["activation"] < 4096 for m in phases.values()), phases
    assert p.memory.timeline[-1].bytes["gradient"] == 8 * 1024, p.memory.timeline[-1]
    assert gathered < 4 * 4 * 64 * 64, gathered  # of one layer and the next, and not of all eight
"""


def test_a_sharded_model_holds_the_part_of_its_rank_and_frees_what_it_gathers():
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(SHARDED)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
