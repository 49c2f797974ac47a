"""torchvision's models, in the variant of their published weights."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models

from profiler.targets import build, make_inputs, resolve

NAMES = models.list_models()
FLOAT = [name for name in NAMES if not name.startswith("quantized_")]
QUANTIZED = [name for name in NAMES if name.startswith("quantized_")]
DETECTION = models.list_models(models.detection)
TWO_STAGES = [name for name in DETECTION if "rcnn" in name]
ON_META = [name for name in FLOAT if name not in DETECTION]
A_FEW = {
    "resnet18", "vit_h_14", "googlenet", "inception_v3", "fcn_resnet50", "deeplabv3_mobilenet_v3_large", "r3d_18",
    "raft_small", "ssd300_vgg16", "ssdlite320_mobilenet_v3_large", "fasterrcnn_mobilenet_v3_large_320_fpn",
    "retinanet_resnet50_fpn", "regnet_y_128gf", "quantized_mobilenet_v2",
}  # fmt: skip


def some(names):
    """Return *names* as parameters, all but ``A_FEW`` marked slow."""
    return [name if name in A_FEW else pytest.param(name, marks=pytest.mark.slow) for name in names]


def published(name):
    return models.get_model_weights(name).DEFAULT.meta


@pytest.mark.parametrize("name", some(FLOAT))
def test_parameters_are_as_many_as_torchvision_publishes(name):
    module = build(resolve(name), device="meta")
    assert sum(p.numel() for p in module.parameters()) == published(name)["num_params"]


@pytest.mark.parametrize("name", some(ON_META))
def test_the_default_input_is_the_one_that_torchvision_publishes_operations_for(name):
    """Counted by torch's own counter; the published number is MACs, half of its FLOPs."""
    target = resolve(name)
    module = build(target, device="meta")
    args, kwargs = make_inputs(target, module)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*args, **kwargs)
    assert target.prefers == "meta"
    assert round(counter.get_total_flops() / 2e9, 3) == published(name)["_ops"]


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("efficientnet_b1", [(1, 3, 240, 240)]),
        ("lraspp_mobilenet_v3_large", [(1, 3, 520, 520)]),
        ("mvit_v2_s", [(1, 3, 16, 224, 224)]),
        ("mc3_18", [(1, 3, 16, 112, 112)]),
        ("raft_large", [(1, 3, 512, 512)] * 2),
        ("quantized_resnet18", [(1, 3, 224, 224)]),
        ("ssd300_vgg16", [(1, 3, 300, 300)]),
        ("fcos_resnet50_fpn", [(1, 3, 800, 800)]),
    ],
)
def test_default_inputs(name, shapes):
    assert [argument.value.shape for argument in resolve(name).inputs] == shapes


@pytest.mark.parametrize("name", some(DETECTION))
def test_a_detector_prefers_the_cpu_and_takes_a_list_of_images(name):
    target = resolve(name)
    (images,), _ = make_inputs(target, build(target), batch=2)
    assert target.prefers == "cpu"
    assert [image.ndim for image in images] == [3, 3]


@pytest.mark.parametrize("name", some(TWO_STAGES))
def test_as_many_regions_and_objects_are_counted_as_the_model_lets_through(name):
    target = resolve(name)
    module = build(target, device="cpu")
    args, _ = make_inputs(target, module, device="cpu")
    regions = []
    module.roi_heads.box_head.register_forward_hook(lambda _module, inputs, _output: regions.append(len(inputs[0])))
    with torch.no_grad():
        (detections,) = module(*args)
    assert regions == [module.rpn._post_nms_top_n["testing"]]
    assert len(detections["boxes"]) == 100 or regions == [150]
    assert "every region" in target.note


@pytest.mark.slow
def test_a_batch_makes_as_many_regions_again():
    """No work of a patched two-stage detector depends on values, so two images are twice the work of one."""
    target = resolve("fasterrcnn_mobilenet_v3_large_320_fpn")
    module = build(target, device="cpu")
    counts = []
    for batch in (1, 2):
        args, _ = make_inputs(target, module, batch=batch, device="cpu")
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            module(*args)
        counts.append(counter.get_total_flops())
    assert counts[1] == 2 * counts[0]


@pytest.mark.parametrize("name", some(QUANTIZED))
def test_a_quantized_model_computes_in_integers_and_leaves_the_engine_alone(name):
    engine, before = torch.backends.quantized.engine, torch.get_rng_state()
    target = resolve(name)
    module = build(target, device="cpu")
    args, _ = make_inputs(target, module, device="cpu")
    with torch.no_grad():
        assert module(*args).shape == (1, 1000)
    assert any("quantized" in type(m).__module__ for m in module.modules())
    assert not list(module.parameters())
    assert torch.backends.quantized.engine == engine
    assert torch.equal(torch.get_rng_state(), before)
