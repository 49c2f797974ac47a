"""One table of many models for a paper, in Markdown."""

import torch
import torchvision

import profiler

print("| model | parameters (M) | GMAC | activations written (MiB) |\n|---|---:|---:|---:|")
with torch.device("meta"):
    for name in ("mobilenet_v3_small", "squeezenet1_1", "resnet18", "efficientnet_b0"):
        model = torchvision.models.get_model(name).eval()
        totals = profiler.count(model, torch.zeros(1, 3, 224, 224)).totals
        written = totals.bytes_written / 2**20
        print(f"| {name} | {totals.params / 1e6:.2f} | {totals.macs / 1e9:.3f} | {written:.1f} |")
