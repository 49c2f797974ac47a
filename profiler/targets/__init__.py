"""Build the model that a name stands for, and the inputs to call it with.

    target = resolve("hf:gpt2")
    module = build(target, device="meta", dtype="bfloat16")
    args, kwargs = make_inputs(target, module, ["input_ids=1x512"])
    module(*args, **kwargs)

Each source of models (torchvision, timm, transformers …) is one file in ``sources``. Each preset is one table in a TOML
file in ``presets``.
"""

from profiler.targets.build import build, build_called, build_with_inputs
from profiler.targets.inputs import make_inputs
from profiler.targets.registry import list_targets, resolve
from profiler.targets.target import Argument, Target, TensorInput
from profiler.util.permissions import Permissions, permit

__all__ = [
    "Argument",
    "Permissions",
    "Target",
    "TensorInput",
    "build",
    "build_called",
    "build_with_inputs",
    "list_targets",
    "make_inputs",
    "permit",
    "resolve",
]
