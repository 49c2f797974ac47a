"""Published training runs on many devices against the estimate.

``python benchmarks/distributed.py [ID…]`` prints a row for each run of ``published_runs.toml`` that its source
determines, the median error, and why the others are left out. Each takes up to some minutes.
"""

from __future__ import annotations

import json
import sys
import tempfile
import tomllib
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from profiler.devices import find_device
from profiler.projection import project
from profiler.projection.communication import ComputeTime
from profiler.worlds.world import world
from profiler.worlds.world_time import compute_time, time_of_roles

if TYPE_CHECKING:
    from profiler.devices import Device
    from profiler.tally import Profile

RUNS = Path(__file__).with_name("published_runs.toml")
#: What `float8_time` leaves in bfloat16, as torchtitan and Transformer Engine do: attention, and the output layer.
_NOT_FLOAT8 = ("lm_head", "embed_out")


@dataclass(frozen=True, slots=True)
class Comparison:
    """A published run beside its estimate, in tokens per second and device."""

    id: str
    bound: float
    estimate: float
    low: float
    high: float
    published: float

    @property
    def ratio(self) -> float:
        """The estimate relative to what was published."""
        return self.estimate / self.published

    @property
    def is_in_range(self) -> bool:
        """Whether the range of the estimate has what was published."""
        return self.low <= self.published <= self.high

    def __str__(self) -> str:
        """Return the row."""
        beaten = "" if self.bound >= self.published else "  BOUND BEATEN"
        span = f"{self.low:.0f}–{self.high:.0f}"
        return (
            f"{self.id:32} {self.bound:7.0f} {self.estimate:8.0f} {span:>12} {self.published:9.0f} "
            f"{self.ratio:5.2f} {'yes' if self.is_in_range else 'no':>8}{beaten}"
        )


def published_runs() -> list[dict[str, Any]]:
    """Return all cases of the file."""
    cases: list[dict[str, Any]] = tomllib.loads(RUNS.read_text(encoding="utf-8"))["cases"]
    return cases


def compare(case: dict[str, Any]) -> Comparison:
    """Return a case that can be run beside its estimate: in bfloat16 or float8, with AdamW."""
    with tempfile.TemporaryDirectory() as folder:
        traced = world(
            case.get("model") or gpt(case["gpt"], Path(folder)),
            case["mesh"],
            inputs=[f"input_ids=1x{case['sequence']}"],
            batch=case["local_batch"],
            dtype=case.get("dtype"),
            data_parallel=case.get("data_parallel", "fsdp"),
            param_dtype=None if case.get("data_parallel") == "ddp" else "bfloat16",
            schedule=case.get("schedule", "1f1b"),
            microbatches=case.get("microbatches", 1),
            optimizer="adamw",
            checkpoint=case.get("checkpoint", False),
        )
    device = device_of(case)
    times = [float8_time if case.get("float8") else bfloat16_time] * len(traced.profiles)
    computes = [time(profile, device, case["mode"]) for time, profile in zip(times, traced.profiles, strict=True)]
    time = time_of_roles(traced, device, computes, device.peak("bf16"))
    seconds = (time.step.bound_s, time.step.estimate_s, time.step.high_s, time.step.low_s)
    return Comparison(case["id"], *(time.tokens_per_step / s / time.ranks for s in seconds), tokens_per_s(case))


def gpt(shape: dict[str, int], folder: Path) -> str:
    """Return a target: a GPT of a shape; with a fused attention if the shape says ``flash``."""
    config = {
        "model_type": "gpt_neox",
        "architectures": ["GPTNeoXForCausalLM"],
        "hidden_size": shape["hidden"],
        "intermediate_size": 4 * shape["hidden"],
        "num_hidden_layers": shape["layers"],
        "num_attention_heads": shape["heads"],
        "vocab_size": shape["vocab"],
        "use_parallel_residual": False,
        "attn_implementation": "sdpa" if shape.get("flash") else "eager",
    }
    path = folder / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    return f"hf:{path}"


def device_of(case: dict[str, Any]) -> Device:
    """Return the device of a case, with the memory that the source names."""
    device = find_device(case["device"])
    return replace(device, bandwidth_bytes_per_s=case.get("bandwidth_bytes_per_s", device.bandwidth_bytes_per_s))


def bfloat16_time(profile: Profile, device: Device, mode: Any) -> ComputeTime:
    """Return the time of the computation in the precision of the profile."""
    return compute_time(project(profile, device, mode=mode))


def float8_time(profile: Profile, device: Device, mode: Any) -> ComputeTime:
    """Return the time of the computation with the linear layers in float8, and all else in bfloat16."""
    narrow, wide = (project(profile, device, precision=name, mode=mode) for name in ("fp8", "bf16"))
    pairs = zip(profile.entries, narrow.entry_s, wide.entry_s, strict=True)
    estimate_s = sum(fast if _is_linear(entry) else slow for entry, fast, slow in pairs)
    all_narrow = compute_time(narrow)
    scale = max(estimate_s, all_narrow.bound_s) / all_narrow.estimate_s
    return ComputeTime(
        all_narrow.bound_s, *(scale * s for s in (all_narrow.low_s, all_narrow.estimate_s, all_narrow.high_s))
    )


def _is_linear(entry: Any) -> bool:
    record = entry.record
    is_product = entry.macs > 0 and "attention" not in record.packet and "bmm" not in record.packet
    return is_product and not record.module.startswith(_NOT_FLOAT8)


def tokens_per_s(case: dict[str, Any]) -> float:
    """Return what was published in tokens per second and device."""
    if "flops_per_token" in case:
        return float(case["published"] * 1e12 / case["flops_per_token"])
    if "gpt" in case and case["unit"].startswith("TFLOP/s"):
        return float(case["published"] * 1e12 / megatron_flops_per_token(case["gpt"], case["sequence"]))
    return float(case["published"])


def megatron_flops_per_token(shape: dict[str, int], sequence: int) -> float:
    """Return the FLOPs of a token with everything run again: ``96·l·h²·(1 + s/6h + V/16lh)``.

    Source: Narayanan et al. (2021), equation 3.
    """
    layers, hidden = shape["layers"], shape["hidden"]
    return 96 * layers * hidden**2 * (1 + sequence / (6 * hidden) + shape["vocab"] / (16 * layers * hidden))


def main() -> None:
    """Print the table."""
    wanted, runs = sys.argv[1:], published_runs()
    if unknown := {*wanted} - {case["id"] for case in runs}:
        sys.exit(f"{RUNS.name} has no run {', '.join(sorted(unknown))}")
    cases = [case for case in runs if not wanted or case["id"] in wanted]
    print(f"{'case':32} {'bound':>7} {'estimate':>8} {'range':>12} {'published':>9} {'ratio':>5} {'in range':>8}")
    rows = []
    for case in cases:
        if "left_out" not in case:
            rows.append(compare(case))
            print(rows[-1], flush=True)
    if rows:
        print(f"median error of {len(rows)} runs: {median(abs(row.ratio - 1) for row in rows):.0%}")
    reasons: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        if "left_out" in case:
            reasons[case["left_out"]].append(case["id"])
    for reason, names in reasons.items():
        print(f"left out, {len(names)}: {reason}: {', '.join(names)}")


if __name__ == "__main__":
    main()
