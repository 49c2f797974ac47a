"""From a name to a live module and what it is called with.

    target = resolve("hf:gpt2")
    module = build(target, device="meta", dtype="bfloat16")
    args, kwargs = make_inputs(target, module, ["input_ids=1x512"])
    module(*args, **kwargs)

Each source of models is one file in this folder; each preset one table in ``presets``.
"""

from profiler.targets.building import build
from profiler.targets.inputs import make_inputs
from profiler.targets.making import make
from profiler.targets.sources import known, resolve
from profiler.targets.target import Argument, Target, TensorInput

__all__ = ["Argument", "Target", "TensorInput", "build", "known", "make", "make_inputs", "resolve"]
