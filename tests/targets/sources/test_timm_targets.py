"""timm's models and their default input sizes."""

from __future__ import annotations

import pytest
import timm
import torch

from profiler.targets import build, make_inputs, resolve

A_TENTH = timm.list_models()[::10]


@pytest.mark.parametrize(
    ("name", "shape", "params"),
    [
        ("timm:resnet18", (1, 3, 224, 224), 11_689_512),
        ("timm:vit_base_patch16_384.augreg_in21k_ft_in1k", (1, 3, 384, 384), 86_859_496),  # timm's model card: 86.9 M
    ],
)
def test_a_name_may_have_the_tag_of_its_weights(name, shape, params):
    target = resolve(name)
    assert [argument.value.shape for argument in target.inputs] == [shape]
    assert sum(p.numel() for p in build(target).parameters()) == params


@pytest.mark.slow
@pytest.mark.parametrize("name", A_TENTH)
def test_a_tenth_of_all_models_runs_on_meta(name):
    target = resolve(f"timm:{name}")
    module = build(target)
    args, kwargs = make_inputs(target, module)
    with torch.no_grad():
        module(*args, **kwargs)
    assert all(p.is_meta for p in module.parameters())
