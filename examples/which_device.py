"""How many operations a second must a device promise for 30 frames a second? And which devices do?"""

import torch
import torchvision

import profiler
from profiler.devices import find_device

with torch.device("meta"):
    model = torchvision.models.resnet50().eval()
    p = profiler.count(model, torch.zeros(1, 3, 224, 224))
needed = 30 * 2 * p.totals.macs / 0.3  # at 30 % of the peak
print(f"needed: {needed / 1e12:.2f} TOPS")
for name in ("jetson-orin-nx-16gb", "l4", "h100-sxm5-80gb"):
    device = find_device(name)
    print(f"{name}: {device.peak('int8') / needed:,.0f} times that")
    assert device.peak("int8") > needed
