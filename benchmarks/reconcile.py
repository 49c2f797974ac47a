"""For how many models each peer's numbers are explained exactly, and how long that takes.

    python benchmarks/reconcile.py                         # all torchvision models, 20 of transformers and timm
    python benchmarks/reconcile.py resnet18 hf:gpt2 --peers thop,fvcore
    python benchmarks/reconcile.py --wall-of resnet18      # how long `--against all` takes, and the peers alone

A peer runs in a fork of this process, so that modules are imported once; `--against` starts a process for each peer.
A model is explained if nothing stays unexplained in the total, the parameters and every module that the peer reports.
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
from profiler.peers import PeerFailure, PeerResult, find_peer, select_peers
from profiler.reconcile import count_with_facts, reconcile
from profiler.targets import build_with_inputs, list_targets
from profiler.values.findings import TOTAL, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profiler.values.findings import Finding

DEFAULT_PEERS = "fvcore,thop,ptflops,ptflops-aten,flop_counter,torch_profiler"
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
    """Return torchvision's models, and the selected models of transformers and timm."""
    return [name for name in list_targets() if ":" not in name] + list(OTHERS)


def explain(model: str, peers: tuple[str, ...]) -> Iterator[tuple[str, tuple[Finding, ...], float]]:
    """Yield each peer with its findings for a model and the seconds that the peer itself took."""
    module, args, kwargs = build_with_inputs(model, INPUTS.get(model, ()))
    counted = count_with_facts(module, args, kwargs, profiler.count)
    for peer in peers:
        result, seconds = _run_in_fork(peer, module, args, kwargs)
        yield peer, reconcile(*counted, find_peer(peer), result), seconds


def summarize(findings: tuple[Finding, ...]) -> str:
    """Return "explained", "failed: …" with the error, or "unexplained: …" with the places."""
    if findings[0].verdict is Verdict.FAILED:
        return f"failed: {findings[0].claim.error}"
    unexplained = [f for f in findings if f.unexplained]
    where = ", ".join(f"{f.claim.subject} {f.claim.unit} {f.unexplained:+,}" for f in unexplained[:3])
    return f"unexplained: {where} ({len(unexplained)} findings)" if unexplained else "explained"


def _run_in_fork(peer: str, module, args, kwargs) -> tuple[PeerResult | PeerFailure, float]:  # noqa: ANN001
    """Run a peer in a forked process, which it may modify or crash; return its result and its seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.json"
        fork = os.fork()
        if not fork:
            with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
                path.write_text(json.dumps(_timed_result(peer, module, args, kwargs)))
            os._exit(0)
        os.waitpid(fork, 0)
        row = json.loads(path.read_text()) if path.exists() else {"error": "the process crashed", "seconds": 0.0}
    seconds = row.pop("seconds")
    return (PeerFailure(row["error"]) if "error" in row else PeerResult(**row)), seconds


def _timed_result(peer: str, module, args, kwargs) -> dict:  # noqa: ANN001
    start = time.perf_counter()
    try:
        row = asdict(find_peer(peer).run(module, args, kwargs))
    except Exception as error:  # noqa: BLE001 - any exception of a peer is reported as its failure
        row = {"error": one_line(error)}
    return row | {"seconds": time.perf_counter() - start}


def sweep(names: list[str], peers: tuple[str, ...]) -> dict[str, Counter[str]]:
    """Explain every model for each peer, print the models that are not explained, and count the outcomes."""
    counts: dict[str, Counter[str]] = {peer: Counter() for peer in peers}
    for name in names:
        for peer, findings, seconds in explain(name, peers):
            summary = summarize(findings)
            counts[peer][summary.partition(":")[0]] += 1
            counts[peer]["seconds"] += round(seconds)
            if summary != "explained":
                print(f"{name} · {peer} · {summary}", flush=True)
    return counts


def print_wall_time(name: str) -> None:
    """Print how long `--against all` takes for a model, and how much of that the peers themselves take."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "profiler", name, "--against", "all", "--quiet", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own command
    total = time.perf_counter() - start
    totals = [f for f in json.loads(done.stdout)["findings"] if f["subject"] == TOTAL]
    seconds_of = {peer: seconds for peer, _, seconds in explain(name, select_peers(["all"]))}
    own = sum(seconds_of.values())
    print(f"{name} --against all: {total:.1f} s, {len(totals)} totals; the peers themselves take {own:.1f} s:")
    print(", ".join(f"{peer} {seconds:.1f}" for peer, seconds in seconds_of.items()))


def main(*names: str, peers: str = DEFAULT_PEERS, wall_of: str | None = None) -> None:
    """Print a table of the models that are explained, partly unexplained and failed, for each peer.

    Args:
        names: The models; all if none is given.
        peers: The peers, separated by commas, or `all`.
        wall_of: Measure the time of `--against all` for this model instead.
    """
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    if wall_of is not None:
        print_wall_time(wall_of)
        return
    counts = sweep(list(names) or models(), select_peers(peers.split(",")))
    table = Table("peer", "explained exactly", "partly unexplained", "failed", "peer's own time, s", box=box.MARKDOWN)
    for peer, count in counts.items():
        table.add_row(peer, *(str(count[key]) for key in ("explained", "unexplained", "failed", "seconds")))
    Console(width=120).print(table)


if __name__ == "__main__":
    cyclopts.run(main)
