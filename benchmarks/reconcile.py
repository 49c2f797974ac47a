"""Which models every peer's numbers are explained for, to the last unit, and what it takes.

    python benchmarks/reconcile.py                         # all torchvision models, 20 of transformers and timm
    python benchmarks/reconcile.py resnet18 hf:gpt2 --peers thop,fvcore
    python benchmarks/reconcile.py --wall-of resnet18      # how long `--against all` takes, and the peers alone

A peer runs in a fork of this process, so that its imports are paid once; `--against` starts a process for each.
A model is explained where nothing is left over in the total, the parameters and every module that the peer reports.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import cyclopts
import torch
from rich.console import Console
from rich.table import Table, box

import profiler
from profiler.errors import one_line
from profiler.peers import PeerFailure, PeerResult, find
from profiler.reconcile import count_with_facts, reconcile, select_peers
from profiler.targets import build_with_inputs, list_targets
from profiler.values.findings import TOTAL, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profiler.values.findings import Finding

BOX = "fvcore,thop,ptflops,ptflops-aten,flop_counter,torch_profiler"
INPUTS = {name: ["input_ids=1x32"] for name in ("hf:gpt2", "hf:bert-base")}
OTHERS = (
    "hf:gpt2", "hf:bert-base", "hf:t5-base", "hf:whisper-tiny", "hf:mamba-130m", "hf:clip-vit-b-32",
    "hf:wav2vec2-base", "hf:speecht5", "hf:fastspeech2", "hf:hifigan-16k", "hf:blip2-qformer",
    "timm:vit_tiny_patch16_224",
    "timm:convnext_atto", "timm:efficientnet_b0", "timm:mixer_s32_224", "timm:swin_tiny_patch4_window7_224",
    "timm:maxvit_nano_rw_256", "timm:deit_tiny_patch16_224", "timm:resnest14d", "timm:mobilevit_xxs",
    "timm:regnety_002", "timm:levit_128s",
)  # fmt: skip


def models() -> list[str]:
    """List torchvision's models, and those of the other sources."""
    return [name for name in list_targets() if ":" not in name] + list(OTHERS)


def explain(model: str, peers: tuple[str, ...]) -> Iterator[tuple[str, tuple[Finding, ...], float]]:
    """Yield, for each peer, what is found of a model, and the seconds that the peer itself took."""
    module, args, kwargs = build_with_inputs(model, INPUTS.get(model, ()))
    seen = count_with_facts(module, args, kwargs, profiler.count)
    for peer in peers:
        answer, seconds = _forked(peer, module, args, kwargs)
        yield peer, reconcile(*seen, find(peer), answer), seconds


def standing(findings: tuple[Finding, ...]) -> str:
    """Say how a peer stands with a model: failed, explained, or with a rest and where."""
    if findings[0].verdict is Verdict.FAILED:
        return f"failed: {findings[0].claim.error}"
    left = [f for f in findings if f.unexplained]
    where = ", ".join(f"{f.claim.subject} {f.claim.unit} {f.unexplained:+,}" for f in left[:3])
    return f"rest: {where} ({len(left)} findings)" if left else "explained"


def _forked(peer: str, module, args, kwargs) -> tuple[PeerResult | PeerFailure, float]:  # noqa: ANN001
    """Run a peer in a fork, which it may leave as it likes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answer"
        fork = os.fork()
        if not fork:
            with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
                path.write_text(json.dumps(_answer(peer, module, args, kwargs)))
            os._exit(0)
        os.waitpid(fork, 0)
        row = json.loads(path.read_text()) if path.exists() else {"error": "it died", "seconds": 0.0}
    seconds = row.pop("seconds")
    return (PeerFailure(row["error"]) if "error" in row else PeerResult(**row)), seconds


def _answer(peer: str, module, args, kwargs) -> dict:  # noqa: ANN001
    start = time.perf_counter()
    try:
        row = asdict(find(peer).run(module, args, kwargs))
    except Exception as error:  # noqa: BLE001 - whatever a peer raises is its answer
        row = {"error": one_line(error)}
    return row | {"seconds": time.perf_counter() - start}


def sweep(names: list[str], peers: tuple[str, ...]) -> dict[str, Counter[str]]:
    """Explain every model, print what is not, and count how each peer stands."""
    counts: dict[str, Counter[str]] = {peer: Counter() for peer in peers}
    for name in names:
        for peer, findings, seconds in explain(name, peers):
            found = standing(findings)
            counts[peer][found.partition(":")[0]] += 1
            counts[peer]["seconds"] += round(seconds)
            if found != "explained":
                print(f"{name} · {peer} · {found}", flush=True)
    return counts


def wall(name: str) -> None:
    """Print how long `--against all` takes, and what the peers themselves and we take of that."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "profiler", name, "--against", "all", "--quiet", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    total = time.perf_counter() - start
    found = [f for f in json.loads(done.stdout)["findings"] if f["subject"] == TOTAL]
    own = {peer: seconds for peer, _, seconds in explain(name, select_peers(["all"]))}
    print(f"{name} --against all: {total:.1f} s, {len(found)} totals; the peers' own runs {sum(own.values()):.1f} s:")
    print(", ".join(f"{peer} {seconds:.1f}" for peer, seconds in own.items()))


def main(*names: str, peers: str = BOX, wall_of: str | None = None) -> None:
    """Print a table: per peer, models explained, with a rest, and failed.

    Args:
        names: Which models; all, if none is named.
        peers: Which peers, or `all`.
        wall_of: Time `--against all` for this model instead.
    """
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    if wall_of is not None:
        wall(wall_of)
        return
    counts = sweep(list(names) or models(), select_peers(peers.split(",")))
    table = Table("peer", "explained to 0", "with a rest", "failed", "peer's own time, s", box=box.MARKDOWN)
    for peer, count in counts.items():
        table.add_row(peer, *(str(count[key]) for key in ("explained", "rest", "failed", "seconds")))
    Console(width=120).print(table)


if __name__ == "__main__":
    cyclopts.run(main)
