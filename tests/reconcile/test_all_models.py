"""All models of torchvision, and some of transformers and timm: every default peer's numbers are explained."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torchvision

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "reconcile.py"
OTHERS = re.search(r"^OTHERS = \((.*?)^\)", BENCHMARK.read_text(), re.DOTALL | re.MULTILINE).group(1)
#: One or two models of each architecture, for CI. `pytest -m sweep` runs the others.
FAMILIES = {
    "alexnet", "convnext_tiny", "deeplabv3_mobilenet_v3_large", "densenet121", "efficientnet_b0", "efficientnet_v2_s",
    "fasterrcnn_mobilenet_v3_large_320_fpn", "googlenet", "inception_v3", "lraspp_mobilenet_v3_large", "maxvit_t",
    "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_large", "quantized_resnet18", "r3d_18", "raft_small", "regnet_y_400mf",
    "resnet50", "resnext50_32x4d", "s3d", "shufflenet_v2_x1_0", "squeezenet1_0", "ssdlite320_mobilenet_v3_large",
    "swin_t", "swin_v2_t", "vgg11_bn", "vit_b_16", "hf:gpt2", "hf:bert-base",
}  # fmt: skip
#: Models that no peer may fail on.
NEVER_FAILS = ("vit_b_16", "resnet50", "mobilenet_v3_large", "swin_t", "maxvit_t", "densenet121", "hf:gpt2")


def marked(model):
    """Mark a model that CI does not run."""
    return model if model in FAMILIES else pytest.param(model, marks=pytest.mark.sweep)


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", list(map(marked, [*torchvision.models.list_models(), *re.findall(r'"(.+?)"', OTHERS)]))
)
def test_no_difference_of_a_peer_is_unexplained(model):
    """Run in a new process: the benchmark forks, which is not safe in a process that has run torch operators."""
    done = subprocess.run([sys.executable, BENCHMARK, model], capture_output=True, text=True, check=True)
    problems = [line for line in done.stdout.splitlines() if line.startswith(f"{model} · ")]
    assert [line for line in problems if " · unexplained" in line] == []
    if model in NEVER_FAILS:
        assert problems == []
