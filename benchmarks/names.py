"""How many names answer: a sample of timm's models, and transformers' configuration types, each counted on ``meta``.

    python benchmarks/names.py --timm 200 --hf 150 --seconds 60

Each model runs in a process of its own with a limit of time. timm's models are those it lists, transformers' types its
default configurations with one layer where `num_hidden_layers` says how many. The sample is random, with a fixed seed.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

_SEED = 0


def main() -> None:
    """Run the samples and print a table of answers, and every name that does not answer with its reason."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timm", type=int, default=200, help="how many of timm's models")
    parser.add_argument("--hf", type=int, default=150, help="how many of transformers' configuration types")
    parser.add_argument("--seconds", type=int, default=60, help="limit of time of each model")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        samples = {"timm": _timm_names(options.timm), "hf": _hf_names(options.hf, Path(folder))}
        for source, names in samples.items():
            reasons = {name: _reason(name, options.seconds) for name in names}
            _print(source, reasons)


def _timm_names(count: int) -> list[str]:
    import timm

    names = timm.list_models()
    return [f"timm:{name}" for name in random.Random(_SEED).sample(names, min(count, len(names)))]  # noqa: S311


def _hf_names(count: int, folder: Path) -> list[str]:
    """Return configuration files of the types, with one layer each."""
    from transformers import CONFIG_MAPPING

    types = sorted(CONFIG_MAPPING)
    chosen = random.Random(_SEED).sample(types, min(count, len(types)))  # noqa: S311
    for model_type in chosen:
        content = {"model_type": model_type, "num_hidden_layers": 1}
        (folder / f"{model_type}.json").write_text(json.dumps(content))
    return [f"hf:{folder / model_type}.json" for model_type in chosen]


def _reason(name: str, seconds: int) -> str:
    """Return "" if the name answers with every operator counted, else why not."""
    command = [sys.executable, "-m", "profiler", name, "--format", "json", "--quiet"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return f"no answer in {seconds} s"
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        return lines[-1]
    uncounted = json.loads(done.stdout)["uncounted"]
    return f"uncounted: {', '.join(row['operator'] for row in uncounted)}" if uncounted else ""


def _print(source: str, reasons: dict[str, str]) -> None:
    answers = Counter(not reason for reason in reasons.values())
    print(f"{source}: {answers[True]} of {len(reasons)} answer", flush=True)
    for name, reason in reasons.items():
        if reason:
            print(f"  {Path(name).stem if source == 'hf' else name}: {reason}", flush=True)


if __name__ == "__main__":
    main()
