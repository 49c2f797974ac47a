"""The worlds that are run both on real ranks of gloo and as fake ones, and a script that runs one rank of them.

``python cases.py RANK RANKS STORE RESULT REAL``: profile this rank in every case for so many ranks, and write JSON.
"""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import Replicate, Shard
from torch.distributed.tensor.parallel import ColwiseParallel, PrepareModuleInput, RowwiseParallel, SequenceParallel
from torch.nn import functional

from profiler.worlds.fake_world import fake_ranks
from profiler.worlds.mesh import parse_mesh
from profiler.worlds.plan import ParallelPlan
from profiler.worlds.rank_step import profile_rank
from profiler.worlds.step import Step

WIDTH, HEADS, WIDE, VOCABULARY, TOKENS, BLOCKS = 32, 4, 64, 128, 16, 4
EXPERTS, CHOICES = 4, 2
HERE = Path(__file__)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wq, self.wk, self.wv, self.wo = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (w(x).unflatten(-1, (-1, WIDTH // HEADS)).transpose(1, 2) for w in (self.wq, self.wk, self.wv))
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.wo(y.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w1, self.w3 = nn.Linear(WIDTH, WIDE, bias=False), nn.Linear(WIDTH, WIDE, bias=False)
        self.w2 = nn.Linear(WIDE, WIDTH, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.w2(functional.silu(self.w1(x)) * self.w3(x))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention_norm, self.ffn_norm = nn.RMSNorm(WIDTH), nn.RMSNorm(WIDTH)
        self.attention, self.feed_forward = Attention(), FeedForward()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.ffn_norm(x))


class Experts(nn.Module):
    """Experts with the calls of transformers; every expert has to get as many rows."""

    def __init__(self) -> None:
        super().__init__()
        self.num_experts = EXPERTS
        self.up = nn.Parameter(torch.empty(EXPERTS, WIDTH, WIDE))
        self.down = nn.Parameter(torch.empty(EXPERTS, WIDE, WIDTH))

    def forward(self, x: torch.Tensor, chosen: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        order = chosen.flatten().argsort()
        rows = x[order // chosen.shape[1]].view(self.num_experts, -1, WIDTH)
        y = torch.bmm(functional.silu(torch.bmm(rows, self.up)), self.down).view(-1, WIDTH)
        return torch.zeros_like(x).index_add(0, order // chosen.shape[1], y * weights.flatten()[order, None])


class Mixture(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate, self.experts = nn.Linear(WIDTH, EXPERTS, bias=False), Experts()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.flatten(0, 1)
        weights, chosen = self.gate(rows).softmax(-1).topk(CHOICES)
        return self.experts(rows, chosen, weights).view(x.shape)


class MixtureBlock(Block):
    def __init__(self) -> None:
        super().__init__()
        self.feed_forward = Mixture()


def llama(block: type[Block] = Block) -> nn.Sequential:
    """Return a small Llama whose parts a pipeline can divide: embedding, blocks, and a norm with the head."""
    head = nn.Sequential(nn.RMSNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY, bias=False))
    return nn.Sequential(nn.Embedding(VOCABULARY, WIDTH), *(block() for _ in range(BLOCKS)), head)


def mixture() -> nn.Sequential:
    """Return the same with a mixture of experts in each block."""
    return llama(MixtureBlock)


def masked() -> nn.Module:
    """Return a model that passes a mask to attention."""
    return nn.Sequential(nn.Embedding(VOCABULARY, WIDTH), Masked())


class Masked(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q = x.unsqueeze(1)
        return functional.scaled_dot_product_attention(q, q, q, attn_mask=q @ q.transpose(-1, -2) > 0)


def recurrent() -> nn.Module:
    """Return a model that mixes along the sequence without attention."""
    return nn.Sequential(nn.Embedding(VOCABULARY, WIDTH), nn.LSTM(WIDTH, WIDTH))


def pointwise() -> nn.Module:
    """Return a model that does not mix along the sequence."""
    return nn.Sequential(nn.Embedding(VOCABULARY, WIDTH), nn.Linear(WIDTH, WIDTH), nn.ReLU())


def transformers_llama() -> nn.Module:
    """Return a small Llama of transformers, in which queries share keys and values."""
    return _of_transformers("Llama")


def transformers_mixtral() -> nn.Module:
    """Return a small Mixtral of transformers."""
    return _of_transformers("Mixtral", num_local_experts=EXPERTS)


def _of_transformers(name: str, **settings: int) -> nn.Module:
    import transformers

    sizes = {"hidden_size": WIDTH, "intermediate_size": WIDE, "vocab_size": VOCABULARY, "num_hidden_layers": 2}
    heads = {"num_attention_heads": HEADS, "num_key_value_heads": HEADS // 2}
    config = getattr(transformers, f"{name}Config")(**sizes, **heads, **settings)
    return getattr(transformers, f"{name}ForCausalLM")(config)


def padded() -> nn.Sequential:
    """Return the same with two more identities, so that four ranks with two stages each have one part each."""
    return nn.Sequential(*llama(), nn.Identity(), nn.Identity())


def tensor_plan() -> dict:
    blocks = {"*.attention.wo": RowwiseParallel(), "*.feed_forward.w2": RowwiseParallel()}
    blocks |= {f"*.attention.{name}": ColwiseParallel() for name in ("wq", "wk", "wv")}
    return blocks | {f"*.feed_forward.{name}": ColwiseParallel() for name in ("w1", "w3")}


def attention_plan() -> dict:
    return {pattern: style for pattern, style in tensor_plan().items() if "attention" in pattern}


def sequence_plan() -> dict:
    whole = {"input_layouts": (Shard(1),), "desired_input_layouts": (Replicate(),)}
    return tensor_plan() | {
        "0": RowwiseParallel(input_layouts=Replicate(), output_layouts=Shard(1)),
        "*.attention_norm": SequenceParallel(),
        "*.ffn_norm": SequenceParallel(),
        "*.attention": PrepareModuleInput(**whole),
        "*.feed_forward": PrepareModuleInput(**whole),
        "*.attention.wo": RowwiseParallel(output_layouts=Shard(1)),
        "*.feed_forward.w2": RowwiseParallel(output_layouts=Shard(1)),
        f"{BLOCKS + 1}.0": SequenceParallel(),
        f"{BLOCKS + 1}.1": ColwiseParallel(input_layouts=Shard(1), output_layouts=Replicate()),
    }


TP, SP, ATTENTION = f"{HERE}:tensor_plan", f"{HERE}:sequence_plan", f"{HERE}:attention_plan"
#: The cases by the number of ranks: the mesh and the other options of its plan.
CASES = {
    2: {
        "ddp": ("dp=2", {"data_parallel": "ddp"}),
        "fsdp": ("dp=2", {"data_parallel": "fsdp"}),
        "ddp, two microbatches": ("dp=2", {"data_parallel": "ddp", "microbatches": 2}),
        "fsdp, two microbatches": ("dp=2", {"data_parallel": "fsdp", "microbatches": 2}),
        "tp": ("tp=2", {"tp_plan": TP}),
        "tp and sp": ("tp=2", {"tp_plan": SP}),
        "gpipe": ("pp=2", {"schedule": "gpipe", "microbatches": 4}),
        "1f1b": ("pp=2", {"schedule": "1f1b", "microbatches": 4}),
        "cp": ("cp=2", {"data_parallel": "fsdp"}),
        "cp, ddp, transformers": ("cp=2", {"data_parallel": "ddp", "model": "transformers_llama"}),
        "cp, checkpointed": ("cp=2", {"data_parallel": "fsdp", "checkpoint": True}),
        "ep": ("dp=2", {"data_parallel": "fsdp", "expert_parallel": 2, "model": "mixture"}),
        "ep, transformers": (
            "dp=2", {"data_parallel": "fsdp", "expert_parallel": 2, "model": "transformers_mixtral"},
        ),
    },
    4: {
        "ddp": ("dp=4", {"data_parallel": "ddp"}),
        "fsdp": ("dp=4", {"data_parallel": "fsdp"}),
        "ddp and tp": ("dp=2,tp=2", {"data_parallel": "ddp", "tp_plan": TP}),
        "hsdp": ("replicate=2,dp=2", {"data_parallel": "hsdp"}),
        "tp": ("tp=4", {"tp_plan": TP}),
        "fsdp × tp": ("dp=2,tp=2", {"data_parallel": "fsdp", "tp_plan": TP}),
        "fsdp × tp and sp": ("dp=2,tp=2", {"data_parallel": "fsdp", "tp_plan": SP}),
        "pp × fsdp": ("pp=2,dp=2", {"data_parallel": "fsdp", "schedule": "1f1b", "microbatches": 4}),
        "pp × tp": ("pp=2,tp=2", {"tp_plan": TP, "schedule": "gpipe", "microbatches": 2}),
        "interleaved": ("pp=4", {"schedule": "interleaved:2", "microbatches": 4}),
        "cp": ("cp=4", {"data_parallel": "fsdp"}),
        "fsdp × cp": ("dp=2,cp=2", {"data_parallel": "fsdp"}),
        "cp × tp": ("cp=2,tp=2", {"data_parallel": "fsdp", "tp_plan": TP}),
        "pp × cp": ("pp=2,cp=2", {"data_parallel": "fsdp", "schedule": "gpipe", "microbatches": 2}),
        "pp × cp, checkpointed": (
            "pp=2,cp=2",
            {"data_parallel": "fsdp", "schedule": "1f1b", "microbatches": 2, "checkpoint": True},
        ),
        "ep": ("dp=4", {"data_parallel": "fsdp", "expert_parallel": 4, "model": "mixture"}),
        "fsdp × ep": ("dp=4", {"data_parallel": "fsdp", "expert_parallel": 2, "model": "mixture"}),
        "hsdp × ep": ("replicate=2,dp=2", {"data_parallel": "hsdp", "expert_parallel": 2, "model": "mixture"}),
        "cp × ep": ("dp=2,cp=2", {"data_parallel": "fsdp", "expert_parallel": 4, "model": "mixture"}),
        "tp × ep": (
            "dp=2,tp=2",
            {"data_parallel": "fsdp", "tp_plan": ATTENTION, "expert_parallel": 4, "model": "mixture"},
        ),
        "pp × ep": (
            "pp=2,dp=2",
            {"data_parallel": "fsdp", "expert_parallel": 2, "model": "mixture", "schedule": "1f1b", "microbatches": 4},
        ),
    },
}  # fmt: skip


def case(ranks: int, name: str) -> tuple[ParallelPlan, Step]:
    """Return the plan and the step of a case."""
    mesh, options = CASES[ranks][name]
    options = dict(options)
    factory = options.pop("model", "")
    checkpoint = options.pop("checkpoint", False)
    plan = ParallelPlan(parse_mesh(mesh, ranks), **options)
    return plan, replace(step_of(plan, factory), checkpoint=checkpoint)


def step_of(plan: ParallelPlan, factory: str = "") -> Step:
    factory = factory or ("padded" if plan.stages_per_rank > 1 else "llama")
    batch = 2 * plan.microbatches
    return Step(f"{HERE}:{factory}", (f"{TOKENS}:int64",), batch, train=True, optimizer="adamw")


def figures(ranks: int, name: str, *, is_real: bool) -> dict:
    """Return what the two are compared in."""
    plan, step = case(ranks, name)
    p = profile_rank(step, plan, is_real=is_real)
    return {
        "macs": {phase: totals.macs for phase, totals in p.phases.items()},
        "other_flops": {phase: totals.other_flops for phase, totals in p.phases.items()},
        "params": [p.totals.params, p.totals.global_params],
        "communication": sorted(map(str, (asdict(row) for row in p.communication))),
        "sent": sum(row.wire_bytes for row in p.communication),
        "peak_memory": p.totals.peak_memory["total"],
        "uncounted": [row.operator for row in p.uncounted],
    }


def main() -> None:
    rank, ranks, store, result, mode = sys.argv[1:]
    number, size = int(rank), int(ranks)
    rows = {}
    if mode == "fake":
        for name in CASES[size]:
            with fake_ranks(number, size):
                rows[name] = figures(size, name, is_real=False)
    else:
        timeout = timedelta(seconds=120)
        dist.init_process_group(
            "gloo", rank=number, world_size=size, store=dist.FileStore(store, size), timeout=timeout
        )
        for name in CASES[size]:
            rows[name] = figures(size, name, is_real=True)
            dist.barrier()
        dist.destroy_process_group()
    Path(result).write_text(json.dumps(rows), encoding="utf-8")


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main()
