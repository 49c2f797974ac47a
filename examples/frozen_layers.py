"""What does fine-tuning the last layer save, against training all? Work and memory, counted."""

import torch
import torchvision

import profiler

with torch.device("meta"):
    model = torchvision.models.resnet18()
x = torch.zeros(8, 3, 224, 224, device="meta")
whole = profiler.count_step(model, x, optimizer="adamw")
model.requires_grad_(False)
model.fc.requires_grad_(True)
head = profiler.count_step(model, x, optimizer="adamw")
for name, step in (("all layers", whole), ("last layer", head)):
    backward, peak = step.phases["backward"].macs, step.totals.peak_memory["total"]
    print(f"{name}: backward {backward:,} MAC, peak {peak / 2**20:.0f} MiB")
assert head.phases["backward"].macs == 8 * 512 * 1000  # the gradient of the last weight, and nothing else
