"""Published figures: counts are reproduced exactly, and no measurement beats its bound.

Each case names its source. A measurement is never asserted to be equal to a bound: their ratio is printed, for
``pytest -s`` to show.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
from projection.counted import counted

from profiler.devices import Device, find_device
from profiler.guard.device_metrics import UTILISATION
from profiler.projection.device_pass import DevicePass, ProfileWork
from profiler.projection.llm_decoding import KVCache, decode_step
from profiler.projection.precision import choose_precision
from profiler.projection.training_plan import days, flops_per_token, flops_utilisation, pf_days
from profiler.run.autocast import under_autocast
from profiler.run.count_target import count_target
from profiler.run.step_options import StepOptions

if TYPE_CHECKING:
    from pathlib import Path

HOUR = 3600
PEAK_A100, PEAK_H100, PEAK_TPU_V4 = 312e12, 989.4e12, 275e12


def print_ratio(name: str, bound: float, measured: float) -> float:
    """Print and return bound ÷ measured: 1 is the bound itself."""
    ratio = bound / measured
    sys.stdout.write(f"{name}: bound {bound:.4g}, measured {measured:.4g}, ratio {ratio:.3f}\n")
    return ratio


def device_pass(model: str, device: Device, precision: str, *specs: str, batch: int | None = None) -> DevicePass:
    profile = counted(model, *specs, batch=batch)
    return DevicePass.of(ProfileWork(profile), device, choose_precision(profile, device, precision))


def holds(run: DevicePass, measured_s: float) -> bool:
    """Print a measured time with its estimate, and return whether the range of the estimate holds it."""
    estimate = run.estimate
    print_ratio(f"{run.profile.model} on {run.device.id}, estimate, s", estimate.seconds, measured_s)
    return estimate.low_s <= measured_s <= estimate.high_s


# ---- exact ----------------------------------------------------------------------------------------------------------


def test_gpt2_124m_forward_and_training_flops():
    """nanoGPT, transformer_sizing.ipynb: 1024 tokens, matrix products alone, attention dense."""
    forward = 2 * counted("hf:gpt2", "input_ids=1x1024").totals.macs
    assert forward == 291_648_307_200
    assert 3 * forward == 874_944_921_600


def test_gpt2_124m_by_palms_rule():
    """The same notebook; its N leaves the positions out, and its GPT-2 has no biases: of 12 blocks and 25 norms."""
    biases = 12 * (3 + 1 + 4 + 1) * 768 + 25 * 768
    n = counted("hf:gpt2", "input_ids=1x1024").totals.params - 1024 * 768 - biases
    assert 1024 * flops_per_token(n, layers=12, heads=12, head_dim=64, length=1024) == 875_062_886_400


def test_llama_7b_forward_flops_at_2048_tokens():
    """A layer is (4·h² + 3·h·f)·s + 2·s²·h MAC, the output 32000·h·s: not the 11.4 TFLOP of the document `tops`."""
    macs = counted("hf:llama-7b", "input_ids=1x2048").totals.macs
    assert 2 * macs == 29_261_612_187_648
    layer = (4 * 4096**2 + 3 * 4096 * 11008) * 2048 + 2 * 2048**2 * 4096
    assert 2 * layer == 897_648_164_864


def test_vit_b16_forward():
    """Results of timm: 17.58 GMAC; twice that and what is not a MAC is 35.13 GFLOP."""
    totals = counted("vit_b_16").totals
    assert totals.macs == pytest.approx(17.58e9, rel=0.01)
    assert totals.flops == pytest.approx(35.13e9, rel=0.01)


PALM = {"8B": (8.63e9, 32, 16, 0.055), "62B": (62.5e9, 64, 32, 0.388), "540B": (540.35e9, 118, 48, 3.28)}


@pytest.mark.parametrize(("n", "layers", "heads", "tflops"), PALM.values(), ids=PALM)
def test_palm_flops_per_token(n, layers, heads, tflops):
    """PaLM (arXiv:2204.02311), table 21: 6·N + 12·L·H·Q·T with Q = 256 and T = 2048."""
    flops = flops_per_token(n, layers=layers, heads=heads, head_dim=256, length=2048)
    assert flops / 1e12 == pytest.approx(tflops, rel=0.01)


@pytest.mark.parametrize(
    ("flops", "expected"), [(4.29e22, 497), (3.08e23, 3570), (2.56e24, 29_600)], ids=["8B", "62B", "540B"]
)
def test_palm_pf_days(flops, expected):
    """PaLM, table 21."""
    assert pf_days(flops) == pytest.approx(expected, rel=0.01)


def test_palm_540b_mfu_and_hfu():
    """PaLM, section 4.1 and table 3: 238,300 tokens/s on 6144 TPU v4; 4.10 TFLOP a token recomputed (table 21)."""
    machine = {"devices": 6144, "peak_ops_per_s": find_device("tpu-v4").peak("bf16")}
    model = flops_per_token(540.35e9, layers=118, heads=48, head_dim=256, length=2048)
    assert flops_utilisation(6 * 540.35e9, 1 / 238_300, **machine) == pytest.approx(0.457, abs=0.002)
    assert flops_utilisation(model, 1 / 238_300, **machine) == pytest.approx(0.462, abs=0.001)
    assert flops_utilisation(4.10e12, 1 / 238_300, **machine) == pytest.approx(0.578, abs=0.001)


def test_gpt3_pf_days():
    """GPT-3 (arXiv:2005.14165), table D.1: 3.14e23 FLOP, 3640 PF-days; 6·N·D of its 174.6 B parameters gives 3637."""
    flops = 6 * 174.6e9 * 300e9
    assert flops == pytest.approx(3.14e23, rel=0.002)
    assert int(pf_days(flops)) == 3637
    assert pf_days(flops) == pytest.approx(3640, rel=0.002)


MEGATRON = {
    "22B": (6144, 48, 4, 8, 1.10, 0.415, 0.437, 0.4237),
    "530B": (20480, 105, 280, 280, 37.83, 0.56, 0.57, 0.5635),
}


@pytest.mark.parametrize(
    ("h", "layers", "batch", "gpus", "seconds", "mfu", "hfu", "physical"), MEGATRON.values(), ids=MEGATRON
)
def test_megatron_mfu_and_hfu(h, layers, batch, gpus, seconds, mfu, hfu, physical):
    """Korthikanti et al. (arXiv:2205.05198), table 5: 72·B·L·s·h²·(1 + s/6h + V/12hL) model FLOPs a step.

    Its HFU counts s/3h for the attention that is run again; QKᵀ and AV alone are 2s/9h.
    """
    s, vocabulary = 2048, 51200

    def share(attention: float) -> float:
        flops = 72 * batch * layers * s * h**2 * (1 + attention + vocabulary / (12 * h * layers))
        return flops_utilisation(flops, seconds, devices=gpus, peak_ops_per_s=PEAK_A100)

    assert share(s / (6 * h)) == pytest.approx(mfu, abs=0.005)
    assert share(s / (3 * h)) == pytest.approx(hfu, abs=0.005)
    assert share(2 * s / (9 * h)) == pytest.approx(physical, abs=0.0005)


@pytest.mark.parametrize(
    ("cache", "expected"),
    [
        (KVCache.of_heads(layers=32, kv_heads=32, head_dim=128), 524_288),
        (KVCache.of_heads(layers=32, kv_heads=8, head_dim=128), 131_072),
        (KVCache.of_heads(layers=80, kv_heads=8, head_dim=128), 327_680),
        (KVCache.of_latent(layers=61, rank=512, rope_dim=64), 70_272),
    ],
    ids=["llama-7b", "llama-3-8b", "llama-3-70b", "deepseek-v3"],
)
def test_cache_bytes_of_a_token_in_sixteen_bits(cache, expected):
    """How to Scale Your Model, inference: 2·L·H_kv·d·2; a latent of 512 and a rotary key of 64 in DeepSeek-V3."""
    assert cache.bytes_for(1) == expected


# ---- bound ----------------------------------------------------------------------------------------------------------


SINGLE_STREAM = {
    "a100-sxm4-80gb": 0.4628, "a10": 0.4592, "jetson-agx-xavier-32gb": 1.82, "l4": 0.375, "l40s": 0.318,
}  # fmt: skip


@pytest.mark.parametrize(("device", "latency_ms"), SINGLE_STREAM.items(), ids=SINGLE_STREAM)
def test_no_single_stream_latency_beats_the_bound(device, latency_ms):
    """MLPerf Inference v1.1 and v4.1, ResNet-50 in int8, mean latency of one image."""
    run = device_pass("resnet50", find_device(device), "int8")
    assert print_ratio(f"ResNet-50 single stream on {device}, s", run.bound.seconds, latency_ms / 1e3) < 1
    is_on_chip = device.startswith("jetson")  # MLPerf's harness launches no kernel on its own, which SoCs wait for
    assert holds(run, latency_ms / 1e3) or (is_on_chip and run.estimate.low_s < 1.1 * latency_ms / 1e3)


OFFLINE = {
    "a100-sxm4-80gb": (1, 39830.1, 0.522), "a100-pcie-80gb": (1, 36905.1, 0.484),
    "a100-pcie-40gb": (1, 32778.8, 0.430), "a10": (1, 13805.2, 0.452), "jetson-agx-xavier-32gb": (1, 2039.1, 0.521),
    "jetson-xavier-nx-8gb": (1, 1245.1, 0.485), "t4": (20, 121_564, 0.382),
    "h200-sxm-141gb": (8, 756_960, 0.391), "gh200-96gb": (1, 95_118, 0.393),
    "h100-pcie-80gb": (2, 112_968, 0.305), "l40s": (2, 87_978, 0.491),
}  # fmt: skip


@pytest.mark.parametrize(("device", "count", "rate", "share"), [(d, *v) for d, v in OFFLINE.items()], ids=OFFLINE)
def test_no_offline_rate_beats_the_bound(device, count, rate, share):
    """MLPerf Inference v0.7, v1.1, v4.1, ResNet-50 in int8 offline: with a large batch compute alone is the bound."""
    target = find_device(device)
    bound = count / device_pass("resnet50", target, "int8").bound.compute_s
    assert print_ratio(f"ResNet-50 offline on {count} × {device}, images/s", bound, rate) > 1
    assert rate * 8.178e9 / (count * target.peak("int8")) == pytest.approx(share, abs=0.001)


def test_the_utilisation_of_the_gate_is_the_lowest_of_the_published_rows():
    assert min(share for _, _, share in OFFLINE.values()) == pytest.approx(UTILISATION, abs=0.01)


# ---- measured -------------------------------------------------------------------------------------------------------


def test_prefill_and_decoding_of_13b_on_an_a100():
    """llm-analysis, after kipply's inference arithmetic: 512 tokens in 63.17 ms, a step in 22.0 ms; 12.85 B weights."""
    device, n = find_device("a100-sxm4-40gb"), 12.85e9
    prefill = 2 * n * 512 / device.peak("fp16")
    step = decode_step(device, "fp16", weight_bytes=int(2 * n), cache_bytes=0, ops=int(2 * n)).step_s()
    assert prefill == pytest.approx(42.2e-3, rel=0.01)
    assert step == pytest.approx(16.5e-3, rel=0.01)
    assert print_ratio("13B prefill on an A100, s", prefill, 63.17e-3) < 1
    assert print_ratio("13B decoding on an A100, s", step, 22.0e-3) < 1


def test_decoding_of_llama_3_8b_on_an_rtx_a6000():
    """Documentation of torchao, Quantized Inference: 32.36 tokens/s, 485.71 GB/s; at 768 GB/s no more than 51.2."""
    device = find_device("rtx-a6000")
    run = device_pass("hf:llama-3.1-8b", device, "bf16", "input_ids=1x1")
    step = decode_step(device, "bf16", weight_bytes=run.compulsory_bytes, cache_bytes=0, ops=run.profile.totals.flops)
    assert step.tokens_per_s() == pytest.approx(51.2, rel=0.005)
    assert print_ratio("Llama-3-8B decoding on an RTX A6000, tokens/s", step.tokens_per_s(), 32.36) > 1
    assert holds(run, 1 / 32.36)
    assert round(485.71e9 / device.bandwidth_bytes_per_s, 3) == 0.632


@pytest.mark.parametrize(("precision", "rate"), [("bf16", 30946.5), ("fp8", 45312.5), ("int8-weights", 28231.9)])
def test_prefill_of_llama_31_8b_on_an_h100(precision, rate):
    """Documentation of torchao, vLLM 0.13: 32 prompts of 4096 tokens; fp8 brings 1.46 times bf16."""
    run = device_pass("hf:llama-3.1-8b", find_device("h100-sxm5-80gb"), precision, "input_ids=1x4096")
    assert print_ratio(f"Llama-3.1-8B prefill in {precision} on an H100, tokens/s", 4096 / run.bound.seconds, rate) > 1
    compiled = DevicePass.of(ProfileWork(run.profile), run.device, run.scheme, mode="compiled")
    assert holds(compiled, 4096 / rate)


LLAMA2_70B = {
    "h100-sxm5-80gb": (8, 24524.9), "h200-sxm-141gb": (8, 31302.7), "b200-sxm-180gb": (1, 11264.4),
    "mi300x": (1, 3062.7), "gh200-96gb": (1, 4067.5),
}  # fmt: skip


@pytest.mark.parametrize(("device", "count", "rate"), [(d, *v) for d, v in LLAMA2_70B.items()], ids=LLAMA2_70B)
def test_llama_2_70b_offline(device, count, rate):
    """MLPerf Inference v4.1: every made token takes 2 operations a weight; in fp8, on the B200 fp4.

    The GH200 had 144 GB, and the compute of the one with 96.
    """
    peak = find_device(device).peak("fp4" if device.startswith("b200") else "fp8")
    assert print_ratio(f"Llama-2-70B offline on {count} × {device}, tokens/s", count * peak / (2 * 68.7e9), rate) > 1


def test_deepseek_v3_on_the_h800():
    """InferSim, README: 7839 tokens/s of prefill a device, at the H100's fp8 peak; the H800 is in no catalogue here."""
    assert print_ratio("DeepSeek-V3 prefill on an H800, tokens/s", 1978.9e12 / (2 * 37e9), 7839) > 1


GPT2 = {
    "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": 50304, "use_cache": False,
    "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0,
}  # fmt: skip


def gpt2_pass(tmp_path: Path, device: str, samples: int, gelu: str, optimizer: str | None) -> DevicePass:
    """Return a compiled training pass of GPT-2 (124 M) over samples of 1,024 tokens, under autocast to bfloat16."""
    (tmp_path / "config.json").write_text(json.dumps({**GPT2, "activation_function": gelu}), encoding="utf-8")
    specs = [f"input_ids={samples}x1024", f"labels={samples}x1024:int64"]
    run = under_autocast(StepOptions(optimizer), "bfloat16")
    profile = count_target(f"hf:{tmp_path / 'config.json'}", specs=specs, device="meta", run=run)
    found = find_device(device)
    return DevicePass.of(ProfileWork(profile), found, choose_precision(profile, found, None), mode="compiled")


def test_a_step_of_gpt2_on_an_a100(tmp_path):
    """karpathy/llm.c, pull request 323: 115,000 tokens/s of PyTorch, compiled, with flash attention and AdamW."""
    assert holds(gpt2_pass(tmp_path, "a100-pcie-40gb", 32, "gelu_new", "adamw"), 32 * 1024 / 115e3)


def test_a_step_of_gpt2_on_an_rtx_4090(tmp_path):
    """karpathy/nanoGPT, issues 179 and 182: an MFU of 29 %, which is of an A100's peak and by 6·N + 12·L·H·Q·T a token.

    Five passes of 12 samples share a step of the optimizer, which is left out: it is fused, and takes a few per cent.
    """
    per_token = 6 * 123.59e6 + 12 * 12 * 768 * 1024
    assert holds(gpt2_pass(tmp_path, "rtx-4090", 12, "gelu", None), 12 * 1024 * per_token / (0.29 * PEAK_A100))


def test_a_step_of_llama_3_8b_on_an_a100():
    """pytorch/torchtitan, docs/performance.md: 2973 tokens/s on each of 64 A100, samples of 8192 tokens, bfloat16.

    The measured step also recomputes some activations and gathers parameters, most of it beside the computation.
    """
    specs = ["input_ids=1x8192", "labels=1x8192:int64"]
    profile = count_target("hf:llama-3.1-8b", specs=specs, dtype="bfloat16", device="meta", run=StepOptions())
    device = find_device("a100-sxm4-80gb")
    step = DevicePass.of(ProfileWork(profile), device, choose_precision(profile, device, None), mode="eager")
    assert holds(step, 8192 / 2973)


HOURS = {
    "llama-2-7b": (6.74e9, 2e12, PEAK_A100, 184_320, 0.3907),
    "llama-2-13b": (13.02e9, 2e12, PEAK_A100, 368_640, 0.3773),
    "llama-3-8b": (8.03e9, 15e12, PEAK_H100, 1.3e6, 0.1561), "llama-3-70b": (70.6e9, 15e12, PEAK_H100, 6.4e6, 0.2787),
    "llama-3.1-405b": (405.9e9, 15.6e12, PEAK_H100, 30.84e6, 0.3459),
    "deepseek-v3": (37e9, 14.8e12, PEAK_H100, 2.664e6, 0.3463),
}  # fmt: skip


@pytest.mark.parametrize(("n", "tokens", "peak", "hours", "mfu"), HOURS.values(), ids=HOURS)
def test_training_hours_of_published_models(n, tokens, peak, hours, mfu):
    """Model cards and technical reports: hours of one device, and the MFU that 6·N·D makes of them."""
    flops = 6 * n * tokens
    bound = days(flops, devices=1, peak_ops_per_s=peak, utilisation=1) * 24
    assert print_ratio("training, device hours", bound, hours) == pytest.approx(mfu, abs=0.0005)
    assert flops_utilisation(flops, hours * HOUR, devices=1, peak_ops_per_s=peak) == pytest.approx(mfu, abs=0.0005)


@pytest.mark.parametrize(("precision", "rate"), [("bf16", 5762), ("bf16", 6667), ("fp8", 8532)])
def test_torchtitan_llama_31_8b(precision, rate):
    """Benchmarks of torchtitan: tokens/s of each of 8 H100 at 500 W, 8192 tokens: eager, compiled, in fp8."""
    flops = flops_per_token(8.03e9, layers=32, heads=32, head_dim=128, length=8192)
    peak = find_device("h100-sxm5-80gb").peak(precision)
    assert print_ratio(f"Llama-3.1-8B training in {precision}, tokens/s", peak / flops, rate) > 1


GEMM = {
    "a100-sxm4-80gb": (271.2, 0.869), "h100-sxm5-80gb": (794.5, 0.803), "b200-sxm-180gb": (1745, 0.776),
    "mi300x": (668, 0.514), "mi355x": (1565, 0.68), "gaudi2": (418.7, 0.969),
}  # fmt: skip


@pytest.mark.parametrize(("device", "tflops", "share"), [(d, *v) for d, v in GEMM.items()], ids=GEMM)
def test_no_measured_product_beats_the_peak(device, tflops, share):
    """Machine Learning Engineering, table of maximum achievable matmul FLOPS in bf16, and its shares of the peak."""
    peak = find_device(device).peak("bf16")
    ratio = 1 / print_ratio(f"bf16 product on {device}, op/s", peak, tflops * 1e12)
    assert ratio == pytest.approx(share, abs=0.06)
    assert ratio <= 1
