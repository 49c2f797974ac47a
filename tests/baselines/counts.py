"""The counts of sixty models, by phase, operator and dtype, as a table under review.

    python tests/baselines/counts.py             # what would change
    python tests/baselines/counts.py --update    # accept it

A change of a formula changes lines of ``counts.csv``, and is accepted with them. The first line names the versions that
counted: another version of torch, or of a library of models, may run other operators.
"""

from __future__ import annotations

import csv
import difflib
import io
import sys
from collections import defaultdict
from functools import reduce
from importlib.metadata import version
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import profiler
from profiler.targets import build, make_inputs, resolve
from profiler.util.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.tally import Entry

TABLE = Path(__file__).with_name("counts.csv")
COSTS = ("macs", "masked_macs", "other_flops", "transcendentals", "bytes_read", "bytes_written")
HELD = ("params", "trainable_params", "buffers")
COLUMNS = ("model", "phase", "operator", "dtype", "calls", *COSTS, *HELD)
LIBRARIES = {"timm": "timm", "hf": "transformers"}

TORCHVISION = (
    "alexnet", "convnext_tiny", "deeplabv3_mobilenet_v3_large", "densenet121", "efficientnet_b0", "efficientnet_v2_s",
    "fcn_resnet50", "googlenet", "inception_v3", "lraspp_mobilenet_v3_large", "maxvit_t", "mc3_18", "mnasnet0_5",
    "mobilenet_v2", "mobilenet_v3_small", "mvit_v2_s", "r3d_18", "raft_small", "regnet_x_400mf", "regnet_y_400mf",
    "resnet18", "resnet50", "resnext50_32x4d", "s3d", "shufflenet_v2_x0_5", "squeezenet1_1", "swin3d_t", "swin_t",
    "swin_v2_t", "vgg11_bn", "vit_b_16", "vit_b_32", "wide_resnet50_2",
)  # fmt: skip
TIMM = (
    "timm:beit_base_patch16_224", "timm:botnet26t_256", "timm:convmixer_768_32", "timm:ghostnet_100",
    "timm:gmlp_s16_224", "timm:mixer_s16_224", "timm:nfnet_f0", "timm:poolformer_s12",
)  # fmt: skip
HF = (
    "hf:bert-base", "hf:blip2-qformer", "hf:clip-vit-b-32", "hf:gemma-2b", "hf:gpt2", "hf:hifigan-22k",
    "hf:llama-7b", "hf:mamba-130m", "hf:mistral-7b", "hf:mixtral-8x7b", "hf:phi-2", "hf:qwen2.5-7b", "hf:t5-base",
    "hf:vit-l-14", "hf:wav2vec2-base", "hf:whisper-tiny",
)  # fmt: skip
#: A step of training, for the backward formulas: the outputs summed, and their gradients.
TRAINED = ("resnet18 trained", "vit_b_32 trained", "convnext_tiny trained")
MODELS = (*TORCHVISION, *TIMM, *HF, *TRAINED)


def read() -> tuple[dict[str, str], dict[str, list[str]]]:
    """Read the table: the versions that counted, and the lines of each model."""
    head, _, *lines = TABLE.read_text(encoding="utf-8").splitlines()
    versions = dict(part.split(" ", 1) for part in head.removeprefix("# ").split(", "))
    found: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        found[line.split(",", 1)[0]].append(line)
    return versions, found


def needed(name: str) -> list[str]:
    """Name the libraries on whose versions the operators of a model depend."""
    library = LIBRARIES.get(name.split(":", 1)[0]) if ":" in name else "torchvision"
    return ["torch", library or "torchvision"]


def installed(library: str) -> str:
    """Give the version of a library, without what its build adds."""
    return version(library).split("+")[0]


def lines(name: str) -> list[str]:
    """Count a model, and write its lines: what it holds, then its operators, costliest first."""
    p = counted(name)
    rows = [[name, "", "", "", *[""] * (len(COSTS) + 1), *(getattr(p.totals, held) for held in HELD)]]
    groups: dict[tuple[str, str, str], list[Entry]] = defaultdict(list)
    for entry in p.entries:
        groups[entry.record.phase, entry.record.packet, entry.dtype].append(entry)
    for (phase, operator, dtype), entries in sorted(groups.items()):
        sums = reduce(add, (entry.totals for entry in entries))
        calls = sum(entry.record.calls for entry in entries)
        rows.append([name, phase, operator, dtype, calls, *(getattr(sums, cost) for cost in COSTS), *[""] * len(HELD)])
    return written(rows)


def counted(name: str) -> profiler.Profile:
    """Count one forward pass, or one step of training, on meta."""
    target_name, _, trained = name.partition(" ")
    target = resolve(target_name)
    model = build(target, device="meta")
    args, kwargs = make_inputs(target, model, device="meta")
    if not trained:
        with torch.inference_mode():
            return profiler.count(model, *args, **kwargs)
    with profiler.profile(model.train()) as p:
        model(*args, **kwargs).sum().backward()
    return p.result


def written(rows: Iterable[list[object]]) -> list[str]:
    """Write rows as lines of comma-separated values."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().splitlines()


def main(*, update: bool) -> int:
    """Show what changed, and accept it where that is asked for; the status is 1 if it is not."""
    libraries = ("torch", "torchvision", "timm", "transformers")
    head = "# " + ", ".join(f"{library} {installed(library)}" for library in libraries)
    body = [line for name in MODELS for line in lines(name)]
    new = [head, ",".join(COLUMNS), *body]
    old = TABLE.read_text(encoding="utf-8").splitlines() if TABLE.exists() else []
    changed = list(difflib.unified_diff(old, new, "accepted", "counted", lineterm="", n=0))
    sys.stdout.writelines(f"{line}\n" for line in changed)
    if update:
        write_whole(TABLE, "\n".join(new) + "\n")
    return int(bool(changed) and not update)


if __name__ == "__main__":
    sys.exit(main(update="--update" in sys.argv[1:]))
