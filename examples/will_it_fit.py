"""Will a training step fit in memory? Count it on meta, at several batch sizes; no weights, no GPU."""

import torch
import torchvision

import profiler

with torch.device("meta"):
    model = torchvision.models.resnet50()
for batch in (1, 8, 32):
    step = profiler.count_step(model, torch.zeros(batch, 3, 224, 224, device="meta"), optimizer="adamw")
    peak = step.totals.peak_memory
    print(f"batch {batch:2}: {peak['total'] / 2**30:.2f} GiB, of them activations {peak['activation'] / 2**30:.2f} GiB")
assert peak["activation"] > peak["parameter"]
