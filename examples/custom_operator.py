"""An operator of my own is listed as uncounted; a formula of one line counts it."""

import math

import torch

import profiler

library = torch.library.Library("examples", "DEF")
library.define("scan(Tensor x, Tensor decay) -> Tensor")
library.impl("scan", lambda x, decay: x.cumsum(-1) * decay, "CompositeExplicitAutograd")
x, decay = torch.ones(2, 50), torch.ones(50)

with profiler.profile() as p:
    torch.ops.examples.scan(x, decay)
print("without a formula:", p.uncounted)
assert not p.is_complete


@profiler.formula("examples::scan")
def scan(x: profiler.Shape) -> profiler.Cost:
    """Count one multiply-add for each element: ``(B, L)``."""
    return profiler.Cost(macs=math.prod(x))


with profiler.profile() as p:
    torch.ops.examples.scan(x, decay)
print("with one:", p.totals.macs, "MAC")
assert p.is_complete
assert p.totals.macs == 2 * 50
