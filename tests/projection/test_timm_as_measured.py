"""Models of timm's tables of times are counted as they ran when they were measured."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
import timm

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def estimates(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return import_module("estimates")


def table(estimates, folder: Path, kind: str, name: str, model: str):
    """Return the table of a file as timm publishes it, of one model."""
    path = folder / f"benchmark-{name}.csv"
    columns = ("model", f"{kind}_step_time", f"{kind}_batch_size", f"{kind}_img_size")
    path.write_text("\n".join([",".join(columns), f"{model},50.0,2,224"]), encoding="utf-8")
    (read,) = estimates.read_tables(path)
    return read


@pytest.mark.parametrize(
    ("torch", "is_fused"),
    [("pt112-cu113", False), ("pt113-cu117", False), ("pt210-cu121", True), ("pt240-cu124", True)],
)
def test_attention_has_a_fused_kernel_since_pytorch_2(estimates, tmp_path, torch, is_fused):
    read = table(estimates, tmp_path, "train", f"train-amp-nchw-{torch}-rtx3090", "vit_tiny_patch16_224")
    classes = set(read.sample(read.rows[0]).ideals)
    assert ("attention" in classes) == is_fused
    assert ("batched_matmul" in classes) == (not is_fused)
    assert timm.layers.use_fused_attn()


def test_norms_under_autocast_are_in_float16_in_inference_alone(estimates, tmp_path):
    read = {
        kind: table(estimates, tmp_path, kind, f"{kind}-amp-nchw-pt240-cu124-rtx3090", "vit_tiny_patch16_224")
        for kind in ("infer", "train")
    }
    assert (read["infer"].has_fast_norms, read["train"].has_fast_norms) == (True, False)
    sample, fast = (
        read["infer"].rows[0].sample(read["infer"].device, "eager"),
        read["infer"].sample(read["infer"].rows[0]),
    )
    assert fast.ideals["norm"].memory_s < 0.7 * sample.ideals["norm"].memory_s
    assert not timm.layers.is_fast_norm()
