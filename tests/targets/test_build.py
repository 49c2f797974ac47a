"""Building modules: device, dtype, mode, and the random state afterwards."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from profiler.errors import InputError, ModelError, TargetError
from profiler.targets import Target, build


class Mixed(nn.Module):
    """Has parameters and buffers of every kind of dtype, and draws random numbers."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.noise = nn.Parameter(torch.randn(3))
        self.register_buffer("index", torch.arange(3))
        self.register_buffer("phase", torch.ones(3, dtype=torch.complex64))
        self.register_buffer("flag", torch.ones(3, dtype=torch.bool))


TARGET = Target("mixed", Mixed)


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_only_floating_tensors_change_their_dtype(device):
    module = build(TARGET, device=device, dtype="bfloat16")
    assert {p.dtype for p in module.parameters()} == {torch.bfloat16}
    assert [b.dtype for b in module.buffers()] == [torch.int64, torch.complex64, torch.bool]


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_without_a_dtype_all_stay_as_the_constructor_made_them(device):
    module = build(Target("half", lambda: nn.Linear(2, 2).half()), device=device)
    assert module.weight.dtype == torch.float16


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
def test_tied_weights_stay_tied_in_any_dtype(dtype):
    def tied():
        module = nn.Sequential(nn.Embedding(8, 4), nn.Linear(4, 8, bias=False))
        module[1].weight = module[0].weight
        return module

    module = build(Target("tied", tied), device="meta", dtype=dtype)
    assert module[0].weight is module[1].weight


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_the_random_state_is_left_alone(device):
    before = torch.get_rng_state()
    build(TARGET, device=device)
    assert torch.equal(torch.get_rng_state(), before)


def test_initial_values_are_the_same_every_time():
    first = build(TARGET, device="cpu")
    torch.randn(5)
    second = build(TARGET, device="cpu")
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_a_module_comes_in_eval_mode():
    assert not any(m.training for m in build(Target("drop", lambda: nn.Sequential(nn.Dropout()))).modules())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device": "moon"}, "device 'moon' is not available"),
        ({"dtype": "float31"}, "'float31' is not a floating-point dtype; write float32, bfloat16, float16 or float64"),
        ({"dtype": "int8"}, "'int8' is not a floating-point dtype"),
    ],
)
def test_a_device_or_dtype_that_is_not_there_is_named(options, words):
    with pytest.raises(InputError, match=words):
        build(TARGET, **options)


def test_a_constructor_that_raises_is_a_failure_of_the_model():
    def fails():
        msg = "no such weights\nand more"
        raise OSError(msg)

    with pytest.raises(ModelError, match=r"^bad cannot be built: OSError: no such weights$") as caught:
        build(Target("bad", fails))
    assert isinstance(caught.value.__cause__, OSError)


def test_an_error_of_ours_passes_as_it_is():
    def fails():
        msg = "as it is"
        raise TargetError(msg)

    with pytest.raises(TargetError, match=r"^as it is$"):
        build(Target("bad", fails))
