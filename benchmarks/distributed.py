"""Published training runs on many devices against the estimate.

``python benchmarks/distributed.py [ID…]`` prints a row for each run of ``published_runs.toml`` that its source
determines, the median error, and why the others are left out. Each takes up to a minute.
"""

from __future__ import annotations

import sys
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from profiler.worlds.world import world
from profiler.worlds.world_time import world_time

RUNS = Path(__file__).with_name("published_runs.toml")


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

    def __str__(self) -> str:
        """Return the row."""
        beaten = "" if self.bound >= self.published else "  BOUND BEATEN"
        span = f"{self.low:.0f}–{self.high:.0f}"
        return (
            f"{self.id:26} {self.bound:8.0f} {self.estimate:8.0f} {span:>13} {self.published:9.0f} "
            f"{self.ratio:6.2f}{beaten}"
        )


def published_runs() -> list[dict[str, Any]]:
    """Return all cases of the file."""
    cases: list[dict[str, Any]] = tomllib.loads(RUNS.read_text(encoding="utf-8"))["cases"]
    return cases


def compare(case: dict[str, Any]) -> Comparison:
    """Return a case that can be run beside its estimate: FSDP2 in bfloat16 with AdamW, without recomputation."""
    traced = world(
        case["model"],
        case["mesh"],
        inputs=[f"input_ids=1x{case['sequence']}"],
        batch=case["local_batch"],
        data_parallel="fsdp",
        param_dtype="bfloat16",
        optimizer="adamw",
    )
    time = world_time(traced, case["device"], mode=case["mode"])
    seconds = (time.step.bound_s, time.step.estimate_s, time.step.high_s, time.step.low_s)
    return Comparison(case["id"], *(time.tokens_per_step / s / time.ranks for s in seconds), case["published"])


def main() -> None:
    """Print the table."""
    cases = [case for case in published_runs() if not sys.argv[1:] or case["id"] in sys.argv[1:]]
    print(f"{'case':26} {'bound':>8} {'estimate':>8} {'range':>13} {'published':>9} {'ratio':>6}")
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
