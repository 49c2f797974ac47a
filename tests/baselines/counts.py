"""Regression baseline: the counts of sixty models, by phase, operator and dtype, in ``counts.csv``.

    python tests/baselines/counts.py             # show the difference
    python tests/baselines/counts.py --update    # accept it

A change of a formula changes lines of ``counts.csv``, which are reviewed with it. The first line of the table names the
versions it was counted with: another version of torch, or of a model library, may run other operators.
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
MODEL_SIZES = ("params", "trainable_params", "buffers")
COLUMNS = ("model", "phase", "operator", "dtype", "calls", *COSTS, *MODEL_SIZES)
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
#: One forward and backward pass from the sum of the outputs, for the backward formulas.
TRAINED = ("resnet18 trained", "vit_b_32 trained", "convnext_tiny trained")
MODELS = (*TORCHVISION, *TIMM, *HF, *TRAINED)


def read() -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the library versions that the table was counted with, and the lines of each model."""
    head, _, *lines = TABLE.read_text(encoding="utf-8").splitlines()
    versions = dict(part.split(" ", 1) for part in head.removeprefix("# ").split(", "))
    lines_of_model: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        lines_of_model[line.split(",", 1)[0]].append(line)
    return versions, lines_of_model


def libraries_of(name: str) -> list[str]:
    """List the libraries whose versions determine the operators of a model."""
    library = LIBRARIES.get(name.split(":", 1)[0]) if ":" in name else "torchvision"
    return ["torch", library or "torchvision"]


def installed_version(library: str) -> str:
    """Return the installed version of a library, without the build suffix (``+cpu``)."""
    return version(library).split("+")[0]


def lines(name: str) -> list[str]:
    """Count a model and return its lines: first its parameters and buffers, then one line per operator."""
    p = count_model(name)
    rows = [[name, "", "", "", *[""] * (len(COSTS) + 1), *(getattr(p.totals, size) for size in MODEL_SIZES)]]
    groups: dict[tuple[str, str, str], list[Entry]] = defaultdict(list)
    for entry in p.entries:
        groups[entry.record.phase, entry.record.packet, entry.dtype].append(entry)
    for (phase, operator, dtype), entries in sorted(groups.items()):
        sums = reduce(add, (entry.totals for entry in entries))
        calls = sum(entry.record.calls for entry in entries)
        rows.append(
            [name, phase, operator, dtype, calls, *(getattr(sums, cost) for cost in COSTS), *[""] * len(MODEL_SIZES)]
        )
    return csv_lines(rows)


def count_model(name: str) -> profiler.Profile:
    """Count one forward pass on meta, or forward and backward of a name that ends in " trained"."""
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


def csv_lines(rows: Iterable[list[object]]) -> list[str]:
    """Return rows as lines of comma-separated values."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().splitlines()


def main(*, update: bool) -> int:
    """Print the difference to the table, and write it if *update*; return 1 if there is one that is not written."""
    libraries = ("torch", "torchvision", "timm", "transformers")
    head = "# " + ", ".join(f"{library} {installed_version(library)}" for library in libraries)
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
