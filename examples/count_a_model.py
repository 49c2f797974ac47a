"""How much does my model cost, and where? Count one forward pass, and list the dearest layers."""

import torch
import torchvision

import profiler

model = torchvision.models.resnet18().eval()
p = profiler.count(model, torch.zeros(1, 3, 224, 224))
print(f"{p.totals.macs:,} MAC, {p.totals.flops:,} FLOP, {p.totals.params:,} parameters")
layers = sorted(p.nodes.items(), key=lambda item: item[1].own.macs, reverse=True)
for name, node in layers[:5]:
    print(f"{name:24} {node.own.macs:>13,} MAC  {node.own.macs / p.totals.macs:6.1%}")
assert p.is_complete, p.uncounted
assert p.totals.macs == 1_814_073_344
