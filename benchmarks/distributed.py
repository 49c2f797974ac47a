"""Published training runs of Llama on many devices against the estimate.

``python benchmarks/distributed.py FILE [ID…]``, where FILE has the cases as JSON: ``{"cases": [{"id", "model", "mesh",
"sequence", "local_batch", "recompute", "technique", "tokens_per_s_per_gpu"}, …]}``. Cases with an axis or a technique
that is not modelled are named and left out. Each takes up to a minute.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from profiler.errors import ProfilerError
from profiler.worlds.world import world
from profiler.worlds.world_time import world_time

DEVICE = "h100-sxm5-80gb"
#: What a run may use for its estimate to mean something: everything else is left out.
MODES = {"eager": "eager", "compile": "compiled"}


def reason_to_leave_out(case: dict[str, Any]) -> str:
    """Return why a case is not modelled; empty if it is."""
    if not str(case.get("model", "")).startswith("llama-3.1"):
        return "another model"
    if case.get("technique") not in MODES:
        return str(case.get("technique"))
    if not set(case.get("mesh", {})) <= {"dp"}:
        return f"mesh {case.get('mesh')}"
    return ""


def ratio(case: dict[str, Any]) -> str:
    """Return the row of a case: bound, estimate, range and published, in tokens per second and device."""
    w = world(
        f"hf:{case['model']}",
        ",".join(f"{axis}={size}" for axis, size in case["mesh"].items()),
        inputs=[f"input_ids=1x{case['sequence']}"],
        batch=case["local_batch"],
        data_parallel="fsdp",
        param_dtype="bfloat16",
        optimizer="adamw",
        checkpoint=str(case.get("recompute", "")).startswith("full"),
    )
    time = world_time(w, DEVICE, mode=MODES[case["technique"]])
    published = case["tokens_per_s_per_gpu"]
    times = (time.step.bound_s, time.step.estimate_s, time.step.high_s, time.step.low_s)
    bound, estimate, low, high = (time.tokens_per_step / seconds / time.ranks for seconds in times)
    beaten = "" if bound >= published else "  BOUND BEATEN"
    figures = f"{bound:8.0f} {estimate:8.0f} {low:7.0f}–{high:<7.0f} {published:9} {estimate / published:6.2f}"
    return f"{case['id']:28} {figures}{beaten}"


def main() -> None:
    """Print the table."""
    cases = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["cases"]
    chosen = [case for case in cases if not sys.argv[2:] or case["id"] in sys.argv[2:]]
    print(f"{'case':28} {'bound':>8} {'estimate':>8} {'range':>15} {'published':>9} {'ratio':>6}")
    for case in chosen:
        reason = reason_to_leave_out(case)
        try:
            print(f"{case['id']:28} left out: {reason}" if reason else ratio(case), flush=True)
        except ProfilerError as error:
            print(f"{case['id']:28} {error}", flush=True)


if __name__ == "__main__":
    main()
