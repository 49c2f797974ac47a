"""All models of torchvision, and some of transformers and timm: no peer in the box leaves a rest."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torchvision

from profiler.reconcile import choose

PATH = Path(__file__).parents[2] / "benchmarks" / "reconcile.py"


def benchmark():
    spec = spec_from_file_location("reconcile_benchmark", PATH)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BENCHMARK = benchmark()
#: One or two of each architecture: what CI has time for. `pytest -m sweep` takes the rest.
FAMILIES = {
    "alexnet", "convnext_tiny", "deeplabv3_mobilenet_v3_large", "densenet121", "efficientnet_b0", "efficientnet_v2_s",
    "fasterrcnn_mobilenet_v3_large_320_fpn", "googlenet", "inception_v3", "lraspp_mobilenet_v3_large", "maxvit_t",
    "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_large", "quantized_resnet18", "r3d_18", "raft_small", "regnet_y_400mf",
    "resnet50", "resnext50_32x4d", "s3d", "shufflenet_v2_x1_0", "squeezenet1_0", "ssdlite320_mobilenet_v3_large",
    "swin_t", "swin_v2_t", "vgg11_bn", "vit_b_16", "hf:gpt2", "hf:bert-base",
}  # fmt: skip
FEW = ("vit_b_16", "resnet50", "mobilenet_v3_large", "swin_t", "maxvit_t", "densenet121", "hf:gpt2")


def marked(model):
    """Mark a model that CI leaves out."""
    return model if model in FAMILIES else pytest.param(model, marks=pytest.mark.sweep)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", list(map(marked, [*torchvision.models.list_models(), *BENCHMARK.OTHERS])))
def test_no_peer_leaves_a_rest(model):
    peers = choose(BENCHMARK.BOX.split(","))
    found = {peer: BENCHMARK.standing(findings) for peer, findings, _ in BENCHMARK.explain(model, peers)}
    assert {peer: words for peer, words in found.items() if words.startswith("rest")} == {}
    if model in FEW:
        assert set(found.values()) == {"explained"}
