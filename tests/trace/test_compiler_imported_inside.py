"""The compiler is imported by the first function that needs it; that may be inside the profiled block.

Each case runs in a process of its own: this one may have imported it already.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

CASES = {
    "flex_attention": (
        "from torch.nn.attention.flex_attention import flex_attention; q = torch.ones(2, 4, 32, 16)",
        "flex_attention(q, q, q)",
        2 * 2 * 4 * 32 * 32 * 16,
    ),
    "torch.compile": ("", "torch.compile(model, fullgraph=True)(x)", 64),
    "checkpoint": (
        "from torch.utils.checkpoint import checkpoint",
        "checkpoint(model, x, use_reentrant=False).sum().backward()",
        2 * 64,
    ),
    "torch.cond": ("", "torch.cond(torch.tensor(True), model, lambda x: x @ x.t() @ x, (x,))", 64),
    "torch.func.vmap": ("", "torch.func.vmap(model)(x)", 64),
    "an import": ("", "import torch._dynamo; torch.compile(model)(x)", 64),
}
SCRIPT = """
import sys, torch, profiler
from torch import nn
{setup}
model, x = nn.Linear(8, 4, bias=False), torch.ones(2, 8)
torch.set_grad_enabled({grad})
assert "torch._dynamo" not in sys.modules
finders = list(sys.meta_path)
for _ in range(2):
    with profiler.profile(model) as p:
        {call}
    assert p.totals.macs == {macs}, p.totals.macs
import torch._dynamo
assert torch._dynamo.eval_frame._stance.stance == "default"
assert sys.meta_path == finders
"""


@pytest.mark.parametrize("case", CASES)
def test_the_first_call_of_a_process_counts_as_the_second_does(case):
    setup, call, macs = CASES[case]
    script = SCRIPT.format(setup=setup, call=call, macs=macs, grad=case == "checkpoint")
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
