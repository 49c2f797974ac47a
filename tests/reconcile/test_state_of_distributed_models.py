"""A comparison runs a model with distributed tensors once more, and leaves it as it was."""

from __future__ import annotations

import subprocess
import sys
import textwrap

COMPARISON = """
    import torch, torch.distributed as dist, profiler
    from torch import nn
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
    from torch.testing._internal.distributed.fake_pg import FakeStore

    from profiler.trace.module_facts import collect_module_facts

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.up, self.down, self.norm = nn.Linear(8, 32), nn.Linear(32, 8), nn.BatchNorm1d(8)
            self.words = nn.Embedding(6, 8, max_norm=0.1)
            self.calls = 0

        def forward(self, i):
            self.calls += 1
            x = nn.functional.dropout(self.norm(self.words(i)))
            return self.down(self.up(x).relu())

    dist.init_process_group("fake", rank=0, world_size=4, store=FakeStore())
    model = Net()
    parallelize_module(model, init_device_mesh("cpu", (4,)), {"up": ColwiseParallel(), "down": RowwiseParallel()})
    x = torch.tensor([1, 2, 3, 4])
    before = {name: value.clone() for name, value in (*model.named_buffers(), ("words", model.words.weight.detach()))}
    generator = torch.get_rng_state()
    facts = collect_module_facts(model, lambda: profiler.count(model, x), lambda: model(x))
    assert [call.record.operator for f in facts for call in f.distributed_calls], "nothing was distributed"
    after = dict((*model.named_buffers(), ("words", model.words.weight.detach())))
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert not changed, changed
    assert model.calls == 0, model.calls
    assert torch.equal(generator, torch.get_rng_state())
"""


def test_a_comparison_leaves_a_model_with_distributed_tensors_as_it_was():
    words = [sys.executable, "-c", textwrap.dedent(COMPARISON)]
    run = subprocess.run(words, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
