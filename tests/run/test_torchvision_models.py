"""All of torchvision's models against the operation counts that torchvision publishes for their weights.

``Weights.meta["_ops"]`` holds GMACs to three decimals. 117 of the 121 models give that number; the others run a
head once per detected object, and are listed in ``EXCEPTIONS`` with the number of objects behind the published count.
"""

from __future__ import annotations

from dataclasses import asdict
from math import prod

import pytest
import torch
from torchvision.models import get_model_weights, list_models

import profiler
from profiler.targets import build, make_inputs, resolve

#: Heads that run once per object, and the number of objects behind the published count. With random weights the region
#: proposals score around one half and all pass; with the published ones on a blank image none do.
EXCEPTIONS = {
    "fasterrcnn_mobilenet_v3_large_320_fpn": (("roi_heads.box_head", "roi_heads.box_predictor"), 0),
    "fasterrcnn_mobilenet_v3_large_fpn": (("roi_heads.box_head", "roi_heads.box_predictor"), 0),
    "maskrcnn_resnet50_fpn": (("roi_heads.mask_head", "roi_heads.mask_predictor"), 0),
    "keypointrcnn_resnet50_fpn": (("roi_heads.keypoint_head", "roi_heads.keypoint_predictor"), 1),
}

QUICK = ["resnet18", "mobilenet_v3_small", "densenet121", "swin_t", "regnet_y_400mf", "vit_b_32", "quantized_resnet18"]

#: Counted on the CPU and on meta at their own size; no attention that a fast path would take.
SAME_ON_BOTH = [
    "alexnet", "vgg11_bn", "resnet18", "resnext50_32x4d", "wide_resnet50_2", "densenet121", "googlenet", "inception_v3",
    "squeezenet1_1", "mobilenet_v2", "mobilenet_v3_small", "mnasnet0_5", "shufflenet_v2_x0_5", "efficientnet_b0",
    "efficientnet_v2_s", "regnet_y_400mf", "convnext_tiny", "swin_t", "swin_v2_t", "maxvit_t",
    "lraspp_mobilenet_v3_large", "r3d_18", "s3d", "mvit_v2_s", "vit_b_32",
]  # fmt: skip


def counted(name: str, device: str | None = None) -> profiler.Profile:
    target = resolve(name)
    device = device or target.prefers
    model = build(target, device=device)
    args, kwargs = make_inputs(target, model, device=device)
    return profiler.count(model, *args, **kwargs)


def published(name: str) -> float:
    return get_model_weights(name).DEFAULT.meta["_ops"]


def assert_published(name: str) -> None:
    p = counted(name)
    assert p.uncounted == ()
    macs = p.totals.macs
    if name in EXCEPTIONS:
        macs -= sum(surplus(p.nodes[path], EXCEPTIONS[name][1]) for path in EXCEPTIONS[name][0])
    assert round(macs / 1e9, 3) == published(name)


def surplus(node, objects: int) -> int:
    """Return the MACs of a head beyond those of *objects* objects; its output has one row per object."""
    rows = node.module.outputs[0][0]
    each, rest = divmod(node.total.macs, rows)
    assert rest == 0
    return each * (rows - objects)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", QUICK)
def test_macs_are_those_that_torchvision_publishes(name):
    assert_published(name)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(set(list_models()) - set(QUICK)))
def test_all_macs_are_those_that_torchvision_publishes(name):
    assert_published(name)


def test_there_are_121_models_and_four_exceptions():
    assert len(list_models()) == 121
    assert set(EXCEPTIONS) <= set(list_models())


def assert_same_on_meta(name):
    assert asdict(counted(name, "cpu").totals) == asdict(counted(name, "meta").totals)


@pytest.mark.parametrize("name", [name for name in SAME_ON_BOTH if name in QUICK])
def test_meta_counts_as_the_cpu_does(name):
    assert_same_on_meta(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SAME_ON_BOTH if name not in QUICK])
def test_meta_counts_every_model_as_the_cpu_does(name):
    assert_same_on_meta(name)


def test_vit_takes_its_fast_path_on_both():
    for device in ("cpu", "meta"):
        calls = {row.operator: row.calls for row in counted("vit_b_32", device).operators}
        assert calls["aten._native_multi_head_attention"] == 12


def test_vit_b_16_has_the_products_of_its_attention_on_the_cpu():
    p = counted("vit_b_16", "cpu")
    # 12 layers, 197 tokens, width 768: four projections, two products of scores, two linear layers of 4·768;
    # the patches and the classes
    n, e = 197, 768
    layers = 12 * (4 * n * e * e + 2 * n * n * e + 8 * n * e * e)
    assert p.totals.macs == layers + 196 * 768 * prod((3, 16, 16)) + 768 * 1000 == 17_563_828_224


def test_quantized_parameters_are_those_of_the_folded_model():
    from torchvision.models.quantization import resnet18

    folded = resnet18(quantize=False).eval()
    folded.fuse_model()
    p = counted("quantized_resnet18")
    assert p.totals.params == sum(t.numel() for t in folded.parameters())
    assert dict(p.params_by_dtype).keys() == {"qint8", "float32"}
    assert {o.dtype for o in p.operators if o.totals.macs} == {"quint8"}


def test_a_training_step_has_the_flops_that_torch_tests_its_own_counter_with():
    """Source: test/test_flop_counter.py in PyTorch, ``test_module`` and the step with ``requires_grad``."""
    from torchvision.models import resnet18

    flops = []
    for requires_grad in (False, True):
        model = resnet18().to("meta")
        x = torch.empty(1, 3, 224, 224, device="meta", requires_grad=requires_grad)
        with profiler.profile(model) as p:
            model(x).sum().backward()
        flops.append(2 * p.totals.macs)
    assert flops == [10_648_412_160, 10_884_440_064]
