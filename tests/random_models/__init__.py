"""Random models, and what a training step of each costs in closed form, by phase and module.

A model is a tree of parts: layers of many families, custom functions, tensor subclasses and nested tensors;
checkpoints of three kinds, threads, pools, tasks, conditions, modes and functional calls around them; parts that run
twice. While it is built, each part writes what it computes on a tape: its values, and the products of its forward pass
and of its two gradients. The costs are read from the tape by a small reverse pass of its own, which shares no code with
the counter: it knows nothing of torch's operators.
"""

from random_models.building import RandomModel, build, random_model, random_spec
from random_models.spec import Spec, shrink

__all__ = ["RandomModel", "Spec", "build", "random_model", "random_spec", "shrink"]
